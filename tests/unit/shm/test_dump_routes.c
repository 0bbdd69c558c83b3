/*
 * tests/unit/shm/test_dump_routes.c - the table as shm-dump shows it: byte for
 * byte in Gorouter's schema, readable, and explained.
 */
#include "tests/unit/fixture/shm_table.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "dump.h"
#include "endpoint_live.h"

struct view {
	struct shm_table *table;
	struct dump dump;
	char *text;
	size_t len;
};

static void view_open(struct view *v, struct shm_table *table)
{
	struct reason reason;
	FILE *out = open_memstream(&v->text, &v->len);

	v->table = table;
	assert_non_null(out);
	assert_int_equal(dump_open(&v->dump, table->instance, out, &reason), 0);
}

static void view_close(struct view *v)
{
	dump_close(&v->dump);
	fclose(v->dump.out);
	free(v->text);
}

/* What was written since the last call. */
static const char *view_text(struct view *v)
{
	static char copy[1 << 16];

	fflush(v->dump.out);
	snprintf(copy, sizeof(copy), "%.*s", (int)v->len, v->text);
	rewind(v->dump.out);
	return copy;
}

static void register_with(struct shm_table *t, const char *uri, const char *address, uint32_t flags,
			  const char *tags, enum endpoint_balancing balancing)
{
	struct endpoint endpoint;

	shm_table_describe(&endpoint, address, "i-1");
	endpoint.flags |= flags;
	endpoint.tags = str_of(tags);
	endpoint.stale_s = 120;
	endpoint.zone = STR("z1");
	endpoint.protocol = STR("http1");
	endpoint.san = flags & ENDPOINT_TLS ? STR("san-1") : STR_NONE;
	endpoint.balancing = (uint8_t)balancing;
	assert_int_equal(shm_table_add(t, uri, &endpoint, NULL), WRITE_ADDED);
}

static void routes_are_sorted_json_in_the_schema_of_gorouter(void **state)
{
	struct view v;

	register_with(*state, "b.example/x", "10.0.0.2:80", ENDPOINT_TLS | ENDPOINT_HAS_TAGS,
		      "{\"process_id\":\"p\",\"component\":\"<c>\"}", BALANCE_LEAST_CONNECTION);
	register_with(*state, "a.example", "10.0.0.1:80", 0, "", BALANCE_DEFAULT);
	view_open(&v, *state);
	assert_int_equal(dump_routes(&v.dump), DUMP_OK);
	assert_string_equal(view_text(&v),
		"{\"a.example\":[{\"address\":\"10.0.0.1:80\",\"availability_zone\":\"z1\","
		"\"protocol\":\"http1\",\"tls\":false,\"ttl\":120,\"tags\":null,"
		"\"private_instance_id\":\"i-1\"}],"
		"\"b.example/x\":[{\"address\":\"10.0.0.2:80\",\"availability_zone\":\"z1\","
		"\"protocol\":\"http1\",\"tls\":true,\"ttl\":120,"
		"\"tags\":{\"component\":\"\\u003cc\\u003e\",\"process_id\":\"p\"},"
		"\"private_instance_id\":\"i-1\",\"server_cert_domain_san\":\"san-1\","
		"\"load_balancing_algorithm\":\"least-connection\"}]}\n");
	view_close(&v);
}

static void an_empty_table_is_an_empty_object(void **state)
{
	struct view v;

	view_open(&v, *state);
	assert_int_equal(dump_routes(&v.dump), DUMP_OK);
	assert_string_equal(view_text(&v), "{}\n");
	view_close(&v);
}

static void every_key_is_collected_once_and_sorted(void **state)
{
	struct dump_keys keys;
	struct arena arena;
	struct view v;
	char uri[64];

	for (unsigned i = 0; i < 3000; i++) {
		snprintf(uri, sizeof(uri), "app-%04u.example/p", i * 7919 % 3000);
		assert_int_equal(shm_table_register(*state, uri, "10.0.0.1:80"), WRITE_ADDED);
	}
	view_open(&v, *state);
	arena_init(&arena, NULL, 0);
	dump_keys_collect(&v.dump, &arena, &keys);
	assert_int_equal(keys.count, 3000);
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(uri, sizeof(uri), "app-%04u.example/p", i);
		assert_true(str_equal(keys.items[i], str_of(uri)));
	}
	arena_fini(&arena);
	view_close(&v);
}

static void a_pool_is_copied_whole_however_large(void **state)
{
	struct dump_pool pool = { 0 };
	char address[32];
	struct view v;

	view_open(&v, *state);
	for (unsigned i = 1; i <= 100; i++) {
		snprintf(address, sizeof(address), "10.0.0.%u:80", i);
		assert_int_equal(shm_table_register(*state, "a.example", address), WRITE_ADDED);
		assert_true(dump_pool_copy(&v.dump, STR("a.example"), &pool));
		assert_int_equal(pool.count, i);
	}
	assert_false(dump_pool_copy(&v.dump, STR("b.example"), &pool));
	dump_pool_fini(&pool);
	view_close(&v);
}

