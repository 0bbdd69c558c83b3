/*
 * http/head.h - a message head without its HTTP version: method or status,
 * target, authority, fields, and how the body is framed.  Everybody above the
 * mux works on this.  All text lives in the arena of whoever holds the head.
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "base/mem.h"
#include "base/str.h"

struct http_field {
	struct str name;              /* as received; compare without case */
	struct str value;             /* without surrounding blanks */
};

enum http_body {
	BODY_NONE,
	BODY_LENGTH,                  /* content_length bytes, may be 0 */
	BODY_CHUNKED,                 /* length unknown, end marked, trailers possible */
	BODY_UNTIL_CLOSE,             /* responses only */
};

struct http_head {
	struct arena *arena;          /* borrowed: where added text and fields go */
	struct str method, target;    /* requests */
	struct str authority;         /* Host or :authority; not among the fields */
	unsigned status;              /* responses: 100 to 999 */
	struct str reason;            /* responses over HTTP/1, as received */
	uint8_t minor;                /* HTTP/1.minor as received; 1 otherwise */
	bool has_authority;           /* an empty Host is not an absent one */
	bool keeps_alive;             /* the sender wants the connection to go on */
	enum http_body body;
	bool has_length;              /* content_length was given, also where no body follows */
	uint64_t content_length;
	struct http_field *fields;
	unsigned count, room;
	uint64_t names;               /* http_name_bit() of every name that was ever added */
};

/* Most of the names that are looked for are not there; one bit says so.  The
 * factors keep those that Wye looks for apart from those that are often there. */
static inline uint64_t http_name_bit(struct str name)
{
	unsigned first, last;

	if (!name.len)
		return 1;
	first = (unsigned char)name.p[0] | 0x20;
	last = (unsigned char)name.p[name.len - 1] | 0x20;
	return 1ull << ((name.len + 6 * first + 11 * last) & 63);
}

/* An empty head whose text will live in `arena`. */
void http_head_init(struct http_head *head, struct arena *arena);

static inline bool http_head_may_have(const struct http_head *head, struct str name)
{
	return head->names & http_name_bit(name);
}

/* The first field of this name from index *at on (start with 0), or NULL; *at
 * moves past it, so that a loop visits all.  ASCII case is ignored. */
struct http_field *http_head_scan(const struct http_head *head, struct str name, unsigned *at);
static inline struct http_field *http_head_next(const struct http_head *head, struct str name,
						unsigned *at)
{
	return http_head_may_have(head, name) ? http_head_scan(head, name, at) : NULL;
}

static inline bool http_head_has(const struct http_head *head, struct str name)
{
	unsigned at = 0;

	return http_head_next(head, name, &at) != NULL;
}

/* Value of the first field of this name; an empty str with p NULL if absent. */
static inline struct str http_head_find(const struct http_head *head, struct str name)
{
	unsigned at = 0;
	struct http_field *field = http_head_next(head, name, &at);

	return field ? field->value : STR_NONE;
}

/* True if some field of this name holds the token in its comma list. */
static inline bool http_head_lists(const struct http_head *head, struct str name,
				   struct str token)
{
	struct http_field *field;
	unsigned at = 0;

	while ((field = http_head_next(head, name, &at)) != NULL)
		if (str_list_has(field->value, token))
			return true;
	return false;
}

/* The values of all fields of this name, in order, with ", " between them; p NULL
 * if there is none. */
struct str http_head_join(const struct http_head *head, struct str name);

/* Name and value are borrowed: they must live as long as the arena. */
void http_head_add(struct http_head *head, struct str name, struct str value);

/* One field of this name with this value: in the place of the first, or at the end. */
void http_head_set(struct http_head *head, struct str name, struct str value);
void http_head_remove_all(struct http_head *head, struct str name);
static inline void http_head_remove(struct http_head *head, struct str name)
{
	if (http_head_may_have(head, name))
		http_head_remove_all(head, name);
}

#endif
