/*
 * tests/unit/registrar/test_prune.c - who leaves the table and when, and what
 * workers may say about endpoints.
 */
#include "tests/unit/fixture/shm_table.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "registrar/prune.h"
#include "shm/counters.h"

static struct registrar_settings settings = {
	.droplet_stale_threshold_ms = 120000, .minimum_register_interval_ms = 20000,
	.prune_interval_ms = 1000, .suspend_pruning_if_nats_unavailable = true, .index = 3,
};

static struct sources sources;
static uint64_t counters[COUNTER_COUNT];

static struct prune prune_of(struct shm_table *t)
{
	sources_init(&sources, 1);
	return (struct prune){ .settings = &settings, .sources = &sources, .writer = t->writer, .board = t->board,
			       .counters = counters, .is_suspended = true,
			       .failed_limit = { .per_second = 10 } };
}

/* Ten ticks a second, the feed there or not. */
static void live_through(struct prune *p, uint32_t *tick, unsigned seconds, bool is_connected)
{
	for (unsigned i = 0; i < seconds * 10; i++) {
		source_note_connected(&sources, 0, is_connected, ++*tick);
		prune_tick(p, *tick);
	}
}

static bool is_there(struct shm_table *t, const char *key)
{
	struct endpoint endpoint;
	uint32_t seen;

	return shm_table_entry(t, key, 0, &endpoint, &seen);
}

static void register_at_tick_10(struct shm_table *t)
{
	t->tick = 10;
	assert_true(shm_table_register(t, "a.example", "10.0.0.1:80") > 0);
}

static void a_silent_endpoint_leaves_after_its_lifetime(void **state)
{
	struct shm_table *t = *state;
	struct prune p = prune_of(t);
	uint32_t tick = 10;

	register_at_tick_10(t);
	live_through(&p, &tick, 118, true);
	assert_true(is_there(t, "a.example"));
	live_through(&p, &tick, 5, true);
	assert_false(is_there(t, "a.example"));
}

static void nothing_leaves_while_the_feed_is_away_and_a_lifetime_after(void **state)
{
	struct shm_table *t = *state;
	struct prune p = prune_of(t);
	uint32_t tick = 10;

	register_at_tick_10(t);
	live_through(&p, &tick, 1, true);
	live_through(&p, &tick, 1000, false);
	assert_true(is_there(t, "a.example"));
	live_through(&p, &tick, 118, true);
	assert_true(is_there(t, "a.example"));
	live_through(&p, &tick, 5, true);
	assert_false(is_there(t, "a.example"));
}

static void a_gap_in_the_feed_gives_everybody_a_lifetime(void **state)
{
	struct shm_table *t = *state;
	struct prune p = prune_of(t);
	uint32_t tick = 10;

	register_at_tick_10(t);
	live_through(&p, &tick, 110, true);
	prune_feed_gap(&p, tick);
	live_through(&p, &tick, 110, true);
	assert_true(is_there(t, "a.example"));
}

static void a_report_about_a_plain_endpoint_or_none_removes_nothing(void **state)
{
	struct shm_table *t = *state;
	struct prune p = prune_of(t);
	struct endpoint endpoint;
	struct endpoint_event event = { .kind = EVENT_PRUNE };
	uint32_t seen;

	register_at_tick_10(t);
	assert_true(shm_table_entry(t, "a.example", 0, &endpoint, &seen));
	for (uint32_t kind = 0; kind < 5; kind++) {
		event.kind = kind;
		event.row = endpoint.row;
		event.serial = endpoint.serial;
		prune_event(&p, &event);
		event.serial++;
		prune_event(&p, &event);
		event.row = UINT32_MAX;
		prune_event(&p, &event);
	}
	assert_true(is_there(t, "a.example"));
	shm_table_assert_sound(t);
}

#define NAMED 20

/* n endpoints with TLS of n apps on n hosts, two for each of n routes. */
static void register_tls(struct shm_table *t, unsigned routes, unsigned endpoints)
{
	t->tick = 10;
	for (unsigned i = 0; i < routes; i++)
		for (unsigned k = 0; k < endpoints; k++) {
			struct endpoint *endpoint = mem_zalloc(sizeof(*endpoint));
			char route[NAMED], address[NAMED], app[NAMED];

			snprintf(route, sizeof(route), "r%u.example", i);
			snprintf(address, sizeof(address), "10.0.%u.%u:443", i, k + 1);
			snprintf(app, sizeof(app), "app-%u", i);
			shm_table_describe(endpoint, address, "");
			endpoint->app_id = str_of(app);
			endpoint->flags |= ENDPOINT_TLS;
			assert_true(shm_table_add(t, route, endpoint, NULL) > 0);
			free(endpoint);
		}
}

