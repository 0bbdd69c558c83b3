/*
 * proxy/access_format.c - the access-log line (access_log.h), byte for byte as
 * Gorouter writes it.  It runs once a request: no printf, plain runs of text are
 * copied, and the date is made once a second.
 *
 * A line that does not fit is written again with a limit on each of its texts.
 */
#include "proxy/access_log.h"

#include <stddef.h>

#include "base/clock.h"
#include "base/must.h"
#include "proxy/quote.h"

#define NS_PER_S 1000000000u

struct line {
	struct quoted out;
	bool is_cutting;
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

static const struct column
	host_column   = COLUMN("", host, "HOST", 2000),
	method_column = COLUMN("\"", method, "METHOD", 1000),
	uri_column    = COLUMN(" ", target, "REQUEST-URI", 24000),
	columns[] = {
		COLUMN(" \"", referer, "REFERER", 10000),
		COLUMN("\" \"", user_agent, "USER-AGENT", 8000),
		COLUMN("\" \"", remote, "REMOTE", 400),
		COLUMN("\" \"", backend, "BACKEND", 400),
		COLUMN("\" x_forwarded_for:\"", forwarded_for, "X-FORWARDED-FOR", 8000),
		COLUMN("\" x_forwarded_proto:\"", forwarded_proto, "X-FORWARDED-PROTO", 1000),
		COLUMN("\" vcap_request_id:\"", request_id, "VCAP-REQUEST-ID", 1000),
	},
	app_columns[] = {
		COLUMN(" app_id:\"", app_id, "APP-ID", 1000),
		COLUMN("\" app_index:\"", app_index, "APP-INDEX", 400),
		COLUMN("\" instance_id:\"", instance_id, "INSTANCE-ID", 1000),
		COLUMN("\" x_cf_routererror:\"", router_error, "X-CF-ROUTERERROR", 2000),
	};

static inline void put(struct line *l, struct str s)
{
	quoted_put(&l->out, s);
}

/* What is made digit by digit is made in place: copied from elsewhere, it would be
 * read before its bytes have left the processor. */
#define NUMBER_ROOM 32
static char *room_for_number(struct line *l)
{
	if (!l->out.is_full && l->out.end - l->out.next >= NUMBER_ROOM)
		return l->out.next;
	l->out.is_full = true;
	return NULL;
}

static void put_number(struct line *l, uint64_t value)
{
	char *at = room_for_number(l);

	if (at)
		l->out.next += u64_format(value, at);
}

/* The last `width` digits of value. */
static inline void digits_format(char *out, unsigned width, uint32_t value)
{
	for (; width >= 2; value /= 100)
		memcpy(out + (width -= 2), u64_digits[value % 100], 2);
	if (width)
		out[0] = (char)('0' + value % 10);
}

/* --- texts --- */

typedef void put_fn(struct line *l, struct str s);

static __attribute__((cold)) void put_cut(struct line *l, const struct column *column,
					  put_fn *put_it, struct str s)
{
	char *end = l->out.end;

	if ((size_t)(end - l->out.next) > column->limit)
		l->out.end = l->out.next + column->limit;
	put_it(l, s);
	l->out.end = end;
	if (!l->out.is_full)
		return;
	l->out.is_full = false;
	put(l, STR("..."));
	put(l, column->name);
	put(l, STR("-TOO-LONG-TO-LOG--TRUNCATED"));
}

static void put_column(struct line *l, const struct column *column, put_fn *put_it,
		       const struct access_record *r)
{
	struct str s;

	memcpy(&s, (const char *)r + column->offset, sizeof(s));
	if (l->out.end - l->out.next < BEFORE_ROOM) {
		l->out.is_full = true;
		return;
	}
	memcpy(l->out.next, column->before, BEFORE_ROOM);
	l->out.next += column->before_len;
	if (__builtin_expect(l->is_cutting, 0))
		put_cut(l, column, put_it, s);
	else
		put_it(l, s);
}

static void put_quoted(struct line *l, struct str s)
{
	quote_text(&l->out, s);
}

static void put_quoted_or_dash(struct line *l, struct str s)
{
	if (s.len)
		quote_text(&l->out, s);
	else
		put(l, STR("-"));
}

static void put_columns(struct line *l, const struct column *first, size_t count,
			const struct access_record *r)
{
	for (size_t i = 0; i < count; i++)
		put_column(l, &first[i], put_quoted_or_dash, r);
}

/* The host stands without quotes: what would break the line becomes '?'. */
static __attribute__((cold)) void put_odd_host(struct line *l, struct str host)
{
	char *at = l->out.next;

	if (host.len > (size_t)(l->out.end - at)) {
		host.len = (size_t)(l->out.end - at);
		l->out.is_full = true;
	}
	for (size_t i = 0; i < host.len; i++) {
		char c = host.p[i];

		*at++ = c > ' ' && c < 0x7f && c != '"' && c != '\\' ? c : '?';
	}
	l->out.next = at;
}

static void put_host(struct line *l, struct str host)
{
	if (str_find_char(host, ' ') >= 0 || !quote_plain(&l->out, host))
		put_odd_host(l, host);
}

/* --- the request line --- */

/* A path byte that Go leaves alone when it escapes a path itself, and one that
 * it accepts in a path that came escaped. */
enum { PATH_KEPT = 1, PATH_ACCEPTED = 2 };

static const unsigned char path_class[256] = {
	['a' ... 'z'] = 3, ['A' ... 'Z'] = 3, ['0' ... '9'] = 3,
	['-'] = 3, ['_'] = 3, ['.'] = 3, ['~'] = 3, ['$'] = 3, ['&'] = 3, ['+'] = 3, [','] = 3,
	['/'] = 3, [':'] = 3, [';'] = 3, ['='] = 3, ['@'] = 3,
	['!'] = 2, ['\''] = 2, ['('] = 2, [')'] = 2, ['*'] = 2, ['['] = 2, [']'] = 2,
};

static int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	       ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f' ? ascii_lower(c) - 'a' + 10 : -1;
}

