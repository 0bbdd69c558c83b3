/*
 * http/head.h - a message head without its HTTP version's framing: what the
 * exchange reads and changes, and what a mux parses and formats.  All text
 * lives in the arena given to init.
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "base/mem.h"

enum http_body {
	BODY_NONE,
	BODY_LENGTH,                  /* content_length bytes */
	BODY_CHUNKED,                 /* its own end; trailers may follow */
	BODY_UNTIL_CLOSE,             /* responses only */
};

struct http_field {
	struct str name, value;       /* name with a NULL pointer: removed */
};

struct http_head {
	struct arena *arena;          /* borrowed: the exchange's */
	struct str method, target;    /* requests */
	struct str authority;         /* Host, or of the target; not among the fields */
	uint16_t status;              /* responses */
	struct str reason;
	uint8_t version;              /* 10, 11, 20 */
	bool is_keep_alive;           /* the sender wants to go on after this message */
	bool expects_continue;
	enum http_body body;
	uint64_t content_length;      /* BODY_LENGTH; also of a HEAD response, see has_length */
	bool has_length;              /* Content-Length is to be written without a body */
	struct http_field *fields;    /* without Host, Content-Length, Transfer-Encoding */
	uint32_t field_count, field_room;
};

void http_head_init(struct http_head *head, struct arena *arena);

/* The first value of that name (case ignored), or false. */
bool http_head_find(const struct http_head *head, struct str name, struct str *value);
void http_head_add(struct http_head *head, struct str name, struct str value);
void http_head_set(struct http_head *head, struct str name, struct str value); /* replaces all */
void http_head_remove(struct http_head *head, struct str name);                /* all of it */

/* The next field that is there; *at begins with 0.  False at the end. */
bool http_head_each(const struct http_head *head, uint32_t *at, struct http_field *field);

/* The exact method; methods are case-sensitive. */
bool http_head_is_method(const struct http_head *head, const char *method);

#endif
