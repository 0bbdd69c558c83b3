/*
 * tests/unit/registrar/test_quota.c - an emitter gone wild is stopped at its share,
 * and nobody else notices.
 */
#include "tests/unit/fixture/registrar_feed.h"

#include <stdio.h>

static struct feed *create(struct shm_table *t, uint64_t per_endpoint, uint64_t per_host)
{
	struct feed *f = feed_create(t, 1);

	f->trust.quota.per_endpoint = per_endpoint;
	f->trust.quota.per_host = per_host;
	f->trust.quota.free_percent = 0;      /* as if the table were that full */
	return f;
}

static void say(struct feed *f, const char *host, unsigned port, unsigned number)
{
	char json[256];

	snprintf(json, sizeof(json), "{'host':'%s','port':%u,'uris':['u%u-%u.example'],"
		 "'app':'a%u'}", host, port, port, number, port);
	feed_register(f, 0, json);
}

static uint64_t routes(struct feed *f)
{
	struct table_usage usage;

	route_writer_usage(f->table->writer, &usage);
	return usage.routes;
}

static void an_endpoint_has_so_many_routes_and_no_more(void **state)
{
	struct feed *f = create(*state, 100, 0);

	for (unsigned i = 0; i < 150; i++)
		say(f, "10.0.0.1", 80, i);
	assert_int_equal(routes(f), 100);
	assert_int_equal(f->counters[COUNTER_quota_refusals_total], 50);
	say(f, "10.0.0.1", 81, 0);            /* another endpoint of the same host */
	say(f, "10.0.0.2", 80, 1000);         /* and of another */
	assert_int_equal(routes(f), 102);
	feed_destroy(f);
}

static void a_host_has_so_many_routes_and_no_more(void **state)
{
	struct feed *f = create(*state, 0, 100);

	for (unsigned i = 0; i < 150; i++)
		say(f, "10.0.0.1", 1000 + i, 0);
	assert_int_equal(routes(f), 100);
	say(f, "10.0.0.2", 80, 0);
	assert_int_equal(routes(f), 101);
	feed_destroy(f);
}

static uint64_t used_percent(struct feed *f)
{
	struct table_usage usage;

	route_writer_usage(f->table->writer, &usage);
	return (usage.used_bytes - usage.deferred_bytes) * 100 / usage.capacity_bytes;
}

static void while_there_is_room_anybody_may_use_it_but_not_the_last_quarter(void **state)
{
	struct feed *f = create(*state, 10, 10);
	unsigned i;

	f->trust.quota.free_percent = QUOTA_FREE_PERCENT;
	for (i = 0; i < 1000; i++)
		say(f, "10.0.0.1", 80, i);
	assert_int_equal(routes(f), 1000);
	assert_int_equal(f->counters[COUNTER_quota_refusals_total], 0);
	while (!f->counters[COUNTER_quota_refusals_total] && i < 400000)
		say(f, "10.0.0.1", 80, i++);
	assert_in_range(used_percent(f), 75, 76);
	assert_int_equal(routes(f), i - 1);
	for (unsigned port = 1001; port <= 2000; port++) {       /* those within their shares */
		char host[32];

		snprintf(host, sizeof(host), "10.0.1.%u", port);
		say(f, host, port, 0);
	}
	assert_int_equal(routes(f), i - 1 + 1000);
	feed_destroy(f);
}

/* What was replaced or removed, be it a route or half of the index, only waits for readers. */
static void what_waits_to_be_freed_is_not_used(void **state)
{
	struct feed *f = create(*state, 10, 10);
	struct table_usage usage;
	char json[256];
	unsigned i;

	f->trust.quota.free_percent = QUOTA_FREE_PERCENT;
	for (i = 0; !f->counters[COUNTER_quota_refusals_total] && i < 400000; i++)
		say(f, "10.0.0.1", 80, i);
	for (unsigned j = 0; j < i / 2; j++) {
		snprintf(json, sizeof(json), "{'host':'10.0.0.1','port':80,"
			 "'uris':['u80-%u.example'],'app':'a80'}", j);
		feed_unregister(f, 0, json);
	}
	route_writer_usage(f->table->writer, &usage);
	assert_true(usage.used_bytes * 100 / usage.capacity_bytes >= QUOTA_FREE_PERCENT);
	f->trust.quota.refused_tick = 0;
	f->counters[COUNTER_quota_refusals_total] = 0;
	for (unsigned j = 0; j < 1000; j++)
		say(f, "10.0.0.1", 80, i + j);
	assert_int_equal(f->counters[COUNTER_quota_refusals_total], 0);
	feed_destroy(f);
}

static void what_is_there_is_repeated_as_ever(void **state)
{
	struct feed *f = create(*state, 10, 0);

	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 20; i++)
			say(f, "10.0.0.1", 80, i);
		feed_pass(f, 20);
	}
	assert_int_equal(routes(f), 10);
	assert_int_equal(feed_entries(f, "u80-0.example"), 1);
	feed_destroy(f);
}

static void what_leaves_makes_room(void **state)
{
	struct feed *f = create(*state, 10, 15);

	for (unsigned i = 0; i < 10; i++)
		say(f, "10.0.0.1", 80, i);
	feed_unregister(f, 0, "{'host':'10.0.0.1','port':80,'uris':['u80-3.example'],'app':'a80'}");
	say(f, "10.0.0.1", 80, 99);
	assert_int_equal(feed_entries(f, "u80-99.example"), 1);
	feed_pass(f, 124);                    /* and what falls silent */
	assert_int_equal(routes(f), 0);
	for (unsigned i = 0; i < 20; i++)
		say(f, "10.0.0.1", 80, 200 + i);
	assert_int_equal(routes(f), 10);
	feed_destroy(f);
}

