/*
 * proxy/exchange.c - the state machine of an exchange, moving forward:
 * ADMIT, PICK, CONNECT, AWAIT_HEAD, RELAY, SETTLE, FINISH; RESPOND instead when
 * the answer is ours.  The one way back is retry_or_fail(), to PICK.
 */
#include "proxy/exchange.h"

#include <stdlib.h>

#include "base/clock.h"
#include "proxy/attempt_log.h"
#include "proxy/instance.h"
#include "proxy/record.h"
#include "proxy/respond.h"
#include "proxy/retry.h"
#include "proxy/steps.h"
#include "proxy/sticky.h"
#include "proxy/verdict.h"

#define SPARE_MAX   64
#define INTERIM_MAX 5                 /* spec proxy 11.2 */
#define CONTINUE_AFTER_MS 1000        /* a silent endpoint: the client gets its 100 from us */
#define UNTRUSTED_RETRY_AFTER_S "5"
#define SETTLE_MS   2000              /* for the rest of a request that nobody reads */
#define SETTLE_BYTES 262144

enum timeout {
	TIMEOUT_NONE, TIMEOUT_CONNECT, TIMEOUT_RESPONSE, TIMEOUT_BODY, TIMEOUT_SETTLE,
};

static uint64_t timeout_ms(const struct exchange *x, enum timeout timeout)
{
	const struct proxy_settings *settings = x->proxy->settings;

	switch (timeout) {
	case TIMEOUT_CONNECT:
		return upstream_is_in_handshake(&x->attempt) ? x->proxy->handshake_timeout_ms :
							       x->proxy->connect_timeout_ms;
	case TIMEOUT_RESPONSE:
		return x->expects_continue ? CONTINUE_AFTER_MS : settings->response_timeout_ms;
	case TIMEOUT_BODY:
		return settings->body_timeout_ms;
	case TIMEOUT_SETTLE:
		return SETTLE_MS;
	default:
		return 0;
	}
}

/* Of two points in time, of which 0 is never. */
static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a && (!b || a < b) ? a : b;
}

static bool waits_for_endpoint(const struct exchange *x)
{
	return x->state == X_CONNECT || x->state == X_AWAIT_HEAD;
}

static void set_deadline(struct exchange *x, enum timeout timeout)
{
	uint64_t ms = timeout_ms(x, timeout);
	uint64_t at = ms ? loop_now_ms(x->proxy->loop) + ms : 0;

	if (waits_for_endpoint(x))
		at = earlier(at, x->try_ends_ms);
	if (waits_for_endpoint(x) || x->state == X_RELAY)
		at = earlier(at, x->attempt_ends_ms);
	x->timed_state = x->state;
	task_set_deadline(x->proxy->loop, &x->task, at);
}

static void begin_try_time(struct exchange *x)
{
	uint64_t try_ms = x->proxy->settings->retry.per_try_timeout_ms;

	x->try_ends_ms = try_ms ? loop_now_ms(x->proxy->loop) + try_ms : 0;
}

/* Every attempt has its own time. */
static void begin_attempt_time(struct exchange *x)
{
	const struct proxy_settings *settings = x->proxy->settings;

	x->timed_state = X_STATES;
	begin_try_time(x);
	x->attempt_ends_ms = settings->endpoint_timeout_ms ?
			     loop_now_ms(x->proxy->loop) + settings->endpoint_timeout_ms : 0;
}

static struct str refusal_words(struct exchange *x)
{
	return arena_copy(&x->arena, str_of(x->down->detail));
}

struct str exchange_path(const struct exchange *x)
{
	struct str target = x->request.target;
	ssize_t end = str_find_char(target, '?');
	ssize_t scheme;

	target = str_sub(target, 0, end < 0 ? STR_REST : (size_t)end);
	if (!target.len || target.p[0] == '/')
		return target;
	scheme = str_find(target, STR("://"));        /* absolute form */
	if (scheme < 0)
		return str_equal(target, STR("*")) ? target : STR_NONE;
	target = str_sub(target, (size_t)scheme + 3, STR_REST);
	end = str_find_char(target, '/');
	return end < 0 ? STR_NONE : str_sub(target, (size_t)end, STR_REST);
}

