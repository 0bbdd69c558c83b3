/*
 * tests/unit/proxy/test_replay.c - the start of a request body, kept for another
 * attempt, and lost when it outgrows its bound.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/mem.h"
#include "proxy/replay.h"

/* Byte i of a body that is easy to tell apart. */
static char body_byte(size_t i)
{
	return (char)(i * 7 + i / 251);
}

/* The client's next n bytes pass. */
static void pass(struct replay *replay, size_t from, size_t n)
{
	char *bytes = mem_alloc(n + 1);

	for (size_t i = 0; i < n; i++)
		bytes[i] = body_byte(from + i);
	replay_record(replay, (struct str){ bytes, n });
	free(bytes);                          /* the record is a copy */
}

/* What another attempt begins with. */
static void assert_kept(struct replay *replay, size_t n)
{
	struct str kept;

	replay->sent = 0;
	kept = replay_unsent(replay);
	assert_int_equal(kept.len, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(kept.p[i], body_byte(i));
	replay->sent = replay->len;
}

static void what_passed_is_kept_in_order_however_it_was_cut(void **state)
{
	static const size_t pieces[] = { 1, 2, 100, 4095, 4096, 4097, 65536 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		struct replay replay;
		size_t total = 0;

		replay_init(&replay, 65536);
		while (total < 65536) {
			size_t n = pieces[i] < 65536 - total ? pieces[i] : 65536 - total;

			pass(&replay, total, n);
			total += n;
		}
		assert_false(replay.is_lost);
		assert_kept(&replay, 65536);
		replay_fini(&replay);
	}
}

/* These bytes are on their way in this attempt already. */
static void recorded_bytes_count_as_sent(void **state)
{
	struct replay replay;

	(void)state;
	replay_init(&replay, 100);
	assert_int_equal(replay_unsent(&replay).len, 0);
	pass(&replay, 0, 10);
	assert_int_equal(replay_unsent(&replay).len, 0);
	replay.sent = 0;                      /* another attempt */
	assert_int_equal(replay_unsent(&replay).len, 10);
	replay.sent = 4;
	assert_int_equal(replay_unsent(&replay).len, 6);
	assert_int_equal(replay_unsent(&replay).p[0], body_byte(4));
	replay.sent = 10;
	pass(&replay, 10, 5);                 /* and more from the client */
	assert_int_equal(replay_unsent(&replay).len, 0);
	assert_kept(&replay, 15);
	replay_fini(&replay);
}

static void a_body_over_the_bound_is_lost_by_its_first_byte_too_many(void **state)
{
	static const struct { size_t limit, first, then; bool is_lost; } cases[] = {
		{ 10,   10, 0,    false },
		{ 10,   10, 1,    true  },
		{ 10,   9,  1,    false },
		{ 10,   0,  11,   true  },
		{ 10,   5,  6,    true  },
		{ 5000, 0,  5000, false },
		{ 5000, 0,  5001, true  },
		{ 0,    0,  0,    false },    /* nothing passed: nothing is lost */
		{ 0,    0,  1,    true  },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct replay replay;

		replay_init(&replay, cases[i].limit);
		pass(&replay, 0, cases[i].first);
		assert_false(replay.is_lost);
		pass(&replay, cases[i].first, cases[i].then);
		assert_int_equal(replay.is_lost, cases[i].is_lost);
		assert_int_equal(replay.len, cases[i].is_lost ? 0 : cases[i].first + cases[i].then);
		replay_fini(&replay);
	}
}

/* A part of a body is worse than none. */
static void what_is_lost_stays_lost_and_holds_no_memory(void **state)
{
	struct replay replay;

	(void)state;
	replay_init(&replay, 10);
	pass(&replay, 0, 11);
	assert_null(replay.bytes);
	pass(&replay, 11, 1);                 /* would fit */
	assert_true(replay.is_lost);
	assert_null(replay.bytes);
	replay.sent = 0;
	assert_int_equal(replay_unsent(&replay).len, 0);
	replay_fini(&replay);
	assert_true(replay.is_lost);
}

static void memory_grows_with_the_body_and_not_with_the_bound(void **state)
{
	struct replay replay;

	(void)state;
	replay_init(&replay, 1u << 30);
	assert_null(replay.bytes);
	pass(&replay, 0, 0);
	assert_null(replay.bytes);
	pass(&replay, 0, 20000);
	assert_true(replay.room >= 20000 && replay.room <= 65536);
	replay_fini(&replay);
	assert_null(replay.bytes);
	assert_int_equal(replay.len, 0);
	replay_fini(&replay);                 /* twice does no harm */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_passed_is_kept_in_order_however_it_was_cut),
		cmocka_unit_test(recorded_bytes_count_as_sent),
		cmocka_unit_test(a_body_over_the_bound_is_lost_by_its_first_byte_too_many),
		cmocka_unit_test(what_is_lost_stays_lost_and_holds_no_memory),
		cmocka_unit_test(memory_grows_with_the_body_and_not_with_the_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
