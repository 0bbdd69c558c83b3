/*
 * tests/unit/proxy/test_retry.c - what becomes of an exchange whose attempt failed:
 * another endpoint, an answer of our own, or a cut connection.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "endpoint_live.h"
#include "proxy/retry.h"
#include "tests/unit/fixture/proxy_exchange.h"

#define GET  "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 5\r\n\r\nhello"

static unsigned in_flight(const struct exchange_test *t)
{
	return live_in_flight(t->table->board, t->x->endpoint.row);
}

static bool is_marked(const struct exchange_test *t)
{
	return live_failed_at(t->table->board, t->x->endpoint.row) != 0;
}

static uint64_t count_of(const struct exchange_test *t, enum counter counter)
{
	return t->proxy.counters[counter];
}

/* An exchange in its first attempt, connected; the head is sent or not. */
static struct exchange *attempt(struct exchange_test *t, const char *request, bool sends_head)
{
	struct exchange *x = exchange_test_begin(t, request);

	exchange_test_pick(t);
	assert_int_equal(exchange_test_connect(t), FAIL_NONE);
	if (sends_head)
		assert_int_equal(stream_send_head(x->attempt.stream, &x->request, true), IO_OK);
	x->state = X_AWAIT_HEAD;
	return x;
}

static void a_request_is_idempotent_by_its_method_or_its_key(void **state)
{
	static const struct { const char *method, *fields; bool is_idempotent; } cases[] = {
		{ "GET",     "",                          true  },
		{ "HEAD",    "",                          true  },
		{ "OPTIONS", "",                          true  },
		{ "TRACE",   "",                          true  },
		{ "POST",    "",                          false },
		{ "PUT",     "",                          false },    /* spec proxy 8.2 */
		{ "DELETE",  "",                          false },
		{ "PATCH",   "",                          false },
		{ "get",     "",                          false },
		{ "GETS",    "",                          false },
		{ "",        "",                          false },
		{ "POST",    "Idempotency-Key: 1\n",      true  },
		{ "POST",    "x-idempotency-key: 1\n",    true  },
		{ "POST",    "Idempotency-Key:\n",        false },
		{ "POST",    "My-Idempotency-Key: 1\n",   false },
	};
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, GET);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		x->request.method = str_of(cases[i].method);
		fields_fill(&x->request, cases[i].fields);
		assert_int_equal(retry_is_idempotent(x), cases[i].is_idempotent);
	}
}

/* Spec proxy 8.3, with 19.3 and 19.4 mended. */
static void only_what_can_do_no_harm_is_tried_again(void **state)
{
	static const struct {
		const char *request;
		enum failure failure;
		bool head_sent, retries;
	} cases[] = {
		{ GET,  FAIL_CONNECT,           false, true  },
		{ POST, FAIL_CONNECT,           false, true  },
		{ POST, FAIL_CONNECT_TIMEOUT,   false, true  },
		{ POST, FAIL_RESOLVE,           false, true  },
		{ POST, FAIL_LOCAL,             false, true  },
		{ GET,  FAIL_STALE,             true,  true  },
		{ GET,  FAIL_RESET_BEFORE_HEAD, true,  true  },
		{ GET,  FAIL_EOF_BEFORE_HEAD,   true,  true  },
		{ GET,  FAIL_WRITE,             true,  true  },
		{ POST, FAIL_STALE,             true,  false },
		{ POST, FAIL_RESET_BEFORE_HEAD, true,  false },
		{ POST, FAIL_EOF_BEFORE_HEAD,   true,  false },
		{ POST, FAIL_WRITE,             true,  false },
		{ POST, FAIL_STALE,             false, true  },       /* nobody has seen a byte */
		{ POST, FAIL_RESET_BEFORE_HEAD, false, true  },
		{ GET,  FAIL_TRUNCATED_HEAD,    true,  false },
		{ GET,  FAIL_BAD_RESPONSE,      true,  false },
		{ GET,  FAIL_RESPONSE_TOO_LARGE, true, false },
		{ GET,  FAIL_RESPONSE_TIMEOUT,  true,  false },
		{ GET,  FAIL_OVERLOAD,          true,  false },
	};
	struct exchange_test *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t retries = count_of(t, COUNTER_retries);
		struct exchange *x = attempt(t, cases[i].request, cases[i].head_sent);

		assert_int_equal(retry_or_fail(x, cases[i].failure), ADVANCE);
		if (x->state != (cases[i].retries ? X_PICK : X_RESPOND))
			fail_msg("case %zu: state %d", i, x->state);
		assert_int_equal(count_of(t, COUNTER_retries), retries + cases[i].retries);
		assert_null(x->attempt.stream);
		assert_int_equal(in_flight(t), 0);
	}
}