/* What the route will be looked up by, and the word to the memory to have it ready. */
static void find_key(struct exchange *x)
{
	char buffer[ROUTE_KEY_MAX];
	struct str path = exchange_path(x);

	x->key.text = STR_NONE;
	if (str_equal(path, STR("*")) ||
	    !route_key_from_request(x->request.authority, path, buffer, &x->key))
		return;
	balancer_expect(&x->proxy->balancer, &x->key);
	x->key.text = arena_copy(&x->arena, x->key.text);
}

static enum step refuse_head(struct exchange *x)
{
	if (stream_failure(x->down) == FAIL_OVERLOAD)
		return retry_give_up(x, FAIL_OVERLOAD);
	counter_add(x->proxy->counters, COUNTER_malformed_requests, 1);
	x->failure = FAIL_BAD_REQUEST;
	x->request.fields = NULL;             /* half a head is no head */
	x->request.count = x->request.room = 0;
	if (!x->down->status)
		return retry_cut(x);
	return respond_refusal(x, x->down->status, refusal_words(x));
}

/* Reads the request and applies what is policy. */
static enum step x_admit(struct exchange *x)
{
	if (stream_recv_head(x->down, &x->arena, &x->request) != IO_OK)
		return refuse_head(x);
	find_key(x);
	x->expects_continue = http_head_lists(&x->request, STR("Expect"), STR("100-continue")) &&
			      x->request.minor >= 1 && stream_body_left(x->down);
	if (!x->is_monitor)
		counter_add(x->proxy->counters, COUNTER_requests, 1);
	if (!steps_request(x))
		return ADVANCE;
	replay_init(&x->replay, 0);
	x->upload.replay = &x->replay;
	x->state = X_PICK;
	return ADVANCE;
}

static bool has_other_endpoint(const struct exchange *x)
{
	return !str_is_empty(x->key.text) &&
	       balancer_has_other(&x->proxy->balancer, &x->key, &x->wish, &x->tried,
				  x->endpoint.serial, loop_now_ms(x->proxy->loop));
}

static enum pick pick_endpoint(struct exchange *x)
{
	enum pick pick;

	if (str_is_empty(x->key.text))
		return PICK_NO_ROUTE;
	pick = balancer_pick(&x->proxy->balancer, &x->key, &x->wish, &x->tried, x->attempts + 1,
			     loop_now_ms(x->proxy->loop), &x->endpoint);
	sticky_note_pick(x);
	return pick;
}

static enum step reject(struct exchange *x, enum failure failure, const char *what,
			struct str cache_control)
{
	const struct verdict *verdict = verdict_of(failure);
	struct str host = x->request.authority;
	struct str message = arena_format(&x->arena, "Requested route ('%.*s') %s", STR_ARG(host),
					  what);

	counter_add(x->proxy->counters, COUNTER_rejected_requests, 1);
	respond_error(x, verdict->status, str_of(verdict->router_error), message);
	if (cache_control.len)
		respond_add(x, STR("Cache-Control"), cache_control);
	return ADVANCE;
}

/* Nobody can tell whether it exists: the client is to ask again, and soon, because
 * every emitter repeats all it has as soon as the feed is back. */
static enum step reject_untrusted(struct exchange *x)
{
	counter_add(x->proxy->counters, COUNTER_registry_untrusted_refusals, 1);
	reject(x, FAIL_REGISTRY_UNTRUSTED, "is not known, and the routing table is incomplete.",
	       STR("no-cache, no-store"));
	respond_add(x, STR("Retry-After"), STR(UNTRUSTED_RETRY_AFTER_S));
	return ADVANCE;
}

static enum step reject_unknown(struct exchange *x)
{
	if (proxy_is_table_untrusted(x->proxy))
		return reject_untrusted(x);
	if (x->wish.scope)
		return instance_reject(x);
	return reject(x, FAIL_UNKNOWN_ROUTE, "does not exist.", STR("no-cache, no-store"));
}

/* None is left for another attempt: the answer is the last failure.  Or none was
 * there for the first: the one that it had to be is gone. */
static enum step exhausted(struct exchange *x)
{
	if (!x->app_began_ns)
		steps_forward(x);     /* as Gorouter, which looks for one last of all */
	if (!x->attempts)
		attempt_log_none_selected(x, "No endpoints available");
	return retry_give_up(x, x->failure ? x->failure : FAIL_NO_ENDPOINT);
}

/* Chooses the endpoint for this attempt.  Each attempt looks the route up
 * again, so a retry sees what has been registered meanwhile. */
