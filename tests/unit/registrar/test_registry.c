/*
 * tests/unit/registrar/test_registry.c - messages into a real table.
 */
#include "tests/unit/fixture/registrar_feed.h"

#include <stdio.h>

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
	struct feed *f = feed_create_with(t, &settings);
	const uint64_t *counters = f->counters;
	struct registry *r = f->registry;
	struct endpoint endpoint;
	uint32_t seen;

	feed_arrives(r, 0, STR(MESSAGE), 5);
	feed_arrives(r, 0, STR(MESSAGE), 9);
	assert_int_equal(counters[COUNTER_registry_message_added], 1);
	assert_int_equal(counters[COUNTER_registry_message_refreshed], 1);
	assert_true(shm_table_entry(t, "a.example", 0, &endpoint, &seen));
	assert_int_equal(seen, 9);
	assert_int_equal(endpoint.stale_s, 120);
	feed_goodbye(r, 0, STR(MESSAGE), 9);
	assert_false(shm_table_entry(t, "a.example", 0, &endpoint, &seen));
	feed_arrives(r, 0, STR(MESSAGE), 11);
	assert_int_equal(counters[COUNTER_registry_message_added], 2);
	shm_table_assert_sound(t);
	feed_destroy(f);
}

/* What protects an app is not left out because it is written wrongly. */
static void a_wrong_vital_field_refuses_the_message(void **state)
{
	static const char *const fields[] = {
		"\"tls_port\":\"x\"", "\"tls_port\":65536", "\"route_service_url\":1",
		"\"server_cert_domain_san\":[]", "\"isolation_segment\":7",
		"\"route_service_url\":\"http://plain.example\"",
	};
	struct registration out;
	struct reason reason;
	struct arena arena;
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		arena_init(&arena, NULL, 0);
		snprintf(text, sizeof(text), "{\"host\":\"10.0.0.1\",\"port\":80,"
			 "\"uris\":[\"a.example\"],%s}", fields[i]);
		assert_true(message_parse(str_of(text), &arena, &out, &reason) < 0);
		arena_fini(&arena);
	}
}

static void other_wrong_fields_are_left_out_and_counted(void **state)
{
	struct shm_table *t = *state;
	struct feed *f = feed_create_with(t, &settings);
	const uint64_t *counters = f->counters;
	struct registry *r = f->registry;
	struct endpoint endpoint;
	uint32_t seen;

	feed_arrives(r, 0, STR("{\"host\":\"10.0.0.1\",\"port\":80,\"uris\":[\"a.example\",5],"
				 "\"app\":{},\"stale_threshold_in_seconds\":\"soon\"}"), 5);
	assert_true(shm_table_entry(t, "a.example", 0, &endpoint, &seen));
	assert_int_equal(counters[COUNTER_registry_fields_dropped], 3);
	feed_destroy(f);
}

/* "a0.example", "a1.example", ... in one message. */
static struct str message_of_uris(char *out, size_t cap, unsigned count)
{
	size_t len = (size_t)snprintf(out, cap, "{\"host\":\"10.0.0.1\",\"port\":80,\"uris\":[");

	for (unsigned i = 0; i < count; i++)
		len += (size_t)snprintf(out + len, cap - len, "%s\"a%u.example\"", i ? "," : "", i);
	len += (size_t)snprintf(out + len, cap - len, "]}");
	return (struct str){ out, len };
}

static void a_heartbeat_of_many_uris_is_not_parsed(void **state)
{
	struct shm_table *t = *state;
	struct feed *f = feed_create_with(t, &settings);
	const uint64_t *counters = f->counters;
	struct registry *r = f->registry;
	static char text[65536];
	struct str message = message_of_uris(text, sizeof(text), 100);
	struct endpoint endpoint;
	uint32_t seen;

	for (uint32_t tick = 1; tick <= 3; tick++)
		feed_arrives(r, 0, message, tick);
	assert_int_equal(counters[COUNTER_registry_message_added], 100);
	assert_int_equal(counters[COUNTER_registry_message_refreshed], 2);
	assert_true(shm_table_entry(t, "a99.example", 0, &endpoint, &seen));
	assert_int_equal(seen, 3);
	feed_destroy(f);
}

