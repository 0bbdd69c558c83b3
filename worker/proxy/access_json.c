/*
 * proxy/access_json.c - the access-log line as a JSON object with the same data:
 * names as in Gorouter's line, numbers as numbers, null for what it writes as "-".
 * Always valid UTF-8 and one line.
 */
#include "proxy/access_line.h"

static const struct column
	host_column   = COLUMN("{\"host\":", host, "HOST", 2000),
	method_column = COLUMN(",\"method\":", method, "METHOD", 1000),
	uri_column    = COLUMN(",\"uri\":", target, "REQUEST-URI", 18000),
	columns[] = {
		COLUMN(",\"referer\":", referer, "REFERER", 10000),
		COLUMN(",\"user_agent\":", user_agent, "USER-AGENT", 8000),
		COLUMN(",\"remote\":", remote, "REMOTE", 400),
		COLUMN(",\"backend\":", backend, "BACKEND", 400),
		COLUMN(",\"x_forwarded_for\":", forwarded_for, "X-FORWARDED-FOR", 8000),
		COLUMN(",\"x_forwarded_proto\":", forwarded_proto, "X-FORWARDED-PROTO", 1000),
		COLUMN(",\"vcap_request_id\":", request_id, "VCAP-REQUEST-ID", 1000),
	},
	app_columns[] = {
		COLUMN(",\"app_id\":", app_id, "APP-ID", 1000),
		COLUMN(",\"app_index\":", app_index, "APP-INDEX", 400),
		COLUMN(",\"instance_id\":", instance_id, "INSTANCE-ID", 1000),
	},
	error_column = COLUMN(",\"x_cf_routererror\":", router_error, "X-CF-ROUTERERROR", 2000);

static void put_column(struct line *l, const struct column *column, put_fn *put_it,
		       const struct access_record *r)
{
	put(l, (struct str){ column->before, column->before_len });
	put_value(l, column->name, column->limit, put_it, text_of(r, column));
}

static void put_columns(struct line *l, const struct column *first, size_t count,
			const struct access_record *r)
{
	for (size_t i = 0; i < count; i++)
		put_column(l, &first[i], put_quoted, r);
}

static void put_request(struct line *l, const struct access_record *r)
{
	bool is_connect = str_equal(r->method, STR("CONNECT"));

	put_column(l, &method_column, put_quoted, r);
	put_column(l, &uri_column, is_connect ? put_connect_uri : put_uri, r);
	if (!r->method.len && !r->target.len) {
		put(l, STR(",\"protocol\":null"));
		return;
	}
	put(l, STR(",\"protocol\":\"HTTP/1."));
	put_number(l, r->minor);
	put(l, STR("\""));
}

static void put_numbers(struct line *l, const struct access_record *r)
{
	put(l, STR(",\"status\":"));
	if (r->status)
		put_number(l, r->status);
	else
		put_nothing(l);
	put(l, STR(",\"bytes_received\":"));
	put_number(l, r->received_bytes);
	put(l, STR(",\"bytes_sent\":"));
	put_number(l, r->sent_bytes);
}

void put_json_line(struct line *l, const struct access_format *format,
		   const struct access_record *r)
{
	put_column(l, &host_column, put_quoted, r);
	put(l, STR(",\"start\":\""));
	put_timestamp(l, r->started_wall_ns);
	put(l, STR("\""));
	put_request(l, r);
	put_numbers(l, r);
	put_columns(l, columns, ARRAY_SIZE(columns), r);
	put(l, STR(",\"response_time\":"));
	put_seconds(l, (int64_t)r->elapsed_ns);
	put(l, STR(",\"gorouter_time\":"));
	put_seconds(l, r->router_ns);
	put_columns(l, app_columns, ARRAY_SIZE(app_columns), r);
	put_extras(l, format, r);
	put_column(l, &error_column, put_quoted, r);
	put_extra_headers(l, format, r);
	put(l, STR("}\n"));
}