/* Counted anew in every round, at whatever moment routes come and go. */
static void counts_stay_right_while_routes_come_and_go(void **state)
{
	struct feed *f = create(*state, 1000, 1000);
	struct endpoint endpoint;
	char json[256];
	uint32_t seen;

	for (unsigned i = 0; i < 600; i++) {
		say(f, "10.0.0.1", 80, i);
		if (i >= 50) {
			snprintf(json, sizeof(json), "{'host':'10.0.0.1','port':80,"
				 "'uris':['u80-%u.example'],'app':'a80'}", i - 50);
			feed_unregister(f, 0, json);
		}
		prune_tick(&f->prune, ++f->tick);
	}
	assert_true(shm_table_entry(f->table, "u80-599.example", 0, &endpoint, &seen));
	assert_int_equal(trust_row(&f->trust, endpoint.row)->routes, routes(f));
	feed_pass(f, 2);
	assert_int_equal(trust_row(&f->trust, endpoint.row)->routes, 50);
	feed_destroy(f);
}

static void a_table_taken_over_is_counted_before_anything_is_added(void **state)
{
	struct feed *f = create(*state, 10, 0);

	for (unsigned i = 0; i < 10; i++)
		say(f, "10.0.0.1", 80, i);
	feed_restart(f);
	f->trust.quota.per_endpoint = 10;
	f->trust.quota.free_percent = 0;
	feed_connect(f, 0, true);
	prune_tick(&f->prune, ++f->tick);
	for (unsigned i = 0; i < 20; i++)
		say(f, "10.0.0.1", 80, i);
	assert_int_equal(routes(f), 10);
	feed_destroy(f);
}

/* The noise of one host beyond its share is not even read; others are. */
static void a_flood_is_not_read(void **state)
{
	struct feed *f = create(*state, 10, 0);
	uint64_t refused;

	for (unsigned i = 0; i < 2000; i++)
		say(f, "10.0.0.1", 80, i);
	refused = f->counters[COUNTER_quota_refusals_total];
	assert_int_equal(refused, 1990);
	feed_register(f, 0, "{'host' : '10.0.0.1','port':'x'}");      /* would be rejected */
	assert_int_equal(f->counters[COUNTER_registry_message_rejected], 0);
	say(f, "10.0.0.2", 80, 5000);
	assert_int_equal(feed_entries(f, "u80-5000.example"), 1);
	say(f, "10.0.0.1", 80, 3);            /* what is known is not read anyway */
	assert_int_equal(f->counters[COUNTER_registry_message_refreshed], 1);
	feed_pass(f, 2);
	feed_register(f, 0, "{'host':'10.0.0.1','port':'x'}");
	assert_int_equal(f->counters[COUNTER_registry_message_rejected], 1);
	feed_destroy(f);
}

static void whatever_hides_its_host_is_read(void **state)
{
	static const char *const texts[] = {
		"", "x", "\"host\"", "\"host\":", "\"host\": 5", "\"host\":\"", "\"Host\":\"flood\"",
		"{\"host\":\"other\"}",
	};
	const struct hash_key key = { 1, 2 };
	struct cells *cells = cells_create();
	struct quota q = { 0 };

	(void)state;
	quota_note_refusal(&q, cells_get(cells, identity_host(&key, STR("flood"))), 5);
	for (unsigned i = 0; i < QUOTA_READS_PER_SECOND; i++)
		assert_true(quota_may_read(&q, cells, &key, STR("{\"host\":\"flood\"}"), 11));
	assert_false(quota_may_read(&q, cells, &key, STR("{\"host\" :\n\"flood\"}"), 11));
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_true(quota_may_read(&q, cells, &key, str_of(texts[i]), 11));
	assert_true(quota_may_read(&q, cells, &key, STR("{\"host\":\"flood\"}"), 16));
	cells_destroy(cells);
}

static void many_cells_are_found_and_the_empty_ones_forgotten(void **state)
{
	struct cells *cells = cells_create();

	(void)state;
	for (uint32_t host = 1; host <= 10000; host++)
		cells_get(cells, host)->routes_next = host > 9000;
	cells_end_survey(cells);
	for (uint32_t host = 1; host <= 10000; host++)
		assert_int_equal(cells_find(cells, host) != NULL, host > 9000);
	cells_destroy(cells);
}

int main(void)
{
#define ON_TABLE(test) cmocka_unit_test_setup_teardown(test, shm_table_setup, shm_table_teardown)
	const struct CMUnitTest tests[] = {
		ON_TABLE(an_endpoint_has_so_many_routes_and_no_more),
		ON_TABLE(a_host_has_so_many_routes_and_no_more),
		ON_TABLE(while_there_is_room_anybody_may_use_it_but_not_the_last_quarter),
		ON_TABLE(what_waits_to_be_freed_is_not_used),
		ON_TABLE(what_is_there_is_repeated_as_ever),
		ON_TABLE(what_leaves_makes_room),
		ON_TABLE(counts_stay_right_while_routes_come_and_go),
		ON_TABLE(a_table_taken_over_is_counted_before_anything_is_added),
		ON_TABLE(a_flood_is_not_read),
		cmocka_unit_test(whatever_hides_its_host_is_read),
		cmocka_unit_test(many_cells_are_found_and_the_empty_ones_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
