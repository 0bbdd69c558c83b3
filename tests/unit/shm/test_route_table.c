/*
 * tests/unit/shm/test_route_table.c - what a lookup finds.
 */
#include "tests/unit/fixture/shm_table.h"

#include <stdio.h>
#include <stdlib.h>

/* The table and the vectors of spec control section 14, W10 mended. */
static void register_vectors(struct shm_table *t)
{
	static const char *const uris[] = {
		"*.apps.example.com", "*.apps.example.com/deep", "app.apps.example.com",
		"app.apps.example.com/v1", "app.apps.example.com/v1/empty", "dead.apps.example.com",
		"*.com", "*",
	};

	route_writer_keep_empty(t->writer, 1000);
	for (size_t i = 0; i < ARRAY_SIZE(uris); i++)
		assert_int_equal(shm_table_register(t, uris[i], "10.0.0.1:80"), WRITE_ADDED);
	assert_int_equal(shm_table_unregister(t, "app.apps.example.com/v1/empty", "10.0.0.1:80"), 0);
	assert_int_equal(shm_table_unregister(t, "dead.apps.example.com", "10.0.0.1:80"), 0);
}

static void lookups_follow_the_vectors_of_the_specification(void **state)
{
	static const struct {
		const char *host, *path;
		enum route_match match;
		const char *key;
	} cases[] = {
		{ "APP.apps.example.com", "/", ROUTE_FOUND, "app.apps.example.com" },
		{ "app.apps.example.com", "/v1", ROUTE_FOUND, "app.apps.example.com/v1" },
		{ "app.apps.example.com", "/v1/", ROUTE_FOUND, "app.apps.example.com/v1" },
		{ "app.apps.example.com", "/v1//", ROUTE_FOUND, "app.apps.example.com/v1" },
		{ "app.apps.example.com", "/V1/x?y", ROUTE_FOUND, "app.apps.example.com/v1" },
		{ "app.apps.example.com:8080", "/v10", ROUTE_FOUND, "app.apps.example.com" },
		{ "app.apps.example.com", "/v1/empty", ROUTE_FOUND, "app.apps.example.com/v1" },
		{ "app.apps.example.com", "/v1/empty/z", ROUTE_FOUND, "app.apps.example.com/v1" },
		{ "zzz.apps.example.com", "/deep/x", ROUTE_FOUND, "*.apps.example.com/deep" },
		{ "a.b.apps.example.com", "/", ROUTE_FOUND, "*.apps.example.com" },
		{ "apps.example.com", "/", ROUTE_FOUND, "*.com" },
		{ "dead.apps.example.com", "/", ROUTE_EMPTY, "dead.apps.example.com" },
		{ "dead.apps.example.com", "/x", ROUTE_EMPTY, "dead.apps.example.com" },
		{ "foo.org", "/", ROUTE_NONE, "" },
		{ "com", "/", ROUTE_NONE, "" },
		{ "localhost", "/", ROUTE_NONE, "" },
		{ "app.apps.example.com.", "/", ROUTE_FOUND, "app.apps.example.com" },
		{ "attacker", "/x.apps.example.com/deep", ROUTE_NONE, "" },
		{ "10", "/foo.apps.example.com", ROUTE_NONE, "" },
		{ "localhost", "/x.com", ROUTE_NONE, "" },
	};
	struct shm_table *t = *state;
	char key[ROUTE_KEY_MAX + 1];

	register_vectors(t);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enum route_match match = shm_table_find(t, cases[i].host, cases[i].path, key, sizeof(key));

		if (match != cases[i].match || strcmp(key, cases[i].key) != 0)
			fail_msg("%s%s: %d %s", cases[i].host, cases[i].path, match, key);
	}
	shm_table_assert_sound(t);
}

/* In the first tenths of a second too: 0 is "never" to whoever notes a tick. */
static void the_clock_of_a_table_is_never_at_never(void **state)
{
	static const struct { uint64_t age_ms; uint32_t tick; } cases[] = {
		{ 0, 1 }, { 1, 1 }, { 99, 1 }, { 100, 1 }, { 199, 1 }, { 200, 2 }, { 86400000, 864000 },
	};
	struct shm_table *t = *state;
	uint64_t born_ms = table_tick_ms(t->ro, 0);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(table_tick(t->ro, born_ms + cases[i].age_ms), cases[i].tick);
	assert_int_equal(table_tick(t->ro, born_ms - 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lookups_follow_the_vectors_of_the_specification,
						shm_table_setup, shm_table_teardown),
		cmocka_unit_test_setup_teardown(the_clock_of_a_table_is_never_at_never,
						shm_table_setup, shm_table_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
