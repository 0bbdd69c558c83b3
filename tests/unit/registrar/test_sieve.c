/*
 * tests/unit/registrar/test_sieve.c - registrations are taken out of what a server sends,
 * every other byte is left as it was, and neither depends on where the stream is cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "registrar/sieve.h"

#define STREAM_MOST (512u << 10)

/* What became of a stream: what was taken, one a line, and what was passed on. */
struct outcome {
	char taken[STREAM_MOST], passed[STREAM_MOST];
	size_t taken_len, passed_len;
};

static void note(struct outcome *o, const struct sieve_piece *piece)
{
	char *into = piece->kind == SIEVE_TAKE ? o->taken : o->passed;
	size_t *len = piece->kind == SIEVE_TAKE ? &o->taken_len : &o->passed_len;

	assert_true(piece->kind != SIEVE_MORE);
	if (piece->kind == SIEVE_TAKE)
		into[(*len)++] = piece->subject == BUS_REGISTER ? '+' : '-';
	memcpy(into + *len, piece->bytes.p, piece->bytes.len);
	*len += piece->bytes.len;
	if (piece->kind == SIEVE_TAKE)
		into[(*len)++] = '\n';
}

/* It comes `step` bytes at a time; what is not taken at the end is returned. */
static size_t sift(struct sieve *sieve, struct str stream, size_t step, struct outcome *o)
{
	size_t done = 0, came = 0, n;
	struct sieve_piece piece;

	o->taken_len = o->passed_len = 0;
	while (came < stream.len) {
		came = came + step < stream.len ? came + step : stream.len;
		while (done < came &&
		       (n = sieve_next(sieve, str_sub(stream, done, came - done), &piece))) {
			note(o, &piece);
			done += n;
		}
		assert_true(came - done <= SIEVE_FRAME_MOST);
	}
	return stream.len - done;
}

static void expect(struct str stream, struct str taken, struct str passed)
{
	struct outcome *o = mem_alloc(sizeof(*o));
	const size_t whole = stream.len;

	for (size_t step = 1; step <= whole; step = step < 64 || step == whole ? step + 1 : whole) {
		struct sieve sieve;

		sieve_init(&sieve);
		sieve_follow(&sieve, 7);
		assert_int_equal(sift(&sieve, stream, step, o), 0);
		assert_int_equal(o->taken_len, taken.len);
		assert_memory_equal(o->taken, taken.p, taken.len);
		assert_int_equal(o->passed_len, passed.len);
		assert_memory_equal(o->passed, passed.p, passed.len);
	}
	free(o);
}

#define EXPECT(stream, taken, passed) expect(STR(stream), STR(taken), STR(passed))

static void registrations_of_our_subscription_are_taken(void **state)
{
	(void)state;
	EXPECT("MSG router.register 7 2\r\n{}\r\nMSG router.unregister 7 5\r\nhello\r\n"
	       "MSG router.register 7 0\r\n\r\n", "+{}\n-hello\n+\n", "");
}

static void everything_else_is_passed_on_as_it_is(void **state)
{
	static const char *const others[] = {
		"INFO {\"server_id\":\"x\"}\r\n", "PING\r\n", "ping\r\n", "PONG\r\n", "+OK\r\n",
		"-ERR 'Authorization Violation'\r\n", "-ERR 'what nobody knows'\r\n",
		"MSG router.register 8 2\r\n{}\r\n",          /* another subscription */
		"MSG router.register 77 2\r\n{}\r\n",
		"MSG router.registers 7 2\r\n{}\r\n",
		"MSG router.start 7 2\r\n{}\r\n",
		"MSG router.greet 2 _INBOX.a 0\r\n\r\n",
		"MSG router.register 7 reply.to 2\r\n{}\r\n",
		"HMSG router.register 7 12 14\r\nNATS/1.0\r\n\r\n{}\r\n",
		"msg router.register 7 2\r\n{}\r\n",          /* as no server writes it */
		"MSG\trouter.register 7\t2\r\n{}\r\n",
		"MSG router.register 7 2 \r\n{}\r\n", "MSG router.register  7 2\r\n{}\r\n",
		"MSG router.register 7 2\n{}\r\n", "MSG router.register 7 02x 2\r\n{}\r\n",
		"MSG a 1 8\r\nPING\r\n\r\n\r\n",              /* a payload that looks like frames */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		static const char before[] = "MSG router.register 7 1\r\na\r\n";
		static const char after[] = "MSG router.register 7 1\r\nb\r\n";
		char stream[512];

		snprintf(stream, sizeof(stream), "%s%s%s", before, others[i], after);
		expect(str_of(stream), STR("+a\n+b\n"), str_of(others[i]));
	}
}