static void explain_tells_what_was_tried_and_why_endpoints_are_avoided(void **state)
{
	struct shm_table *t = *state;
	struct endpoint endpoint;
	const char *text;
	struct view v;

	shm_table_register(t, "*.example", "10.0.0.1:80");
	shm_table_register(t, "a.example/v1", "10.0.0.2:80");
	assert_true(shm_table_entry(t, "*.example", 0, &endpoint, NULL));
	live_mark_failed(t->board, endpoint.row, table_tick(t->ro, clock_ms()) + 1);
	view_open(&v, t);
	assert_int_equal(dump_explain(&v.dump, "https://B.a.example:443/v1/x?q"), DUMP_OK);
	text = view_text(&v);
	assert_non_null(strstr(text, "key: b.a.example/v1/x\n"));
	assert_non_null(strstr(text, "b.a.example                              not registered\n"));
	assert_non_null(strstr(text, "route: *.example\n"));
	assert_non_null(strstr(text, "10.0.0.1:80           avoided while others are eligible: failed "));
	assert_int_equal(dump_explain(&v.dump, "a.example/v1/x"), DUMP_OK);
	text = view_text(&v);
	assert_non_null(strstr(text, "route: a.example/v1\n"));
	assert_non_null(strstr(text, " 0 in flight, plain"));
	assert_int_equal(dump_explain(&v.dump, "nobody.test"), DUMP_OK);
	assert_non_null(strstr(view_text(&v), "no route: 404 unknown_route\n"));
	view_close(&v);
}

#define BUSY 20
#define SHOWN 15

/* Endpoint i has i requests in flight; number 0 has none but failed. */
static void make_busy(struct shm_table *t)
{
	char uri[24], address[24];
	struct endpoint endpoint;

	for (unsigned i = 0; i < BUSY; i++) {
		unsigned number = i * 7 % BUSY;

		snprintf(uri, sizeof(uri), "app-%u.example", number);
		snprintf(address, sizeof(address), "10.0.0.%u:80", number);
		register_with(t, uri, address, 0, "", BALANCE_DEFAULT);
		assert_true(shm_table_entry(t, uri, 0, &endpoint, NULL));
		for (unsigned n = 0; n < number; n++)
			live_begin(t->board, endpoint.row, SLOT_WORKER + n % 2);
		if (!number)
			live_mark_failed(t->board, endpoint.row, 1);
	}
}

static void watching_shows_the_busiest_endpoints_first_and_only_so_many(void **state)
{
	const struct dump_watch once = { .interval_ms = 1, .count = 1 };
	const char *text, *at;
	char line[64];
	struct view v;

	make_busy(*state);
	view_open(&v, *state);
	assert_int_equal(dump_watch(&v.dump, &once), DUMP_OK);
	text = view_text(&v);
	at = strstr(text, "IN-FLIGHT");
	for (unsigned i = 0; i < SHOWN; i++) {
		snprintf(line, sizeof(line), "\napp-%u.example ", BUSY - 1 - i);
		at = strstr(at, line);
		assert_non_null(at);
	}
	assert_null(strstr(text, "app-4.example"));
	view_close(&v);
}

static void of_equally_busy_endpoints_the_latest_failure_is_first(void **state)
{
	const struct dump_watch once = { .interval_ms = 1, .count = 1 };
	struct shm_table *t = *state;
	struct endpoint endpoint;
	const char *text;
	struct view v;

	for (unsigned i = 1; i <= 3; i++) {
		char uri[24];

		snprintf(uri, sizeof(uri), "app-%u.example", i);
		register_with(t, uri, i == 1 ? "10.0.0.1:80" : i == 2 ? "10.0.0.2:80" : "10.0.0.3:80", 0,
			      "", BALANCE_DEFAULT);
		assert_true(shm_table_entry(t, uri, 0, &endpoint, NULL));
		live_mark_failed(t->board, endpoint.row, i == 2 ? 90 : 10 + i);
	}
	view_open(&v, t);
	assert_int_equal(dump_watch(&v.dump, &once), DUMP_OK);
	text = view_text(&v);
	assert_true(strstr(text, "app-2.example") < strstr(text, "app-3.example"));
	assert_true(strstr(text, "app-3.example") < strstr(text, "app-1.example"));
	view_close(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(routes_are_sorted_json_in_the_schema_of_gorouter,
						shm_table_setup, shm_table_teardown),
		cmocka_unit_test_setup_teardown(an_empty_table_is_an_empty_object,
						shm_table_setup, shm_table_teardown),
		cmocka_unit_test_setup_teardown(every_key_is_collected_once_and_sorted,
						shm_table_setup, shm_table_teardown),
		cmocka_unit_test_setup_teardown(a_pool_is_copied_whole_however_large,
						shm_table_setup, shm_table_teardown),
		cmocka_unit_test_setup_teardown(watching_shows_the_busiest_endpoints_first_and_only_so_many,
						shm_table_setup, shm_table_teardown),
		cmocka_unit_test_setup_teardown(of_equally_busy_endpoints_the_latest_failure_is_first,
						shm_table_setup, shm_table_teardown),
		cmocka_unit_test_setup_teardown(explain_tells_what_was_tried_and_why_endpoints_are_avoided,
						shm_table_setup, shm_table_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
