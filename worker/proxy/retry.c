/*
 * proxy/retry.c - what becomes of an exchange whose attempt failed.
 */
#include "proxy/retry.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/attempt_log.h"
#include "proxy/record.h"
#include "proxy/respond.h"
#include "proxy/verdict.h"

/* A small body is worth a copy, whatever the method: it may turn out that nobody read it. */
#define SMALL_BODY 4096

/* The only place where the attempt loses its stream.  The connection stays in
 * the pool when the stream ended well; otherwise it is closed. */
void retry_drop_upstream(struct exchange *x)
{
	upstream_close(x->proxy->upstream, &x->attempt, &x->task);
	if (x->is_picked)
		balancer_release(&x->proxy->balancer, &x->endpoint);
	x->is_picked = false;
}

/* The client cannot be told any more: what it has must not look whole. */
enum step retry_cut(struct exchange *x)
{
	x->was_cut = true;
	if (x->is_response_begun)
		stream_flush(x->down);        /* a head may wait for its body */
	retry_drop_upstream(x);
	stream_abort(x->down);
	x->state = X_FINISH;
	return ADVANCE;
}

static struct failure_facts facts_of(const struct exchange *x, struct addr *local,
				     struct addr *remote, char *backend, size_t cap)
{
	const struct stream *up = x->attempt.stream;

	local->len = remote->len = 0;
	backend[0] = '\0';
	if (x->has_endpoint)
		endpoint_format_address(&x->endpoint, backend, cap);
	if (up) {
		conn_local(mux_conn(up->mux), local);
		conn_peer(mux_conn(up->mux), remote);
	}
	return (struct failure_facts){
		.error = x->attempt.error, .backend = backend, .local = local, .remote = remote,
		.detail = x->attempt.detail ? x->attempt.detail :
			  up && up->detail ? up->detail : x->down->detail,
		.host_name = x->endpoint.host,
	};
}

/* Gorouter's words for what happened; before the attempt is dropped. */
static struct str describe(struct exchange *x, enum failure failure)
{
	struct addr local, remote;
	char backend[272];
	struct failure_facts facts;

	if (x->attempt.stream && !x->attempt.error)
		x->attempt.error = mux_conn(x->attempt.stream->mux)->error;
	facts = facts_of(x, &local, &remote, backend, sizeof(backend));
	return verdict_describe(&x->arena, failure, &facts);
}

bool retry_is_idempotent(const struct exchange *x)
{
	struct str method = x->request.method;

	return str_equal(method, STR("GET")) || str_equal(method, STR("HEAD")) ||
	       str_equal(method, STR("OPTIONS")) || str_equal(method, STR("TRACE")) ||
	       http_head_find(&x->request, STR("Idempotency-Key")).len ||
	       http_head_find(&x->request, STR("X-Idempotency-Key")).len;
}

/* The endpoint had closed the connection before the request came, and its kernel
 * says that nobody has read any of it.  A kept connection, or one that the endpoint
 * accepted only to close it. */
static bool was_refused_unread(const struct exchange *x, enum failure failure)
{
	return verdict_of(failure)->on == ON_RESET && x->upload.is_done && !x->upload.is_stopped &&
	       conn_was_refused_since(mux_conn(x->attempt.stream->mux), x->attempt.sent_before);
}

/* No endpoint has seen any of this attempt. */
static bool is_untouched(const struct exchange *x, enum failure failure)
{
	const struct stream *up = x->attempt.stream;

	if (!up)
		return false;
	return (!stream_bytes_sent(up) && !conn_tls_owes(mux_conn(up->mux))) ||
	       was_refused_unread(x, failure);
}

static bool is_replayable(const struct exchange *x)
{
	return x->proxy->settings->retry.non_idempotent || retry_is_idempotent(x);
}

void retry_prepare_record(struct exchange *x)
{
	uint64_t limit = x->proxy->settings->replay_limit_bytes;

	if (!is_replayable(x) && limit > SMALL_BODY)
		limit = SMALL_BODY;
	if (x->request.body == BODY_LENGTH && x->request.content_length > limit)
		limit = 0;            /* it would not fit: not worth a beginning */
	x->replay.limit = limit > x->replay.len ? limit : x->replay.len;
}

/* Limits on how much is tried again; NULL: none stands in the way. */
static const char *limit_reached(struct exchange *x)
{
	const struct retry_settings *settings = &x->proxy->settings->retry;
	uint64_t spent_ms = (loop_now_ns(x->proxy->loop) - x->began_ns) / 1000000;

	if (x->attempts >= settings->attempts)
		return "attempts";
	if (settings->time_budget_ms && spent_ms >= settings->time_budget_ms)
		return "time-budget";
	if (!x->is_retrying)
		x->is_retrying = retry_budget_take(&x->proxy->budget, x->route, settings);
	return x->is_retrying ? NULL : "retry-budget";
}

/* A kept connection that had closed is replaced, whatever is configured and without
 * being counted, as in Gorouter; what comes then is on a fresh one. */
static bool replaces_stale(const struct exchange *x, enum failure failure)
{
	return failure == FAIL_STALE && !x->wants_fresh;
}

