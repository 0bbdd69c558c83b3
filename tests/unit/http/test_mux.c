/*
 * tests/unit/http/test_mux.c - the HTTP/1 mux against itself and against a raw
 * peer, when both behave: framing, splits, reuse, upgrade, drain, cost.
 */
#include "../fixture/http_mux_pair.h"

#include <malloc.h>
#include <stdio.h>

#define MIB (1u << 20)
#define REQUEST "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

/* One whole exchange over the pair; both bodies have `len` bytes. */
static void exchange(struct mux_pair *p, enum http_body framing, enum http_body back, size_t len,
		     size_t piece)
{
	struct http_head request = pair_request(p, "POST", framing, len), seen, response, answer;
	struct stream *up = pair_stream(p), *down;
	struct str body = pair_bytes(p, len);
	struct flow there = { .body = framing == BODY_NONE ? STR_NONE : body, .piece = piece };
	struct flow home = { .body = back == BODY_NONE ? STR_NONE : body, .piece = piece };

	pair_send_head(p, up, &request, framing == BODY_NONE);
	pair_flush(p, up);
	down = pair_accept(p);
	assert_int_equal(pair_recv_head(p, down, &seen), IO_OK);
	assert_text(seen.method, "POST");
	assert_text(seen.target, "/path?query");
	assert_text(seen.authority, "a.example");
	assert_text(http_head_find(&seen, STR("x-test")), "yes");
	assert_int_equal(seen.body, framing);
	there.from = framing == BODY_NONE ? NULL : up;
	there.to = down;
	pair_flow(p, &there, 1);

	response = pair_response(p, 200, back, len);
	pair_send_head(p, down, &response, back == BODY_NONE);
	pair_flush(p, down);
	assert_int_equal(pair_recv_head(p, up, &answer), IO_OK);
	assert_int_equal(answer.status, 200);
	home.from = back == BODY_NONE ? NULL : down;
	home.to = up;
	pair_flow(p, &home, 1);
	assert_true(stream_is_complete(up) && stream_is_complete(down));
	stream_close(up);
	stream_close(down);
	assert_true(mux_is_quiet(p->up));
	assert_int_equal(buf_pool_used(p->pool), 0);
}

static const struct { enum http_body there, back; size_t len; } shapes[] = {
	{ BODY_NONE,    BODY_LENGTH,  0 },
	{ BODY_NONE,    BODY_LENGTH,  5 },
	{ BODY_NONE,    BODY_CHUNKED, 700 },
	{ BODY_LENGTH,  BODY_LENGTH,  700 },
	{ BODY_LENGTH,  BODY_CHUNKED, 1 },
	{ BODY_CHUNKED, BODY_LENGTH,  17 },
	{ BODY_CHUNKED, BODY_CHUNKED, 300 },
	{ BODY_CHUNKED, BODY_CHUNKED, 0 },
};

static void every_framing_passes_and_the_connection_is_used_again(void **state)
{
	struct mux_pair *p = *state;

	pair_open(p);
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		assert_int_equal(mux_was_used(p->up), i > 0);
		exchange(p, shapes[i].there, shapes[i].back, shapes[i].len, 0);
	}
}

static void every_framing_passes_byte_by_byte(void **state)
{
	struct mux_pair *p = *state;

	pair_open(p);
	pair_tap(p, 0, 1);
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		exchange(p, shapes[i].there, shapes[i].back, shapes[i].len, 0);
}

/* So every border between head, chunk line, data, tail and last chunk is split
 * somewhere, and everywhere when one byte leaves at a time. */
static void every_framing_passes_however_writes_are_split(void **state)
{
	struct mux_pair *p = *state;

	pair_open(p);
	for (size_t most = 1; most < 24; most++) {
		pair_tap(p, most, 0);
		for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
			exchange(p, shapes[i].there, shapes[i].back,
				 most == 1 ? shapes[i].len : shapes[i].len % 64, 11);
	}
}

static void a_mebibyte_passes_both_ways_through_small_sockets(void **state)
{
	static const enum http_body framings[] = { BODY_LENGTH, BODY_CHUNKED };
	struct mux_pair *p = *state;

	p->small = 1;
	pair_open(p);
	for (size_t i = 0; i < ARRAY_SIZE(framings); i++)
		exchange(p, framings[i], framings[!i], MIB, i ? 0 : 50000);
}