static enum step x_pick(struct exchange *x)
{
	enum pick pick = pick_endpoint(x);

	if (pick != PICK_OK && x->attempts)
		return exhausted(x);
	switch (pick) {
	case PICK_NO_ROUTE:
		return reject_unknown(x);
	case PICK_NO_ENDPOINT:
		if (!x->proxy->settings->empty_pool_response_code_503)
			return reject_unknown(x);
		attempt_log_none_selected(x, "no endpoints available");
		return reject(x, FAIL_NO_ENDPOINTS, "has no available endpoints.",
			      STR("public,max-age=2"));
	case PICK_OVERLOADED:
		counter_add(x->proxy->counters, COUNTER_backend_exhausted_conns, 1);
		attempt_log_limit_reached(x);
		return reject(x, FAIL_CONNECTION_LIMIT, "has reached the connection limit.", STR_NONE);
	case PICK_EXHAUSTED:
		return exhausted(x);
	case PICK_OK:
		break;
	}
	x->is_picked = x->has_endpoint = true;
	if (x->is_too_large) {
		retry_drop_upstream(x);       /* it was chosen, and is not used */
		x->failure = FAIL_REQUEST_TOO_LARGE;
		steps_refuse_size(x);
		return ADVANCE;
	}
	retry_begin(x);
	begin_attempt_time(x);
	x->attempts++;
	counter_add(x->proxy->counters, COUNTER_attempts, 1);
	x->attempt = (struct attempt){ .stream = NULL, .wants_fresh = x->wants_fresh };
	if (!x->app_began_ns) {
		x->app_began_ns = clock_ns();
		steps_forward(x);
	}
	attempt_log_begin(x);
	steps_attempt(x);
	x->state = X_CONNECT;
	return ADVANCE;
}

/* A chunked body has an end to send, also when an earlier attempt found it empty. */
static bool has_body_to_send(const struct exchange *x)
{
	return x->request.body == BODY_CHUNKED || stream_body_left(x->down) || x->upload.bytes;
}

static enum step x_connect(struct exchange *x)
{
	bool has_body = has_body_to_send(x), was_in_handshake = upstream_is_in_handshake(&x->attempt);
	enum io io;
	enum failure failure = upstream_open(x->proxy->upstream, &x->endpoint, &x->task,
					     &x->attempt, &io);

	if (upstream_is_in_handshake(&x->attempt) != was_in_handshake)
		x->timed_state = X_STATES;    /* it has a time of its own */
	if (failure)
		return retry_or_fail(x, failure);
	if (io == IO_AGAIN)
		return WAIT;
	retry_prepare_record(x);
	if (stream_send_head(x->attempt.stream, &x->request, !has_body) == IO_ERROR &&
	    stream_failure(x->attempt.stream))
		return retry_or_fail(x, stream_failure(x->attempt.stream));
	x->upload.is_done = !has_body;
	x->state = X_AWAIT_HEAD;
	return ADVANCE;
}

/* The request body on its way.  FAIL_NONE: as it should be. */
static enum failure pump_upload(struct exchange *x)
{
	switch (relay_pump(&x->upload, x->down, x->attempt.stream, &x->arena)) {
	case RELAY_READ_FAILED:
		return stream_failure(x->down);
	case RELAY_WRITE_FAILED:
		x->upload.is_stopped = true;  /* there may be an answer that says why */
		return stream_failure(x->attempt.stream);
	default:
		break;
	}
	return x->upload.is_done && stream_flush(x->attempt.stream) == IO_ERROR ?
	       stream_failure(x->attempt.stream) : FAIL_NONE;
}

static enum step forward_interim(struct exchange *x)
{
	if (++x->interim_count > INTERIM_MAX) {
		stream_note(x->attempt.stream, "net/http: too many 1xx informational responses");
		return retry_or_fail(x, FAIL_BAD_RESPONSE);
	}
	if (x->request.minor == 0)
		return ADVANCE;       /* HTTP/1.0 knows no interim answers */
	if (x->response.status == 100) {
		if (!x->expects_continue)
			return ADVANCE;
		x->expects_continue = false;
		x->timed_state = X_STATES;    /* the second for the 100 is over */
	}
	steps_interim(x);
	if (stream_send_head(x->down, &x->response, false) == IO_ERROR)
		return retry_or_fail(x, FAIL_CLIENT_GONE);
	return ADVANCE;
}

