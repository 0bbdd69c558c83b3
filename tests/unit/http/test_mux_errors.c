/*
 * tests/unit/http/test_mux_errors.c - the HTTP/1 mux when a peer misbehaves,
 * goes away, or memory is short: which failure it is, and that nothing is left.
 */
#include "../fixture/http_mux_pair.h"

#include <stdio.h>

#define REQUEST "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define CHUNKED_REQUEST "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_ANSWER "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static void end_downstream(struct mux_pair *p)
{
	mux_destroy(p->down);
	p->down = NULL;
	raw_close(p);
	loop_turn(p->loop, 0);
	assert_int_equal(buf_pool_used(p->pool), 0);
}

static void end_upstream(struct mux_pair *p)
{
	mux_destroy(p->up);
	p->up = NULL;
	raw_close(p);
	loop_turn(p->loop, 0);
	assert_int_equal(buf_pool_used(p->pool), 0);
}

/* A fresh client that sent these bytes; its request, accepted and read. */
static struct stream *request_of(struct mux_pair *p, const char *text)
{
	struct http_head head;
	struct stream *down;

	pair_open_client(p);
	raw_send(p, text);
	down = pair_accept(p);
	assert_int_equal(pair_recv_head(p, down, &head), IO_OK);
	return down;
}

/* A request without body on its way to the backend. */
static struct stream *ask(struct mux_pair *p)
{
	struct http_head request = pair_request(p, "GET", BODY_NONE, 0);
	struct stream *up = pair_stream(p);

	pair_send_head(p, up, &request, true);
	raw_expect(p, "GET /path?query HTTP/1.1\r\nHost: a.example\r\nX-Test: yes\r\n\r\n");
	return up;
}

static void assert_detail(const struct stream *stream, const char *expected)
{
	if (strcmp(stream->detail ? stream->detail : "", expected))
		fail_msg("detail \"%s\", expected \"%s\"", stream->detail, expected);
}

/* The connection reads on byte by byte, and must come to the same result. */
static void refused(struct mux_pair *p, const char *text, unsigned status, const char *words,
		    bool slowly)
{
	struct http_head head, answer = pair_response(p, status, BODY_NONE, 0);
	struct stream *down;

	pair_open_client(p);
	pair_tap(p, 0, slowly ? 1 : 0);
	raw_send(p, text);
	down = pair_accept(p);
	assert_int_equal(pair_recv_head(p, down, &head), IO_ERROR);
	assert_int_equal(stream_failure(down), FAIL_BAD_REQUEST);
	if (down->status != status)
		fail_msg("status %u, expected %u", down->status, status);
	assert_detail(down, words);
	pair_send_head(p, down, &answer, true);
	raw_expect(p, "HTTP/1.1 ");
	stream_close(down);
	assert_true(mux_is_finished(p->down));
	end_downstream(p);
}