static void a_receiver_that_does_not_read_stops_the_sender(void **state)
{
	struct mux_pair *p = *state;
	struct http_head request = pair_request(p, "PUT", BODY_LENGTH, 16 * MIB), seen;
	struct str body = pair_bytes(p, 16 * MIB);
	struct stream *up, *down;
	size_t taken, sent = 0;

	pair_open(p);
	up = pair_stream(p);
	pair_send_head(p, up, &request, false);
	for (int idle = 0; idle < 20; idle++) {
		if (stream_send_body(up, str_sub(body, sent, STR_REST), true, &taken) != IO_AGAIN)
			fail_msg("all was taken");
		sent += taken;
		idle = taken ? 0 : idle;
		pair_turn(p);
	}
	assert_true(sent > 0 && sent < body.len);
	assert_true(buf_pool_used(p->pool) <= BUF_SIZE);
	down = pair_accept(p);
	assert_int_equal(pair_recv_head(p, down, &seen), IO_OK);
	pair_flow(p, &(struct flow){ .from = up, .to = down, .body = body, .sent = sent }, 1);
	assert_true(buf_pool_used(p->pool) <= 2 * BUF_LARGE);
}

static void both_bodies_flow_at_once(void **state)
{
	struct mux_pair *p = *state;
	struct http_head request = pair_request(p, "POST", BODY_CHUNKED, 0), seen;
	struct http_head response = pair_response(p, 200, BODY_CHUNKED, 0), answer;
	struct str body = pair_bytes(p, MIB);
	struct stream *up, *down;

	pair_open(p);
	up = pair_stream(p);
	pair_send_head(p, up, &request, false);
	pair_flush(p, up);
	down = pair_accept(p);
	assert_int_equal(pair_recv_head(p, down, &seen), IO_OK);
	pair_send_head(p, down, &response, false);   /* early: the request is on its way */
	pair_flush(p, down);
	assert_int_equal(pair_recv_head(p, up, &answer), IO_OK);
	pair_flow(p, (struct flow[]){
		{ .from = up, .to = down, .body = body, .piece = 70000, .sip = 9000 },
		{ .from = down, .to = up, .body = body, .piece = 999 },
	}, 2);
	assert_true(stream_is_complete(up) && stream_is_complete(down));
}

/* More than was offered before is offered next, as a caller does whose own
 * input went on; the chunk that was announced ends first. */
static void a_chunk_that_was_cut_goes_on_although_more_is_offered_now(void **state)
{
	struct mux_pair *p = *state;
	struct http_head response = pair_response(p, 200, BODY_CHUNKED, 0), seen;
	struct stream *down;
	size_t taken;

	pair_open_client(p);
	raw_send(p, REQUEST);
	down = pair_accept(p);
	assert_int_equal(pair_recv_head(p, down, &seen), IO_OK);
	pair_send_head(p, down, &response, false);
	pair_flush(p, down);
	pair_tap(p, 6, 0);
	assert_int_equal(stream_send_body(down, STR("abcdef"), false, &taken), IO_AGAIN);
	assert_int_equal(taken, 3);
	pair_tap(p, 0, 0);
	pair_turn(p);
	assert_int_equal(stream_send_body(down, STR("defghi"), true, &taken), IO_OK);
	assert_int_equal(taken, 6);
	raw_expect(p, "HTTP/1.1 200 Words\r\nTransfer-Encoding: chunked\r\n\r\n"
		      "6\r\nabcdef\r\n3\r\nghi\r\n0\r\n\r\n");
	assert_true(stream_is_complete(down));
}