static bool has_too_many_fields(const struct exchange *x)
{
	uint64_t most = x->proxy->settings->max_response_headers;

	return most && x->response.count > most;
}

static enum step begin_response(struct exchange *x)
{
	enum failure failure;
	struct str keep_alive = http_head_find(&x->response, STR("Keep-Alive"));

	if (x->response.status == 101)
		return retry_or_fail(x, FAIL_UPGRADE);        /* nobody asked for it (spec proxy 10.2) */
	if (has_too_many_fields(x))
		return retry_or_fail(x, FAIL_TOO_MANY_FIELDS);
	if (keep_alive.len)
		upstream_note_keep_alive(&x->attempt, keep_alive);
	if (retry_wants_other_answer(x) && has_other_endpoint(x) && retry_answer(x))
		return ADVANCE;
	if (!steps_response(x, &failure))
		return retry_or_fail(x, failure);
	x->failure = FAIL_NONE;       /* of earlier attempts */
	x->failure_text = STR_NONE;
	record_note_success(x);
	x->is_response_begun = true;
	x->download.is_done = x->response.body == BODY_NONE ||
			      (x->response.body == BODY_LENGTH && !x->response.content_length);
	if (stream_send_head(x->down, &x->response, x->download.is_done) == IO_ERROR)
		return retry_or_fail(x, FAIL_CLIENT_GONE);
	x->state = X_RELAY;
	return ADVANCE;
}

/* Waits for the response head.  1xx heads are passed on as they come. */
static enum step x_await_head(struct exchange *x)
{
	enum failure failure = pump_upload(x);

	if (failure)
		return retry_or_fail(x, failure);
	if (x->upload.has_moved) {
		x->expects_continue = false;  /* it did not wait */
		begin_try_time(x);
		set_deadline(x, TIMEOUT_RESPONSE);
	}
	x->upload.has_moved = false;
	switch (stream_recv_head(x->attempt.stream, &x->arena, &x->response)) {
	case IO_AGAIN:
		return WAIT;
	case IO_OK:
		break;
	default:
		return retry_or_fail(x, stream_failure(x->attempt.stream));
	}
	if (x->response.status < 200 && x->response.status != 101)
		return forward_interim(x);
	return begin_response(x);
}

/* An answer that is complete leaves the upstream connection to others at once. */
static enum step end_response(struct exchange *x)
{
	x->app_ended_ns = clock_ns();
	retry_drop_upstream(x);
	x->state = X_SETTLE;
	return ADVANCE;
}

/* Moves both bodies.  The answer may end before the request does. */
static enum step x_relay(struct exchange *x)
{
	enum failure failure = pump_upload(x);

	if (failure)
		return retry_or_fail(x, failure);
	switch (relay_pump(&x->download, x->attempt.stream, x->down, &x->arena)) {
	case RELAY_READ_FAILED:
		return retry_or_fail(x, stream_failure(x->attempt.stream));
	case RELAY_WRITE_FAILED:
		return retry_or_fail(x, FAIL_CLIENT_GONE);
	case RELAY_DONE:
		return stream_flush(x->down) == IO_AGAIN ? WAIT : end_response(x);
	case RELAY_WAITS:
		break;
	}
	if (x->upload.has_moved || x->download.has_moved)
		set_deadline(x, TIMEOUT_BODY);
	x->upload.has_moved = x->download.has_moved = false;
	return WAIT;
}

static enum step x_respond(struct exchange *x)
{
	bool has_body = x->response.body != BODY_NONE && x->local_body.len;
	size_t taken = 0;
	enum io io = IO_OK;

	if (!x->is_response_begun)
		io = stream_send_head(x->down, &x->response, !has_body);
	x->is_response_begun = true;
	if (has_body && io != IO_ERROR) {
		io = stream_send_body(x->down, x->local_body, true, &taken);
		x->local_body = str_sub(x->local_body, taken, STR_REST);
		x->download.bytes += taken;
	} else if (io == IO_AGAIN) {
		io = stream_flush(x->down);
	}
	if (io == IO_AGAIN)
		return WAIT;
	if (io == IO_ERROR)
		return retry_cut(x);
	x->state = X_SETTLE;
	return ADVANCE;
}