static void a_malformed_request_gets_a_status_words_and_an_answer(void **state)
{
	static const struct { const char *text; unsigned status; const char *words; } cases[] = {
		{ "GET / HTTP/1.1\r\n\r\n", 400, "missing required Host header" },
		{ "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "malformed Host header" },
		{ "GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n", 400, "invalid header name" },
		{ "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, "unsupported protocol version" },
		{ "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: br\r\n\r\n", 501,
		  "Unsupported transfer encoding" },
		{ "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "" },
		{ "nonsense\r\n\r\n", 400, "" },
	};
	struct mux_pair *p = *state;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++)
		refused(p, cases[i / 2].text, cases[i / 2].status, cases[i / 2].words, i % 2);
}

static void a_head_over_a_limit_is_refused_with_431(void **state)
{
	static const struct mux_settings limits[] = {
		{ .head_limit = 60, .line_limit = 1000 },
		{ .head_limit = 1000, .line_limit = 40 },
		{ .head_limit = 1000, .line_limit = 1000, .field_limit = 2 },
	};
	static const char *const texts[] = {
		"GET /0123456789012345678901234567890123456789 HTTP/1.1\r\n"
		"Host: a\r\nX: 1\r\nY: 2\r\nZ: 3\r\n\r\n",
		"GET /0123456789012345678901234567890123456789 HTTP/1.1\r\nHost: a\r\nX: 1",
	};
	struct mux_pair *p = *state;

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		p->settings = limits[i];
		refused(p, texts[0], 431, "", false);
		refused(p, texts[0], 431, "", true);
	}
	p->settings = limits[0];
	refused(p, texts[1], 431, "", true);          /* it need not be complete */
}

static void a_head_at_its_limits_passes(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n";
	struct mux_pair *p = *state;

	p->settings = (struct mux_settings){
		.head_limit = sizeof(text) - 1, .line_limit = sizeof("GET / HTTP/1.1\r\n") - 1,
		.field_limit = 1,
	};
	request_of(p, text);
}

static void an_answer_over_a_limit_is_a_failure_of_its_own(void **state)
{
	struct mux_pair *p = *state;
	struct http_head head;
	struct stream *up;

	p->settings.head_limit = 100;
	pair_open_backend(p);
	up = ask(p);
	raw_send(p, "HTTP/1.1 200 OK\r\nX-Long: 01234567890123456789012345678901234567890123456789"
		    "01234567890123456789012345678901234567890123456789\r\n\r\n");
	assert_int_equal(pair_recv_head(p, up, &head), IO_ERROR);
	assert_int_equal(stream_failure(up), FAIL_RESPONSE_TOO_LARGE);
}

static void a_malformed_answer_says_what_was_wrong(void **state)
{
	static const struct { const char *text, *words; } cases[] = {
		{ "SSH-2.0-x\r\n\r\n", "malformed HTTP response \"SSH-2.0-x\"" },
		{ "HTTP/1.1 20 OK\r\n\r\n", "malformed HTTP status code \"20\"" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "bad Content-Length \"x\"" },
	};
	struct mux_pair *p = *state;
	struct http_head head;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct stream *up;

		pair_open_backend(p);
		up = ask(p);
		raw_send_slowly(p, cases[i].text);
		assert_int_equal(pair_recv_head(p, up, &head), IO_ERROR);
		assert_int_equal(stream_failure(up), FAIL_BAD_RESPONSE);
		assert_detail(up, cases[i].words);
		end_upstream(p);
	}
}

static void broken_chunks_fail_with_words_after_what_came_before(void **state)
{
	static const struct { const char *body, *good, *words; } cases[] = {
		{ "zz\r\n", "", "invalid byte in chunk length" },
		{ "3\r\nabcX\r\n", "abc", "malformed chunked encoding" },
		{ "3\r\nabc\r\n2\nde\r\n", "abc", "malformed chunked encoding" },
		{ "3\r\nabc\r\n\r\n", "abc", "empty hex number for chunk length" },
		{ "2\r\nab\r\n11111111111111111\r\n", "ab", "http chunk length too large" },
		{ "1\r\na\r\n0\r\nbad trailer\r\n\r\n", "a", "malformed trailer" },
	};
	struct mux_pair *p = *state;
	struct http_head head;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		bool is_trailer = i / 2 == ARRAY_SIZE(cases) - 1;
		struct stream *stream = NULL;

		if (i % 2) {
			stream = request_of(p, CHUNKED_REQUEST);
		} else {
			pair_open_backend(p);
			stream = ask(p);
			raw_send(p, CHUNKED_ANSWER);
			assert_int_equal(pair_recv_head(p, stream, &head), IO_OK);
		}
		raw_send(p, cases[i / 2].body);
		if (is_trailer) {
			pair_expect_body(p, stream, cases[i / 2].good);
			http_head_init(&head, &p->arena);
			assert_int_equal(stream_recv_trailers(stream, &head), IO_ERROR);
			assert_int_equal(stream_failure(stream), i % 2 ? FAIL_BAD_REQUEST_BODY : FAIL_BAD_BODY);
		} else {
			pair_expect_failure(p, stream, cases[i / 2].good,
					    i % 2 ? FAIL_BAD_REQUEST_BODY : FAIL_BAD_BODY);
		}
		assert_detail(stream, cases[i / 2].words);
		stream_close(stream);
		if (i % 2)
			end_downstream(p);
		else
			end_upstream(p);
	}
}