static void many_tiny_chunks_become_one_portion(void **state)
{
	struct mux_pair *p = *state;
	struct str bytes;
	struct http_head seen;
	struct stream *down;
	char text[8192];
	bool is_last;

	pair_open_client(p);
	strcpy(text, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 500; i++)
		strcat(text, i % 2 ? "1;x=y\r\nb\r\n" : "02\r\nac\r\n");
	raw_send(p, strcat(text, "0\r\n\r\n"));
	down = pair_accept(p);
	assert_int_equal(pair_recv_head(p, down, &seen), IO_OK);
	assert_int_equal(stream_peek_body(down, &bytes, &is_last), IO_OK);
	assert_int_equal(bytes.len, 750);
	assert_true(is_last);
	assert_memory_equal(bytes.p, "acbacb", 6);
	assert_int_equal(stream_body_left(down), 750);
	stream_consume_body(down, 749);
	assert_int_equal(stream_peek_body(down, &bytes, &is_last), IO_OK);
	assert_text(bytes, "b");
	stream_consume_body(down, 1);
	assert_int_equal(stream_peek_body(down, &bytes, &is_last), IO_EOF);
}

#define CHUNKED_WITH_TRAILERS \
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" \
	"3\r\nabc\r\n0\r\nX-Sum: 7\r\nX-Two: a,\r\n b\r\n\r\n"

static void trailers_are_passed(void **state)
{
	struct mux_pair *p = *state;
	struct http_head request = pair_request(p, "POST", BODY_CHUNKED, 0), seen, trailers, got;
	struct stream *up, *down;

	http_head_init(&trailers, &p->arena);
	http_head_add(&trailers, STR("X-Sum"), STR("7"));
	pair_open(p);
	for (size_t most = 0; most < 8; most++) {
		struct http_head response = pair_response(p, 200, BODY_LENGTH, 0);

		pair_tap(p, most, most % 3);
		up = pair_stream(p);
		pair_send_head(p, up, &request, false);
		pair_flush(p, up);
		down = pair_accept(p);
		assert_int_equal(pair_recv_head(p, down, &seen), IO_OK);
		assert_false(stream_has_trailers(down));
		pair_flow(p, &(struct flow){ .from = up, .to = down, .body = STR("abc"),
					     .trailers = &trailers }, 1);
		assert_true(stream_has_trailers(down));
		http_head_init(&got, &p->arena);
		assert_int_equal(stream_recv_trailers(down, &got), IO_OK);
		assert_int_equal(got.count, 1);
		assert_text(http_head_find(&got, STR("x-sum")), "7");
		assert_false(stream_has_trailers(down));
		pair_flush(p, up);
		pair_send_head(p, down, &response, true);
		assert_int_equal(pair_recv_head(p, up, &got), IO_OK);
		stream_close(up);
		stream_close(down);
		assert_true(mux_is_quiet(p->up));
	}
}

static void answer_and_close(struct mux_pair *p, struct stream *down)
{
	struct http_head response = pair_response(p, 200, BODY_LENGTH, 0);

	pair_send_head(p, down, &response, true);
	stream_close(down);
}

#define EMPTY_OK "HTTP/1.1 200 Words\r\nContent-Length: 0\r\n\r\n"

static void trailers_that_nobody_asks_for_are_skipped(void **state)
{
	struct mux_pair *p = *state;
	struct http_head seen;
	struct stream *down;

	pair_open_client(p);
	raw_send(p, CHUNKED_WITH_TRAILERS REQUEST);
	down = pair_accept(p);
	assert_int_equal(pair_recv_head(p, down, &seen), IO_OK);
	pair_expect_body(p, down, "abc");
	assert_true(stream_has_trailers(down));
	answer_and_close(p, down);
	down = pair_accept(p);
	assert_int_equal(pair_recv_head(p, down, &seen), IO_OK);
	assert_text(seen.method, "GET");
	answer_and_close(p, down);
	raw_expect(p, EMPTY_OK EMPTY_OK);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	static const char *const targets[] = { "/1", "/2", "/3" };
	struct mux_pair *p = *state;
	struct http_head seen;
	struct stream *down;

	pair_open_client(p);
	raw_send(p, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
		    "PUT /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
		    "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		down = pair_accept(p);
		assert_null(mux_accept(p->down, &p->down_user.task));
		assert_int_equal(pair_recv_head(p, down, &seen), IO_OK);
		assert_text(seen.target, targets[i]);
		pair_expect_body(p, down, i == 1 ? "abc" : "");
		answer_and_close(p, down);
	}
	raw_expect(p, EMPTY_OK EMPTY_OK EMPTY_OK);
	assert_null(mux_accept(p->down, &p->down_user.task));
	assert_false(mux_is_finished(p->down));
	assert_false(mux_has_partial_head(p->down));
	raw_send(p, "GET /4 HT");
	pair_turns(p, 3);
	assert_null(mux_accept(p->down, &p->down_user.task));
	assert_true(mux_has_partial_head(p->down));
}