static void an_attempt_that_comes_again_begins_from_the_start_somewhere_else(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x = attempt(t, POST, false);
	uint64_t serial = x->endpoint.serial;

	replay_record(&x->replay, STR("hello"));
	x->upload.bytes = 5;
	x->upload.is_done = x->upload.is_stopped = true;
	assert_int_equal(in_flight(t), 1);
	retry_or_fail(x, FAIL_CONNECT);
	assert_int_equal(x->state, X_PICK);
	assert_int_equal(x->tried.count, 1);
	assert_true(tried_has(&x->tried, serial));
	assert_text(replay_unsent(&x->replay), "hello");
	assert_false(x->upload.is_done || x->upload.is_stopped || x->is_picked);
	assert_int_equal(x->upload.bytes, 5);
	assert_int_equal(in_flight(t), 0);
	far_expect_end(t->far);
}

static void a_body_that_was_not_kept_is_not_sent_again(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x;

	t->settings.replay_limit_bytes = 4;
	x = attempt(t, GET, true);
	replay_record(&x->replay, STR("hello"));
	retry_or_fail(x, FAIL_CONNECT);
	assert_int_equal(x->state, X_RESPOND);
	assert_int_equal(x->response.status, 502);
}

static void the_last_attempt_of_max_attempts_is_the_last(void **state)
{
	static const uint64_t limits[] = { 1, 2, 3 };
	struct exchange_test *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct exchange *x;

		t->settings.retry.attempts = limits[i];
		x = attempt(t, GET, false);
		for (uint64_t n = 1; n < limits[i]; n++) {
			retry_or_fail(x, FAIL_CONNECT);
			assert_int_equal(x->state, X_PICK);
			x->tried.count = 0;   /* there is but one endpoint */
			exchange_test_pick(t);
		}
		retry_or_fail(x, FAIL_CONNECT);
		assert_int_equal(x->state, X_RESPOND);
		assert_int_equal(x->attempts, limits[i]);
	}
}

static void an_endpoint_is_marked_for_what_it_did(void **state)
{
	static const struct { enum failure failure; bool marks; } cases[] = {
		{ FAIL_CONNECT,           true  },
		{ FAIL_CONNECT_TIMEOUT,   true  },
		{ FAIL_RESET_BEFORE_HEAD, true  },
		{ FAIL_LOCAL,             false },
		{ FAIL_STALE,             false },
		{ FAIL_EOF_BEFORE_HEAD,   false },
		{ FAIL_BAD_RESPONSE,      false },
		{ FAIL_RESPONSE_TIMEOUT,  false },
		{ FAIL_CLIENT_GONE,       false },
	};
	struct exchange_test *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		attempt(t, GET, true);
		live_clear_failed(t->table->board, t->x->endpoint.row);
		retry_or_fail(t->x, cases[i].failure);
		if (is_marked(t) != cases[i].marks)
			fail_msg("case %zu", i);
	}
}

static void the_client_is_told_what_happened_in_gorouters_words(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x;
	char address[ADDR_TEXT_SIZE], expected[256];
	uint64_t bad_gateways = count_of(t, COUNTER_bad_gateways);

	t->settings.retry.attempts = 1;
	x = exchange_test_begin(t, GET);
	exchange_test_pick(t);
	addr_format(&t->backend.addr, address);
	x->attempt.error = ECONNREFUSED;
	retry_or_fail(x, FAIL_CONNECT);
	snprintf(expected, sizeof(expected),
		 "endpoint_failure (dial tcp %s: connect: connection refused)", address);
	assert_string_equal(fields_value(&x->response, "X-Cf-RouterError"), expected);
	assert_int_equal(x->response.status, 502);
	assert_text(x->local_body,
		    "502 Bad Gateway: Registered endpoint failed to handle the request.\n");
	assert_int_equal(x->failure, FAIL_CONNECT);
	assert_int_equal(count_of(t, COUNTER_bad_gateways), bad_gateways + 1);
	assert_true(x->response.keeps_alive);
}

