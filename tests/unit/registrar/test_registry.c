/*
 * tests/unit/registrar/test_registry.c - messages into a real table.
 */
#include "tests/unit/fixture/shm_table.h"

#include "registrar/message.h"
#include "registrar/registry.h"
#include "shm/counters.h"

static struct registrar_settings settings = { .droplet_stale_threshold_ms = 120000 };

#define MESSAGE "{\"host\":\"10.0.0.1\",\"port\":\"80\",\"URIS\":[\"a.example\"]," \
		"\"tags\":{\"process_id\":\"p\",\"n\":1},\"private_instance_index\":3}"

static void a_message_is_read_leniently(void **state)
{
	struct registration out;
	struct reason reason;
	struct arena arena;

	(void)state;
	arena_init(&arena, NULL, 0);
	assert_int_equal(message_parse(STR(MESSAGE), &arena, &out, &reason), 0);
	assert_int_equal(out.endpoint.port, 80);
	assert_true(str_equal(out.endpoint.instance_index, STR("3")));
	assert_true(str_equal(out.endpoint.tags, STR("{\"process_id\":\"p\"}")));
	assert_true(message_parse(STR(""), &arena, &out, &reason) < 0);
	assert_true(message_parse(STR("[]"), &arena, &out, &reason) < 0);
	arena_fini(&arena);
}

static void a_repeated_message_is_refreshed_and_an_unregister_removes(void **state)
{
	struct shm_table *t = *state;
	uint64_t counters[COUNTER_COUNT] = { 0 };
	struct registry *r = registry_create(&settings, t->writer, t->board, counters);
	struct endpoint endpoint;
	uint32_t seen;

	registry_register(r, STR(MESSAGE), 5);
	registry_register(r, STR(MESSAGE), 9);
	assert_int_equal(counters[COUNTER_registry_message_added], 1);
	assert_int_equal(counters[COUNTER_registry_message_refreshed], 1);
	assert_true(shm_table_entry(t, "a.example", 0, &endpoint, &seen));
	assert_int_equal(seen, 9);
	assert_int_equal(endpoint.stale_s, 120);
	registry_unregister(r, STR(MESSAGE));
	assert_false(shm_table_entry(t, "a.example", 0, &endpoint, &seen));
	registry_register(r, STR(MESSAGE), 11);
	assert_int_equal(counters[COUNTER_registry_message_added], 2);
	shm_table_assert_sound(t);
	registry_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_read_leniently),
		cmocka_unit_test_setup_teardown(
			a_repeated_message_is_refreshed_and_an_unregister_removes,
			shm_table_setup, shm_table_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
