/*
 * proxy/attempt_log.c - lines of the component log about attempts.
 */
#include "proxy/attempt_log.h"

#include "base/log.h"
#include "proxy/verdict.h"
#include "tags.h"

/* A storm of failures must not make its own load: of one kind, so many lines a second
 * and worker, for which so many endpoints of the route are looked at. */
#define LINES_PER_S   100
#define ENDPOINTS_MAX 1000

enum kind { ENDPOINT_FAILED, CANCELLED, TOO_MANY_FIELDS, LATE, NONE_SELECTED, LIMIT_REACHED, KINDS };

/* *suppressed: lines of this kind since the last one. */
static bool may_write(enum kind kind, unsigned long long *suppressed)
{
	static struct log_limit limits[KINDS];
	uint64_t count = 0;
	bool may;

	limits[kind].per_second = LINES_PER_S;
	may = log_limit_allows(&limits[kind], &count);
	*suppressed = count;
	return may;
}

/* What the table says now about the pool and the endpoint. */
struct pool_facts {
	unsigned endpoints;           /* at most ENDPOINTS_MAX */
	struct str tags;              /* JSON, in the arena */
	bool is_least_connection;
};

/* The tags of an inst, in the arena. */
static struct str copy_tags(struct exchange *x, const struct inst *inst)
{
	char unpacked[ENDPOINT_TAGS_MAX];
	struct str tags;

	tags_unpack(inst, inst_packed_tags(x->proxy->balancer.routes, inst), unpacked, &tags);
	return arena_copy(&x->arena, endpoint_log_tags(inst_flags(inst), tags));
}

static struct pool_facts learn_pool(struct exchange *x)
{
	struct pool_facts facts = { .tags = STR("null") };
	const struct balancer *balancer = &x->proxy->balancer;
	struct route_reader *routes = balancer->routes;
	const struct route *route;

	if (str_is_empty(x->key.text))
		return facts;
	route_read_begin(routes);
	if (route_find(routes, &x->key, &route) == ROUTE_FOUND) {
		enum endpoint_balancing option = route_balancing(route);

		facts.is_least_connection = option == BALANCE_LEAST_CONNECTION ||
			(option == BALANCE_DEFAULT && balancer->settings->algorithm == 1);
		for (unsigned i = 0; i < route_capacity(route) &&
		     facts.endpoints < ENDPOINTS_MAX; i++) {
			const struct inst *inst = route_entry(routes, route, i, NULL);

			facts.endpoints += inst != NULL;
			if (inst && inst_serial(inst) == x->endpoint.serial)
				facts.tags = copy_tags(x, inst);
		}
	}
	route_read_end(routes);       /* no table pointer is used below this line */
	return facts;
}

void attempt_log_begin(struct exchange *x)
{
	if (!log_is_on(LOG_LEVEL_DEBUG))
		return;
	if (x->attempts == 1)
		log_debug(learn_pool(x).is_least_connection ?
			  "endpoint-iterator-with-least-connection-lb-algo" :
			  "endpoint-iterator-with-round-robin-lb-algo", LOG_NO_DATA);
	log_debug("backend", "attempt=%u vcap_request_id=%s", x->attempts, x->request_id);
}

static const char *truth(bool is_true)
{
	return is_true ? "true" : "false";
}

static double in_seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

/* The endpoint was too slow once it had the request. */
static bool is_late(enum failure failure)
{
	return failure == FAIL_TRY_TIMEOUT || failure == FAIL_RESPONSE_TIMEOUT ||
	       failure == FAIL_TOTAL_TIMEOUT;
}

/* Not the endpoint's doing: its client is gone or stalls, or we end. */
static bool is_cancelled(enum failure failure)
{
	return failure == FAIL_CLIENT_GONE || failure == FAIL_CLIENT_TIMEOUT ||
	       failure == FAIL_DRAINED;
}

/* A connection that could have carried the request: connected, and hands shaken. */
static bool got_connection(const struct attempt *attempt)
{
	const struct attempt_times *times = &attempt->times;

	return attempt->is_reused || (attempt->target.is_tls ? times->tls_ns : times->dial_ns);
}