static void a_message_whose_uris_are_all_refused_is_no_update(void **state)
{
	struct shm_table *t = *state;
	struct feed *f = feed_create_with(t, &settings);
	struct registry *r = f->registry;

	feed_arrives(r, 0, STR("{\"host\":\"10.0.0.1\",\"port\":80,\"uris\":[\"a\\u0001b\"]}"), 5);
	assert_int_equal(board_fact(t->board, FACT_LAST_UPDATE_MS), 0);
	feed_arrives(r, 0, STR(MESSAGE), 5);
	assert_int_not_equal(board_fact(t->board, FACT_LAST_UPDATE_MS), 0);
	feed_destroy(f);
}

/* Spec control 1.3: no route, no error, no sign of life of the feed. */
static void an_empty_list_of_uris_changes_and_counts_nothing(void **state)
{
	static const char *const texts[] = {
		"null", "{\"uris\":null}", "{\"host\":\"h\",\"port\":1,\"uris\":[]}",
	};
	struct shm_table *t = *state;
	uint64_t none[COUNTER_COUNT] = { 0 };
	struct feed *f = feed_create_with(t, &settings);
	const uint64_t *counters = f->counters;
	struct registry *r = f->registry;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		feed_arrives(r, 0, str_of(texts[i]), 5);
		feed_goodbye(r, 0, str_of(texts[i]), 9);
	}
	assert_memory_equal(counters, none, sizeof(none));
	assert_int_equal(board_fact(t->board, FACT_LAST_UPDATE_MS), 0);
	feed_destroy(f);
}

static void only_our_shard_is_taken(void **state)
{
	static char *segments[] = { "gold" };
	static const struct { int sharding; bool shared, gold, silver; } cases[] = {
		{ SHARDING_ALL,                 true,  true, true  },
		{ SHARDING_SHARED_AND_SEGMENTS, true,  true, false },
		{ SHARDING_SEGMENTS,            false, true, false },
	};
	struct shm_table *t = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct registrar_settings own = { .droplet_stale_threshold_ms = 120000,
						  .sharding = cases[i].sharding,
						  .isolation_segments = { segments, 1 } };
		struct feed *f = feed_create_with(t, &own);
		const uint64_t *counters = f->counters;
		struct registry *r = f->registry;

		feed_arrives(r, 0, STR("{\"host\":\"h\",\"port\":1,\"uris\":[\"s\"]}"), 1);
		assert_int_equal(counters[COUNTER_registry_message_filtered], !cases[i].shared);
		feed_arrives(r, 0, STR("{\"host\":\"h\",\"port\":1,\"uris\":[\"g\"],"
					 "\"isolation_segment\":\"gold\"}"), 1);
		assert_int_equal(counters[COUNTER_registry_message_filtered], !cases[i].shared);
		feed_arrives(r, 0, STR("{\"host\":\"h\",\"port\":1,\"uris\":[\"v\"],"
					 "\"isolation_segment\":\"silver\"}"), 1);
		assert_int_equal(counters[COUNTER_registry_message_filtered],
				 !cases[i].shared + !cases[i].silver);
		feed_destroy(f);
	}
}

struct farewell {
	const char *registered, *unregistered;
	bool is_left;                 /* the endpoint, after that */
};

static void assert_farewell(struct shm_table *t, const struct farewell *farewell)
{
	struct feed *f = feed_create_with(t, &settings);
	const uint64_t *counters = f->counters;
	struct registry *r = f->registry;
	struct endpoint endpoint;
	char text[256];
	uint32_t seen;
	bool is_there;

	snprintf(text, sizeof(text), "{\"uris\":[\"w.example\"],%s}", farewell->registered);
	feed_arrives(r, 0, str_of(text), 1);
	assert_int_equal(counters[COUNTER_registry_message_added], 1);
	snprintf(text, sizeof(text), "{\"uris\":[\"w.example\"],%s}", farewell->unregistered);
	feed_goodbye(r, 0, str_of(text), 9);
	is_there = shm_table_entry(t, "w.example", 0, &endpoint, &seen);
	if (is_there != farewell->is_left)
		fail_msg("%s %s %s", farewell->unregistered, is_there ? "left" : "removed", farewell->registered);
	assert_int_equal(counters[COUNTER_registry_message_removed], !is_there);
	snprintf(text, sizeof(text), "{\"uris\":[\"w.example\"],%s}", farewell->registered);
	feed_goodbye(r, 0, str_of(text), 9);
	feed_destroy(f);
}

