/*
 * tests/unit/http/test_head.c - finding, joining and changing the fields of a
 * message head.
 */
#include "tests/unit/fixture/http_fields.h"

struct head_test {
	struct arena arena;
	struct http_head head;
};

static struct head_test test;

static int set_up(void **state)
{
	arena_init(&test.arena, NULL, 0);
	http_head_init(&test.head, &test.arena);
	*state = &test;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_fini(&test.arena);
	return 0;
}

static void a_new_head_is_empty_and_of_http_1_1(void **state)
{
	(void)state;
	assert_int_equal(test.head.count, 0);
	assert_int_equal(test.head.minor, 1);
	assert_int_equal(test.head.body, BODY_NONE);
	assert_false(test.head.has_length || test.head.keeps_alive || test.head.has_authority);
	assert_false(http_head_has(&test.head, STR("Any")));
	assert_null(http_head_find(&test.head, STR("Any")).p);
	http_head_remove(&test.head, STR("Any"));
	assert_int_equal(test.head.count, 0);
}

static void the_first_field_of_a_name_is_found_whatever_its_case(void **state)
{
	static const struct { const char *name, *value; } cases[] = {
		{ "A",     "1"  },
		{ "a",     "1"  },
		{ "LONG-NAME", "2" },
		{ "long-name", "2" },
		{ "Long",  NULL },            /* no prefixes */
		{ "Long-Name-", NULL },
		{ "Empty", ""   },            /* there, without a value */
		{ "",      NULL },
	};

	(void)state;
	fields_fill(&test.head, "a: 1\nA: 3\nLong-Name: 2\nEmpty:\n");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct str name = str_of(cases[i].name), value = http_head_find(&test.head, name);

		assert_int_equal(http_head_has(&test.head, name), cases[i].value != NULL);
		assert_true(str_equal(value, str_of(cases[i].value)));
		assert_int_equal(value.p != NULL, cases[i].value != NULL);
	}
}

static void a_loop_visits_every_field_of_a_name_in_order(void **state)
{
	struct http_field *field;
	char seen[8] = "";
	unsigned at = 0, n = 0;

	(void)state;
	fields_fill(&test.head, "X: 1\nY: 2\nx: 3\nZ: 4\nX: 5\n");
	while ((field = http_head_next(&test.head, STR("x"), &at)) != NULL)
		seen[n++] = field->value.p[0];
	assert_string_equal(seen, "135");
}

static void values_are_joined_in_order_and_an_empty_one_keeps_its_place(void **state)
{
	static const struct { const char *fields, *joined; } cases[] = {
		{ "B: 2\n",                          NULL         },
		{ "A: 1\n",                          "1"          },
		{ "A:\n",                            ""           },
		{ "A: 1\nB: 2\na: 3\n",              "1, 3"       },
		{ "A: 1, 2\nA: 3\nA: 4\n",           "1, 2, 3, 4" },
		{ "A: 1\nA:\n",                      "1, "        },
		{ "A: 1\nA:\nA: 2\n",                "1, , 2"     },
		{ "A:\nA: 1\n",                      ", 1"        },
		{ "A:\nA:\n",                        ", "         },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct str joined;

		fields_fill(&test.head, cases[i].fields);
		joined = http_head_join(&test.head, STR("A"));
		if (!str_equal(joined, str_of(cases[i].joined)))
			fail_msg("case %zu: got \"%.*s\"", i, STR_ARG(joined));
		assert_int_equal(joined.p != NULL, cases[i].joined != NULL);
	}
}

static void a_token_is_found_in_any_field_of_the_name_as_a_whole_item(void **state)
{
	static const struct { const char *fields; bool has; } cases[] = {
		{ "C: close\n",                   true  },
		{ "C: keep-alive\nc: a ,CLOSE\n", true  },
		{ "C: closed\n",                  false },
		{ "C: not close\n",               false },
		{ "C: close;q=1\n",               false },
		{ "C:\nC: ,\n",                   false },
		{ "D: close\n",                   false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fields_fill(&test.head, cases[i].fields);
		assert_int_equal(http_head_lists(&test.head, STR("C"), STR("close")), cases[i].has);
	}
}

static void setting_a_field_leaves_exactly_one_in_the_place_of_the_first(void **state)
{
	static const struct { const char *before, *after; } cases[] = {
		{ "",                                "A: new\n"                 },
		{ "B: 2\n",                          "B: 2\nA: new\n"           },
		{ "a: 1\n",                          "A: new\n"                 },
		{ "B: 2\na: 1\nC: 3\n",              "B: 2\nA: new\nC: 3\n"     },
		{ "a: 1\nA: 2\n",                    "A: new\n"                 },
		{ "a: 1\nB: 2\nA: 3\nC: 4\na: 5\n",  "A: new\nB: 2\nC: 4\n"     },
		{ "B: 2\nA: 1\nA: 3\n",              "B: 2\nA: new\n"           },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fields_fill(&test.head, cases[i].before);
		http_head_set(&test.head, STR("A"), STR("new"));
		fields_assert(&test.head, cases[i].after);
	}
}

static void removing_takes_every_field_of_the_name_and_keeps_the_order(void **state)
{
	static const struct { const char *before, *after; } cases[] = {
		{ "",                                ""                         },
		{ "B: 2\n",                          "B: 2\n"                   },
		{ "A: 1\n",                          ""                         },
		{ "a: 1\nA: 2\n",                    ""                         },
		{ "A: 1\nB: 2\nA: 3\nC: 4\na: 5\n",  "B: 2\nC: 4\n"             },
		{ "B: 2\nC: 4\nA: 5\n",              "B: 2\nC: 4\n"             },
		{ "AA: 1\nA: 2\nA-A: 3\n",           "AA: 1\nA-A: 3\n"          },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fields_fill(&test.head, cases[i].before);
		http_head_remove(&test.head, STR("A"));
		fields_assert(&test.head, cases[i].after);
	}
}

static void any_number_of_fields_can_be_added(void **state)
{
	unsigned at = 0, n = 0;
	struct http_field *field;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		http_head_add(&test.head, i % 2 ? STR("Odd") : STR("Even"),
			      arena_format(&test.arena, "%u", i));
	assert_int_equal(test.head.count, 1000);
	while ((field = http_head_next(&test.head, STR("odd"), &at)) != NULL) {
		uint64_t value;

		assert_true(str_parse_u64(field->value, &value));
		assert_int_equal(value, 2 * n++ + 1);
	}
	assert_int_equal(n, 500);
}

#define ON_A_HEAD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_A_HEAD(a_new_head_is_empty_and_of_http_1_1),
		ON_A_HEAD(the_first_field_of_a_name_is_found_whatever_its_case),
		ON_A_HEAD(a_loop_visits_every_field_of_a_name_in_order),
		ON_A_HEAD(values_are_joined_in_order_and_an_empty_one_keeps_its_place),
		ON_A_HEAD(a_token_is_found_in_any_field_of_the_name_as_a_whole_item),
		ON_A_HEAD(setting_a_field_leaves_exactly_one_in_the_place_of_the_first),
		ON_A_HEAD(removing_takes_every_field_of_the_name_and_keeps_the_order),
		ON_A_HEAD(any_number_of_fields_can_be_added),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