static void log_endpoint_failed(struct exchange *x, enum failure failure, const char *obstacle)
{
	const struct endpoint *endpoint = &x->endpoint;
	const struct attempt_times *times = &x->attempt.times;
	struct stream *up = x->attempt.stream;
	struct addr local = { .len = 0 };
	char address[272], local_text[ADDR_TEXT_SIZE] = "";
	struct pool_facts facts;
	unsigned long long suppressed;

	if (!may_write(ENDPOINT_FAILED, &suppressed))
		return;
	facts = learn_pool(x);
	endpoint_format_address(endpoint, address, sizeof(address));
	if (up)
		conn_local(mux_conn(up->mux), &local);
	if (local.len)
		addr_format(&local, local_text);
	log_error("backend-endpoint-failed", ENDPOINT_LOG_PAIRS
		  " error=%.*s attempt=%u vcap_request_id=%s retriable:=%s num-endpoints=%u "
		  "got-connection:=%s wrote-headers:=%s conn-reused:=%s "
		  "dns-lookup-time=%.6f dial-time=%.6f tls-handshake-time=%.6f local-address=%s "
		  "host=%.*s code=%s not-retried=%s suppressed=%llu",
		  ENDPOINT_LOG_VALUES(endpoint, address, facts.tags), STR_ARG(x->failure_text),
		  x->attempts, x->request_id, truth(!obstacle), facts.endpoints,
		  truth(got_connection(&x->attempt)), truth(up && stream_bytes_sent(up)),
		  truth(x->attempt.is_reused), in_seconds(times->dns_ns),
		  in_seconds(times->dial_ns), in_seconds(times->tls_ns), local_text,
		  STR_ARG(x->request.authority), verdict_code(failure), obstacle ? obstacle : "-", suppressed);
}

static void log_cancelled(const struct exchange *x, enum failure failure)
{
	unsigned long long suppressed;

	if (may_write(CANCELLED, &suppressed))
		log_error("gateway-error-and-original-request-context-cancelled",
			  "error=%.*s vcap_request_id=%s host=%.*s code=%s suppressed=%llu",
			  STR_ARG(x->failure_text), x->request_id, STR_ARG(x->request.authority),
			  verdict_code(failure), suppressed);
}

static void log_too_many_fields(const struct exchange *x, enum failure failure)
{
	unsigned long long suppressed;

	if (may_write(TOO_MANY_FIELDS, &suppressed))
		log_error("backend-too-many-response-headers", "error=%.*s retriable:=false "
			  "vcap_request_id=%s host=%.*s code=%s suppressed=%llu",
			  STR_ARG(x->failure_text), x->request_id, STR_ARG(x->request.authority),
			  verdict_code(failure), suppressed);
}

static void log_late(const struct exchange *x)
{
	unsigned long long suppressed;

	if (may_write(LATE, &suppressed))
		log_error("backend-request-timeout", "error=%.*s vcap_request_id=%s suppressed=%llu",
			  STR_ARG(x->failure_text), x->request_id, suppressed);
}

void attempt_log_none_selected(const struct exchange *x, const char *error)
{
	unsigned long long suppressed;

	if (may_write(NONE_SELECTED, &suppressed))
		log_error("select-endpoint-failed", "host=%.*s error=%s suppressed=%llu",
			  STR_ARG(x->request.authority), error, suppressed);
}

void attempt_log_limit_reached(const struct exchange *x)
{
	unsigned long long suppressed;

	if (may_write(LIMIT_REACHED, &suppressed))
		log_info("connection-limit-reached", "host=%.*s suppressed=%llu",
			 STR_ARG(x->request.authority), suppressed);
}

void attempt_log_failure(struct exchange *x, enum failure failure, const char *obstacle)
{
	if (is_cancelled(failure))
		log_cancelled(x, failure);
	else if (failure == FAIL_TOO_MANY_FIELDS)
		log_too_many_fields(x, failure);
	else
		log_endpoint_failed(x, failure, obstacle);
	if (is_late(failure))
		log_late(x);
}
