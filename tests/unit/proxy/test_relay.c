/*
 * tests/unit/proxy/test_relay.c - a body on its way from one stream to another:
 * a scripted client sends it, a scripted backend receives it.  A relay that
 * waits is pumped again only after one of its streams was woken.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/relay.h"
#include "tests/unit/fixture/http_mux_pair.h"

#define PATIENCE 1000
#define RECORD   65536

struct relay_test {
	struct mux_pair *client, *server;     /* a loop each; raw is the far end */
	struct stream *from, *to;
	struct relay relay;
	struct replay replay;
	struct str unsent;            /* of the client */
	bool drains;                  /* the backend reads on its own */
	uint64_t drained;
};

static int set_up(void **state)
{
	struct relay_test *t = mem_zalloc(sizeof(*t));
	void *pair;

	pair_set_up(&pair);
	t->client = pair;
	pair_set_up(&pair);
	t->server = pair;
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct relay_test *t = *state;
	void *client = t->client, *server = t->server;
	int rc;

	replay_fini(&t->replay);
	rc = pair_tear_down(&client);
	rc |= pair_tear_down(&server);
	free(t);
	return rc;
}

/* The client's head has been read; what else it sent is here or comes. */
static void begin(struct relay_test *t, const char *request)
{
	struct http_head head;

	mux_destroy(t->client->down);
	t->client->down = NULL;
	raw_close(t->client);
	pair_open_client(t->client);
	raw_send(t->client, request);
	t->from = pair_accept(t->client);
	assert_int_equal(pair_recv_head(t->client, t->from, &head), IO_OK);
	replay_fini(&t->replay);
	replay_init(&t->replay, RECORD);
	t->relay = (struct relay){ .replay = &t->replay };
}

/* A backend, and its head with this framing, which it has read. */
static void attempt(struct relay_test *t, enum http_body body, uint64_t length)
{
	struct http_head head = pair_request(t->server, "POST", body, length);
	const char *end = "\r\n\r\n";

	mux_destroy(t->server->up);
	t->server->up = NULL;
	raw_close(t->server);
	pair_open_backend(t->server);
	t->to = pair_stream(t->server);
	pair_send_head(t->server, t->to, &head, false);
	pair_flush(t->server, t->to);
	while (*end)
		end = *raw_read(t->server, 1).p == *end ? end + 1 : "\r\n\r\n";
	t->replay.sent = 0;
	t->relay.is_done = t->relay.is_stopped = false;
}

static void work_far_ends(struct relay_test *t)
{
	char bytes[16384];
	ssize_t n;

	while (t->unsent.len) {
		n = send(t->client->raw, t->unsent.p, t->unsent.len, MSG_NOSIGNAL);
		if (n <= 0)
			break;
		t->unsent = str_sub(t->unsent, (size_t)n, STR_REST);
	}
	while (t->drains && (n = read(t->server->raw, bytes, sizeof(bytes))) > 0)
		t->drained += (uint64_t)n;
}

static unsigned wakes(const struct relay_test *t)
{
	return t->client->down_user.wakes + t->server->up_user.wakes;
}

static enum relay_result pump_once(struct relay_test *t)
{
	return relay_pump(&t->relay, t->from, t->to, &t->client->arena);
}

/* True if a stream was woken; false: nothing happens any more. */
static bool await_wake(struct relay_test *t, int turns)
{
	unsigned seen = wakes(t);

	while (turns--) {
		work_far_ends(t);
		pair_turn(t->client);
		pair_turn(t->server);
		if (wakes(t) != seen)
			return true;
	}
	return false;
}

/* Until it no longer waits. */
static enum relay_result pump(struct relay_test *t)
{
	enum relay_result result;

	while ((result = pump_once(t)) == RELAY_WAITS)
		if (!await_wake(t, PATIENCE))
			fail_msg("the relay waits and is never woken");
	return result;
}

#define HEAD    "POST / HTTP/1.1\r\nHost: a\r\n"
#define LENGTH  HEAD "Content-Length: 5\r\n\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"