static bool is_escape(struct str s, size_t at)
{
	return s.p[at] == '%' && s.len - at > 2 && hex_value(s.p[at + 1]) >= 0 &&
	       hex_value(s.p[at + 2]) >= 0;
}

static bool path_is_escaped_well(struct str path)
{
	for (size_t i = 0; i < path.len; i++)
		if (!(path_class[(unsigned char)path.p[i]] & PATH_ACCEPTED) && !is_escape(path, i))
			return false;
	return true;
}

/* Every byte of the decoded path, escaped anew. */
static __attribute__((cold)) void put_path_anew(struct line *l, struct str path)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < path.len && !l->out.is_full; i++) {
		unsigned char c = (unsigned char)path.p[i];

		if (is_escape(path, i)) {
			c = (unsigned char)(hex_value(path.p[i + 1]) << 4 | hex_value(path.p[i + 2]));
			i += 2;
		}
		if (path_class[c] & PATH_KEPT)
			put(l, (struct str){ (char *)&c, 1 });
		else
			put(l, (struct str){ (char[]){ '%', hex[c >> 4], hex[c & 15] }, 3 });
	}
}

static void put_path(struct line *l, struct str path)
{
	if (str_is_empty(path))
		put(l, STR("/"));
	else if (path_is_escaped_well(path))
		quote_text(&l->out, path);      /* may be cut, as put() may not */
	else
		put_path_anew(l, path);
}

