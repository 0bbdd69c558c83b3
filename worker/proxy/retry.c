/*
 * proxy/retry.c - what becomes of an exchange whose attempt failed.
 */
#include "proxy/retry.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/record.h"
#include "proxy/respond.h"
#include "proxy/verdict.h"

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
		.detail = up && up->detail ? up->detail : x->down->detail,
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

/* No harm if an endpoint acts on it again, or none can have acted on it. */
static bool is_replayable(const struct exchange *x)
{
	return retry_is_idempotent(x) ||
	       (x->attempt.stream && !stream_bytes_sent(x->attempt.stream));
}

static bool may_retry(const struct exchange *x, enum failure failure)
{
	return x->attempts < x->proxy->settings->max_attempts && !x->replay.is_lost &&
	       verdict_allows_retry(failure, is_replayable(x));
}

static void log_failed_attempt(const struct exchange *x, bool retriable)
{
	char backend[272];

	endpoint_format_address(&x->endpoint, backend, sizeof(backend));
	log_error("backend-endpoint-failed",
		  "route-endpoint=%s app=%.*s error=%.*s attempt=%u vcap_request_id=%s "
		  "retriable=%s conn-reused=%s host=%.*s",
		  backend, STR_ARG(x->endpoint.app_id), STR_ARG(x->failure_text), x->attempts,
		  x->request_id, retriable ? "true" : "false",
		  x->attempt.is_reused ? "true" : "false", STR_ARG(x->request.authority));
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
	return respond_failure(x, verdict->status,
			       arena_format(&x->arena, "endpoint_failure (%.*s)",
					    STR_ARG(x->failure_text)), str_of(verdict->body));
}

/* Decides about another attempt: the only way back in the state machine. */
enum step retry_or_fail(struct exchange *x, enum failure failure)
{
	const struct verdict *verdict = verdict_of(failure);
	bool retries = !x->is_response_begun && may_retry(x, failure);

	x->failure_text = describe(x, failure);
	x->app_ended_ns = clock_ns();
	record_note_failure(x);
	if (x->has_endpoint && failure != FAIL_CLIENT_GONE)
		log_failed_attempt(x, retries);
	if (x->has_endpoint && verdict->mark != MARK_NONE)
		balancer_mark_failed(&x->proxy->balancer, &x->endpoint, failure,
				     x->attempt.error, loop_now_ms(x->proxy->loop));
	if (!retries)
		return retry_give_up(x, failure);
	retry_drop_upstream(x);
	if (x->tried.count < TRIED_MAX)
		x->tried.serials[x->tried.count++] = x->endpoint.serial;
	x->replay.sent = 0;
	x->upload.is_done = x->upload.is_stopped = false;
	counter_add(x->proxy->counters, COUNTER_retries, 1);
	x->state = X_PICK;
	return ADVANCE;
}