/* Reads and drops the rest of a request that was answered early, if the
 * connection is to live on: the next request begins behind it. */
static enum step x_settle(struct exchange *x)
{
	struct str bytes;
	bool is_last;

	x->state = X_FINISH;
	if (stream_failure(x->down) || !stream_keeps_connection(x->down))
		return ADVANCE;
	for (;;) {
		switch (stream_peek_body(x->down, &bytes, &is_last)) {
		case IO_OK:
			x->dropped_bytes += bytes.len;
			stream_consume_body(x->down, bytes.len);
			if (x->dropped_bytes > SETTLE_BYTES)
				return ADVANCE;
			break;
		case IO_AGAIN:
			record_write(x);
			x->state = X_SETTLE;
			return WAIT;
		default:
			return ADVANCE;
		}
	}
}

static void give_back(struct exchange *x)
{
	struct proxy *proxy = x->proxy;

	arena_fini(&x->arena);
	if (proxy->spare_count == SPARE_MAX) {
		loop_defer_free(proxy->loop, x);
		return;
	}
	x->next_spare = proxy->spare;
	proxy->spare = x;
	proxy->spare_count++;
}

/* Lets go of everything; the downstream may accept the next request. */
static enum step x_finish(struct exchange *x)
{
	record_write(x);
	retry_end(x);
	replay_fini(&x->replay);
	task_fini(x->proxy->loop, &x->task);
	downstream_release(x->downstream);
	stream_close(x->down);
	give_back(x);
	return OVER;
}

static const struct {
	const char *name;             /* for the log */
	enum step (*run)(struct exchange *x);
	enum timeout timeout;         /* how long we may wait here */
	enum failure late;            /* what it is when we waited longer */
} states[] = {
	[X_ADMIT]      = { "admit",      x_admit,      TIMEOUT_NONE,     FAIL_NONE },
	[X_PICK]       = { "pick",       x_pick,       TIMEOUT_NONE,     FAIL_NONE },
	[X_CONNECT]    = { "connect",    x_connect,    TIMEOUT_CONNECT,  FAIL_CONNECT_TIMEOUT },
	[X_AWAIT_HEAD] = { "await-head", x_await_head, TIMEOUT_RESPONSE, FAIL_RESPONSE_TIMEOUT },
	[X_RELAY]      = { "relay",      x_relay,      TIMEOUT_BODY,     FAIL_IDLE_TIMEOUT },
	[X_RESPOND]    = { "respond",    x_respond,    TIMEOUT_BODY,     FAIL_CLIENT_TIMEOUT },
	[X_SETTLE]     = { "settle",     x_settle,     TIMEOUT_SETTLE,   FAIL_CLIENT_TIMEOUT },
	[X_FINISH]     = { "finish",     x_finish,     TIMEOUT_NONE,     FAIL_NONE },
};

/* A silent endpoint: the client gets its 100 from us, and sends its body. */
static void send_continue(struct exchange *x)
{
	struct http_head head;

	http_head_init(&head, &x->arena);
	head.status = 100;
	head.reason = STR("Continue");
	x->expects_continue = false;
	stream_send_head(x->down, &head, false);
}

static void fail_or_cut(struct exchange *x, enum failure failure)
{
	x->failure = x->failure ? x->failure : failure;
	if (x->state < X_RESPOND)
		retry_or_fail(x, failure);
	else
		retry_cut(x);
}

/* It is the client that does not send its body, or does not take its answer. */
static bool waits_for_client(const struct exchange *x)
{
	if (x->state == X_RELAY)
		return !(stream_ready(x->down) & STREAM_ROOM);
	return x->state == X_AWAIT_HEAD && !x->expects_continue && !x->upload.is_done &&
	       !x->upload.is_stopped && stream_ready(x->attempt.stream) & STREAM_ROOM;
}

static bool is_try_over(const struct exchange *x)
{
	return waits_for_endpoint(x) && x->try_ends_ms &&
	       loop_now_ms(x->proxy->loop) >= x->try_ends_ms;
}

/* Which of the times ran out. */
static enum failure late_failure(const struct exchange *x)
{
	uint64_t now_ms = loop_now_ms(x->proxy->loop);

