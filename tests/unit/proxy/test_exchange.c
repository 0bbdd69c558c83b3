/*
 * tests/unit/proxy/test_exchange.c - whole exchanges in this process: a scripted
 * client, scripted backends, a clock that the test moves.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "endpoint_live.h"
#include "tests/unit/fixture/base_clock.h"
#include "proxy/verdict.h"
#include "tests/unit/fixture/proxy_exchange.h"

#define PATIENCE 1000
#define LATE_MS  16
#define BACKENDS 2

struct world {
	struct exchange_test *t;
	struct backend front, backends[BACKENDS];
	int client;
};

static int set_up(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	void *test;

	fake_clock_start();
	exchange_test_set_up(&test);
	w->t = test;
	w->t->settings.header_timeout_ms = 60000;
	w->t->settings.idle_timeout_ms = 70000;
	w->t->settings.response_timeout_ms = 10000;
	w->t->settings.body_timeout_ms = 20000;
	backend_open(&w->front, "127.0.0.1");
	for (int i = 0; i < BACKENDS; i++)
		w->backends[i].listener = -1;
	w->client = -1;
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	struct downstream *d;
	void *test = w->t;
	int rc;

	while ((d = downstream_next(&w->t->proxy, NULL)) != NULL)
		downstream_cut(d);
	loop_turn(w->t->proxy.loop, 0);
	rc = exchange_test_tear_down(&test);
	backend_close(&w->front);
	for (int i = 0; i < BACKENDS; i++)
		backend_close(&w->backends[i]);
	if (w->client >= 0)
		close(w->client);
	fake_clock_stop();
	free(w);
	return rc;
}

static void turn(struct world *w)
{
	loop_turn(w->t->proxy.loop, 1);
}

static void pass(struct world *w, uint64_t ms)
{
	fake_clock_advance_ms(ms);
	for (int i = 0; i < 3; i++)
		turn(w);
}

/* The world goes on until this descriptor has something to read. */
static void await(struct world *w, int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	for (int i = 0; i < PATIENCE; i++) {
		if (poll(&poll_fd, 1, 0) == 1)
			return;
		turn(w);
	}
	fail_msg("nothing comes");
}

static void expect(struct world *w, int fd, const char *text)
{
	while (*text) {
		char c;

		await(w, fd);
		if (read(fd, &c, 1) != 1 || c != *text)
			fail_msg("something else came before \"%s\"", text);
		text++;
	}
}

/* All of a head, blank line included. */
static struct str read_head(struct world *w, int fd)
{
	static char head[4096];
	size_t len = 0;

	for (;;) {
		await(w, fd);
		assert_true(len < sizeof(head) && read(fd, head + len, 1) == 1);
		len++;
		if (str_has_suffix((struct str){ head, len }, STR("\r\n\r\n")))
			return (struct str){ head, len };
	}
}

static void expect_in_head(struct world *w, int fd, const char *start, const char *part)
{
	struct str head = read_head(w, fd);

	if (!str_has_prefix(head, str_of(start)) || str_find(head, str_of(part)) < 0)
		fail_msg("got \"%.*s\", expected \"%s\" and \"%s\"", STR_ARG(head), start, part);
}

static void expect_end(struct world *w, int fd)
{
	await(w, fd);
	far_expect_end(fd);
}

/* A client connects and sends. */
static void request(struct world *w, const char *text)
{
	struct addr peer;

	w->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(w->client, &w->front.addr.sa, w->front.addr.len), 0);
	assert_true(addr_from_ip(STR("192.0.2.7"), 5000, &peer));
	downstream_create(&w->t->proxy, backend_accept(&w->front), &peer, false);
	far_send(w->client, text);
}

/* The next attempt, at whichever backend. */
static int next_attempt(struct world *w)
{
	for (int i = 0; i < PATIENCE; i++) {
		for (int b = 0; b < BACKENDS; b++)
			if (w->backends[b].listener >= 0 && backend_has_caller(&w->backends[b]))
				return backend_accept(&w->backends[b]);
		turn(w);
	}
	fail_msg("no attempt");
	return -1;
}