static void a_body_arrives_in_the_framing_of_its_receiver(void **state)
{
	static const struct {
		const char *request;
		enum http_body body;
		uint64_t length;
		const char *received;
	} cases[] = {
		{ LENGTH "hello",                              BODY_LENGTH,  5, "hello"                },
		{ LENGTH "hello",                              BODY_CHUNKED, 0, "5\r\nhello\r\n0\r\n\r\n" },
		{ CHUNKED "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",  BODY_CHUNKED, 0, "5\r\nhello\r\n0\r\n\r\n" },
		{ CHUNKED "5;x=y\r\nhello\r\n0\r\n\r\n",       BODY_LENGTH,  5, "hello"                },
		{ CHUNKED "0\r\n\r\n",                         BODY_CHUNKED, 0, "0\r\n\r\n"            },
		{ HEAD "Content-Length: 0\r\n\r\n",            BODY_CHUNKED, 0, "0\r\n\r\n"            },
	};
	struct relay_test *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin(t, cases[i].request);
		attempt(t, cases[i].body, cases[i].length);
		assert_int_equal(pump(t), RELAY_DONE);
		raw_expect(t->server, cases[i].received);
		assert_true(t->relay.is_done);
		assert_int_equal(t->relay.bytes, i < 4 ? 5 : 0);
		assert_int_equal(t->relay.has_moved, i < 4);
		assert_int_equal(pump_once(t), RELAY_DONE);   /* and no second end */
		mux_destroy(t->server->up);
		t->server->up = NULL;
		raw_expect_end(t->server);
	}
}

static void every_byte_goes_on_when_it_comes(void **state)
{
	struct relay_test *t = *state;

	begin(t, LENGTH);
	attempt(t, BODY_LENGTH, 5);
	assert_int_equal(pump_once(t), RELAY_WAITS);
	assert_false(t->relay.has_moved);
	for (const char *c = "hello"; *c; c++) {
		char one[2] = { *c, '\0' };

		raw_send(t->client, one);
		assert_true(await_wake(t, PATIENCE));
		assert_int_equal(pump_once(t), c[1] ? RELAY_WAITS : RELAY_DONE);
		assert_true(t->relay.has_moved);
		t->relay.has_moved = false;
		raw_expect(t->server, one);
		assert_false(t->relay.has_moved);
	}
}

static void a_receiver_that_does_not_read_stops_the_sender(void **state)
{
	struct relay_test *t = *state;
	const uint64_t size = 4u << 20;
	uint64_t moved;

	t->client->small = t->server->small = 16384;
	begin(t, HEAD "Content-Length: 4194304\r\n\r\n");
	attempt(t, BODY_LENGTH, size);
	t->unsent = pair_bytes(t->client, size);
	do {
		assert_int_equal(pump_once(t), RELAY_WAITS);
	} while (await_wake(t, 20));
	moved = t->relay.bytes;
	assert_true(moved > 0 && moved < size / 4);
	assert_true(buf_pool_used(t->client->pool) + buf_pool_used(t->server->pool) <= 256 * 1024);
	t->drains = true;
	assert_int_equal(pump(t), RELAY_DONE);
	for (int i = 0; t->drained < size && i < PATIENCE; i++) {
		pair_turn(t->server);
		work_far_ends(t);
	}
	assert_int_equal(t->drained, size);
	assert_int_equal(t->relay.bytes, size);
	assert_true(t->replay.is_lost);       /* far over its bound */
}

static void trailers_arrive_without_those_that_frame_or_route(void **state)
{
	struct relay_test *t = *state;

	begin(t, CHUNKED "3\r\nabc\r\n0\r\nX-Sum: 7\r\nConnection: close\r\nHost: b\r\n"
	      "Content-Length: 9\r\nTransfer-Encoding: x\r\nTe: x\r\nUpgrade: x\r\nKeep-Alive: x\r\n"
	      "Trailer: x\r\nX-Two: 2\r\n\r\n");
	attempt(t, BODY_CHUNKED, 0);
	assert_int_equal(pump(t), RELAY_DONE);
	raw_expect(t->server, "3\r\nabc\r\n0\r\nX-Sum: 7\r\nX-Two: 2\r\n\r\n");
}

