/*
 * tests/unit/registrar/test_sources.c - every way into and out of a source's state, and
 * since when its word counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "registrar/sources.h"

#define TICK_MS 100

static struct sources s;
static struct source_facts facts[SOURCES_MAX];
static uint64_t now_ms;

static uint32_t tick_now(void)
{
	return (uint32_t)(now_ms / TICK_MS);
}

static int two_sources_up(void **state)
{
	(void)state;
	now_ms = 10000;
	sources_init(&s, 2);
	for (unsigned i = 0; i < 2; i++) {
		facts[i] = (struct source_facts){ 0 };
		source_note_connected(&s, i, true, tick_now());
		assert_true(source_assess(&s, i, &facts[i], now_ms, tick_now()));
		source_note_heard(&s, i, now_ms);
	}
	return 0;
}

/* How often the state of source 0 changed meanwhile. */
static unsigned live(uint64_t ms)
{
	unsigned changes = 0;

	for (uint64_t end = now_ms + ms; now_ms < end; ) {
		now_ms += TICK_MS;
		source_note_heard(&s, 1, now_ms);
		changes += source_assess(&s, 0, &facts[0], now_ms, tick_now());
		source_assess(&s, 1, &facts[1], now_ms, tick_now());
	}
	return changes;
}

static void assert_state(enum source_state state)
{
	assert_string_equal(source_state_name(s.of[0].state), source_state_name(state));
	assert_true(source_vouches(&s, 0, tick_now()) == (state == SOURCE_UP));
}

/* Trust begins anew: what was before is not vouched for, what comes is. */
static void assert_trust_began_now(void)
{
	assert_state(SOURCE_UP);
	assert_false(source_vouches(&s, 0, tick_now() - 20));
}

static void a_connected_source_vouches_since_it_was_connected(void **state)
{
	(void)state;
	assert_state(SOURCE_UP);
	assert_int_equal(live(5000), 0);
	assert_true(source_vouches(&s, 0, 100));
	assert_false(source_vouches(&s, 0, 99));
	assert_true(sources_all_vouch(&s, 100));
}

static void a_lost_connection_vouches_for_nothing_and_is_down_after_two_seconds(void **state)
{
	(void)state;
	source_note_connected(&s, 0, false, tick_now());
	assert_false(source_vouches(&s, 0, tick_now()));
	assert_int_equal(live(1900), 0);
	assert_int_equal(s.of[0].state, SOURCE_UP);
	assert_int_equal(live(300), 1);
	assert_state(SOURCE_DOWN);
	assert_true(sources_any_trusted(&s));
	assert_false(sources_all_vouch(&s, tick_now()));
	source_note_connected(&s, 0, true, tick_now());
	assert_int_equal(live(100), 1);
	assert_int_equal(s.of[0].was, SOURCE_DOWN);
	assert_trust_began_now();
}

static void a_short_break_changes_no_state_but_breaks_the_trust(void **state)
{
	(void)state;
	live(5000);
	source_note_connected(&s, 0, false, tick_now());
	live(500);
	source_note_connected(&s, 0, true, tick_now());
	assert_int_equal(live(500), 0);
	assert_trust_began_now();
}

static void a_source_is_quiet_when_only_others_bring_registrations(void **state)
{
	(void)state;
	assert_int_equal(live(44000), 0);
	assert_int_equal(live(2000), 1);
	assert_state(SOURCE_QUIET);
	source_note_heard(&s, 0, now_ms);
	assert_int_equal(live(100), 1);
	assert_trust_began_now();
}

static void nobody_is_quiet_before_anything_was_ever_heard(void **state)
{
	(void)state;
	sources_init(&s, 1);
	source_note_connected(&s, 0, true, tick_now());
	source_assess(&s, 0, &facts[0], now_ms, tick_now());
	now_ms += 3600000;
	assert_false(source_assess(&s, 0, &facts[0], now_ms, tick_now()));
	assert_state(SOURCE_UP);
}

