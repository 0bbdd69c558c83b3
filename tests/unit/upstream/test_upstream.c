/*
 * tests/unit/upstream/test_upstream.c - attempts: when a connection is made, used
 * again, or given up.  Real connections, a clock that the test moves.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "counters.h"
#include "tests/unit/fixture/base_clock.h"
#include "tests/unit/fixture/net_backend.h"
#include "upstream/upstream.h"

#define IDLE_MS 90000
#define LATE_MS 16
#define OK      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

struct upstream_test {
	struct loop *loop;
	struct buf_pool *bufs;
	struct upstream_settings settings;
	uint64_t counters[COUNTER_COUNT];
	struct upstream *upstream;
	struct backend backend;
	struct endpoint endpoint;
	struct arena arena;
	struct task task;             /* of the exchange */
	unsigned wakes;
};

static void note_wake(struct task *task)
{
	caa_container_of(task, struct upstream_test, task)->wakes++;
}

static int set_up(void **state)
{
	struct upstream_test *t = mem_zalloc(sizeof(*t));

	fake_clock_start();
	t->loop = loop_create();
	t->bufs = buf_pool_create(1u << 20);
	t->settings = (struct upstream_settings){
		.connect_timeout_ms = 5000, .idle_timeout_ms = IDLE_MS, .max_idle = 10,
		.mux = { .line_limit = 16384, .head_limit = 32768 },
	};
	t->upstream = upstream_create(t->loop, t->bufs, t->counters, &t->settings, NULL);
	backend_open(&t->backend, "127.0.0.1");
	addr_to_bytes(&t->backend.addr, t->endpoint.ip);
	t->endpoint.port = addr_port(&t->backend.addr);
	t->endpoint.host = STR("127.0.0.1");
	arena_init(&t->arena, NULL, 0);
	task_init(&t->task, note_wake);
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct upstream_test *t = *state;
	uint64_t left;

	upstream_destroy(t->upstream);
	task_fini(t->loop, &t->task);
	left = buf_pool_used(t->bufs);
	buf_pool_destroy(t->bufs);
	loop_destroy(t->loop);
	backend_close(&t->backend);
	arena_fini(&t->arena);
	fake_clock_stop();
	free(t);
	return left ? -1 : 0;
}

static void pass(struct upstream_test *t, uint64_t ms)
{
	fake_clock_advance_ms(ms);
	loop_turn(t->loop, 0);
}

/* Until the attempt is connected or has failed; woken for every step. */
static enum failure open_attempt(struct upstream_test *t, struct attempt *attempt)
{
	for (int i = 0; i < 100; i++) {
		enum io io;
		enum failure failure = upstream_open(t->upstream, &t->endpoint, &t->task, attempt,
						     &io);

		if (failure || io == IO_OK)
			return failure;
		t->wakes = 0;
		for (int turn = 0; turn < 1000 && !t->wakes; turn++)
			loop_turn(t->loop, 5);
		assert_true(t->wakes);
	}
	fail_msg("it goes on for ever");
	return FAIL_NONE;
}

static void send_request(struct upstream_test *t, struct attempt *attempt)
{
	struct http_head head;

	http_head_init(&head, &t->arena);
	head.method = STR("GET");
	head.target = STR("/");
	head.authority = STR("a.example");
	head.has_authority = head.keeps_alive = true;
	assert_int_equal(stream_send_head(attempt->stream, &head, true), IO_OK);
}

/* The head of what the far end answers. */
static void answer(struct upstream_test *t, struct attempt *attempt, int far, const char *text)
{
	struct http_head head;
	char request[1024];
	enum io io;

	far_read(far, request, sizeof(request));
	far_send(far, text);
	fd_await(mux_conn(attempt->stream->mux)->watch.fd, POLLIN);
	loop_turn(t->loop, 0);
	io = stream_recv_head(attempt->stream, &t->arena, &head);
	assert_int_equal(io, IO_OK);
	upstream_note_keep_alive(attempt, http_head_find(&head, STR("Keep-Alive")));
}

/* A whole exchange over a connection of its own; returns the far end. */
static int serve(struct upstream_test *t, const char *response)
{
	struct attempt attempt = { .stream = NULL };
	int far;

	assert_int_equal(open_attempt(t, &attempt), FAIL_NONE);
	assert_false(attempt.is_reused);
	far = backend_accept(&t->backend);
	send_request(t, &attempt);
	answer(t, &attempt, far, response);
	upstream_close(t->upstream, &attempt, &t->task);
	assert_null(attempt.stream);
	return far;
}

/* The next attempt takes an open connection, or makes one; then it is closed. */
static bool is_next_reused(struct upstream_test *t)
{
	struct attempt attempt = { .stream = NULL };

	assert_int_equal(open_attempt(t, &attempt), FAIL_NONE);
	if (!attempt.is_reused)
		close(backend_accept(&t->backend));
	upstream_close(t->upstream, &attempt, &t->task);      /* unused: not complete */
	return attempt.is_reused;
}

