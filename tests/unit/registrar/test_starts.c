/*
 * tests/unit/registrar/test_starts.c - router.start goes out once an island, and greets
 * that come through several servers are answered once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "registrar/greets.h"
#include "registrar/starts.h"

static struct probe probe;
static struct starts starts;
static uint64_t now_ms;

static int three_sources(void **state)
{
	(void)state;
	now_ms = 1000000;
	probe_init(&probe, 2000, 3);
	starts_init(&starts, 60000, 2000);
	for (unsigned i = 0; i < 3; i++)
		probe_note_up(&probe, i, true, now_ms);
	return 0;
}

static void hear_all(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		for (unsigned j = 0; j < count; j++)
			probe_note_heard(&probe, i, j, 100, now_ms);
}

/* The sources that publish within so long, as decimal digits plus one. */
static unsigned published(uint64_t ms)
{
	unsigned digits = 0;

	for (uint64_t end = now_ms + ms; now_ms < end; now_ms += 100) {
		int i = starts_next(&starts, &probe, now_ms);

		if (i >= 0)
			digits = digits * 10 + (unsigned)i + 1;
	}
	return digits;
}

static void the_first_source_asks_at_once_and_the_others_of_its_island_do_not(void **state)
{
	(void)state;
	starts_want(&starts, 0, 0, now_ms, 0);
	assert_int_equal(published(100), 1);
	starts_want(&starts, 1, 0, now_ms, 0);
	starts_want(&starts, 2, 0, now_ms, 0);
	assert_int_equal(published(500), 0);
	hear_all(3);
	assert_int_equal(published(100000), 0);
}

static void a_source_that_hears_no_probe_of_those_who_asked_asks_too(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		starts_want(&starts, i, 0, now_ms, 0);
	assert_int_equal(published(100), 1);
	hear_all(2);
	assert_int_equal(published(2500), 0);
	assert_int_equal(published(1000), 3);
}

static void the_jitter_delays_the_first_one(void **state)
{
	(void)state;
	starts_want(&starts, 0, 0, now_ms, 1500);
	assert_int_equal(published(1500), 0);
	assert_int_equal(published(100), 1);
}

static void an_island_is_asked_again_only_a_minute_later(void **state)
{
	(void)state;
	hear_all(3);
	starts_want(&starts, 0, 0, now_ms, 0);
	assert_int_equal(published(10000), 1);
	starts_want(&starts, 1, now_ms, now_ms, 0);
	starts_want(&starts, 2, now_ms, now_ms, 0);
	assert_int_equal(published(49900), 0);
	assert_int_equal(published(1000), 2);
	assert_int_equal(published(100000), 0);
}

static void both_sides_of_a_split_are_asked(void **state)
{
	(void)state;
	hear_all(3);
	probe.pair[0][2].verdict = probe.pair[2][0].verdict = PROBE_LOST;
	probe.pair[1][2].verdict = probe.pair[2][1].verdict = PROBE_LOST;
	for (unsigned i = 0; i < 3; i++)
		starts_want(&starts, i, now_ms, now_ms, 0);
	assert_int_equal(published(5000), 13);
}

static void a_source_that_is_gone_asks_nothing(void **state)
{
	(void)state;
	starts_want(&starts, 0, 0, now_ms, 1000);
	probe_note_up(&probe, 0, false, now_ms);
	assert_int_equal(published(5000), 0);
}

static void a_greet_is_answered_once_however_many_servers_bring_it(void **state)
{
	static struct greets greets;

	(void)state;
	greets_init(&greets, "answer");
	assert_true(greets_is_new(&greets, STR("_INBOX.a"), 1, 1000));
	assert_false(greets_is_new(&greets, STR("_INBOX.a"), 0, 1001));
	assert_false(greets_is_new(&greets, STR("_INBOX.a"), 2, 1900));
	assert_true(greets_is_new(&greets, STR("_INBOX.b"), 2, 1900));
}

static void somebody_who_asks_again_is_answered_again(void **state)
{
	static struct greets greets;

	(void)state;
	greets_init(&greets, "answer");
	assert_true(greets_is_new(&greets, STR("_INBOX.a"), 0, 1000));
	assert_false(greets_is_new(&greets, STR("_INBOX.a"), 1, 1000));
	assert_true(greets_is_new(&greets, STR("_INBOX.a"), 1, 2000));
	assert_false(greets_is_new(&greets, STR("_INBOX.a"), 0, 2000));
	assert_true(greets_is_new(&greets, STR("_INBOX.a"), 2, 9000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_first_source_asks_at_once_and_the_others_of_its_island_do_not,
				       three_sources),
		cmocka_unit_test_setup(a_source_that_hears_no_probe_of_those_who_asked_asks_too,
				       three_sources),
		cmocka_unit_test_setup(the_jitter_delays_the_first_one, three_sources),
		cmocka_unit_test_setup(an_island_is_asked_again_only_a_minute_later, three_sources),
		cmocka_unit_test_setup(both_sides_of_a_split_are_asked, three_sources),
		cmocka_unit_test_setup(a_source_that_is_gone_asks_nothing, three_sources),
		cmocka_unit_test(a_greet_is_answered_once_however_many_servers_bring_it),
		cmocka_unit_test(somebody_who_asks_again_is_answered_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
