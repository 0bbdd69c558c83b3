/*
 * tests/unit/registrar/test_readiness.c - when a table is complete, and since when
 * nobody vouches for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "registrar/readiness.h"

#define INTERVAL_MS 20000
#define START_MS 1000000

static struct readiness begin(uint64_t entries)
{
	struct readiness r;

	readiness_init(&r, INTERVAL_MS, entries, &(struct readiness_legacy){ 0 }, START_MS);
	return r;
}

/* Ten looks a second, with the table growing by so much a second.  Returns when it had
 * converged, in milliseconds since the start; -1: it did not. */
static int64_t grow(struct readiness *r, uint64_t from, uint64_t per_s, unsigned seconds)
{
	for (unsigned i = 1; i <= seconds * 10; i++) {
		readiness_tick(r, true, from + per_s * i / 10, START_MS + i * 100);
		if (r->converged_ms)
			return (int64_t)(r->converged_ms - START_MS);
	}
	return -1;
}

static void a_table_from_before_has_converged_at_once(void **state)
{
	struct readiness r = begin(1);

	(void)state;
	assert_int_equal(r.converged_ms, START_MS);
	assert_int_equal(r.lost_ms, START_MS);
}

static void a_growing_table_has_not_converged_until_it_stops(void **state)
{
	struct readiness r = begin(0);

	(void)state;
	assert_int_equal(grow(&r, 0, 1000, 15), -1);
	for (unsigned i = 151; !r.converged_ms && i < 1000; i++)
		readiness_tick(&r, true, 15000, START_MS + i * 100);
	assert_true(r.converged_ms - START_MS <= INTERVAL_MS + 100);
}

static void a_trickle_of_new_routes_does_not_hold_it_up(void **state)
{
	struct readiness r = begin(0);

	(void)state;
	assert_int_equal(grow(&r, 100000, 100, 30), 5100);
}

static void nobody_waits_longer_than_everybody_needs_to_speak(void **state)
{
	struct readiness growing = begin(0), empty = begin(0);

	(void)state;
	assert_int_equal(grow(&growing, 0, 1000, 60), INTERVAL_MS + 100);
	assert_int_equal(grow(&empty, 0, 0, 60), INTERVAL_MS + 100);
}

static void without_a_trusted_server_nothing_converges(void **state)
{
	struct readiness r = begin(0);

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		readiness_tick(&r, false, 10, START_MS + i * 100);
	assert_int_equal(r.converged_ms, 0);
	assert_int_equal(r.lost_ms, FEED_LOST_EVER);
}

static void a_break_in_trust_begins_the_window_anew(void **state)
{
	struct readiness r = begin(0);

	(void)state;
	readiness_tick(&r, true, 10, START_MS);
	readiness_tick(&r, true, 10, START_MS + 4000);
	readiness_tick(&r, false, 10, START_MS + 4100);
	assert_int_equal(r.lost_ms, START_MS + 4100);
	readiness_tick(&r, true, 10, START_MS + 6000);
	assert_int_equal(r.lost_ms, 0);
	readiness_tick(&r, true, 10, START_MS + 10000);
	assert_int_equal(r.converged_ms, 0);
	readiness_tick(&r, true, 10, START_MS + 11000);
	assert_int_equal(r.converged_ms, START_MS + 11000);
}

static void the_next_registrar_goes_on_where_the_last_one_was(void **state)
{
	const struct readiness_legacy never = { 0, FEED_LOST_EVER, 0, true };
	struct readiness r;

	(void)state;
	readiness_init(&r, INTERVAL_MS, 5, &(struct readiness_legacy){ 500, 700, 600, true }, START_MS);
	assert_int_equal(r.converged_ms, 500);
	assert_int_equal(r.lost_ms, 700);
	readiness_init(&r, INTERVAL_MS, 0, &never, START_MS);
	assert_int_equal(r.lost_ms, FEED_LOST_EVER);
	readiness_init(&r, INTERVAL_MS, 0, &(struct readiness_legacy){ 0, 0, 0, true }, START_MS);
	assert_int_equal(r.lost_ms, START_MS);
	readiness_init(&r, INTERVAL_MS, 5, &(struct readiness_legacy){ 500, 0, 900, true },
		       START_MS);
	assert_int_equal(r.lost_ms, 900);     /* all was well until it fell silent */
	readiness_tick(&r, true, 5, START_MS + 100);
	assert_int_equal(r.lost_ms, 0);
	assert_int_equal(r.vouched_ms, START_MS + 100);
	readiness_tick(&r, false, 5, START_MS + 200);
	assert_int_equal(r.vouched_ms, START_MS + 100);
	readiness_init(&r, INTERVAL_MS, 5, &never, START_MS);
	assert_int_equal(r.lost_ms, START_MS);        /* there is a table from before now */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_from_before_has_converged_at_once),
		cmocka_unit_test(a_growing_table_has_not_converged_until_it_stops),
		cmocka_unit_test(a_trickle_of_new_routes_does_not_hold_it_up),
		cmocka_unit_test(nobody_waits_longer_than_everybody_needs_to_speak),
		cmocka_unit_test(without_a_trusted_server_nothing_converges),
		cmocka_unit_test(a_break_in_trust_begins_the_window_anew),
		cmocka_unit_test(the_next_registrar_goes_on_where_the_last_one_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