/* Both ends of the connection and the errno are still known then. */
static void a_lost_connection_is_described_with_both_addresses_and_its_error(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x;
	struct addr local;
	char from[ADDR_TEXT_SIZE], to[ADDR_TEXT_SIZE], expected[256];

	t->settings.retry.attempts = 1;
	x = attempt(t, GET, true);
	conn_local(mux_conn(x->attempt.stream->mux), &local);
	addr_format(&local, from);
	addr_format(&t->backend.addr, to);
	far_reset(t->far);
	t->far = -1;
	loop_turn(t->pair->loop, 5000);
	assert_int_equal(stream_recv_head(x->attempt.stream, &x->arena, &x->response), IO_ERROR);
	assert_int_equal(stream_failure(x->attempt.stream), FAIL_RESET_BEFORE_HEAD);
	assert_int_equal(mux_conn(x->attempt.stream->mux)->error, ECONNRESET);
	mux_conn(x->attempt.stream->mux)->error = ETIMEDOUT;  /* keep-alive may find that, too */
	retry_or_fail(x, FAIL_RESET_BEFORE_HEAD);
	snprintf(expected, sizeof(expected),
		 "endpoint_failure (read tcp %s->%s: read: connection timed out)", from, to);
	assert_string_equal(fields_value(&x->response, "X-Cf-RouterError"), expected);
}

static void the_words_of_the_mux_reach_the_client(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x = attempt(t, GET, true);

	stream_note(x->attempt.stream, "malformed HTTP response \"x\"");
	retry_or_fail(x, FAIL_BAD_RESPONSE);
	assert_string_equal(fields_value(&x->response, "X-Cf-RouterError"),
			    "endpoint_failure (net/http: HTTP/1.x transport connection broken: "
			    "malformed HTTP response \"x\")");
}

/* No endpoint is left for another attempt: the last failure is what is told. */
static void giving_up_after_a_failure_tells_that_failure(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x = attempt(t, GET, true);
	char first[256];

	x->attempt.error = ECONNREFUSED;
	retry_or_fail(x, FAIL_CONNECT);
	assert_int_equal(x->state, X_PICK);
	snprintf(first, sizeof(first), "endpoint_failure (%.*s)", STR_ARG(x->failure_text));
	retry_give_up(x, FAIL_NO_ENDPOINT);
	assert_int_equal(x->state, X_RESPOND);
	assert_string_equal(fields_value(&x->response, "X-Cf-RouterError"), first);
}

static void giving_up_without_an_endpoint_says_so(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, GET);

	retry_give_up(x, FAIL_NO_ENDPOINT);
	assert_int_equal(x->response.status, 502);
	assert_string_equal(fields_value(&x->response, "X-Cf-RouterError"),
			    "endpoint_failure (No endpoints available)");
}

/* What has begun must not look whole, and is neither repeated nor answered. */
static void an_answer_that_has_begun_is_cut(void **state)
{
	static const enum failure failures[] = { FAIL_TRUNCATED_BODY, FAIL_CONNECT, FAIL_STALE };
	struct exchange_test *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		struct exchange *x = attempt(t, GET, true);

		http_head_init(&x->response, &x->arena);
		x->response.status = 200;
		x->response.reason = STR("OK");
		x->response.keeps_alive = true;
		x->response.body = BODY_LENGTH;
		x->response.has_length = true;
		x->response.content_length = 10;
		/* without flush it waits for its body: it goes out when the rest is cut */
		assert_int_equal(stream_send_head(x->down, &x->response, false), IO_OK);
		x->is_response_begun = true;
		x->state = X_RELAY;
		assert_int_equal(retry_or_fail(x, failures[i]), ADVANCE);
		assert_int_equal(x->state, X_FINISH);
		assert_true(x->was_cut);
		assert_null(x->attempt.stream);
		raw_expect(t->pair, "HTTP/1.1 200 OK\r\n");
		assert_false(stream_is_complete(x->down));
		assert_false(stream_keeps_connection(x->down));
	}
	assert_int_equal(count_of(t, COUNTER_retries), 0);
}