static void a_complete_exchange_leaves_its_connection_to_the_next(void **state)
{
	struct upstream_test *t = *state;
	int far = serve(t, OK);

	assert_true(far_is_open(far));
	for (int i = 0; i < 3; i++) {
		struct attempt attempt = { .stream = NULL };
		enum io io;

		assert_int_equal(upstream_open(t->upstream, &t->endpoint, &t->task, &attempt, &io),
				 FAIL_NONE);
		assert_int_equal(io, IO_OK);  /* at once: nothing to connect */
		assert_true(attempt.is_reused);
		send_request(t, &attempt);
		answer(t, &attempt, far, OK);
		upstream_close(t->upstream, &attempt, &t->task);
	}
	assert_false(backend_has_caller(&t->backend));
	assert_int_equal(t->counters[COUNTER_upstream_connects], 1);
	assert_int_equal(t->counters[COUNTER_upstream_reuses], 3);
	close(far);
}

static void an_exchange_that_is_not_complete_closes_its_connection(void **state)
{
	static const char *const responses[] = {
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
	};
	struct upstream_test *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(responses); i++) {
		int far = serve(t, responses[i]);

		far_expect_end(far);
		close(far);
		assert_false(is_next_reused(t));
	}
}

static void a_connection_that_the_endpoint_closed_is_replaced(void **state)
{
	struct upstream_test *t = *state;
	int far = serve(t, OK);

	close(far);
	loop_turn(t->loop, 5000);             /* until the end is noticed, which is at once */
	assert_false(is_next_reused(t));
}

static void an_idle_connection_is_closed_at_the_limit_of_the_settings(void **state)
{
	struct upstream_test *t = *state;
	int far = serve(t, OK);

	pass(t, IDLE_MS - 1);
	assert_true(far_is_open(far));
	pass(t, 1 + LATE_MS);
	far_expect_end(far);
	close(far);
	assert_false(is_next_reused(t));
}

/* We stop using it before the endpoint closes it: by a second, or by half of
 * what is less than two. */
static void the_endpoints_own_limit_is_kept_with_a_margin(void **state)
{
	static const struct { const char *value; uint64_t idle_ms; } cases[] = {
		{ "timeout=5",                 4000 },
		{ "timeout=5, max=1000",       4000 },
		{ "max=1000 ,\tTIMEOUT=60",    59000 },
		{ "timeout=3",                 2000 },
		{ "timeout=2",                 1000 },
		{ "timeout=1",                 500 },
		{ "timeout=0",                 1 },
		{ "timeout=3600",              IDLE_MS },     /* the settings say less */
		{ "timeout=99999999999999999", IDLE_MS },
		{ "timeout=18446744073709551616", IDLE_MS },
		{ "timeout=-1",                IDLE_MS },
		{ "timeout=",                  IDLE_MS },
		{ "timeout=5s",                IDLE_MS },
		{ "xtimeout=5",                IDLE_MS },
		{ "max=5",                     IDLE_MS },
		{ "",                          IDLE_MS },
	};
	struct upstream_test *t = *state;
	char response[256];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int far;

		snprintf(response, sizeof(response),
			 "HTTP/1.1 200 OK\r\nKeep-Alive: %s\r\nContent-Length: 0\r\n\r\n",
			 cases[i].value);
		far = serve(t, response);
		pass(t, cases[i].idle_ms - 1);
		if (!far_is_open(far))
			fail_msg("\"%s\": closed too early", cases[i].value);
		pass(t, 1 + LATE_MS);
		if (far_is_open(far))
			fail_msg("\"%s\": kept too long", cases[i].value);
		far_expect_end(far);
		close(far);
	}
}

static void a_refused_connect_says_why(void **state)
{
	struct upstream_test *t = *state;
	struct attempt attempt = { .stream = NULL };

	backend_close(&t->backend);
	assert_int_equal(open_attempt(t, &attempt), FAIL_CONNECT);
	assert_int_equal(attempt.error, ECONNREFUSED);
	upstream_close(t->upstream, &attempt, &t->task);
	assert_null(attempt.stream);
	assert_int_equal(t->counters[COUNTER_upstream_reuses], 0);
}

static void closing_an_attempt_twice_or_before_it_began_does_no_harm(void **state)
{
	struct upstream_test *t = *state;
	struct attempt attempt = { .stream = NULL };

	upstream_close(t->upstream, &attempt, &t->task);
	assert_int_equal(open_attempt(t, &attempt), FAIL_NONE);
	close(backend_accept(&t->backend));
	upstream_close(t->upstream, &attempt, &t->task);
	upstream_close(t->upstream, &attempt, &t->task);
}

#define OVER_UPSTREAM(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVER_UPSTREAM(a_complete_exchange_leaves_its_connection_to_the_next),
		OVER_UPSTREAM(an_exchange_that_is_not_complete_closes_its_connection),
		OVER_UPSTREAM(a_connection_that_the_endpoint_closed_is_replaced),
		OVER_UPSTREAM(an_idle_connection_is_closed_at_the_limit_of_the_settings),
		OVER_UPSTREAM(the_endpoints_own_limit_is_kept_with_a_margin),
		OVER_UPSTREAM(a_refused_connect_says_why),
		OVER_UPSTREAM(closing_an_attempt_twice_or_before_it_began_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