/* Why there is no other attempt, in a word for the log; NULL: there is one. */
static const char *obstacle(struct exchange *x, enum failure failure)
{
	unsigned on = x->proxy->settings->retry.on;

	if (x->is_response_begun)
		return "answer-begun";
	if (replaces_stale(x, failure))
		on |= ON_RESET;
	if (!verdict_allows_retry(failure, on, is_untouched(x, failure), is_replayable(x)))
		return "not-safe";
	if (x->replay.is_lost)
		return "body-not-kept";
	return replaces_stale(x, failure) ? NULL : limit_reached(x);
}

/* What the client is told: status, X-Cf-RouterError and text of the row. */
static enum step answer(struct exchange *x, const struct verdict *verdict)
{
	const struct proxy_settings *settings = x->proxy->settings;
	struct str text = settings->short_router_errors ? str_of(verdict->name) : x->failure_text;

	if (verdict->router_error)
		return respond_text(x, verdict->status, str_of(verdict->body));
	text = arena_format(&x->arena, "endpoint_failure (%.*s)", STR_ARG(text));
	if (settings->gateway_timeout_504 && str_equal(str_of(verdict->flag), STR("UT")))
		return respond_failure(x, 504, text,
				       STR("504 Gateway Timeout: Registered endpoint was too slow."));
	return respond_failure(x, verdict->status, text, str_of(verdict->body));
}

enum step retry_give_up(struct exchange *x, enum failure failure)
{
	const struct verdict *verdict = verdict_of(failure);

	x->failure = failure;
	if (verdict->counter >= 0)
		counter_add(x->proxy->counters, (enum counter)verdict->counter, 1);
	if (!x->failure_text.len)
		x->failure_text = describe(x, failure);
	if (x->is_response_begun || failure == FAIL_CLIENT_GONE)
		return retry_cut(x);
	retry_drop_upstream(x);
	return answer(x, verdict);
}

static void hold_against_endpoint(struct exchange *x, enum failure failure)
{
	enum verdict_mark mark = (enum verdict_mark)verdict_of(failure)->mark;

	if (!x->has_endpoint || mark == MARK_NONE)
		return;
	balancer_mark_failed(&x->proxy->balancer, &x->endpoint, failure, verdict_code(failure),
			     mark == MARK_PRUNE, x->attempt.error, loop_now_ms(x->proxy->loop));
}

/* This exchange does not try it again. */
static void avoid_endpoint(struct exchange *x)
{
	if (x->tried.count < TRIED_MAX)
		x->tried.serials[x->tried.count++] = x->endpoint.serial;
}

/* Back to the choice of an endpoint. */
static enum step try_again(struct exchange *x)
{
	retry_drop_upstream(x);
	x->replay.sent = 0;
	x->upload.is_done = x->upload.is_stopped = false;
	counter_add(x->proxy->counters, COUNTER_retries, 1);
	x->state = X_PICK;
	return ADVANCE;
}

/* Decides about another attempt: with retry_answer() the only way back in the
 * state machine. */
enum step retry_or_fail(struct exchange *x, enum failure failure)
{
	const char *why_not;

	failure = upstream_failure(&x->attempt, failure);
	why_not = obstacle(x, failure);
	x->failure = failure;
	x->failure_text = describe(x, failure);
	x->app_ended_ns = clock_ns();
	if (failure != FAIL_TOO_MANY_FIELDS)  /* Gorouter does not count it */
		record_note_failure(x);
	if (x->has_endpoint)
		attempt_log_failure(x, failure, why_not);
	hold_against_endpoint(x, failure);
	if (why_not)
		return retry_give_up(x, failure);
	if (replaces_stale(x, failure)) {
		x->wants_fresh = true;
		x->attempts--;
	} else {
		avoid_endpoint(x);
	}
	return try_again(x);
}

bool retry_wants_other_answer(const struct exchange *x)
{
	const struct retry_settings *settings = &x->proxy->settings->retry;

	return verdict_is_retriable_status(x->response.status, settings->on, settings->codes,
					   settings->code_count) &&
	       !x->interim_count && is_replayable(x) && !x->replay.is_lost;
}

bool retry_answer(struct exchange *x)
{
	if (limit_reached(x))
		return false;
	log_info("backend-answer-retried", "app=%.*s status=%u attempt=%u vcap_request_id=%s",
		 STR_ARG(x->endpoint.app_id), x->response.status, x->attempts, x->request_id);
	x->app_ended_ns = clock_ns();
	x->failure = FAIL_NO_ENDPOINT;        /* if the other one is gone by now */
	avoid_endpoint(x);
	try_again(x);
	return true;
}

void retry_begin(struct exchange *x)
{
	if (x->is_in_budget)
		return;
	x->is_in_budget = true;
	x->route = x->proxy->balancer.route;
	retry_budget_begin(&x->proxy->budget, x->route);
}

void retry_end(struct exchange *x)
{
	if (x->is_in_budget)
		retry_budget_end(&x->proxy->budget, x->route, x->is_retrying);
	x->is_in_budget = x->is_retrying = false;
}
