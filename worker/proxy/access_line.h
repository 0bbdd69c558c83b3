/*
 * proxy/access_line.h - the pieces of which access-log lines are made.  Used by
 * the access_*.c files that make them, and by nobody else.
 */
#ifndef PROXY_ACCESS_LINE_H
#define PROXY_ACCESS_LINE_H

#include <stddef.h>

#include "proxy/access_log.h"
#include "proxy/quote.h"

struct line {
	struct quoted out;
	uint8_t redaction;            /* enum access_redaction of this request's query */
	bool is_cutting;              /* the texts have limits: without them it was too long */
};

/* Settings made ready for use. */
struct access_format {
	bool is_json;
	bool has_more;                /* than the fixed fields */
	uint8_t redaction;            /* enum access_redaction */
	uint8_t widest;               /* bytes that one byte of text may become */
	uint8_t extra_count, header_count;
	uint8_t extras[ACCESS_EXTRAS];        /* enum access_extra, as they are written */
	size_t fixed_bytes;           /* of a line: more than all that is not text of a record */
	struct str headers[ACCESS_HEADERS_MAX];       /* names; owned */
	struct str labels[ACCESS_HEADERS_MAX];        /* "x_something_cool"; owned */
};

/* A text, with what stands before it, the name in the mark if it is cut, and how
 * long it may be in a line that was too long; the sum of these leaves room for
 * the marks and all else. */
#define BEFORE_ROOM 24
struct column {
	char before[BEFORE_ROOM];     /* copied whole, for that is cheaper */
	uint8_t before_len;
	uint16_t limit, offset;       /* of a struct str in struct access_record */
	struct str name;
};

#define COLUMN(before, field, name, limit) \
	{ before, sizeof(before) - 1, limit, offsetof(struct access_record, field), STR_INIT(name) }

typedef void put_fn(struct line *l, struct str s);

static inline void put(struct line *l, struct str s)
{
	quoted_put(&l->out, s);
}

static inline struct str text_of(const struct access_record *r, const struct column *column)
{
	struct str s;

	memcpy(&s, (const char *)r + column->offset, sizeof(s));
	return s;
}

/* What is made digit by digit is made in place: copied from elsewhere, it would be
 * read before its bytes have left the processor. */
#define NUMBER_ROOM 32
static inline char *room_for_number(struct line *l)
{
	if (!l->out.is_full && l->out.end - l->out.next >= NUMBER_ROOM)
		return l->out.next;
	l->out.is_full = true;
	return NULL;
}

static inline void put_number(struct line *l, uint64_t value)
{
	char *at = room_for_number(l);

	if (at)
		l->out.next += u64_format(value, at);
}

/* Seconds with six decimals, rounded; negative: what stands for nothing. */
void put_seconds(struct line *l, int64_t ns);

/* "2026-11-20T12:51:21.846675894Z", in UTC. */
void put_timestamp(struct line *l, uint64_t wall_ns);

/* No more than `limit` bytes of the text, and a mark with the name if there were more. */
void put_cut(struct line *l, struct str name, size_t limit, put_fn *put_it, struct str s);

/* "-" or, in JSON, null. */
void put_nothing(struct line *l);

/* The text between quotes, or what stands for none. */
void put_value(struct line *l, struct str name, size_t limit, put_fn *put_it, struct str s);
void put_quoted(struct line *l, struct str s);

/* The target as Go prints a parsed one, its query redacted; and that of CONNECT, which
 * names an authority, whose path is empty. */
void put_uri(struct line *l, struct str target);
void put_connect_uri(struct line *l, struct str target);

/* The line after its time, to the fields that an operator adds, and these. */
void put_gorouter_line(struct line *l, const struct access_format *format,
		       const struct access_record *r);
void put_json_line(struct line *l, const struct access_format *format,
		   const struct access_record *r);
void put_extras(struct line *l, const struct access_format *format,
		const struct access_record *r);
void put_extra_headers(struct line *l, const struct access_format *format,
		       const struct access_record *r);

/* How many bytes the texts of these have together. */
size_t extras_length(const struct access_format *format, const struct access_record *r);

#endif