static void a_client_that_has_gone_is_not_answered(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x = attempt(t, GET, true);

	assert_int_equal(retry_or_fail(x, FAIL_CLIENT_GONE), ADVANCE);
	assert_int_equal(x->state, X_FINISH);
	assert_true(x->was_cut);
	assert_int_equal(x->failure, FAIL_CLIENT_GONE);
	assert_int_equal(count_of(t, COUNTER_client_disconnects), 1);
	assert_int_equal(count_of(t, COUNTER_bad_gateways), 0);
	far_expect(t->far, "GET / HTTP/1.1\r\n");
	assert_int_equal(in_flight(t), 0);
}

static void the_endpoint_is_let_go_once(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x = attempt(t, GET, true);

	live_begin(t->table->board, x->endpoint.row, SLOT_WORKER);    /* another request */
	assert_int_equal(in_flight(t), 2);
	retry_drop_upstream(x);
	assert_int_equal(in_flight(t), 1);
	retry_drop_upstream(x);
	assert_int_equal(in_flight(t), 1);
	assert_null(x->attempt.stream);
}

static void a_connection_whose_answer_was_complete_is_used_again(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x = attempt(t, GET, true);

	far_send(t->far, "HTTP/1.1 204 No\r\n\r\n");
	fd_await(mux_conn(x->attempt.stream->mux)->watch.fd, POLLIN);
	loop_turn(t->pair->loop, 0);
	assert_int_equal(stream_recv_head(x->attempt.stream, &x->arena, &x->response), IO_OK);
	retry_drop_upstream(x);
	assert_int_equal(upstream_open(t->proxy.upstream, &x->endpoint, &x->task, &x->attempt,
				       &(enum io){ IO_AGAIN }), FAIL_NONE);
	assert_true(x->attempt.is_reused);
}

/* All of a request without a body: what stays unread makes a close a reset. */
static void read_request(int far)
{
	char bytes[2048];
	size_t len = 0;

	while (!str_has_suffix((struct str){ bytes, len }, STR("\r\n\r\n"))) {
		fd_await(far, POLLIN);
		assert_true(len < sizeof(bytes) && read(far, bytes + len, 1) == 1);
		len++;
	}
}

/* Sends a post on the connection that the attempt has, and finds it lost. */
static void lose_post(struct exchange_test *t, void (*before)(int far), void (*after)(int far))
{
	struct exchange *x = t->x;

	x->request.method = STR("POST");
	before(t->far);
	assert_int_equal(stream_send_head(x->attempt.stream, &x->request, true), IO_OK);
	x->upload.is_done = true;
	assert_true(stream_bytes_sent(x->attempt.stream) > 0);
	after(t->far);
	loop_turn(t->pair->loop, 1000);
	assert_int_equal(stream_recv_head(x->attempt.stream, &x->arena, &x->response), IO_ERROR);
}

/* The attempt has a connection that carried an answer before, and sends a post. */
static struct exchange *post_on_kept_connection(struct exchange_test *t, void (*before)(int far),
						void (*after)(int far))
{
	struct exchange *x = attempt(t, GET, true);
	enum io io = IO_AGAIN;

	read_request(t->far);
	far_send(t->far, "HTTP/1.1 204 No\r\n\r\n");
	fd_await(mux_conn(x->attempt.stream->mux)->watch.fd, POLLIN);
	loop_turn(t->pair->loop, 0);
	assert_int_equal(stream_recv_head(x->attempt.stream, &x->arena, &x->response), IO_OK);
	retry_drop_upstream(x);
	assert_int_equal(upstream_open(t->proxy.upstream, &x->endpoint, &x->task, &x->attempt,
				       &io), FAIL_NONE);
	assert_true(x->attempt.is_reused);
	lose_post(t, before, after);
	assert_int_equal(stream_failure(x->attempt.stream), FAIL_STALE);
	return x;
}

static void do_nothing(int far)
{
	(void)far;
}

static void close_now(int far)
{
	close(far);
}

