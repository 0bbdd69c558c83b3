/*
 * tests/unit/registrar/test_prune.c - who leaves the table and when, and what
 * workers may say about endpoints.
 */
#include "tests/unit/fixture/shm_table.h"

#include "registrar/prune.h"
#include "shm/counters.h"

static struct registrar_settings settings = {
	.droplet_stale_threshold_ms = 120000, .minimum_register_interval_ms = 20000,
	.prune_interval_ms = 1000, .suspend_pruning_if_nats_unavailable = true, .index = 3,
};

static uint64_t counters[COUNTER_COUNT];

static struct prune prune_of(struct shm_table *t)
{
	return (struct prune){ .settings = &settings, .writer = t->writer, .board = t->board,
			       .counters = counters, .is_suspended = true,
			       .failed_limit = { .per_second = 10 } };
}

/* Ten ticks a second, the feed there or not. */
static void live_through(struct prune *p, uint32_t *tick, unsigned seconds, bool is_connected)
{
	for (unsigned i = 0; i < seconds * 10; i++)
		prune_tick(p, ++*tick, is_connected);
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

int main(void)
{
#define ON_TABLE(test) cmocka_unit_test_setup_teardown(test, shm_table_setup, shm_table_teardown)
	const struct CMUnitTest tests[] = {
		ON_TABLE(a_silent_endpoint_leaves_after_its_lifetime),
		ON_TABLE(nothing_leaves_while_the_feed_is_away_and_a_lifetime_after),
		ON_TABLE(a_gap_in_the_feed_gives_everybody_a_lifetime),
		ON_TABLE(a_report_about_a_plain_endpoint_or_none_removes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