static void a_trailer_section_that_is_too_long_is_refused_however_it_arrives(void **state)
{
	struct mux_pair *p = *state;
	char text[6000] = "0\r\nX: ";

	memset(text + strlen(text), 'x', 5000);
	strcat(text, "\r\n\r\n");
	for (int in_parts = 0; in_parts < 2; in_parts++) {
		struct stream *down = request_of(p, CHUNKED_REQUEST);

		if (in_parts) {
			char part[4601];

			snprintf(part, sizeof(part), "%s", text);
			raw_send(p, part);
			pair_turns(p, 3);
		} else {
			raw_send(p, text);
		}
		pair_expect_failure(p, down, "", FAIL_BAD_REQUEST_BODY);
		assert_detail(down, "http: suspiciously long trailer after chunked body");
		end_downstream(p);
	}
}

/* Readers differ about where such a section ends. */
static void a_bare_line_feed_ends_no_trailer(void **state)
{
	static const char *const bodies[] = {
		"0\r\n\n" REQUEST, "0\r\nX: 1\n\r\n", "0\r\nX: 1\r\n\n", "0\r\nX: 1\nY: 2\r\n\r\n",
	};
	struct mux_pair *p = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		struct stream *down = request_of(p, CHUNKED_REQUEST);

		raw_send(p, bodies[i]);
		pair_expect_failure(p, down, "", FAIL_BAD_REQUEST_BODY);
		assert_detail(down, "malformed trailer");
		end_downstream(p);
	}
}

static void a_post_may_be_followed_by_four_bytes_of_line_ends(void **state)
{
	static const struct { const char *method, *between; bool is_good; } cases[] = {
		{ "POST", "\r\n", true },
		{ "POST", "\r\n\r\n", true },
		{ "POST", "\n\n\r\n", true },
		{ "POST", "\r\n\r\n\n", false },
		{ "POST", "\r\n\r\n\r\n", false },
		{ "PUT", "\r\n", false },
	};
	struct mux_pair *p = *state;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		struct http_head head, answer = pair_response(p, 200, BODY_LENGTH, 0);
		struct stream *down;
		char text[200];

		snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: a\r\n\r\n", cases[i / 2].method);
		down = request_of(p, text);
		pair_send_head(p, down, &answer, true);
		stream_close(down);
		pair_tap(p, 0, i % 2);
		raw_send(p, cases[i / 2].between);
		if (cases[i / 2].is_good) {
			pair_turns(p, 2);
			assert_null(mux_accept(p->down, &p->down_user.task));
			assert_false(mux_has_partial_head(p->down));
		}
		raw_send(p, REQUEST);
		down = pair_accept(p);
		assert_int_equal(pair_recv_head(p, down, &head),
				 cases[i / 2].is_good ? IO_OK : IO_ERROR);
		assert_int_equal(down->status, cases[i / 2].is_good ? 0 : 400);
		end_downstream(p);
	}
}

static void a_client_that_leaves_in_its_body_is_gone(void **state)
{
	static const char *const requests[] = {
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc",
		CHUNKED_REQUEST "3\r\nabc",
		CHUNKED_REQUEST "3\r\nabc\r\n0\r\n",
		CHUNKED_REQUEST "5\r\nabc",
	};
	struct mux_pair *p = *state;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(requests); i++) {
		struct stream *down = request_of(p, requests[i / 2]);

		pair_turns(p, 2);
		if (i % 2)
			raw_reset(p);
		else
			raw_end(p);
		pair_expect_failure(p, down, "abc", FAIL_CLIENT_GONE);
		end_downstream(p);
	}
}

static void a_reset_by_the_client_is_noticed_at_once_and_when_writing(void **state)
{
	struct mux_pair *p = *state;
	struct http_head response = pair_response(p, 200, BODY_LENGTH, 5);
	struct stream *down = request_of(p, REQUEST);
	unsigned wakes = p->down_user.wakes;
	size_t taken;

	raw_reset(p);
	pair_turns(p, 2);
	assert_true(p->down_user.wakes > wakes);
	assert_true(stream_ready(down) & STREAM_FAILED);
	assert_int_equal(stream_send_head(down, &response, false), IO_OK);
	assert_int_equal(stream_send_body(down, STR("hello"), true, &taken), IO_ERROR);
	assert_int_equal(stream_failure(down), FAIL_CLIENT_GONE);
	assert_false(stream_is_complete(down));
	stream_close(down);
	assert_true(mux_is_finished(p->down));
	assert_false(mux_must_linger(p->down));
}