/* Length of "scheme:" at the start of the target; 0 if there is none. */
static size_t scheme_length(struct str target)
{
	for (size_t i = 0; i < target.len; i++) {
		char c = ascii_lower(target.p[i]);
		bool is_letter = c >= 'a' && c <= 'z';

		if (c == ':')
			return i ? i + 1 : 0;
		if (!is_letter && (i == 0 || !((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.')))
			return 0;
	}
	return 0;
}

static struct str without_authority(struct str rest)
{
	size_t n = 0;

	while (n < rest.len && rest.p[n] != '/' && rest.p[n] != '?')
		n++;
	return str_sub(rest, n, STR_REST);
}

static void put_uri(struct line *l, struct str target)
{
	ssize_t mark = str_find_char(target, '?');
	struct str query = mark < 0 ? STR_NONE : str_sub(target, (size_t)mark, STR_REST);
	struct str path = mark < 0 ? target : str_sub(target, 0, (size_t)mark);
	size_t scheme = path.len && path.p[0] != '/' ? scheme_length(path) : 0;

	path = str_sub(path, scheme, STR_REST);
	if (scheme && str_has_prefix(path, STR("//")))
		path = without_authority(str_sub(path, 2, STR_REST));
	if (scheme && path.len && path.p[0] != '/')
		quote_text(&l->out, path);      /* opaque, such as urn:isbn:1 */
	else
		put_path(l, path);
	quote_text(&l->out, query);
}

/* CONNECT names an authority, whose path is empty. */
static void put_connect_uri(struct line *l, struct str target)
{
	if (target.len && target.p[0] == '/')
		put_uri(l, target);
	else
		put_uri(l, without_authority(target));
}

static void put_request_line(struct line *l, const struct access_record *r)
{
	if (!r->method.len && !r->target.len) {
		put(l, STR("\"-\" "));
		return;
	}
	put_column(l, &method_column, put_quoted, r);
	put_column(l, &uri_column,
		   str_equal(r->method, STR("CONNECT")) ? put_connect_uri : put_uri, r);
	put(l, STR(" HTTP/1."));
	put_number(l, r->minor);
	put(l, STR("\" "));
}

/* --- numbers --- */

/* "[2026-11-20T12:51:21.846675894Z] ", in UTC. */
static void put_date(struct line *l, uint64_t wall_ns)
{
	static __thread uint64_t cached_s = UINT64_MAX;
	static __thread char cached[20];
	uint64_t second = wall_ns / NS_PER_S;
	char *at;

	if (second != cached_s) {
		char stamp[TIMESTAMP_SIZE];

		timestamp_format(second * NS_PER_S, stamp);
		memcpy(cached, stamp, sizeof(cached));
		cached_s = second;
	}
	put(l, STR("["));
	put(l, (struct str){ cached, sizeof(cached) });
	at = room_for_number(l);
	if (!at)
		return;
	digits_format(at, 9, (uint32_t)(wall_ns % NS_PER_S));
	l->out.next = at + 9;
	put(l, STR("Z] "));
}

static void put_status(struct line *l, unsigned status)
{
	if (status)
		put_number(l, status);
	else
		put(l, STR("\"-\""));
}

/* Seconds with six decimals, rounded. */
static void put_seconds(struct line *l, int64_t ns)
{
	uint64_t us = ((uint64_t)ns + 500) / 1000, whole = us / 1000000;
	char *at = room_for_number(l);

	if (ns < 0) {
		put(l, STR("\"-\""));
	} else if (at) {
		at += whole ? u64_format(whole, at) : 1;
		if (!whole)
			at[-1] = '0';
		*at = '.';
		digits_format(at + 1, 6, (uint32_t)(us - whole * 1000000));
		l->out.next = at + 7;
	}
}

/* --- the line --- */

static void put_head(struct line *l, const struct access_record *r)
{
	put_column(l, &host_column, put_host, r);
	put(l, STR(" - "));
	put_date(l, r->started_wall_ns);
	put_request_line(l, r);
	put_status(l, r->status);
	put(l, STR(" "));
	put_number(l, r->received_bytes);
	put(l, STR(" "));
	put_number(l, r->sent_bytes);
}

static void put_fields(struct line *l, const struct access_record *r)
{
	put_columns(l, columns, ARRAY_SIZE(columns), r);
	put(l, STR("\" response_time:"));
	put_seconds(l, (int64_t)r->elapsed_ns);
	put(l, STR(" gorouter_time:"));
	put_seconds(l, r->router_ns);
	put_columns(l, app_columns, ARRAY_SIZE(app_columns), r);
	put(l, STR("\"\n"));
}

static size_t length_of(const struct access_record *r, const struct column *first, size_t count)
{
	size_t length = 0;

	for (size_t i = 0; i < count; i++) {
		struct str s;

		memcpy(&s, (const char *)r + first[i].offset, sizeof(s));
		length += s.len;
	}
	return length;
}

/* No byte becomes more than four; 512 are more than what is not text. */
size_t access_log_bound(const struct access_record *r)
{
	size_t bound = 512 + 4 * (r->host.len + r->method.len + r->target.len +
				  length_of(r, columns, ARRAY_SIZE(columns)) +
				  length_of(r, app_columns, ARRAY_SIZE(app_columns)));

	return bound < ACCESS_LINE_MAX ? bound : ACCESS_LINE_MAX;
}

size_t access_log_format(const struct access_record *record, char *out)
{
	struct line line = { .out = { out, out + ACCESS_LINE_MAX, false } };

	put_head(&line, record);
	put_fields(&line, record);
	if (line.out.is_full) {
		line = (struct line){ { out, out + ACCESS_LINE_MAX, false }, .is_cutting = true };
		put_head(&line, record);
		put_fields(&line, record);
	}
	must(!line.out.is_full);
	return (size_t)(line.out.next - out);
}
