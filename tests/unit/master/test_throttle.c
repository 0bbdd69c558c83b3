/*
 * tests/unit/master/test_throttle.c - delays between the starts of a failing program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/str.h"
#include "master/throttle.h"

static void each_early_death_doubles_the_delay_up_to_the_limit(void **state)
{
	static const uint64_t delays[] = { 100, 200, 400, 800, 1000, 1000 };
	struct throttle throttle;

	(void)state;
	throttle_init(&throttle, 100, 1000);
	for (size_t i = 0; i < ARRAY_SIZE(delays); i++)
		assert_int_equal(throttle_next_ms(&throttle, 5), delays[i]);
}

static void a_child_that_lived_long_is_replaced_at_once_and_starts_the_count_anew(void **state)
{
	struct throttle throttle;

	(void)state;
	throttle_init(&throttle, 100, 1000);
	throttle_next_ms(&throttle, 0);
	throttle_next_ms(&throttle, THROTTLE_STABLE_MS - 1);
	assert_int_equal(throttle_next_ms(&throttle, THROTTLE_STABLE_MS), 0);
	assert_int_equal(throttle_next_ms(&throttle, 0), 100);
}

static void equal_limits_give_a_constant_delay(void **state)
{
	struct throttle throttle;

	(void)state;
	throttle_init(&throttle, 50, 50);
	for (int i = 0; i < 5; i++)
		assert_int_equal(throttle_next_ms(&throttle, 0), 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_early_death_doubles_the_delay_up_to_the_limit),
		cmocka_unit_test(a_child_that_lived_long_is_replaced_at_once_and_starts_the_count_anew),
		cmocka_unit_test(equal_limits_give_a_constant_delay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