/* A request that came byte by byte, and one that came in two parts. */
static void a_request_may_arrive_in_any_pieces(void **state)
{
	struct mux_pair *p = *state;
	struct http_head seen;
	struct stream *down;
	unsigned wakes = p->down_owner.wakes;

	pair_open_client(p);
	raw_send_slowly(p, "POST /x HTTP/1.1\r\nHost: a\r\n");
	assert_true(p->down_owner.wakes > wakes);
	assert_null(mux_accept(p->down, &p->down_user.task));
	raw_send_slowly(p, "Content-Length: 4\r\n\r\nab");
	down = pair_accept(p);
	assert_int_equal(pair_recv_head(p, down, &seen), IO_OK);
	assert_int_equal(stream_body_left(down), 4);
	raw_send_slowly(p, "cd");
	pair_expect_body(p, down, "abcd");
	assert_int_equal(stream_body_left(down), 0);
	assert_true(stream_ready(down) & STREAM_ENDED);
	answer_and_close(p, down);
	raw_expect(p, EMPTY_OK);
}

/* Sends a request, has the raw backend answer, returns the stream. */
static struct stream *ask(struct mux_pair *p, const char *method, const char *answer,
			  struct http_head *head)
{
	struct http_head request = pair_request(p, method, BODY_NONE, 0);
	struct stream *up = pair_stream(p);
	char expected[200];

	pair_send_head(p, up, &request, true);
	snprintf(expected, sizeof(expected),
		 "%s /path?query HTTP/1.1\r\nHost: a.example\r\nX-Test: yes\r\n\r\n", method);
	raw_expect(p, expected);
	raw_send(p, answer);
	assert_int_equal(pair_recv_head(p, up, head), IO_OK);
	return up;
}

static void responses_without_a_body_leave_the_connection(void **state)
{
	static const struct { const char *method, *answer; } cases[] = {
		{ "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n" },
		{ "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" },
		{ "HEAD", "HTTP/1.1 200 OK\r\n\r\n" },
		{ "GET",  "HTTP/1.1 204 No Content\r\n\r\n" },
		{ "GET",  "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n" },
		{ "GET",  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" },
		{ "GET",  "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n" },
	};
	struct mux_pair *p = *state;
	struct http_head head;

	pair_open_backend(p);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct stream *up = ask(p, cases[i].method, cases[i].answer, &head);

		pair_expect_body(p, up, "");
		assert_true(stream_is_complete(up));
		stream_close(up);
		assert_true(mux_is_quiet(p->up));
		assert_int_equal(buf_pool_used(p->pool), 0);
	}
}

static void a_body_until_close_ends_with_the_connection(void **state)
{
	struct mux_pair *p = *state;
	struct http_head head;
	struct stream *up;

	pair_open_backend(p);
	up = ask(p, "GET", "HTTP/1.0 200 OK\r\n\r\nab", &head);
	assert_int_equal(head.body, BODY_UNTIL_CLOSE);
	assert_int_equal(stream_body_left(up), UINT64_MAX);
	raw_send(p, "cd");
	raw_end(p);
	pair_expect_body(p, up, "abcd");
	assert_false(stream_is_complete(up));
	assert_int_equal(stream_failure(up), FAIL_NONE);
	stream_close(up);
	assert_true(mux_is_finished(p->up));
	assert_int_equal(mux_room(p->up), 0);
}

static void interim_heads_come_before_the_final_one(void **state)
{
	struct mux_pair *p = *state;
	struct http_head head;
	struct stream *up;

	pair_open_backend(p);
	up = ask(p, "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
			   "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz", &head);
	assert_int_equal(head.status, 100);
	assert_int_equal(pair_recv_head(p, up, &head), IO_OK);
	assert_int_equal(head.status, 103);
	assert_int_equal(pair_recv_head(p, up, &head), IO_OK);
	assert_int_equal(head.status, 200);
	pair_expect_body(p, up, "z");
	assert_true(stream_is_complete(up));
}