static void a_source_that_lost_another_is_an_island_until_they_hear_one_another(void **state)
{
	(void)state;
	facts[0].is_broken = true;
	assert_int_equal(live(100), 1);
	assert_state(SOURCE_ISLAND);
	facts[0].is_broken = false;
	live(3000);
	assert_int_equal(s.of[0].was, SOURCE_ISLAND);
	assert_state(SOURCE_UP);
	assert_false(source_vouches(&s, 0, 100));
}

static void losing_messages_makes_slow_until_nothing_is_lost_for_a_second(void **state)
{
	(void)state;
	facts[0].dropped = 7;
	assert_int_equal(live(100), 1);
	assert_state(SOURCE_SLOW);
	assert_int_equal(live(800), 0);
	assert_int_equal(live(300), 1);
	assert_trust_began_now();
}

static void a_long_queue_or_old_messages_make_slow_until_drained(void **state)
{
	(void)state;
	facts[0].pending_percent = 26;
	live(2000);
	assert_state(SOURCE_SLOW);
	facts[0].pending_percent = 6;         /* not drained yet */
	live(2000);
	assert_state(SOURCE_SLOW);
	facts[0].pending_percent = 5;
	live(100);
	assert_trust_began_now();
	facts[0].lag_ms = 2001;
	live(100);
	assert_state(SOURCE_SLOW);
	facts[0].lag_ms = 1000;
	live(100);
	assert_trust_began_now();
}

static void a_lame_duck_is_not_trusted_and_stays_until_it_is_gone(void **state)
{
	(void)state;
	facts[0].is_lame = true;
	assert_int_equal(live(100), 1);
	assert_state(SOURCE_LAME);
	source_note_connected(&s, 0, false, tick_now());
	live(3000);
	assert_state(SOURCE_DOWN);
}

static void the_worse_state_is_shown(void **state)
{
	(void)state;
	facts[0] = (struct source_facts){ .is_lame = true, .is_broken = true, .lag_ms = 9000 };
	live(100);
	assert_state(SOURCE_SLOW);
	facts[0].lag_ms = 0;
	live(100);
	assert_state(SOURCE_ISLAND);
	facts[0].is_broken = false;
	live(100);
	assert_state(SOURCE_LAME);
}

static void islands_are_heard_but_do_not_testify(void **state)
{
	(void)state;
	live(100);
	assert_true(sources_any_hear(&s) && sources_any_trusted(&s));
	facts[0].is_broken = facts[1].is_broken = true;
	live(100);
	assert_true(sources_any_hear(&s));
	assert_false(sources_any_trusted(&s));
	source_note_connected(&s, 0, false, 0);
	source_note_connected(&s, 1, false, 0);
	live(5000);
	assert_false(sources_any_hear(&s));
}

static void a_mirror_and_a_stray_are_not_asked_but_somebody_must_be(void **state)
{
	(void)state;
	s.of[1].is_mirror = true;
	assert_true(sources_all_vouch(&s, tick_now()));
	assert_false(source_vouches(&s, 1, tick_now()));
	facts[1].is_stray = true;
	source_note_connected(&s, 1, false, tick_now());
	live(3000);
	assert_true(sources_all_vouch(&s, tick_now()));
	s.of[0].is_mirror = true;
	assert_false(sources_all_vouch(&s, tick_now()));
}

#define TEST(name) cmocka_unit_test_setup(name, two_sources_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_connected_source_vouches_since_it_was_connected),
		TEST(a_lost_connection_vouches_for_nothing_and_is_down_after_two_seconds),
		TEST(a_short_break_changes_no_state_but_breaks_the_trust),
		TEST(a_source_is_quiet_when_only_others_bring_registrations),
		TEST(nobody_is_quiet_before_anything_was_ever_heard),
		TEST(a_source_that_lost_another_is_an_island_until_they_hear_one_another),
		TEST(losing_messages_makes_slow_until_nothing_is_lost_for_a_second),
		TEST(a_long_queue_or_old_messages_make_slow_until_drained),
		TEST(a_lame_duck_is_not_trusted_and_stays_until_it_is_gone),
		TEST(the_worse_state_is_shown),
		TEST(islands_are_heard_but_do_not_testify),
		TEST(a_mirror_and_a_stray_are_not_asked_but_somebody_must_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
