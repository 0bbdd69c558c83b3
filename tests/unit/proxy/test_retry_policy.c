/*
 * tests/unit/proxy/test_retry_policy.c - what operators write about retries, and
 * how many of them there may be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proxy/verdict.h"
#include "proxy/retry_policy.h"

static void the_words_of_istio_are_understood_and_others_named(void **state)
{
	static const struct {
		const char *on, *codes;
		unsigned bits, code_count;
		const char *fault;    /* NULL: none */
	} cases[] = {
		{ "", "", ON_NOTHING, 0, NULL },
		{ "5xx", "", ON_5XX, 0, NULL },
		{ "connect-failure, reset ,refused-stream", "429, 503",
		  ON_CONNECT_FAILURE | ON_RESET | ON_REFUSED_STREAM, 2, NULL },
		{ "connect-failure,tls-failure,reset-before-request,reset,refused-stream,"
		  "gateway-error,5xx,retriable-status-codes", "", 0xff, 0, NULL },
		{ "connect-failure,conect-failure", "", 0, 0, "conect-failure" },
		{ "5xx,", "x", 0, 0, "x" },
		{ "5xx", "99", 0, 0, "99" },
		{ "5xx", "600", 0, 0, "600" },
		{ "5xx", "500,501,502,503,504,505,506,507,508,509,510,511,512,513,514,515", ON_5XX, 16, NULL },
		{ "5xx", "500,501,502,503,504,505,506,507,508,509,510,511,512,513,514,515,516", 0, 0, "516" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct retry_settings settings = {
			.on_words = (char *)cases[i].on, .code_words = (char *)cases[i].codes,
		};
		struct str fault;

		if (retry_settings_parse(&settings, &fault) != !cases[i].fault)
			fail_msg("case %zu", i);
		if (cases[i].fault) {
			assert_true(str_equal(fault, str_of(cases[i].fault)));
			continue;
		}
		assert_int_equal(settings.on, cases[i].bits);
		assert_int_equal(settings.code_count, cases[i].code_count);
	}
}

static void retries_are_a_fifth_of_a_routes_requests_but_a_few_are_always_allowed(void **state)
{
	static const struct { unsigned active, allowed; } cases[] = {
		{ 1, 3 }, { 15, 3 }, { 19, 3 }, { 20, 4 }, { 100, 20 }, { 1000, 200 },
	};
	const struct retry_settings settings = { .budget_percent = 20, .min_retry_concurrency = 3 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct retry_budget budget = { 0 };
		unsigned taken = 0;

		for (unsigned n = 0; n < cases[i].active; n++)
			retry_budget_begin(&budget, 7);
		while (retry_budget_take(&budget, 7, &settings))
			taken++;
		assert_int_equal(taken, cases[i].allowed);
		assert_true(retry_budget_take(&budget, 8, &settings));        /* another route */
		retry_budget_end(&budget, 7, true);
		retry_budget_begin(&budget, 7);
		assert_true(retry_budget_take(&budget, 7, &settings));
		assert_false(retry_budget_take(&budget, 7, &settings));
	}
}

static void what_is_over_is_no_longer_counted(void **state)
{
	const struct retry_settings settings = { .budget_percent = 0, .min_retry_concurrency = 1 };
	struct retry_budget budget = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++) {
		retry_budget_begin(&budget, 5);
		assert_true(retry_budget_take(&budget, 5, &settings));
		retry_budget_begin(&budget, 5 + RETRY_CELLS); /* shares the cell */
		assert_false(retry_budget_take(&budget, 5 + RETRY_CELLS, &settings));
		retry_budget_end(&budget, 5 + RETRY_CELLS, false);
		retry_budget_end(&budget, 5, true);
	}
	assert_int_equal(budget.cells[5].active, 0);
	assert_int_equal(budget.cells[5].retrying, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_words_of_istio_are_understood_and_others_named),
		cmocka_unit_test(retries_are_a_fifth_of_a_routes_requests_but_a_few_are_always_allowed),
		cmocka_unit_test(what_is_over_is_no_longer_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
