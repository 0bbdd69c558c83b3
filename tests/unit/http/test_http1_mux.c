/*
 * The HTTP/1 mux over a socket pair.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/mux.h"

static const struct mux_settings settings = { 8192, 16384, 100 };

static void no_work(struct task *task)
{
	(void)task;
}

static void a_chunked_request_sent_byte_by_byte_is_answered(void **state)
{
	static const char request[] = "POST /a HTTP/1.1\r\nHost: h\r\n"
				      "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
	struct loop *loop = loop_create();
	struct buf_pool *pool = buf_pool_create(1 << 20);
	struct task task;
	struct arena arena;
	struct http_head head = { 0 };
	struct stream *stream = NULL;
	struct mux *mux;
	struct str bytes;
	char body[8], answer[256];
	size_t got = 0, taken;
	int fd[2];

	(void)state;
	task_init(&task, no_work);
	arena_init(&arena, NULL, 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	mux = mux_create_downstream(loop, pool, fd[0], &task, &settings);
	for (size_t i = 0; i < sizeof(request) - 1; i++) {
		assert_int_equal(write(fd[1], request + i, 1), 1);
		loop_turn(loop, 0);
		if (!stream && (stream = mux_accept(mux, &task)))
			assert_int_equal(stream_recv_head(stream, &arena, &head), IO_OK);
		while (stream && stream_peek_body(stream, &bytes) == IO_OK) {
			memcpy(body + got, bytes.p, bytes.len);
			got += bytes.len;
			stream_consume_body(stream, bytes.len);
		}
	}
	assert_int_equal(stream_peek_body(stream, &bytes), IO_EOF);
	assert_true(str_equal((struct str){ body, got }, STR("hi")));
	assert_true(str_equal(head.authority, STR("h")));
	head.status = 200;
	head.reason = STR("OK");
	head.body = BODY_LENGTH;
	head.content_length = 2;
	assert_int_equal(stream_send_head(stream, &head, false), IO_OK);
	assert_int_equal(stream_send_body(stream, STR("ok"), true, &taken), IO_OK);
	got = (size_t)read(fd[1], answer, sizeof(answer));
	assert_true(str_equal((struct str){ answer, got },
			      STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")));
	stream_close(stream);
	assert_false(mux_is_finished(mux));
	assert_int_equal(buf_pool_used(pool), 0);
	mux_destroy(mux);
	task_fini(loop, &task);
	loop_destroy(loop);
	buf_pool_destroy(pool);
	arena_fini(&arena);
	close(fd[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chunked_request_sent_byte_by_byte_is_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