static void have_backends(struct world *w, int count)
{
	for (int i = 0; i < count; i++)
		exchange_test_register(w->t, &w->backends[i]);
}

static uint64_t count_of(const struct world *w, enum counter counter)
{
	return w->t->proxy.counters[counter];
}

#define GET     "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n"
#define HEAD_OF(method) method " / HTTP/1.1\r\nHost: app.example\r\n"
#define OK_5    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static void a_request_reaches_an_endpoint_and_its_answer_the_client(void **state)
{
	struct world *w = *state;
	int far;

	have_backends(w, 1);
	request(w, HEAD_OF("POST") "Content-Length: 3\r\n\r\nabc");
	far = next_attempt(w);
	expect_in_head(w, far, "POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 3\r\n",
		       "\r\nX-Forwarded-For: 192.0.2.7\r\n");
	expect(w, far, "abc");
	far_send(far, OK_5);
	expect_in_head(w, w->client, "HTTP/1.1 200 OK\r\n", "\r\nContent-Length: 5\r\n");
	expect(w, w->client, "hello");
	far_send(w->client, GET);             /* both connections go on */
	expect_in_head(w, far, "GET / HTTP/1.1\r\n", "\r\nX-Vcap-Request-Id: ");
	assert_int_equal(count_of(w, COUNTER_attempts), 2);
	assert_int_equal(count_of(w, COUNTER_upstream_connects), 1);
	close(far);
}