static void a_sender_that_fails_is_told_from_a_receiver_that_fails(void **state)
{
	static const struct {
		const char *request, *received;
		enum failure failure;
	} cases[] = {
		{ LENGTH "hel",                  "hel",             FAIL_CLIENT_GONE      },
		{ LENGTH,                        "",                FAIL_CLIENT_GONE      },
		{ CHUNKED "3\r\nhel\r\n",        "3\r\nhel\r\n",    FAIL_CLIENT_GONE      },
		{ CHUNKED "3\r\nhel\r\nx\r\n",   "3\r\nhel\r\n",    FAIL_BAD_REQUEST_BODY },
		{ CHUNKED "3\r\nhel\r\n0\r\nX",  "3\r\nhel\r\n",    FAIL_CLIENT_GONE      },
		{ CHUNKED "3\r\nhel\r\n0\r\nno colon\r\n\r\n", "3\r\nhel\r\n", FAIL_BAD_REQUEST_BODY },
	};
	struct relay_test *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin(t, cases[i].request);
		attempt(t, strstr(cases[i].request, "chunked") ? BODY_CHUNKED : BODY_LENGTH, 5);
		raw_end(t->client);
		assert_int_equal(pump(t), RELAY_READ_FAILED);
		raw_expect(t->server, cases[i].received);
		assert_int_equal(stream_failure(t->from), cases[i].failure);
		assert_int_equal(stream_failure(t->to), FAIL_NONE);
		assert_false(t->relay.is_done);
		stream_close(t->to);          /* an end that the backend cannot take for the body's */
		assert_false(mux_is_quiet(t->server->up));
	}
}

static void a_receiver_that_has_gone_fails_the_relay(void **state)
{
	struct relay_test *t = *state;

	begin(t, LENGTH "hel");
	attempt(t, BODY_LENGTH, 5);
	raw_reset(t->server);
	pair_turns(t->server, 2);
	assert_int_equal(pump(t), RELAY_WRITE_FAILED);
	assert_int_equal(stream_failure(t->from), FAIL_NONE);
}

static void a_stopped_relay_takes_nothing(void **state)
{
	struct relay_test *t = *state;

	begin(t, LENGTH "hello");
	attempt(t, BODY_LENGTH, 5);
	t->relay.is_stopped = true;
	assert_int_equal(pump_once(t), RELAY_WAITS);
	assert_int_equal(t->relay.bytes, 0);
	assert_int_equal(stream_body_left(t->from), 5);
}

/* The first attempt breaks off after so many bytes of the body; the second gets
 * all of it, whatever is written at a time. */
static void another_attempt_gets_the_body_from_its_start(void **state)
{
	static const size_t write_most[] = { 0, 1, 2, 7 };
	struct relay_test *t = *state;

	for (size_t first = 0; first <= 5; first++)
		for (size_t i = 0; i < ARRAY_SIZE(write_most); i++) {
			begin(t, LENGTH);
			attempt(t, BODY_LENGTH, 5);
			for (size_t at = 0; at < first; at++) {
				raw_send(t->client, (char [2]){ "hello"[at] });
				assert_true(await_wake(t, PATIENCE));
				pump_once(t);
			}
			assert_int_equal(t->relay.bytes, first);
			assert_int_equal(t->relay.is_done, first == 5);
			attempt(t, BODY_LENGTH, 5);
			pair_tap(t->server, write_most[i], 0);
			if (first < 5)
				raw_send(t->client, "hello" + first);
			assert_int_equal(pump(t), RELAY_DONE);
			raw_expect(t->server, "hello");
			assert_int_equal(t->relay.bytes, 5);  /* counted once */
			assert_false(t->replay.is_lost);
		}
}

/* The rest is still the client's to give. */
static void only_what_was_taken_is_recorded(void **state)
{
	struct relay_test *t = *state;

	begin(t, LENGTH "hello");
	attempt(t, BODY_LENGTH, 5);
	pair_tap(t->server, 2, 0);
	assert_int_equal(pump_once(t), RELAY_WAITS);
	assert_int_equal(t->relay.bytes, 2);
	assert_int_equal(t->replay.len, 2);
	attempt(t, BODY_LENGTH, 5);
	assert_int_equal(pump(t), RELAY_DONE);
	raw_expect(t->server, "hello");
}

