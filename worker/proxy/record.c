/*
 * proxy/record.c - counters and access-log line of an exchange.
 */
#include "proxy/record.h"

#include "base/clock.h"
#include "proxy/verdict.h"

/* 499 for a client that left before its answer began; 0: none was sent. */
static unsigned status_of(const struct exchange *x)
{
	if (x->is_response_begun)
		return x->response.minor ? x->response.status : 0;
	return x->failure == FAIL_CLIENT_GONE ? 499 : 0;
}

static void count(const struct exchange *x, unsigned status)
{
	static const enum counter classes[] = {
		[2] = COUNTER_responses_2xx, [3] = COUNTER_responses_3xx,
		[4] = COUNTER_responses_4xx, [5] = COUNTER_responses_5xx,
	};
	uint64_t *counters = x->proxy->counters;
	unsigned class = status / 100;

	counter_add(counters, class >= 2 && class <= 5 ? classes[class] : COUNTER_responses_xxx, 1);
	counter_add(counters, COUNTER_bytes_received, x->upload.bytes);
	counter_add(counters, COUNTER_bytes_sent, x->download.bytes);
}

static struct str router_error(const struct exchange *x)
{
	struct str value = x->is_response_begun ?
			   http_head_find(&x->response, STR("X-Cf-Routererror")) :
			   x->failure_text.len ?
			   arena_format((struct arena *)&x->arena, "endpoint_failure (%.*s)",
					STR_ARG(x->failure_text)) : STR_NONE;

	if (!value.len && str_find_char(x->request.target, ';') >= 0)
		return STR("deprecated-semicolon-params");    /* spec proxy 5.5 */
	return value;
}

/* The time that the router took itself: all but the time of the attempts. */
static int64_t router_ns(const struct exchange *x, uint64_t elapsed_ns)
{
	uint64_t ended_ns = x->app_ended_ns ? x->app_ended_ns : x->began_ns + elapsed_ns;
	uint64_t app_ns = ended_ns > x->app_began_ns ? ended_ns - x->app_began_ns : 0;

	if (!x->app_began_ns)
		return 0;
	return elapsed_ns > app_ns ? (int64_t)(elapsed_ns - app_ns) : 0;
}

/* A failure after the answer has begun is none of an attempt. */
void record_note_failure(struct exchange *x)
{
	if (x->was_answered || !x->app_began_ns)
		return;
	x->failed_attempts++;
	x->last_failed_ns = x->app_ended_ns;
}

void record_note_success(struct exchange *x)
{
	struct addr local;
	char *text;

	x->was_answered = true;
	x->times = x->attempt.times;
	if (!access_log_wants(x->proxy->access_log, ACCESS_LOCAL_ADDRESS))
		return;
	conn_local(mux_conn(x->attempt.stream->mux), &local);
	text = arena_alloc(&x->arena, ADDR_TEXT_SIZE);
	x->local_address = (struct str){ text, local.len ? addr_format(&local, text) : 0 };
}

static int64_t span_ns(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? (int64_t)(to_ns - from_ns) : 0;
}

/* What attempts took; -1 where there was none of the kind. */
static void add_attempts(const struct exchange *x, struct access_record *record)
{
	uint64_t ended_ns = x->app_ended_ns ? x->app_ended_ns : x->began_ns + record->elapsed_ns;
	bool was_answered = x->was_answered;

	record->failed_attempts = x->failed_attempts;
	record->failed_attempts_ns =
		x->failed_attempts ? span_ns(x->app_began_ns, x->last_failed_ns) : -1;
	record->dns_ns = was_answered ? (int64_t)x->times.dns_ns : -1;
	record->dial_ns = was_answered ? (int64_t)x->times.dial_ns : -1;
	record->tls_ns = was_answered ? (int64_t)x->times.tls_ns : -1;
	record->backend_ns = was_answered ? span_ns(x->last_failed_ns ? x->last_failed_ns :
						    x->app_began_ns, ended_ns) : -1;
	record->local_address = x->local_address;
}

/* `values` holds ACCESS_HEADERS_MAX. */
static void add_headers(const struct exchange *x, struct access_record *record,
			struct str *values)
{
	const struct str *names;
	unsigned count = access_log_headers(x->proxy->access_log, &names);

	for (unsigned i = 0; i < count; i++)
		values[i] = http_head_find(&x->request, names[i]);
	record->extra_headers = values;
}

static void write_line(struct exchange *x, unsigned status)
{
	struct http_head *request = &x->request;
	uint64_t elapsed_ns = (x->app_ended_ns ? x->app_ended_ns : clock_ns()) - x->began_ns;
	const struct endpoint *endpoint = x->has_endpoint ? &x->endpoint : NULL;
	const struct access_settings *settings = access_log_settings(x->proxy->access_log);
	struct str headers[ACCESS_HEADERS_MAX];
	char backend[272];
	struct access_record record = {
		.host = request->authority, .method = request->method, .target = request->target,
		.minor = request->minor, .status = status,
		.request_id = str_of(x->request_id),
		.router_error = router_error(x),
		.failure_code = str_of(verdict_code(x->failure)),
		.remote = settings->disable_log_source_ip ? STR_NONE : x->peer,
		.received_bytes = x->upload.bytes, .sent_bytes = x->download.bytes,
		.started_wall_ns = x->began_wall_ns, .elapsed_ns = elapsed_ns,
		.router_ns = router_ns(x, elapsed_ns),
		.referer = http_head_find(request, STR("Referer")),
		.user_agent = http_head_find(request, STR("User-Agent")),
		.forwarded_for = settings->disable_log_forwarded_for ? STR_NONE :
				 http_head_join(request, STR("X-Forwarded-For")),
		.forwarded_proto = http_head_find(request, STR("X-Forwarded-Proto")),
		.app_id = endpoint ? endpoint->app_id : STR_NONE,
		.app_index = endpoint ? endpoint->instance_index : STR_NONE,
		.instance_id = endpoint ? endpoint->instance_id : STR_NONE,
		.backend = { backend, endpoint ? endpoint_format_address(endpoint, backend,
									 sizeof(backend)) : 0 },
	};

	if (settings->extra_fields.count)
		add_attempts(x, &record);
	if (settings->extra_headers.count)
		add_headers(x, &record, headers);
	access_log_write(x->proxy->access_log, &record);
}

void record_write(struct exchange *x)
{
	unsigned status = status_of(x);

	if (x->is_recorded)
		return;
	x->is_recorded = true;
	if (x->is_monitor)
		return;
	count(x, status);
	if (x->proxy->access_log)
		write_line(x, status);
}