/* The body that was taken at the first attempt is the same at the second. */
static void another_attempt_gets_the_same_request(void **state)
{
	static const struct { const char *request, *body; } cases[] = {
		{ GET, "" },
		{ HEAD_OF("GET") "Content-Length: 5\r\n\r\nhello", "hello" },
		{ HEAD_OF("GET") "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		  "5\r\nhello\r\n0\r\n\r\n" },
		{ HEAD_OF("GET") "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "0\r\n\r\n" },
		{ HEAD_OF("POST") "Idempotency-Key: 1\r\nContent-Length: 5\r\n\r\nhello", "hello" },
	};
	struct world *w = *state;

	have_backends(w, 2);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int far;

		request(w, cases[i].request);
		far = next_attempt(w);
		read_head(w, far);
		expect(w, far, cases[i].body);
		far_reset(far);
		far = next_attempt(w);
		read_head(w, far);
		expect(w, far, cases[i].body);
		far_send(far, "HTTP/1.1 204 No\r\nConnection: close\r\n\r\n");
		expect_in_head(w, w->client, "HTTP/1.1 204 No Content\r\n", "");
		expect_end(w, far);
		close(far);
		close(w->client);
		for (unsigned row = 0; row < 8; row++)        /* both are good again */
			live_clear_failed(w->t->table->board, row);
	}
	w->client = -1;
	assert_int_equal(count_of(w, COUNTER_retries), ARRAY_SIZE(cases));
}

static void a_silent_endpoint_is_given_up_after_the_response_timeout(void **state)
{
	struct world *w = *state;
	int far;

	have_backends(w, 2);
	request(w, GET);
	far = next_attempt(w);
	read_head(w, far);
	pass(w, 9999);
	assert_true(far_is_open(far) && far_is_open(w->client));
	pass(w, 1 + LATE_MS);
	expect_in_head(w, w->client, "HTTP/1.1 502 Bad Gateway\r\n",
		       "\r\nX-Cf-Routererror: endpoint_failure (context deadline exceeded)\r\n");
	expect_end(w, far);
	assert_int_equal(count_of(w, COUNTER_retries), 0);
	close(far);
}

/* Gorouter's endpoint_timeout: a download that moves is cut all the same. */
static void an_attempt_has_its_total_time_body_included(void **state)
{
	struct world *w = *state;
	int far;

	w->t->settings.endpoint_timeout_ms = 30000;
	have_backends(w, 1);
	request(w, GET);
	far = next_attempt(w);
	read_head(w, far);
	pass(w, 9000);
	far_send(far, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nh");
	read_head(w, w->client);
	expect(w, w->client, "h");
	pass(w, 15000);
	far_send(far, "e");
	expect(w, w->client, "e");
	pass(w, 5999);
	assert_true(far_is_open(w->client));
	pass(w, 1 + LATE_MS);
	expect_end(w, far);
	close(far);
}

static void an_endpoint_that_was_too_slow_can_be_a_504(void **state)
{
	struct world *w = *state;
	int far;

	w->t->settings.gateway_timeout_504 = w->t->settings.short_router_errors = true;
	w->t->settings.proxy_status = true;
	w->t->settings.endpoint_timeout_ms = 5000;
	have_backends(w, 1);
	request(w, GET);
	far = next_attempt(w);
	read_head(w, far);
	pass(w, 5000 + LATE_MS);
	expect_in_head(w, w->client, "HTTP/1.1 504 Gateway Timeout\r\n",
		       "X-Cf-Routererror: endpoint_failure (total_timeout)\r\n");
	close(far);
}

static void an_answer_of_our_own_can_say_why_by_rfc_9209(void **state)
{
	struct world *w = *state;

	w->t->settings.proxy_status = true;
	request(w, GET);
	expect_in_head(w, w->client, "HTTP/1.1 404 Not Found\r\n",
		       "\r\nProxy-Status: wye; error=destination_not_found; "
		       "details=\"NR:unknown_route\"\r\n");
}

static void expect_refusal(struct world *w, const char *start, const char *part)
{
	request(w, GET);
	expect_in_head(w, w->client, start, part);
	close(w->client);
}

/* The facts of the board decide. */
static void a_host_is_unknown_only_to_a_table_that_can_be_trusted(void **state)
{
	static const char untrusted[] = "HTTP/1.1 503 Service Unavailable\r\n",
			  unknown[] = "HTTP/1.1 404 Not Found\r\n";
	struct world *w = *state;
	struct board *board = w->t->table->board;

	w->t->settings.registry_untrusted_ms = 1000;
	board_set_fact(board, FACT_HEALTH, HEALTH_INITIALIZING);
	expect_refusal(w, untrusted, "X-Cf-Routererror: registry_untrusted\r\n");
	board_set_fact(board, FACT_HEALTH, HEALTH_HEALTHY);
	expect_refusal(w, unknown, "unknown_route\r\n");
	board_set_fact(board, FACT_FEED_LOST_MS, clock_ms());
	expect_refusal(w, unknown, "unknown_route\r\n");
	pass(w, 1000);
	expect_refusal(w, untrusted, "Retry-After: 5\r\n");
	w->t->settings.registry_untrusted_ms = 0;
	request(w, GET);
	expect_in_head(w, w->client, unknown, "unknown_route\r\n");
}

/* Of two endpoints the first is too slow, so the other one answers. */
static void a_try_that_takes_too_long_is_made_elsewhere(void **state)
{
	struct world *w = *state;
	int slow, quick;

	w->t->settings.retry.per_try_timeout_ms = 2000;
	have_backends(w, 2);
	request(w, GET);
	slow = next_attempt(w);
	read_head(w, slow);
	pass(w, 2000 + LATE_MS);
	quick = next_attempt(w);
	read_head(w, quick);
	expect_end(w, slow);
	pass(w, 1900);
	far_send(quick, OK_5);
	expect_in_head(w, w->client, "HTTP/1.1 200 OK\r\n", "");
	close(slow);
	close(quick);
}

/* As Envoy counts: what an endpoint needs for its answer begins with the request's end. */
static void a_slow_upload_does_not_use_up_the_time_of_a_try(void **state)
{
	struct world *w = *state;
	int far;

	w->t->settings.retry.per_try_timeout_ms = 2000;
	have_backends(w, 2);
	request(w, HEAD_OF("PUT") "Idempotency-Key: 1\r\nContent-Length: 3\r\n\r\na");
	far = next_attempt(w);
	expect_in_head(w, far, "PUT / HTTP/1.1\r\n", "\r\nContent-Length: 3\r\n");
	expect(w, far, "a");
	pass(w, 5000);
	far_send(w->client, "b");
	expect(w, far, "b");
	pass(w, 5000);
	far_send(w->client, "c");
	expect(w, far, "c");
	pass(w, 1900);
	assert_true(far_is_open(far));
	pass(w, 100 + LATE_MS);
	expect_end(w, far);
	close(far);
	far = next_attempt(w);                /* all of it again, and its own time */
	read_head(w, far);
	expect(w, far, "abc");
	pass(w, 1900);
	far_send(far, OK_5);
	expect_in_head(w, w->client, "HTTP/1.1 200 OK\r\n", "");
	close(far);
}

/* Nobody has the body yet: the endpoint may wait for it, and the client for its 100. */
static void a_body_that_was_not_asked_for_yet_does_not_use_up_the_time_of_a_try(void **state)
{
	struct world *w = *state;
	int far;

	w->t->settings.retry.per_try_timeout_ms = 500;
	have_backends(w, 2);
	request(w, HEAD_OF("POST") "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	far = next_attempt(w);
	read_head(w, far);
	pass(w, 500 + LATE_MS);
	pass(w, 1000 + LATE_MS);
	expect_in_head(w, w->client, "HTTP/1.1 100 Continue\r\n", "");
	far_send(w->client, "abc");
	expect(w, far, "abc");
	pass(w, 400);
	far_send(far, OK_5);
	expect_in_head(w, w->client, "HTTP/1.1 200 OK\r\n", "");
	close(far);
}

#define BUSY "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"

static void an_answer_that_operators_want_elsewhere_is_asked_for_elsewhere(void **state)
{
	static const struct {
		const char *request;
		unsigned on;
		bool is_elsewhere;
	} cases[] = {
		{ GET, ON_GATEWAY_ERROR, true },
		{ GET, ON_STATUS_CODES, true },
		{ GET, ON_RESET | ON_CONNECT_FAILURE, false },
		{ HEAD_OF("GET") "Content-Length: 2\r\n\r\nab", ON_5XX, true },
		{ HEAD_OF("POST") "Content-Length: 2\r\n\r\nab", ON_5XX, false },
		{ HEAD_OF("POST") "Idempotency-Key: 1\r\nContent-Length: 2\r\n\r\nab", ON_5XX, true },
	};
	struct world *w = *state;

	w->t->settings.retry.codes[0] = 503;
	w->t->settings.retry.code_count = 1;
	have_backends(w, 2);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int busy, other = -1;

		w->t->settings.retry.on = cases[i].on;
		request(w, cases[i].request);
		busy = next_attempt(w);
		read_head(w, busy);
		far_send(busy, BUSY);
		if (cases[i].is_elsewhere) {
			other = next_attempt(w);
			read_head(w, other);
			if (strstr(cases[i].request, "ab"))
				expect(w, other, "ab");
			far_send(other, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
			expect_in_head(w, w->client, "HTTP/1.1 200 OK\r\n", "");
			close(other);
		} else {
			expect_in_head(w, w->client, "HTTP/1.1 503 ", "");
			expect(w, w->client, "busy");
		}
		close(busy);
		close(w->client);
		turn(w);
		turn(w);
	}
	w->client = -1;
}

/* Nobody else could answer: what the endpoint said is passed on, not lost. */
static void the_answer_of_the_last_endpoint_is_passed_on(void **state)
{
	struct world *w = *state;
	int far;

	w->t->settings.retry.on = ON_5XX;
	have_backends(w, 2);
	request(w, GET);
	for (int i = 0; i < 2; i++) {
		far = next_attempt(w);
		read_head(w, far);
		far_send(far, BUSY);
		if (i)
			expect_in_head(w, w->client, "HTTP/1.1 503 ", "");
		close(far);
	}
	expect(w, w->client, "busy");
	assert_int_equal(count_of(w, COUNTER_attempts), 2);
}

static void a_client_that_waits_to_be_asked_is_asked_after_a_second(void **state)
{
	struct world *w = *state;
	int far;

	have_backends(w, 1);
	request(w, HEAD_OF("POST") "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	far = next_attempt(w);
	expect_in_head(w, far, "POST / HTTP/1.1\r\n", "\r\nExpect: 100-continue\r\n");
	pass(w, 999);
	assert_true(far_is_open(w->client));
	pass(w, 1 + LATE_MS);
	expect(w, w->client, "HTTP/1.1 100 Continue\r\n\r\n");
	far_send(w->client, "abc");
	expect(w, far, "abc");
	far_send(far, "HTTP/1.1 100 Continue\r\n\r\n" OK_5);  /* asked already: not twice */
	expect_in_head(w, w->client, "HTTP/1.1 200 OK\r\n", "");
	close(far);
}

static void an_endpoint_that_asks_for_the_body_is_heard_once(void **state)
{
	struct world *w = *state;
	int far;

	have_backends(w, 1);
	request(w, HEAD_OF("POST") "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	far = next_attempt(w);
	read_head(w, far);
	far_send(far, "HTTP/1.1 100 Go\r\nX: 1\r\n\r\n");
	expect(w, w->client, "HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n");
	far_send(far, "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hints\r\n\r\n");
	expect(w, w->client, "HTTP/1.1 103 Early Hints\r\n\r\n");
	pass(w, 9000);                        /* nor do we ask again, or lose patience */
	assert_true(far_is_open(w->client));
	far_send(w->client, "abc");
	expect(w, far, "abc");
	close(far);
}

/* Also one over a connection that is there, which waits for nothing before. */
static void every_attempt_has_its_own_time(void **state)
{
	struct world *w = *state;
	int kept, far;

	have_backends(w, 2);
	request(w, GET);
	kept = next_attempt(w);
	read_head(w, kept);
	far_send(kept, OK_5);
	read_head(w, w->client);
	expect(w, w->client, "hello");
	far_send(w->client, GET);
	far = next_attempt(w);
	read_head(w, far);
	pass(w, 9000);
	far_reset(far);
	read_head(w, kept);
	pass(w, 9000);
	assert_true(far_is_open(w->client));
	far_send(kept, OK_5);
	expect_in_head(w, w->client, "HTTP/1.1 200 OK\r\n", "");
	assert_int_equal(count_of(w, COUNTER_upstream_reuses), 1);
	close(kept);
}

static void hints_are_passed_on_but_not_for_ever(void **state)
{
	struct world *w = *state;
	int far;

	have_backends(w, 1);
	request(w, GET);
	far = next_attempt(w);
	read_head(w, far);
	for (int i = 0; i < 5; i++) {
		far_send(far, "HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n");
		expect(w, w->client, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
	}
	far_send(far, "HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n");
	expect_in_head(w, w->client, "HTTP/1.1 502 Bad Gateway\r\n",
		       "net/http: too many 1xx informational responses");
	close(far);
}

static void a_body_that_stops_is_cut_after_the_body_timeout(void **state)
{
	struct world *w = *state;
	int far;

	have_backends(w, 1);
	request(w, GET);
	far = next_attempt(w);
	read_head(w, far);
	far_send(far, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
	read_head(w, w->client);
	expect(w, w->client, "he");
	pass(w, 19000);
	far_send(far, "l");                   /* every byte gives it all the time again */
	expect(w, w->client, "l");
	pass(w, 19000);
	assert_true(far_is_open(w->client));
	pass(w, 1000 + LATE_MS);
	expect_end(w, w->client);
	expect_end(w, far);
	close(far);
}

/* Spec proxy 19.13 and 12.5: the answer does not wait for the request's end. */
static void an_early_answer_arrives_and_the_connection_goes_on(void **state)
{
	struct world *w = *state;
	int far;

	have_backends(w, 1);
	request(w, HEAD_OF("POST") "Content-Length: 5\r\n\r\nhe");
	far = next_attempt(w);
	read_head(w, far);
	far_send(far, OK_5);
	read_head(w, w->client);
	expect(w, w->client, "hello");
	far_send(w->client, "llo" GET);       /* the rest, and the next request */
	close(far);
	far = next_attempt(w);
	expect_in_head(w, far, "GET / HTTP/1.1\r\n", "");
	close(far);
}

/* Spec proxy 19.7. */
static void a_client_that_half_closes_gets_its_answer(void **state)
{
	struct world *w = *state;
	int far;

	have_backends(w, 1);
	request(w, GET);
	assert_int_equal(shutdown(w->client, SHUT_WR), 0);
	far = next_attempt(w);
	read_head(w, far);
	pass(w, 100);
	far_send(far, OK_5);
	read_head(w, w->client);
	expect(w, w->client, "hello");
	expect_end(w, w->client);
	assert_int_equal(count_of(w, COUNTER_client_disconnects), 0);
	close(far);
}

static void a_client_that_leaves_ends_the_attempt(void **state)
{
	struct world *w = *state;
	int far;

	have_backends(w, 2);
	request(w, GET);
	far = next_attempt(w);
	read_head(w, far);
	far_reset(w->client);
	w->client = -1;
	expect_end(w, far);
	assert_int_equal(count_of(w, COUNTER_client_disconnects), 1);
	assert_int_equal(count_of(w, COUNTER_retries), 0);
	assert_int_equal(count_of(w, COUNTER_connections_open), 0);
	close(far);
}

static void when_every_endpoint_refuses_the_client_is_told_once(void **state)
{
	struct world *w = *state;

	have_backends(w, 2);
	backend_close(&w->backends[0]);
	backend_close(&w->backends[1]);
	request(w, GET);
	expect_in_head(w, w->client, "HTTP/1.1 502 Bad Gateway\r\n", "connect: connection refused)");
	assert_int_equal(count_of(w, COUNTER_attempts), 2);
	assert_int_equal(count_of(w, COUNTER_bad_gateways), 1);
	assert_int_equal(count_of(w, COUNTER_responses_5xx), 1);
}

static void a_request_that_never_ends_after_its_answer_is_let_go(void **state)
{
	struct world *w = *state;
	int far;

	have_backends(w, 1);
	request(w, HEAD_OF("POST") "Content-Length: 5\r\n\r\nhe");
	far = next_attempt(w);
	read_head(w, far);
	far_send(far, OK_5);
	read_head(w, w->client);
	expect(w, w->client, "hello");
	pass(w, 1999);
	assert_true(far_is_open(w->client));
	pass(w, 1 + LATE_MS);
	expect_end(w, w->client);
	assert_int_equal(count_of(w, COUNTER_responses_2xx), 1);
	close(far);
}

/* Spec proxy 19.12: what trickles in does not win time. */
static void a_head_that_trickles_in_has_the_time_of_one_head(void **state)
{
	struct world *w = *state;

	request(w, "GET / HT");
	turn(w);                              /* from here on */
	for (int i = 0; i < 5; i++) {
		pass(w, 11000);
		far_send(w->client, "x");
	}
	pass(w, 4000);
	assert_true(far_is_open(w->client));
	pass(w, 1000 + LATE_MS);
	expect_end(w, w->client);
	assert_int_equal(count_of(w, COUNTER_connections_open), 1);
	pass(w, 2000 + LATE_MS);              /* it had a moment to read our end */
	assert_int_equal(count_of(w, COUNTER_connections_open), 0);
}

/* One request over a new connection of the client, answered. */
static void serve_once(struct world *w)
{
	int far;

	have_backends(w, 1);
	request(w, GET);
	far = next_attempt(w);
	read_head(w, far);
	far_send(far, OK_5);
	read_head(w, w->client);
	expect(w, w->client, "hello");
	close(far);
}

static void a_client_that_asks_no_more_is_let_go_after_the_idle_timeout(void **state)
{
	struct world *w = *state;

	w->t->settings.idle_timeout_ms = 30000;
	serve_once(w);
	pass(w, 29999);
	assert_true(far_is_open(w->client));
	pass(w, 1 + LATE_MS);
	expect_end(w, w->client);
}

static void a_draining_worker_answers_one_last_request_of_an_idle_connection(void **state)
{
	struct world *w = *state;
	int far;

	w->t->settings.drain_idle_ms = 5000;
	serve_once(w);
	downstream_drain(downstream_next(&w->t->proxy, NULL));
	pass(w, 4000);
	assert_true(far_is_open(w->client));
	far_send(w->client, GET);
	far = next_attempt(w);
	read_head(w, far);
	far_send(far, OK_5);
	expect_in_head(w, w->client, "HTTP/1.1 200 OK\r\n", "\r\nConnection: close\r\n");
	expect(w, w->client, "hello");
	expect_end(w, w->client);
	close(far);
}

static void a_draining_worker_waits_for_less_long(void **state)
{
	struct world *w = *state;

	w->t->settings.drain_idle_ms = 5000;
	serve_once(w);
	pass(w, 1000);
	downstream_drain(downstream_next(&w->t->proxy, NULL));
	turn(w);                              /* from here on */
	pass(w, 4999);
	assert_true(far_is_open(w->client));
	pass(w, 1 + LATE_MS);
	expect_end(w, w->client);
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(a_request_reaches_an_endpoint_and_its_answer_the_client),
		IN_A_WORLD(another_attempt_gets_the_same_request),
		IN_A_WORLD(a_silent_endpoint_is_given_up_after_the_response_timeout),
		IN_A_WORLD(an_attempt_has_its_total_time_body_included),
		IN_A_WORLD(an_endpoint_that_was_too_slow_can_be_a_504),
		IN_A_WORLD(an_answer_of_our_own_can_say_why_by_rfc_9209),
		IN_A_WORLD(a_host_is_unknown_only_to_a_table_that_can_be_trusted),
		IN_A_WORLD(a_try_that_takes_too_long_is_made_elsewhere),
		IN_A_WORLD(a_slow_upload_does_not_use_up_the_time_of_a_try),
		IN_A_WORLD(a_body_that_was_not_asked_for_yet_does_not_use_up_the_time_of_a_try),
		IN_A_WORLD(an_answer_that_operators_want_elsewhere_is_asked_for_elsewhere),
		IN_A_WORLD(the_answer_of_the_last_endpoint_is_passed_on),
		IN_A_WORLD(a_client_that_waits_to_be_asked_is_asked_after_a_second),
		IN_A_WORLD(an_endpoint_that_asks_for_the_body_is_heard_once),
		IN_A_WORLD(every_attempt_has_its_own_time),
		IN_A_WORLD(hints_are_passed_on_but_not_for_ever),
		IN_A_WORLD(a_body_that_stops_is_cut_after_the_body_timeout),
		IN_A_WORLD(an_early_answer_arrives_and_the_connection_goes_on),
		IN_A_WORLD(a_client_that_half_closes_gets_its_answer),
		IN_A_WORLD(a_client_that_leaves_ends_the_attempt),
		IN_A_WORLD(a_request_that_never_ends_after_its_answer_is_let_go),
		IN_A_WORLD(a_head_that_trickles_in_has_the_time_of_one_head),
		IN_A_WORLD(a_client_that_asks_no_more_is_let_go_after_the_idle_timeout),
		IN_A_WORLD(a_draining_worker_answers_one_last_request_of_an_idle_connection),
		IN_A_WORLD(a_draining_worker_waits_for_less_long),
		IN_A_WORLD(when_every_endpoint_refuses_the_client_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