/* Another instance took over the address: the old one's farewell is not for it (W12). */
static void an_unregister_of_another_instance_removes_nothing(void **state)
{
#define OF_INSTANCE(id) "\"host\":\"h\",\"port\":1,\"private_instance_id\":\"" id "\""
	static const struct farewell cases[] = {
		{ OF_INSTANCE("new"), OF_INSTANCE("new"), false },
		{ OF_INSTANCE("new"), OF_INSTANCE("old"), true  },
		{ OF_INSTANCE("new"), OF_INSTANCE("New"), true  },
		{ OF_INSTANCE("new"), OF_INSTANCE(""),    false },
		{ OF_INSTANCE(""),    OF_INSTANCE("old"), false },
		{ OF_INSTANCE(""),    OF_INSTANCE(""),    false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_farewell(*state, &cases[i]);
}

/* Only host and effective port count: what else changed since does not matter. */
static void an_unregister_names_an_endpoint_by_its_address(void **state)
{
	static const struct farewell cases[] = {
#define AT(rest) "\"host\":\"10.0.0.1\"," rest
		{ AT("\"port\":80"),                    AT("\"port\":80,\"app\":\"x\""),  false },
		{ AT("\"port\":80"),                    AT("\"port\":81"),                true  },
		{ AT("\"port\":80"),                    "\"host\":\"10.0.0.2\",\"port\":80", true },
		{ AT("\"port\":80,\"tls_port\":443"),   AT("\"port\":80"),                true  },
		{ AT("\"port\":80,\"tls_port\":443"),   AT("\"tls_port\":443"),           false },
		{ AT("\"tls_port\":443"),               AT("\"port\":443"),               false },
		{ AT("\"port\":80,\"tags\":{}"),        AT("\"port\":80,\"protocol\":\"http2\""), false },
		{ "\"host\":\"Name\",\"port\":80",      "\"host\":\"name\",\"port\":80", true  },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_farewell(*state, &cases[i]);
	shm_table_assert_sound(*state);
}

/* The path is no place for a wildcard, and a dot behind the host is none (W10). */
static void a_registered_uri_is_reached_by_its_host_and_path_only(void **state)
{
	static const struct { const char *host, *path, *key; } cases[] = {
		{ "A.Example",    "/V1/x",                "a.example/v1" },
		{ "a.example.",   "/v1?q",                "a.example/v1" },
		{ "a.example:80", "/v1",                  "a.example/v1" },
		{ "a.example",    "/v10",                 "" },
		{ "x.w.example",  "/",                    "*.w.example" },
		{ "x.w.example.", "/",                    "*.w.example" },
		{ "attacker",     "/x.w.example/",        "" },
		{ "attacker",     "/x.a.example/v1",      "" },
		{ "w.example",    "/",                    "" },
	};
	struct shm_table *t = *state;
	struct feed *f = feed_create_with(t, &settings);
	const uint64_t *counters = f->counters;
	struct registry *r = f->registry;
	char key[256];

	feed_arrives(r, 0, STR("{\"host\":\"h\",\"port\":1,"
				 "\"uris\":[\"/a.Example./V1/?x\",\"*.W.example\"]}"), 1);
	assert_int_equal(counters[COUNTER_registry_message_added], 2);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		shm_table_find(t, cases[i].host, cases[i].path, key, sizeof(key));
		assert_string_equal(key, cases[i].key);
	}
	feed_destroy(f);
}

int main(void)
{
#define ON_TABLE(test) cmocka_unit_test_setup_teardown(test, shm_table_setup, shm_table_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_read_leniently),
		cmocka_unit_test(a_wrong_vital_field_refuses_the_message),
		ON_TABLE(a_repeated_message_is_refreshed_and_an_unregister_removes),
		ON_TABLE(other_wrong_fields_are_left_out_and_counted),
		ON_TABLE(a_heartbeat_of_many_uris_is_not_parsed),
		ON_TABLE(a_message_whose_uris_are_all_refused_is_no_update),
		ON_TABLE(an_empty_list_of_uris_changes_and_counts_nothing),
		ON_TABLE(only_our_shard_is_taken),
		ON_TABLE(an_unregister_of_another_instance_removes_nothing),
		ON_TABLE(an_unregister_names_an_endpoint_by_its_address),
		ON_TABLE(a_registered_uri_is_reached_by_its_host_and_path_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