static void a_client_that_leaves_without_a_request_finishes_its_connection(void **state)
{
	static const char *const starts[] = { "", "GET / HT" };
	struct mux_pair *p = *state;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(starts); i++) {
		pair_open_client(p);
		raw_send(p, starts[i / 2]);
		pair_turns(p, 2);
		assert_null(mux_accept(p->down, &p->down_user.task));
		assert_false(mux_is_finished(p->down));
		if (i % 2)
			raw_reset(p);
		else
			raw_end(p);
		pair_turns(p, 2);
		assert_null(mux_accept(p->down, &p->down_user.task));
		assert_true(mux_is_finished(p->down));
		end_downstream(p);
	}
}

static void an_answer_can_be_read_although_the_upload_failed(void **state)
{
	struct mux_pair *p = *state;
	struct http_head request = pair_request(p, "PUT", BODY_CHUNKED, 0), head;
	struct str body = pair_bytes(p, 1 << 20);
	struct stream *up;
	enum io io = IO_OK;
	size_t taken;

	pair_open_backend(p);
	up = pair_stream(p);
	pair_send_head(p, up, &request, false);
	pair_flush(p, up);
	pair_turns(p, 2);
	raw_send(p, "HTTP/1.1 413 No\r\nContent-Length: 4\r\n\r\nlong");
	raw_close(p);                 /* with the request unread: that resets */
	for (int i = 0; i < 1000 && io != IO_ERROR; i++) {
		io = stream_send_body(up, body, false, &taken);
		pair_turn(p);
	}
	assert_int_equal(io, IO_ERROR);
	assert_int_equal(stream_failure(up), FAIL_NONE);
	assert_int_equal(pair_recv_head(p, up, &head), IO_OK);
	assert_int_equal(head.status, 413);
	pair_expect_body(p, up, "long");
	assert_false(stream_is_complete(up));
	stream_close(up);
	assert_true(mux_is_finished(p->up));
}

static void an_answer_that_is_cut_says_where(void **state)
{
	static const struct { const char *text, *good; enum failure failure; } cases[] = {
		{ "H", NULL, FAIL_TRUNCATED_HEAD },
		{ "HTTP/1.1 200 OK\r\nX: y\r\n", NULL, FAIL_TRUNCATED_HEAD },
		{ "HTTP/1.1 100 Continue\r\n\r\n", NULL, FAIL_TRUNCATED_HEAD },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "", FAIL_TRUNCATED_BODY },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "abc", FAIL_TRUNCATED_BODY },
		{ CHUNKED_ANSWER, "", FAIL_TRUNCATED_BODY },
		{ CHUNKED_ANSWER "3\r\nab", "ab", FAIL_TRUNCATED_BODY },
		{ CHUNKED_ANSWER "3\r\nabc\r\n0", "abc", FAIL_TRUNCATED_BODY },
		{ CHUNKED_ANSWER "3\r\nabc\r\n0\r\nX: y\r\n", "abc", FAIL_TRUNCATED_BODY },
	};
	struct mux_pair *p = *state;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		struct http_head head = { 0 };
		struct stream *up;
		enum io io;

		pair_open_backend(p);
		up = ask(p);
		raw_send(p, cases[i / 2].text);
		pair_turns(p, 2);
		if (i % 2)
			raw_reset(p);
		else
			raw_close(p);
		do
			io = pair_recv_head(p, up, &head);
		while (io == IO_OK && head.status == 100);
		assert_int_equal(io, cases[i / 2].good ? IO_OK : IO_ERROR);
		if (cases[i / 2].good)
			pair_expect_failure(p, up, cases[i / 2].good, cases[i / 2].failure);
		assert_int_equal(stream_failure(up), cases[i / 2].failure);
		stream_close(up);
		assert_true(mux_is_finished(p->up));
		end_upstream(p);
	}
}

static void a_body_until_close_that_is_reset_is_truncated(void **state)
{
	struct mux_pair *p = *state;
	struct http_head head;
	struct stream *up;

	pair_open_backend(p);
	up = ask(p);
	raw_send(p, "HTTP/1.0 200 OK\r\n\r\nabc");
	assert_int_equal(pair_recv_head(p, up, &head), IO_OK);
	raw_reset(p);
	pair_expect_failure(p, up, "abc", FAIL_TRUNCATED_BODY);
}