static void an_interim_head_leaves_at_once_and_without_framing(void **state)
{
	struct mux_pair *p = *state;
	struct http_head seen, interim = pair_response(p, 103, BODY_NONE, 0);
	struct stream *down;

	pair_open_client(p);
	raw_send(p, REQUEST);
	down = pair_accept(p);
	assert_int_equal(pair_recv_head(p, down, &seen), IO_OK);
	mux_drain(p->down);
	pair_send_head(p, down, &interim, false);
	raw_expect(p, "HTTP/1.1 103 Words\r\n\r\n");
	answer_and_close(p, down);
	raw_expect(p, "HTTP/1.1 200 Words\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

static void quiet_ends_when_an_idle_peer_speaks_or_leaves(void **state)
{
	struct mux_pair *p = *state;
	struct http_head head;
	unsigned wakes;

	for (int way = 0; way < 3; way++) {
		pair_open_backend(p);
		stream_close(ask(p, "GET", "HTTP/1.1 204 No\r\n\r\n", &head));
		pair_turns(p, 2);
		assert_true(mux_is_quiet(p->up));
		assert_false(mux_is_finished(p->up));
		wakes = p->up_owner.wakes;
		if (way == 0)
			raw_send(p, "H");
		else if (way == 1)
			raw_end(p);
		else
			raw_reset(p);
		pair_turns(p, 3);
		assert_false(mux_is_quiet(p->up));
		assert_true(p->up_owner.wakes > wakes);
		mux_destroy(p->up);
		p->up = NULL;
		raw_close(p);
	}
}

/* Then the read that took its end was not short, which says nothing about what
 * follows. */
static void an_answer_that_fills_its_buffer_leaves_the_connection(void **state)
{
	static const char start[] = "HTTP/1.1 200 OK\r\nContent-Length: 16300\r\nX-Pad: ";
	struct mux_pair *p = *state;
	char text[BUF_SIZE + 1];
	struct http_head head;
	struct stream *up;

	memset(text, 'x', BUF_SIZE);
	memcpy(text, start, sizeof(start) - 1);
	memcpy(text + BUF_SIZE - 16304, "\r\n\r\n", 4);
	text[BUF_SIZE] = '\0';
	pair_open_backend(p);
	up = ask(p, "GET", text, &head);
	pair_expect_body(p, up, text + BUF_SIZE - 16300);
	stream_close(up);
	assert_true(mux_is_quiet(p->up));
}

/* Bytes behind the answer belong to nobody: the connection is not kept. */
static void an_answer_with_bytes_behind_it_ends_the_connection(void **state)
{
	struct mux_pair *p = *state;
	struct http_head head;

	pair_open_backend(p);
	stream_close(ask(p, "GET", "HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200", &head));
	assert_true(mux_is_finished(p->up));
	assert_int_equal(buf_pool_used(p->pool), 0);
}

static void a_client_that_half_closes_gets_its_answer(void **state)
{
	struct mux_pair *p = *state;
	struct http_head seen;
	struct stream *down;

	pair_open_client(p);
	raw_send(p, REQUEST);
	raw_end(p);
	down = pair_accept(p);
	assert_int_equal(pair_recv_head(p, down, &seen), IO_OK);
	pair_turns(p, 3);
	assert_false(stream_ready(down) & STREAM_FAILED);
	answer_and_close(p, down);
	raw_expect(p, EMPTY_OK);
	assert_null(mux_accept(p->down, &p->down_user.task));
	assert_true(mux_is_finished(p->down));
	mux_destroy(p->down);
	p->down = NULL;
	raw_expect_end(p);
}

static void head_body_and_end_leave_in_one_write(void **state)
{
	static const struct { enum http_body body; const char *text; } cases[] = {
		{ BODY_LENGTH,  "HTTP/1.1 200 Words\r\nContent-Length: 5\r\n\r\nhello" },
		{ BODY_CHUNKED, "HTTP/1.1 200 Words\r\nTransfer-Encoding: chunked\r\n\r\n"
				"5\r\nhello\r\n0\r\n\r\n" },
	};
	struct mux_pair *p = *state;
	struct http_head seen;
	size_t taken;

	pair_open_client(p);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_head response = pair_response(p, 200, cases[i].body, 5);
		struct stream *down;

		raw_send(p, REQUEST);
		down = pair_accept(p);
		assert_int_equal(pair_recv_head(p, down, &seen), IO_OK);
		pair_tap(p, 0, 0);
		assert_int_equal(stream_send_head(down, &response, false), IO_OK);
		assert_int_equal(p->down_tap.writes, 0);
		assert_int_equal(stream_send_body(down, STR("hello"), true, &taken), IO_OK);
		assert_int_equal(taken, 5);
		assert_int_equal(p->down_tap.writes, 1);
		assert_int_equal(stream_bytes_sent(down), strlen(cases[i].text));
		assert_true(stream_is_complete(down));
		stream_close(down);
		raw_expect(p, cases[i].text);
	}
}

static void a_client_of_http_1_0_is_answered_in_its_ways(void **state)
{
	static const struct { const char *request; enum http_body body; const char *answer; bool ends; }
	cases[] = {
		{ "GET / HTTP/1.0\r\n\r\n", BODY_LENGTH,
		  "HTTP/1.1 200 Words\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", true },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", BODY_LENGTH,
		  "HTTP/1.1 200 Words\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc", false },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", BODY_CHUNKED,
		  "HTTP/1.1 200 Words\r\nConnection: close\r\n\r\nabc", true },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", BODY_UNTIL_CLOSE,
		  "HTTP/1.1 200 Words\r\nConnection: close\r\n\r\nabc", true },
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", BODY_UNTIL_CLOSE,
		  "HTTP/1.1 200 Words\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", false },
	};
	struct mux_pair *p = *state;
	struct http_head seen;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_head response = pair_response(p, 200, cases[i].body, 3);
		struct stream *down;

		pair_open_client(p);
		raw_send(p, cases[i].request);
		down = pair_accept(p);
		assert_int_equal(pair_recv_head(p, down, &seen), IO_OK);
		pair_send_head(p, down, &response, false);
		pair_flow(p, &(struct flow){ .from = down, .body = STR("abc") }, 1);
		stream_close(down);
		raw_expect(p, cases[i].answer);
		assert_int_equal(mux_is_finished(p->down), cases[i].ends);
		mux_destroy(p->down);
		p->down = NULL;
		raw_expect_end(p);
		raw_close(p);
	}
}

