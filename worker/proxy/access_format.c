/*
 * proxy/access_format.c - the access-log line (access_log.h), byte for byte as
 * Gorouter writes it.  It runs once a request: no printf, plain runs of text are
 * copied, and the date is made once a second.
 *
 * A line that does not fit is written again with a limit on each of its texts.
 */
#include "base/must.h"
#include "proxy/access_line.h"

static const struct column
	host_column   = COLUMN("", host, "HOST", 2000),
	method_column = COLUMN("\"", method, "METHOD", 1000),
	uri_column    = COLUMN(" ", target, "REQUEST-URI", 18000),
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
	},
	error_column = COLUMN("\" x_cf_routererror:\"", router_error, "X-CF-ROUTERERROR", 2000),
	late_error_column = COLUMN(" x_cf_routererror:\"", router_error, "X-CF-ROUTERERROR", 2000);

static inline void put_column(struct line *l, const struct column *column, put_fn *put_it,
			      const struct access_record *r)
{
	struct str s = text_of(r, column);

	if (l->out.end - l->out.next < BEFORE_ROOM) {
		l->out.is_full = true;
		return;
	}
	memcpy(l->out.next, column->before, BEFORE_ROOM);
	l->out.next += column->before_len;
	if (__builtin_expect(l->is_cutting, 0))
		put_cut(l, column->name, column->limit, put_it, s);
	else
		put_it(l, s);
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

static void put_status(struct line *l, unsigned status)
{
	if (status)
		put_number(l, status);
	else
		put_nothing(l);
}

static void put_head(struct line *l, const struct access_record *r)
{
	put_column(l, &host_column, put_host, r);
	put(l, STR(" - ["));
	put_timestamp(l, r->started_wall_ns);
	put(l, STR("] "));
	put_request_line(l, r);
	put_status(l, r->status);
	put(l, STR(" "));
	put_number(l, r->received_bytes);
	put(l, STR(" "));
	put_number(l, r->sent_bytes);
}

void put_gorouter_line(struct line *l, const struct access_format *format,
		       const struct access_record *r)
{
	put_head(l, r);
	put_columns(l, columns, ARRAY_SIZE(columns), r);
	put(l, STR("\" response_time:"));
	put_seconds(l, (int64_t)r->elapsed_ns);
	put(l, STR(" gorouter_time:"));
	put_seconds(l, r->router_ns);
	put_columns(l, app_columns, ARRAY_SIZE(app_columns), r);
	if (__builtin_expect(!format->has_more, 1)) {
		put_column(l, &error_column, put_quoted_or_dash, r);
		put(l, STR("\"\n"));
		return;
	}
	put(l, STR("\""));
	put_extras(l, format, r);
	put_column(l, &late_error_column, put_quoted_or_dash, r);
	put(l, STR("\""));
	put_extra_headers(l, format, r);
	put(l, STR("\n"));
}

static size_t length_of(const struct access_record *r, const struct column *first, size_t count)
{
	size_t length = 0;

	for (size_t i = 0; i < count; i++)
		length += text_of(r, &first[i]).len;
	return length;
}

size_t access_log_bound(const struct access_format *format, const struct access_record *r)
{
	size_t bound = r->host.len + r->method.len + r->target.len + r->router_error.len +
		       length_of(r, columns, ARRAY_SIZE(columns)) +
		       length_of(r, app_columns, ARRAY_SIZE(app_columns));

	if (__builtin_expect(format->has_more, 0))
		bound += extras_length(format, r);
	bound = format->fixed_bytes + format->widest * bound;
	return bound < ACCESS_LINE_MAX ? bound : ACCESS_LINE_MAX;
}

static inline void put_line(struct line *l, const struct access_format *format,
			    const struct access_record *record)
{
	if (__builtin_expect(format->is_json, 0))
		put_json_line(l, format, record);
	else
		put_gorouter_line(l, format, record);
}

size_t access_log_format(const struct access_format *format, const struct access_record *record,
			 char *out)
{
	const struct quoted room = { out, out + ACCESS_LINE_MAX, false, format->is_json };
	struct line line = { .out = room };

	if (__builtin_expect(format->redaction, ACCESS_REDACT_NONE) &&
	    str_equal(record->method, STR("GET")))
		line.redaction = format->redaction;
	put_line(&line, format, record);
	if (line.out.is_full) {
		line.out = room;
		line.is_cutting = true;
		put_line(&line, format, record);
	}
	must(!line.out.is_full);
	return (size_t)(line.out.next - out);
}