static void a_payload_may_be_anything(void **state)
{
	(void)state;
	EXPECT("MSG router.register 7 28\r\nMSG router.register 7 1\r\nx\r\n\r\nPING\r\n",
	       "+MSG router.register 7 1\r\nx\r\n\n", "PING\r\n");
	EXPECT("MSG router.register 7 3\r\n\0\r\n\r\n", "+\0\r\n\n", "");
}

static void what_is_no_frame_is_left_to_the_library_with_all_that_follows(void **state)
{
	static const char *const broken[] = {
		"MSG router.register 7 x\r\n", "MSG router.register 7 -1\r\n", "MSG a 1 99999999999\r\n",
		"MSG \r\n", "HMSG\r\n", "MSG router.register 7 18446744073709551617\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		char stream[512];

		snprintf(stream, sizeof(stream), "%sMSG router.register 7 1\r\nb\r\n", broken[i]);
		expect(str_of(stream), STR(""), str_of(stream));
	}
	/* Complete, but its end is not where it should be: the library's to judge. */
	EXPECT("MSG router.register 7 2\r\n{}..PING\r\n", "", "MSG router.register 7 2\r\n{}..PING\r\n");
}

static void a_line_without_end_is_bounded(void **state)
{
	static char stream[300u << 10];
	struct outcome *o = mem_alloc(sizeof(*o));
	struct sieve sieve;

	(void)state;
	memset(stream, 'a', sizeof(stream));
	memcpy(stream, "MSG ", 4);
	sieve_init(&sieve);
	assert_int_equal(sift(&sieve, (struct str){ stream, sizeof(stream) }, 1000, o), 0);
	assert_int_equal(o->passed_len, sizeof(stream));
	memcpy(stream, "INFO", 4);    /* a long one of these is no fault */
	stream[sizeof(stream) - 1] = '\n';
	sieve_init(&sieve);
	assert_int_equal(sift(&sieve, (struct str){ stream, sizeof(stream) }, 1000, o), 0);
	assert_int_equal(o->passed_len, sizeof(stream));
	assert_false(sieve.is_lost || sieve.is_in_line);
	free(o);
}

static void a_large_registration_is_the_librarys(void **state)
{
	static const struct { size_t payload; bool is_taken; } cases[] = {
		{ SIEVE_FRAME_MOST - 33, true }, { SIEVE_FRAME_MOST - 30, false },
		{ SIEVE_FRAME_MOST + 5, false }, { 400u << 10, false },
	};
	struct outcome *o = mem_alloc(sizeof(*o));
	char *stream = mem_zalloc(STREAM_MOST);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = (size_t)sprintf(stream, "MSG router.register 7 %zu\r\n", cases[i].payload);
		struct sieve sieve;

		memset(stream + len, '.', cases[i].payload);
		len += cases[i].payload;
		len += (size_t)sprintf(stream + len, "\r\nPING\r\n");
		sieve_init(&sieve);
		sieve_follow(&sieve, 7);
		assert_int_equal(sift(&sieve, (struct str){ stream, len }, 5000, o), 0);
		assert_int_equal(o->taken_len, cases[i].is_taken ? cases[i].payload + 2 : 0);
		assert_int_equal(o->passed_len, cases[i].is_taken ? 6 : len);
	}
	free(stream);
	free(o);
}

static void nothing_is_taken_of_no_subscription(void **state)
{
	static const struct str stream = STR_INIT("MSG router.register 0 2\r\n{}\r\n");
	struct outcome *o = mem_alloc(sizeof(*o));
	struct sieve sieve;

	(void)state;
	sieve_init(&sieve);
	assert_int_equal(sift(&sieve, stream, stream.len, o), 0);
	assert_int_equal(o->taken_len, 0);
	sieve_follow(&sieve, 3);
	sieve_follow(&sieve, 0);
	assert_int_equal(sift(&sieve, stream, stream.len, o), 0);
	assert_int_equal(o->passed_len, stream.len);
	free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registrations_of_our_subscription_are_taken),
		cmocka_unit_test(everything_else_is_passed_on_as_it_is),
		cmocka_unit_test(a_payload_may_be_anything),
		cmocka_unit_test(what_is_no_frame_is_left_to_the_library_with_all_that_follows),
		cmocka_unit_test(a_line_without_end_is_bounded),
		cmocka_unit_test(a_large_registration_is_the_librarys),
		cmocka_unit_test(nothing_is_taken_of_no_subscription),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