/* A worker says that entry k of route i failed. */
static void report(struct shm_table *t, struct prune *p, unsigned i, unsigned k, uint32_t failure)
{
	struct endpoint endpoint;
	struct endpoint_event event = { .kind = EVENT_PRUNE, .failure = failure };
	char route[NAMED];
	uint32_t seen;

	snprintf(route, sizeof(route), "r%u.example", i);
	assert_true(shm_table_entry(t, route, k, &endpoint, &seen));
	event.row = endpoint.row;
	event.serial = endpoint.serial;
	prune_event(p, &event);
}

static unsigned endpoints_left(struct shm_table *t, unsigned i)
{
	struct endpoint endpoint;
	char route[NAMED];
	uint32_t seen;
	unsigned left = 0;

	snprintf(route, sizeof(route), "r%u.example", i);
	for (unsigned k = 0; k < 4; k++)
		left += shm_table_entry(t, route, k, &endpoint, &seen);
	return left;
}

static void an_endpoint_with_tls_that_failed_leaves_in_a_moment(void **state)
{
	struct shm_table *t = *state;
	struct prune p = prune_of(t);
	uint32_t tick = 10;

	register_tls(t, 1, 3);
	live_through(&p, &tick, 1, true);
	report(t, &p, 0, 1, 7);
	live_through(&p, &tick, 1, true);
	assert_int_equal(endpoints_left(t, 0), 3);
	live_through(&p, &tick, 2, true);
	assert_int_equal(endpoints_left(t, 0), 2);
	shm_table_assert_sound(t);
}

static void the_last_endpoint_of_a_route_stays_whatever_is_said(void **state)
{
	struct shm_table *t = *state;
	struct prune p = prune_of(t);
	uint32_t tick = 10;

	register_tls(t, 1, 2);
	live_through(&p, &tick, 1, true);
	for (int i = 0; i < 3; i++) {
		for (unsigned k = 0; k < 2 && endpoints_left(t, 0) == 2; k++)
			report(t, &p, 0, k, 7);
		live_through(&p, &tick, 3, true);
		assert_int_equal(endpoints_left(t, 0), 1);
	}
}

/* Spec control W3: five apps on five hosts fail alike, so the fault is ours. */
static void what_fails_alike_everywhere_removes_nothing(void **state)
{
	struct shm_table *t = *state;
	struct prune p = prune_of(t);
	uint32_t tick = 10;

	settings.prune_alarm_apps = 5;
	register_tls(t, 6, 2);
	live_through(&p, &tick, 1, true);
	for (unsigned i = 0; i < 6; i++)
		report(t, &p, i, 0, 7);
	live_through(&p, &tick, 5, true);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(endpoints_left(t, i), 2);
	report(t, &p, 0, 0, 8);               /* another way to fail */
	live_through(&p, &tick, 3, true);
	assert_int_equal(endpoints_left(t, 0), 1);
	live_through(&p, &tick, 11, true);    /* the alarm ends when nothing more fails */
	report(t, &p, 1, 0, 7);
	live_through(&p, &tick, 3, true);
	assert_int_equal(endpoints_left(t, 1), 1);
	settings.prune_alarm_apps = 0;
}

/* Many instances of one app may well be wrong together. */
static void one_app_that_fails_everywhere_raises_no_alarm(void **state)
{
	struct shm_table *t = *state;
	struct prune p = prune_of(t);
	uint32_t tick = 10;

	settings.prune_alarm_apps = 2;
	register_tls(t, 1, 4);
	live_through(&p, &tick, 1, true);
	for (unsigned k = 0; k < 3; k++)
		report(t, &p, 0, k, 7);
	live_through(&p, &tick, 3, true);
	assert_int_equal(endpoints_left(t, 0), 1);
	settings.prune_alarm_apps = 0;
}

int main(void)
{
#define ON_TABLE(test) cmocka_unit_test_setup_teardown(test, shm_table_setup, shm_table_teardown)
	const struct CMUnitTest tests[] = {
		ON_TABLE(a_silent_endpoint_leaves_after_its_lifetime),
		ON_TABLE(nothing_leaves_while_the_feed_is_away_and_a_lifetime_after),
		ON_TABLE(a_gap_in_the_feed_gives_everybody_a_lifetime),
		ON_TABLE(a_report_about_a_plain_endpoint_or_none_removes_nothing),
		ON_TABLE(an_endpoint_with_tls_that_failed_leaves_in_a_moment),
		ON_TABLE(the_last_endpoint_of_a_route_stays_whatever_is_said),
		ON_TABLE(what_fails_alike_everywhere_removes_nothing),
		ON_TABLE(one_app_that_fails_everywhere_raises_no_alarm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