static void a_connection_that_ends_before_any_byte_was_stale_or_fresh(void **state)
{
	static const struct { bool is_reused, resets; enum failure failure; } cases[] = {
		{ true,  false, FAIL_STALE },
		{ true,  true,  FAIL_STALE },
		{ false, false, FAIL_EOF_BEFORE_HEAD },
		{ false, true,  FAIL_RESET_BEFORE_HEAD },
	};
	struct mux_pair *p = *state;
	struct http_head head;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct stream *up;

		pair_open_backend(p);
		if (cases[i].is_reused) {
			up = ask(p);
			raw_send(p, "HTTP/1.1 204 No\r\n\r\n");
			assert_int_equal(pair_recv_head(p, up, &head), IO_OK);
			stream_close(up);
		}
		up = ask(p);
		if (cases[i].resets)
			raw_reset(p);
		else
			raw_close(p);
		assert_int_equal(pair_recv_head(p, up, &head), IO_ERROR);
		assert_int_equal(stream_failure(up), cases[i].failure);
		assert_int_equal(stream_bytes_received(up), 0);
		assert_true(stream_bytes_sent(up) > 0);
		end_upstream(p);
	}
}

static void a_reset_before_the_whole_request_is_one_under_our_writing(void **state)
{
	struct mux_pair *p = *state;
	struct http_head request = pair_request(p, "POST", BODY_LENGTH, 10), head;
	struct stream *up;
	size_t taken;

	pair_open_backend(p);
	up = pair_stream(p);
	pair_send_head(p, up, &request, false);
	assert_int_equal(stream_send_body(up, STR("half "), false, &taken), IO_OK);
	raw_reset(p);
	assert_int_equal(pair_recv_head(p, up, &head), IO_ERROR);
	assert_int_equal(stream_failure(up), FAIL_WRITE);
	end_upstream(p);
}

/* Takes all that is left of the pool. */
static struct buf *exhaust(struct mux_pair *p)
{
	struct buf *hog = buf_acquire(p->pool, (8u << 20) - buf_pool_used(p->pool));

	assert_non_null(hog);
	return hog;
}

static void without_buffers_an_answer_fails_as_overload(void **state)
{
	struct mux_pair *p = *state;
	struct http_head request = pair_request(p, "GET", BODY_NONE, 0), head;
	struct stream *up;
	struct buf *hog;

	pair_open_backend(p);
	up = ask(p);
	hog = exhaust(p);
	raw_send(p, "HTTP/1.1 200 OK\r\n\r\n");
	assert_int_equal(pair_recv_head(p, up, &head), IO_ERROR);
	assert_int_equal(stream_failure(up), FAIL_OVERLOAD);
	stream_close(up);
	assert_true(mux_is_finished(p->up));
	buf_release(p->pool, hog);
	end_upstream(p);

	pair_open_backend(p);
	up = pair_stream(p);
	hog = exhaust(p);
	assert_int_equal(stream_send_head(up, &request, true), IO_ERROR);
	assert_int_equal(stream_failure(up), FAIL_OVERLOAD);
	buf_release(p->pool, hog);
	end_upstream(p);
}

/* Its request cannot be read, but answered: there is a reserve for that. */
static void without_buffers_for_its_head_a_client_is_told_so_and_let_go(void **state)
{
	static const char *const before[] = { "", "GET /" };
	struct mux_pair *p = *state;
	char part[4096];

	memset(part, 'x', sizeof(part));
	part[sizeof(part) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(before); i++) {
		struct http_head head, response = pair_response(p, 503, BODY_NONE, 0);
		struct stream *down;
		struct buf *hog;

		pair_open_client(p);
		raw_send(p, before[i]);
		pair_turns(p, 2);
		assert_null(mux_accept(p->down, &p->down_user.task));
		hog = exhaust(p);
		do {
			raw_send(p, part);
			pair_turns(p, 2);
			down = mux_accept(p->down, &p->down_user.task);
			assert_true(down || (before[i][0] && !mux_is_finished(p->down)));
		} while (!down);
		assert_int_equal(pair_recv_head(p, down, &head), IO_ERROR);
		assert_int_equal(stream_failure(down), FAIL_OVERLOAD);
		assert_int_equal(down->status, 503);
		pair_send_head(p, down, &response, true);
		raw_expect(p, "HTTP/1.1 503 ");
		assert_false(stream_keeps_connection(down));
		buf_release(p->pool, hog);
		end_downstream(p);
	}
}

