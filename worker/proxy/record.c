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
	struct str value = http_head_find(&x->response, STR("X-Cf-Routererror"));

	return x->is_response_begun ? value :
	       x->failure_text.len ? arena_format((struct arena *)&x->arena,
						  "endpoint_failure (%.*s)",
						  STR_ARG(x->failure_text)) : STR_NONE;
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

static void write_line(struct exchange *x, unsigned status)
{
	struct http_head *request = &x->request;
	uint64_t elapsed_ns = (x->app_ended_ns ? x->app_ended_ns : clock_ns()) - x->began_ns;
	const struct endpoint *endpoint = x->has_endpoint ? &x->endpoint : NULL;
	char backend[272];
	struct access_record record = {
		.host = request->authority, .method = request->method, .target = request->target,
		.minor = request->minor, .status = status,
		.request_id = str_of(x->request_id),
		.router_error = router_error(x),
		.failure_code = str_of(verdict_code(x->failure)),
		.remote = x->peer,
		.received_bytes = x->upload.bytes, .sent_bytes = x->download.bytes,
		.started_wall_ns = x->began_wall_ns, .elapsed_ns = elapsed_ns,
		.router_ns = router_ns(x, elapsed_ns),
		.referer = http_head_find(request, STR("Referer")),
		.user_agent = http_head_find(request, STR("User-Agent")),
		.forwarded_for = http_head_join(request, STR("X-Forwarded-For")),
		.forwarded_proto = http_head_find(request, STR("X-Forwarded-Proto")),
		.app_id = endpoint ? endpoint->app_id : STR_NONE,
		.app_index = endpoint ? endpoint->instance_index : STR_NONE,
		.instance_id = endpoint ? endpoint->instance_id : STR_NONE,
		.backend = { backend, endpoint ? endpoint_format_address(endpoint, backend,
									 sizeof(backend)) : 0 },
	};

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
