/*
 * tests/unit/upstream/test_idle_limits.c - what is learned about endpoints that
 * close idle connections.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/mem.h"
#include "upstream/idle_limits.h"

static void a_limit_is_learned_from_two_closes_of_the_same_age(void **state)
{
	static const struct { uint64_t first, second, limit; } cases[] = {
		{ 5000, 5010, 4000 }, { 1000, 1030, 500 }, { 1030, 1000, 500 },
		{ 5000, 1000, UINT64_MAX }, { 1000, 5000, UINT64_MAX },
		{ 100, 100, UINT64_MAX },     /* a restart, or an answer that ends it */
		{ 60000, 61000, 59000 },
	};
	struct addr addr, other;

	(void)state;
	assert_true(addr_from_ip(STR("10.0.0.1"), 80, &addr));
	assert_true(addr_from_ip(STR("10.0.0.1"), 81, &other));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct idle_limits *limits = mem_zalloc(sizeof(*limits));

		idle_limits_note(limits, &addr, cases[i].first, 1000);
		assert_true(idle_limits_find(limits, &addr, 1000) == UINT64_MAX);
		idle_limits_note(limits, &addr, cases[i].second, 2000);
		if (idle_limits_find(limits, &addr, 2000) != cases[i].limit)
			fail_msg("case %zu", i);
		assert_true(idle_limits_find(limits, &other, 2000) == UINT64_MAX);
		assert_true(idle_limits_find(limits, &addr, 2000 + 600000) == UINT64_MAX);
		free(limits);
	}
}

/* As where the endpoint or this router was busy when the time had come. */
static void a_late_close_does_not_lengthen_a_limit_but_an_early_one_shortens_it(void **state)
{
	static const struct { uint64_t at_ms, idle_ms, limit; } closes[] = {
		{ 1000, 400, UINT64_MAX }, { 1001, 402, 200 }, { 1100, 900, 200 }, { 1101, 910, 200 },
		{ 2000, 300, 200 }, { 2001, 310, 150 }, { 2002, 400, 150 }, { 2003, 400, 150 },
		{ 700000, 910, UINT64_MAX }, { 700001, 900, 450 },    /* the endpoint was changed */
	};
	struct idle_limits *limits = mem_zalloc(sizeof(*limits));
	struct addr addr;

	(void)state;
	assert_true(addr_from_ip(STR("10.0.0.1"), 80, &addr));
	for (size_t i = 0; i < ARRAY_SIZE(closes); i++) {
		idle_limits_note(limits, &addr, closes[i].idle_ms, closes[i].at_ms);
		if (idle_limits_find(limits, &addr, closes[i].at_ms) != closes[i].limit)
			fail_msg("close %zu", i);
	}
	free(limits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_limit_is_learned_from_two_closes_of_the_same_age),
		cmocka_unit_test(a_late_close_does_not_lengthen_a_limit_but_an_early_one_shortens_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
