/*
 * tests/unit/registrar/test_table_full.c - a table without room, as the registrar meets it:
 * what is there stays and is refreshed, what is refused is counted and said, and comes with
 * its next heartbeat once there is room.
 */
#include "tests/unit/fixture/registrar_feed.h"

#include <stdio.h>

#include "shm/alloc.h"
#include "tests/unit/fixture/base_clock.h"
#include "tests/unit/fixture/base_log.h"

#define BEFORE 20
#define LINES_A_SECOND 10

static const struct registrar_settings settings = { .droplet_stale_threshold_ms = 120000 };

static void apps(struct feed *f, unsigned from, unsigned count)
{
	char uri[32], address[32], instance[16];

	for (unsigned i = from; i < from + count; i++) {
		snprintf(uri, sizeof(uri), "app-%u.example", i);
		snprintf(address, sizeof(address), "10.0.%u.%u:80", i / 200, i % 200);
		snprintf(instance, sizeof(instance), "i-%u", i);
		feed_app(f, 0, uri, address, "app", instance);
	}
}

static void assert_served(struct feed *f, unsigned from, unsigned count, bool is_served)
{
	char uri[32];

	for (unsigned i = from; i < from + count; i++) {
		snprintf(uri, sizeof(uri), "app-%u.example", i);
		assert_int_equal(feed_entries(f, uri), is_served);
	}
}

static void what_finds_no_room_is_counted_said_now_and_then_and_the_rest_goes_on(void **state)
{
	struct feed *f = feed_create_with(*state, &settings);
	const char *said;

	fake_clock_start();           /* all of it in one second */
	log_catch_begin();
	apps(f, 0, BEFORE);
	for (unsigned i = 0; i < 30; i++) {
		alloc_refuses_at = 1;
		apps(f, BEFORE + i, 1);
	}
	apps(f, 0, BEFORE);
	said = log_catch_end();
	fake_clock_stop();
	assert_int_equal(f->counters[COUNTER_table_full_refusals], 30);
	assert_int_equal(f->counters[COUNTER_registry_message_refreshed], BEFORE);
	assert_int_equal(log_times(said, "\"message\":\"table-full\""), LINES_A_SECOND);
	assert_int_equal(log_times(said, "No space left"), LINES_A_SECOND);
	assert_served(f, 0, BEFORE, true);
	assert_served(f, BEFORE, 30, false);
	log_catch_begin();
	apps(f, BEFORE, 30);
	log_catch_end();
	assert_served(f, 0, BEFORE + 30, true);
	shm_table_assert_sound(f->table);
	feed_destroy(f);
}

/* The same message again must not pass for a heartbeat of what was never taken. */
static void a_message_that_was_refused_is_no_heartbeat_when_it_is_repeated(void **state)
{
	struct feed *f = feed_create_with(*state, &settings);

	log_catch_begin();
	for (unsigned nth = 1; nth <= 4; nth++) {
		alloc_refuses_at = nth;
		apps(f, nth, 1);
		alloc_refuses_at = 0;
		apps(f, nth, 1);
		assert_served(f, nth, 1, true);
	}
	log_catch_end();
	feed_destroy(f);
}

/* One host of two found no room: the other must not be lost, nor the first for ever. */
static void a_message_of_which_a_part_found_room_is_completed_by_the_next(void **state)
{
	static const char two[] = "{'uris':['one.example','two.example'],'host':'10.0.0.9',"
				  "'port':80,'app':'a','private_instance_id':'i'}";
	struct feed *f = feed_create_with(*state, &settings);

	log_catch_begin();
	for (unsigned nth = 1; nth <= 6; nth++) {
		alloc_refuses_at = nth;
		feed_register(f, 0, two);
		alloc_refuses_at = 0;
		assert_true(feed_entries(f, "one.example") || feed_entries(f, "two.example"));
		feed_register(f, 0, two);
		assert_int_equal(feed_entries(f, "one.example"), 1);
		assert_int_equal(feed_entries(f, "two.example"), 1);
		feed_unregister(f, 0, two);
		assert_int_equal(feed_entries(f, "one.example"), 0);
		assert_int_equal(feed_entries(f, "two.example"), 0);
		f->tick += 5000;      /* tombstones are over */
	}
	log_catch_end();
	shm_table_assert_sound(f->table);
	feed_destroy(f);
}

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, shm_table_setup, shm_table_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_TABLE(what_finds_no_room_is_counted_said_now_and_then_and_the_rest_goes_on),
		WITH_TABLE(a_message_that_was_refused_is_no_heartbeat_when_it_is_repeated),
		WITH_TABLE(a_message_of_which_a_part_found_room_is_completed_by_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