static void read_and_close(int far)
{
	read_request(far);
	close(far);
}

static void read_and_reset(int far)
{
	read_request(far);
	far_reset(far);
}

/* Spec proxy 19.2.  Only where the kernel proves that nobody can have read it. */
static void a_post_on_a_kept_connection_is_sent_again_only_if_nobody_read_it(void **state)
{
	static const struct {
		void (*before)(int far), (*after)(int far);
		bool is_sent_again;
	} cases[] = {
		{ close_now,  do_nothing,     true  },
		{ do_nothing, read_and_close, false },
		{ do_nothing, read_and_reset, false },
		{ do_nothing, close_now,      false },        /* unread, but who knows */
	};
	struct exchange_test *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exchange *x;

		t->settings.retry.attempts = 1;       /* another connection is no attempt */
		x = post_on_kept_connection(t, cases[i].before, cases[i].after);
		t->far = -1;
		retry_or_fail(x, FAIL_STALE);
		if (x->state != (cases[i].is_sent_again ? X_PICK : X_RESPOND))
			fail_msg("case %zu: state %d", i, x->state);
		if (!cases[i].is_sent_again)
			continue;
		assert_true(x->wants_fresh);
		exchange_test_pick(t);        /* the same endpoint may be asked again */
		retry_or_fail(x, FAIL_STALE); /* but once is enough */
		assert_int_equal(x->state, X_RESPOND);
	}
}

/* The same of a connection that the endpoint accepted and closed at once. */
static void a_post_on_a_fresh_connection_is_tried_elsewhere_only_if_nobody_read_it(void **state)
{
	static const struct {
		void (*before)(int far), (*after)(int far);
		enum failure failure;
		bool is_tried_again;
	} cases[] = {
		{ close_now,  do_nothing,     FAIL_RESET_BEFORE_HEAD, true  },
		{ do_nothing, read_and_close, FAIL_EOF_BEFORE_HEAD,   false },
		{ do_nothing, read_and_reset, FAIL_RESET_BEFORE_HEAD, false },
		{ do_nothing, close_now,      FAIL_RESET_BEFORE_HEAD, false },
	};
	struct exchange_test *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exchange *x = attempt(t, GET, false);

		lose_post(t, cases[i].before, cases[i].after);
		t->far = -1;
		assert_int_equal(stream_failure(x->attempt.stream), cases[i].failure);
		retry_or_fail(x, cases[i].failure);
		if (x->state != (cases[i].is_tried_again ? X_PICK : X_RESPOND))
			fail_msg("case %zu: state %d", i, x->state);
		assert_false(x->wants_fresh);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_AN_EXCHANGE(a_request_is_idempotent_by_its_method_or_its_key),
		ON_AN_EXCHANGE(only_what_can_do_no_harm_is_tried_again),
		ON_AN_EXCHANGE(an_attempt_that_comes_again_begins_from_the_start_somewhere_else),
		ON_AN_EXCHANGE(a_body_that_was_not_kept_is_not_sent_again),
		ON_AN_EXCHANGE(the_last_attempt_of_max_attempts_is_the_last),
		ON_AN_EXCHANGE(an_endpoint_is_marked_for_what_it_did),
		ON_AN_EXCHANGE(the_client_is_told_what_happened_in_gorouters_words),
		ON_AN_EXCHANGE(a_lost_connection_is_described_with_both_addresses_and_its_error),
		ON_AN_EXCHANGE(the_words_of_the_mux_reach_the_client),
		ON_AN_EXCHANGE(giving_up_after_a_failure_tells_that_failure),
		ON_AN_EXCHANGE(giving_up_without_an_endpoint_says_so),
		ON_AN_EXCHANGE(an_answer_that_has_begun_is_cut),
		ON_AN_EXCHANGE(a_client_that_has_gone_is_not_answered),
		ON_AN_EXCHANGE(the_endpoint_is_let_go_once),
		ON_AN_EXCHANGE(a_connection_whose_answer_was_complete_is_used_again),
		ON_AN_EXCHANGE(a_post_on_a_kept_connection_is_sent_again_only_if_nobody_read_it),
		ON_AN_EXCHANGE(a_post_on_a_fresh_connection_is_tried_elsewhere_only_if_nobody_read_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
