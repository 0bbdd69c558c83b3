/*
 * tests/unit/master/test_watchdog.c - when silence means that a child is stuck.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "master/watchdog.h"

#define TIMEOUT_MS 10000

/* Looks once a second from 1 s on until `until_ms`, as the master does. */
static struct watchdog watched_until(uint64_t until_ms)
{
	struct watchdog watchdog = { 0 };

	for (uint64_t now_ms = 1000; now_ms <= until_ms; now_ms += 1000)
		watchdog_look(&watchdog, now_ms);
	return watchdog;
}

static void silence_counts_from_the_last_sign_of_life(void **state)
{
	static const struct {
		uint64_t started_ms, heartbeat_ms, timeout_ms;
		bool is_stuck;
	} cases[] = {
		{ 1000,  59000, TIMEOUT_MS, false },
		{ 1000,  50001, TIMEOUT_MS, false },
		{ 1000,  50000, TIMEOUT_MS, true },
		{ 1000,  0,     TIMEOUT_MS, true },   /* never beat */
		{ 55000, 0,     TIMEOUT_MS, false },  /* just started */
		{ 55000, 2000,  TIMEOUT_MS, false },  /* what it wrote is its predecessor's */
		{ 1000,  1000,  0,          false },  /* switched off */
		{ 1000,  99000, TIMEOUT_MS, false },  /* ahead of us: alive */
	};
	struct watchdog watchdog = watched_until(60000);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct slot_view view = {
			.started_ms = cases[i].started_ms, .heartbeat_ms = cases[i].heartbeat_ms,
		};
		uint64_t age_ms;

		assert_int_equal(watchdog_is_stuck(&watchdog, &view, cases[i].timeout_ms, 60000, &age_ms),
				 cases[i].is_stuck);
	}
}

/* A machine that was paused paused all of us: nobody is to blame. */
static void a_master_that_was_held_up_itself_starts_counting_afresh(void **state)
{
	struct watchdog watchdog = watched_until(60000);
	struct slot_view view = { .started_ms = 1000, .heartbeat_ms = 60000 };
	uint64_t age_ms;

	(void)state;
	watchdog_look(&watchdog, 90000);
	assert_false(watchdog_is_stuck(&watchdog, &view, TIMEOUT_MS, 90000, &age_ms));
	for (uint64_t now_ms = 91000; now_ms <= 100000; now_ms += 1000)
		watchdog_look(&watchdog, now_ms);
	assert_true(watchdog_is_stuck(&watchdog, &view, TIMEOUT_MS, 100000, &age_ms));
	assert_int_equal(age_ms, TIMEOUT_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silence_counts_from_the_last_sign_of_life),
		cmocka_unit_test(a_master_that_was_held_up_itself_starts_counting_afresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
