/*
 * base/str.h - borrowed text: a pointer and a length, never NUL-terminated by
 * promise.  Everybody uses it.  A str owns nothing; whoever made it says how
 * long the bytes live.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct str {
	const char *p;
	size_t len;
};

/* A str over a string literal, usable in static initialisers. */
#define STR(literal) ((struct str){ (literal), sizeof(literal) - 1 })
#define STR_INIT(literal) { (literal), sizeof(literal) - 1 }
#define STR_NONE ((struct str){ NULL, 0 })

/* For printf: log_info("x", "host=%.*s", STR_ARG(host)) */
#define STR_ARG(s) ((int)(s).len), ((s).p ? (s).p : "")

static inline struct str str_of(const char *cstring)
{
	return (struct str){ cstring, cstring ? strlen(cstring) : 0 };
}

static inline struct str str_range(const char *from, const char *to)
{
	return (struct str){ from, (size_t)(to - from) };
}

static inline bool str_is_empty(struct str s)
{
	return s.len == 0;
}

static inline bool str_equal(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* ASCII case only, which is what host and field names need (RFC 9110 section 5.1). */
static inline char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool str_same_nocase(const char *a, const char *b, size_t len);
static inline bool str_equal_nocase(struct str a, struct str b)
{
	return a.len == b.len && str_same_nocase(a.p, b.p, a.len);
}

/* Writes the text with ASCII letters in lower case, no terminator; returns its length. */
size_t str_lower(struct str s, char *out);

bool str_has_prefix(struct str s, struct str prefix);
bool str_has_prefix_nocase(struct str s, struct str prefix);
bool str_has_suffix(struct str s, struct str suffix);

/* Position of a byte or a text, or -1. */
ssize_t str_find_char(struct str s, char c);
ssize_t str_find(struct str haystack, struct str needle);

/* The part from `from` on, at most `len` bytes; clipped to the text. */
struct str str_sub(struct str s, size_t from, size_t len);
#define STR_REST ((size_t)-1)

/* Without leading and trailing SP and HTAB. */
struct str str_trim(struct str s);

/* Takes the next item of a list separated by `separator`, trimmed; *rest moves
 * past it.  False when *rest is empty.  Empty items are returned as such. */
bool str_next_item(struct str *rest, char separator, struct str *item);

/* True if the comma list holds `token`, ASCII case ignored (RFC 9110 section 5.6.1). */
bool str_list_has(struct str list, struct str token);

/* Digits only, all of the text, no sign; false on anything else or overflow. */
bool str_parse_u64(struct str s, uint64_t *value);
bool str_parse_hex64(struct str s, uint64_t *value);

/* The length of the UTF-8 character that the text begins with, and the character;
 * 0 if it begins with none (RFC 3629) or is empty. */
size_t utf8_decode(struct str s, uint32_t *rune);

/* "00" to "99". */
extern const char u64_digits[100][2];

/* How many bytes from the begin are printable ASCII other than quote and backslash: what
 * JSON and our log say as it is. */
size_t str_plain_run(struct str s);

/* Copies as many and returns how many; may write s.len or 16 bytes, whichever is more. */
#define STR_COPY_LEAST 16
size_t str_copy_plain(struct str s, char *out);

/* Writes decimal digits, no terminator; returns their count.  `out` holds 20 bytes. */
size_t u64_format(uint64_t value, char *out);

/* With zeros in front: what a part of 1,000,000,000 needs behind the point. */
void u64_format_nine(uint64_t value, char out[9]);

/* Copies into `out` of `cap` bytes and terminates it; false (and a clipped
 * copy) if it did not fit.  cap > 0. */
bool str_copy_z(struct str s, char *out, size_t cap);

/* Damerau-free edit distance, for "did you mean"; texts over 64 bytes are far. */
unsigned str_distance(struct str a, struct str b);

#endif