	if (x->state == X_CONNECT)
		return upstream_is_in_handshake(&x->attempt) ? FAIL_TLS_TIMEOUT :
							       FAIL_CONNECT_TIMEOUT;
	if (is_try_over(x))
		return FAIL_TRY_TIMEOUT;
	if ((waits_for_endpoint(x) || x->state == X_RELAY) && x->attempt_ends_ms &&
	    now_ms >= x->attempt_ends_ms)
		return FAIL_TOTAL_TIMEOUT;
	return waits_for_client(x) ? FAIL_CLIENT_TIMEOUT : states[x->state].late;
}

/* The deadline passed, or the client went away: looked at once, here, for every
 * state. */
static void interrupt_if_due(struct exchange *x)
{
	if (stream_ready(x->down) & STREAM_FAILED && !x->down->status)
		fail_or_cut(x, FAIL_CLIENT_GONE);
	else if (!task_is_due(x->proxy->loop, &x->task))
		return;
	else if (is_try_over(x) && (waits_for_client(x) || x->expects_continue))
		x->try_ends_ms = 0;           /* goes on when more of the body comes */
	else if (late_failure(x) == FAIL_RESPONSE_TIMEOUT && x->expects_continue)
		send_continue(x);
	else
		fail_or_cut(x, late_failure(x));
	x->timed_state = X_STATES;    /* a new wait, a new deadline */
}

static void exchange_run(struct task *task)
{
	struct exchange *x = caa_container_of(task, struct exchange, task);
	enum step step;

	if (x->state != X_ADMIT)
		interrupt_if_due(x);
	do
		step = states[x->state].run(x);
	while (step == ADVANCE);
	if (step == WAIT && x->timed_state != x->state)
		set_deadline(x, states[x->state].timeout);
}

static struct exchange *new_exchange(struct proxy *proxy)
{
	struct exchange *x = proxy->spare;

	if (!x)
		return mem_alloc(sizeof(*x));
	proxy->spare = x->next_spare;
	proxy->spare_count--;
	return x;
}

/* The large parts at the end of the struct are written before they are read. */
static void clear(struct exchange *x)
{
	memset(x, 0, offsetof(struct exchange, request_id));
	x->request_id[0] = '\0';
	arena_init(&x->arena, x->block, sizeof(x->block));
	http_head_init(&x->request, &x->arena);
	http_head_init(&x->response, &x->arena);
}

/* What the steps want to know of the client's TLS. */
static void learn_tls(struct exchange *x)
{
	x->client_conn = downstream_conn(x->downstream);
	x->is_tls = x->client_conn->tls != NULL;
}

static void name_peer(struct exchange *x)
{
	char *text = arena_alloc(&x->arena, ADDR_TEXT_SIZE);
	size_t len = addr_format(downstream_peer(x->downstream), text), ip_len = len;

	while (ip_len && text[ip_len] != ':')
		ip_len--;
	x->peer = (struct str){ text, len };
	x->peer_ip = (struct str){ text, ip_len };
	if (text[0] == '[')           /* X-Forwarded-For has no brackets */
		x->peer_ip = str_sub(x->peer, 1, ip_len - 2);
}

struct exchange *exchange_create(struct proxy *proxy, struct downstream *downstream,
				 struct stream *stream)
{
	struct exchange *x = new_exchange(proxy);

	clear(x);
	x->proxy = proxy;
	x->downstream = downstream;
	x->down = stream;
	x->is_monitor = downstream_is_status(downstream);
	name_peer(x);
	learn_tls(x);
	x->began_ns = loop_now_ns(proxy->loop);
	x->began_wall_ns = loop_wall_ns(proxy->loop);
	task_init(&x->task, exchange_run);
	stream_set_task(stream, &x->task);
	task_wake(proxy->loop, &x->task);
	return x;
}

/* The process ends after this: what can be said to the client is said with one write. */
void exchange_cut(struct exchange *x)
{
	if (x->state > X_ADMIT && x->state <= X_RELAY)
		retry_or_fail(x, FAIL_DRAINED);
	if (x->state == X_RESPOND)
		x_respond(x);
	if (!x->failure)
		x->failure = FAIL_DRAINED;
	if (x->state != X_SETTLE && x->state != X_FINISH)
		retry_cut(x);
	x_finish(x);
}

void exchange_free_spare(struct proxy *proxy)
{
	while (proxy->spare) {
		struct exchange *x = proxy->spare;

		proxy->spare = x->next_spare;
		free(x);
	}
	proxy->spare_count = 0;
}