static void a_third_attempt_gets_what_the_second_was_still_being_sent(void **state)
{
	struct relay_test *t = *state;

	begin(t, CHUNKED "5\r\nhello\r\n");
	attempt(t, BODY_CHUNKED, 0);
	assert_int_equal(pump_once(t), RELAY_WAITS);
	attempt(t, BODY_CHUNKED, 0);
	pair_tap(t->server, 4, 0);            /* its chunk line and a byte, then it breaks off */
	assert_int_equal(pump_once(t), RELAY_WAITS);
	assert_true(t->replay.sent < 5);
	attempt(t, BODY_CHUNKED, 0);
	raw_send(t->client, "1\r\n!\r\n0\r\n\r\n");
	assert_int_equal(pump(t), RELAY_DONE);
	raw_expect(t->server, "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n");
}

/* They are not in the record, so the body could not be sent again as it was. */
static void trailers_that_were_passed_cannot_be_passed_again(void **state)
{
	struct relay_test *t = *state;

	begin(t, CHUNKED "3\r\nabc\r\n");
	attempt(t, BODY_CHUNKED, 0);
	assert_int_equal(pump_once(t), RELAY_WAITS);
	assert_false(t->replay.is_lost);
	raw_send(t->client, "0\r\nX-Sum: 7\r\n\r\n");
	assert_int_equal(pump(t), RELAY_DONE);
	assert_true(t->replay.is_lost);
	begin(t, CHUNKED "3\r\nabc\r\n0\r\n\r\n");    /* without any it can */
	attempt(t, BODY_CHUNKED, 0);
	assert_int_equal(pump(t), RELAY_DONE);
	assert_false(t->replay.is_lost);
}

static enum io read_endlessly(struct conn *conn, void *out, size_t cap, size_t *n)
{
	(void)conn;
	memset(out, 'x', cap);
	*n = cap;
	return IO_OK;
}

static enum io swallow(struct conn *conn, const struct iovec *parts, int count, size_t *n)
{
	(void)conn;
	*n = 0;
	while (count--)
		*n += parts[count].iov_len;
	return IO_OK;
}

/* Nothing ever says "not yet" here. */
static void a_long_body_lets_others_have_their_turn(void **state)
{
	static const struct conn_ops endless = { .read = read_endlessly, .writev = swallow };
	struct relay_test *t = *state;

	begin(t, HEAD "Content-Length: 1000000000000\r\n\r\n");
	attempt(t, BODY_LENGTH, 1000000000000);
	mux_conn(t->client->down)->ops = mux_conn(t->server->up)->ops = &endless;
	mux_conn(t->client->down)->ready |= CONN_READABLE;
	for (uint64_t n = 1; n <= 3; n++) {
		unsigned seen = t->server->up_user.wakes;

		assert_int_equal(pump_once(t), RELAY_WAITS);
		assert_true(t->relay.bytes >= n << 20);
		assert_true(t->relay.bytes < (n << 20) + (n << 18));
		pair_turn(t->server);
		assert_true(t->server->up_user.wakes > seen);
	}
}

#define WITH_A_RELAY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_A_RELAY(a_body_arrives_in_the_framing_of_its_receiver),
		WITH_A_RELAY(every_byte_goes_on_when_it_comes),
		WITH_A_RELAY(a_receiver_that_does_not_read_stops_the_sender),
		WITH_A_RELAY(trailers_arrive_without_those_that_frame_or_route),
		WITH_A_RELAY(a_sender_that_fails_is_told_from_a_receiver_that_fails),
		WITH_A_RELAY(a_receiver_that_has_gone_fails_the_relay),
		WITH_A_RELAY(a_stopped_relay_takes_nothing),
		WITH_A_RELAY(another_attempt_gets_the_body_from_its_start),
		WITH_A_RELAY(only_what_was_taken_is_recorded),
		WITH_A_RELAY(a_third_attempt_gets_what_the_second_was_still_being_sent),
		WITH_A_RELAY(trailers_that_were_passed_cannot_be_passed_again),
		WITH_A_RELAY(a_long_body_lets_others_have_their_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
