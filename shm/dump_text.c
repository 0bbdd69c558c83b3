/*
 * shm/dump_text.c - JSON as Go writes it, and text for a terminal.
 */
#include "dump_text.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"

static void json_ascii(FILE *out, unsigned char c)
{
	static const char short_escapes[][2] = {
		{ '"', '"' }, { '\\', '\\' }, { '\b', 'b' }, { '\f', 'f' },
		{ '\n', 'n' }, { '\r', 'r' }, { '\t', 't' },
	};

	for (size_t i = 0; i < ARRAY_SIZE(short_escapes); i++) {
		if (c == (unsigned char)short_escapes[i][0]) {
			fprintf(out, "\\%c", short_escapes[i][1]);
			return;
		}
	}
	if (c < 0x20 || c == '<' || c == '>' || c == '&')
		fprintf(out, "\\u%04x", c);
	else
		putc(c, out);
}

void dump_json_string(FILE *out, struct str text)
{
	const unsigned char *p = (const unsigned char *)text.p;

	putc('"', out);
	for (size_t i = 0; i < text.len;) {
		uint32_t rune;
		size_t n = utf8_decode(str_sub(text, i, STR_REST), &rune);

		if (n == 0)
			fputs("\\ufffd", out);
		else if (n == 1)
			json_ascii(out, p[i]);
		else if (n == 3 && p[i] == 0xe2 && p[i + 1] == 0x80 && (p[i + 2] | 1) == 0xa9)
			fprintf(out, "\\u20%02x", p[i + 2] - 0x80);      /* line separators */
		else
			fwrite(p + i, 1, n, out);
		i += n ? n : 1;
	}
	putc('"', out);
}

/* --- tags */

struct tag {
	struct str name, value;
	unsigned order;               /* so that the last of equal names is found */
};

struct scan {
	const char *p, *end;
	struct arena *arena;
};

static void skip_blanks(struct scan *s)
{
	while (s->p < s->end && strchr(" \t\r\n", *s->p) && *s->p)
		s->p++;
}

static bool take(struct scan *s, char c)
{
	skip_blanks(s);
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static char *put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (char)c;
	} else if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
		*out++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*out++ = (char)(0xe0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	} else {
		*out++ = (char)(0xf0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	}
	return out;
}

static bool take_hex4(struct scan *s, uint32_t *value)
{
	uint64_t v;

	if (s->end - s->p < 4 || !str_parse_hex64((struct str){ s->p, 4 }, &v))
		return false;
	s->p += 4;
	*value = (uint32_t)v;
	return true;
}

/* Behind "\u".  A lone surrogate is U+FFFD, as in Go. */
static bool take_unicode(struct scan *s, char **out)
{
	uint32_t c, low;
	const char *after;

	if (!take_hex4(s, &c))
		return false;
	after = s->p;
	if (c >= 0xd800 && c < 0xdc00 && s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u') {
		s->p += 2;
		if (take_hex4(s, &low) && low >= 0xdc00 && low < 0xe000)
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		else
			s->p = after;
	}
	*out = put_utf8(*out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
	return true;
}

static bool take_escape(struct scan *s, char **out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (s->p == s->end || !*s->p)
		return false;
	if (*s->p == 'u') {
		s->p++;
		return take_unicode(s, out);
	}
	found = strchr(from, *s->p++);
	if (!found)
		return false;
	*(*out)++ = to[found - from];
	return true;
}

/* A decoded string is never longer than its text. */
static bool take_string(struct scan *s, struct str *out)
{
	char *text, *to;

	if (!take(s, '"'))
		return false;
	text = to = arena_alloc(s->arena, (size_t)(s->end - s->p) + 1);
	while (s->p < s->end && *s->p != '"') {
		if (*s->p == '\\') {
			s->p++;
			if (!take_escape(s, &to))
				return false;
		} else {
			*to++ = *s->p++;
		}
	}
	*out = str_range(text, to);
	return take(s, '"');
}

static int compare_tags(const void *a, const void *b)
{
	const struct tag *x = a, *y = b;
	size_t shorter = x->name.len < y->name.len ? x->name.len : y->name.len;
	int order = shorter ? memcmp(x->name.p, y->name.p, shorter) : 0;

	if (order == 0 && x->name.len != y->name.len)
		order = x->name.len < y->name.len ? -1 : 1;
	return order ? order : x->order < y->order ? -1 : 1;
}

/* Returns the number of tags, or -1: not an object of strings. */
static int parse_tags(struct scan *s, struct tag *tags, unsigned cap)
{
	unsigned count = 0;

	if (!take(s, '{'))
		return -1;
	if (take(s, '}'))
		goto done;
	do {
		if (count == cap || !take_string(s, &tags[count].name) || !take(s, ':') ||
		    !take_string(s, &tags[count].value))
			return -1;
		tags[count].order = count;
		count++;
	} while (take(s, ','));
	if (!take(s, '}'))
		return -1;
done:
	skip_blanks(s);
	return s->p == s->end ? (int)count : -1;
}

bool dump_json_tags(FILE *out, struct str text)
{
	struct arena arena;
	struct scan scan = { text.p, text.p + text.len, &arena };
	unsigned cap = (unsigned)(text.len / 5 + 1);      /* "":"" is the shortest */
	struct tag *tags;
	bool is_first = true;
	int count;

	arena_init(&arena, NULL, 0);
	tags = arena_alloc(&arena, cap * sizeof(*tags));
	count = parse_tags(&scan, tags, cap);
	if (count > 0)
		qsort(tags, (size_t)count, sizeof(*tags), compare_tags);
	if (count >= 0)
		putc('{', out);
	for (int i = 0; i < count; i++) {
		if (i + 1 < count && str_equal(tags[i].name, tags[i + 1].name))
			continue;
		if (!is_first)
			putc(',', out);
		is_first = false;
		dump_json_string(out, tags[i].name);
		putc(':', out);
		dump_json_string(out, tags[i].value);
	}
	if (count >= 0)
		putc('}', out);
	arena_fini(&arena);
	return count >= 0;
}

/* --- for people */

void dump_plain(FILE *out, struct str text, int width)
{
	int written = 0;

	if (str_is_empty(text))
		text = STR("-");
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c > 0x20 && c < 0x7f && c != '\\')
			written += putc(c, out) != EOF;
		else
			written += fprintf(out, "\\x%02x", c);
	}
	for (; written < width; written++)
		putc(' ', out);
}

void dump_words(FILE *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c >= 0x20 && c < 0x7f && c != '\\')
			putc(c, out);
		else
			fprintf(out, "\\x%02x", c);
	}
}

const char *dump_duration(uint64_t ms, char out[32])
{
	uint64_t s = ms / 1000;

	if (ms < 1000)
		snprintf(out, 32, "%" PRIu64 "ms", ms);
	else if (s < 60)
		snprintf(out, 32, "%" PRIu64 ".%" PRIu64 "s", s, ms % 1000 / 100);
	else if (s < 3600)
		snprintf(out, 32, "%" PRIu64 "m%" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, 32, "%" PRIu64 "h%" PRIu64 "m", s / 3600, s % 3600 / 60);
	else
		snprintf(out, 32, "%" PRIu64 "d%" PRIu64 "h", s / 86400, s % 86400 / 3600);
	return out;
}