/* Small heads for clients have a reserve of their own, which ends too. */
static void without_buffers_a_client_is_still_told_why(void **state)
{
	struct mux_pair *p = *state;
	struct http_head response = pair_response(p, 503, BODY_NONE, 0);
	struct stream *down = request_of(p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	struct buf *hog = exhaust(p), *reserve[64];
	unsigned count = 0;

	while ((reserve[count] = buf_acquire_reserve(p->pool)) != NULL)
		assert_true(++count < ARRAY_SIZE(reserve));
	assert_true(count > 0);
	buf_release(p->pool, reserve[--count]);
	pair_send_head(p, down, &response, true);
	raw_expect(p, "HTTP/1.1 503 ");
	while (count)
		buf_release(p->pool, reserve[--count]);
	buf_release(p->pool, hog);
	end_downstream(p);
}

static void without_buffers_a_body_fails_as_overload_both_ways(void **state)
{
	struct mux_pair *p = *state;
	struct http_head response = pair_response(p, 200, BODY_CHUNKED, 0);
	struct stream *down = request_of(p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
	struct buf *hog;
	size_t taken;

	pair_send_head(p, down, &response, false);
	pair_flush(p, down);
	hog = exhaust(p);
	pair_tap(p, 1, 0);            /* the rest of the chunk line has to be kept */
	assert_int_equal(stream_send_body(down, STR("0123456789abcdef"), false, &taken), IO_ERROR);
	assert_int_equal(stream_failure(down), FAIL_OVERLOAD);
	buf_release(p->pool, hog);
	end_downstream(p);

	down = request_of(p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
	hog = exhaust(p);
	raw_send(p, "hello");
	pair_turns(p, 2);
	pair_expect_failure(p, down, "", FAIL_OVERLOAD);
	buf_release(p->pool, hog);
}

/* An owner may be absent for the moment between two tasks. */
static void an_event_without_an_owner_wakes_nobody(void **state)
{
	struct mux_pair *p = *state;
	struct http_head head;
	struct stream *up;

	pair_open_backend(p);
	up = ask(p);
	mux_set_owner(p->up, NULL);
	raw_send(p, "HTTP/1.1 204 No\r\n\r\n");
	assert_int_equal(pair_recv_head(p, up, &head), IO_OK);
	stream_close(up);
	raw_close(p);
	pair_turns(p, 2);
	assert_false(mux_is_quiet(p->up));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_A_PAIR(a_malformed_request_gets_a_status_words_and_an_answer),
		ON_A_PAIR(a_head_over_a_limit_is_refused_with_431),
		ON_A_PAIR(a_head_at_its_limits_passes),
		ON_A_PAIR(an_answer_over_a_limit_is_a_failure_of_its_own),
		ON_A_PAIR(a_malformed_answer_says_what_was_wrong),
		ON_A_PAIR(broken_chunks_fail_with_words_after_what_came_before),
		ON_A_PAIR(a_trailer_section_that_is_too_long_is_refused_however_it_arrives),
		ON_A_PAIR(a_bare_line_feed_ends_no_trailer),
		ON_A_PAIR(a_post_may_be_followed_by_four_bytes_of_line_ends),
		ON_A_PAIR(a_client_that_leaves_in_its_body_is_gone),
		ON_A_PAIR(a_reset_by_the_client_is_noticed_at_once_and_when_writing),
		ON_A_PAIR(a_client_that_leaves_without_a_request_finishes_its_connection),
		ON_A_PAIR(an_answer_can_be_read_although_the_upload_failed),
		ON_A_PAIR(an_answer_that_is_cut_says_where),
		ON_A_PAIR(a_body_until_close_that_is_reset_is_truncated),
		ON_A_PAIR(a_connection_that_ends_before_any_byte_was_stale_or_fresh),
		ON_A_PAIR(a_reset_before_the_whole_request_is_one_under_our_writing),
		ON_A_PAIR(without_buffers_a_client_is_still_told_why),
		ON_A_PAIR(without_buffers_an_answer_fails_as_overload),
		ON_A_PAIR(without_buffers_for_its_head_a_client_is_told_so_and_let_go),
		ON_A_PAIR(without_buffers_a_body_fails_as_overload_both_ways),
		ON_A_PAIR(an_event_without_an_owner_wakes_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