static void a_drained_connection_says_close_and_ends(void **state)
{
	struct mux_pair *p = *state;
	struct http_head seen;
	struct stream *down;

	pair_open_client(p);
	raw_send(p, REQUEST REQUEST);
	down = pair_accept(p);
	assert_int_equal(pair_recv_head(p, down, &seen), IO_OK);
	mux_drain(p->down);
	answer_and_close(p, down);
	raw_expect(p, "HTTP/1.1 200 Words\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	assert_true(mux_is_finished(p->down));
	assert_null(mux_accept(p->down, &p->down_user.task));
	assert_true(mux_must_linger(p->down));
}

static void a_drained_upstream_connection_has_no_room(void **state)
{
	struct mux_pair *p = *state;
	struct http_head head;
	struct stream *up;

	pair_open_backend(p);
	up = ask(p, "GET", "HTTP/1.1 204 No\r\n\r\n", &head);
	mux_drain(p->up);
	stream_close(up);
	assert_int_equal(mux_room(p->up), 0);
	assert_false(mux_is_quiet(p->up));
	assert_null(mux_open(p->up, &p->up_user.task));
}

static void an_upgraded_stream_carries_opaque_bytes_both_ways(void **state)
{
	struct mux_pair *p = *state;
	struct http_head request = pair_request(p, "GET", BODY_NONE, 0), seen;
	struct http_head response = pair_response(p, 101, BODY_NONE, 0), answer;
	struct str bytes = pair_bytes(p, 300000), got;
	struct stream *up, *down;
	bool is_last;

	pair_open(p);
	up = pair_stream(p);
	pair_send_head(p, up, &request, true);
	down = pair_accept(p);
	assert_int_equal(pair_recv_head(p, down, &seen), IO_OK);
	pair_send_head(p, down, &response, true);
	assert_int_equal(pair_recv_head(p, up, &answer), IO_OK);
	assert_int_equal(answer.status, 101);
	stream_upgrade(up);
	stream_upgrade(down);
	for (size_t sent = 0; sent < bytes.len; sent += 30000) {
		struct str part = str_sub(bytes, sent, 30000);
		struct stream *from = sent % 60000 ? up : down, *to = from == up ? down : up;
		size_t taken, got_len = 0;

		assert_int_equal(stream_send_body(from, part, false, &taken), IO_OK);
		while (got_len < part.len) {
			enum io io = stream_peek_body(to, &got, &is_last);

			assert_true(io == IO_OK || io == IO_AGAIN);
			assert_false(is_last);
			if (io == IO_AGAIN) {
				pair_turn(p);
				continue;
			}
			assert_memory_equal(got.p, part.p + got_len, got.len);
			got_len += got.len;
			stream_consume_body(to, got.len);
		}
	}
	stream_shutdown(up);
	while (stream_peek_body(down, &got, &is_last) == IO_AGAIN)
		pair_turn(p);
	assert_int_equal(stream_peek_body(down, &got, &is_last), IO_EOF);
	pair_flow(p, &(struct flow){ .from = down, .body = STR("last words") }, 1);
	stream_close(down);
	mux_destroy(p->down);
	p->down = NULL;
	pair_expect_body(p, up, "last words");
	stream_close(up);
	assert_true(mux_is_finished(p->up));
}

/* The whole heap cost of an idle connection: its mux. */
static void an_idle_connection_is_small_and_holds_no_buffer(void **state)
{
	struct mux_pair *p = *state;

	pair_open(p);
	exchange(p, BODY_LENGTH, BODY_CHUNKED, MIB, 0);
	pair_turns(p, 2);
	assert_null(mux_accept(p->down, &p->down_user.task));
	assert_int_equal(buf_pool_used(p->pool), 0);
	print_message("an idle connection: %zu bytes of heap\n", malloc_usable_size(p->up));
	assert_true(malloc_usable_size(p->up) <= 256 && malloc_usable_size(p->down) <= 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_A_PAIR(every_framing_passes_and_the_connection_is_used_again),
		ON_A_PAIR(every_framing_passes_byte_by_byte),
		ON_A_PAIR(every_framing_passes_however_writes_are_split),
		ON_A_PAIR(a_mebibyte_passes_both_ways_through_small_sockets),
		ON_A_PAIR(a_receiver_that_does_not_read_stops_the_sender),
		ON_A_PAIR(both_bodies_flow_at_once),
		ON_A_PAIR(a_chunk_that_was_cut_goes_on_although_more_is_offered_now),
		ON_A_PAIR(many_tiny_chunks_become_one_portion),
		ON_A_PAIR(trailers_are_passed),
		ON_A_PAIR(trailers_that_nobody_asks_for_are_skipped),
		ON_A_PAIR(pipelined_requests_are_answered_in_order),
		ON_A_PAIR(a_request_may_arrive_in_any_pieces),
		ON_A_PAIR(responses_without_a_body_leave_the_connection),
		ON_A_PAIR(a_body_until_close_ends_with_the_connection),
		ON_A_PAIR(interim_heads_come_before_the_final_one),
		ON_A_PAIR(an_interim_head_leaves_at_once_and_without_framing),
		ON_A_PAIR(quiet_ends_when_an_idle_peer_speaks_or_leaves),
		ON_A_PAIR(an_answer_that_fills_its_buffer_leaves_the_connection),
		ON_A_PAIR(an_answer_with_bytes_behind_it_ends_the_connection),
		ON_A_PAIR(a_client_that_half_closes_gets_its_answer),
		ON_A_PAIR(head_body_and_end_leave_in_one_write),
		ON_A_PAIR(a_client_of_http_1_0_is_answered_in_its_ways),
		ON_A_PAIR(a_drained_connection_says_close_and_ends),
		ON_A_PAIR(a_drained_upstream_connection_has_no_room),
		ON_A_PAIR(an_upgraded_stream_carries_opaque_bytes_both_ways),
		ON_A_PAIR(an_idle_connection_is_small_and_holds_no_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
