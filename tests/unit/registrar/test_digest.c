/*
 * tests/unit/registrar/test_digest.c - digests of other routers: what is compared,
 * what is not, and when a difference is said.
 */
#include "tests/unit/fixture/shm_table.h"

#include <stdio.h>
#include <string.h>

#include "registrar/digest.h"

static struct registrar_settings settings;
static struct route_digest ours, theirs;
static struct digest *here, *there;
static unsigned char message[DIGEST_MESSAGE_BYTES];
static uint64_t now_ms;

static void add(struct route_digest *digest, unsigned from, unsigned to)
{
	char key[32];

	for (unsigned i = from; i < to; i++) {
		snprintf(key, sizeof(key), "host-%u.example", i);
		route_digest_add(digest, &(struct digest_entry){ .key = str_of(key), .port = 80 });
	}
}

static int setup(void **state)
{
	shm_table_setup(state);
	settings = (struct registrar_settings){
		.digest_interval_ms = 1000, .divergence_routes = 10, .divergence_permille = 5,
		.divergence_cycles = 2,
	};
	memset(&ours, 0, sizeof(ours));
	memset(&theirs, 0, sizeof(theirs));
	now_ms = 5000;
	here = digest_create(&settings, "here", ((struct shm_table *)*state)->board, &ours);
	there = digest_create(&settings, "there", ((struct shm_table *)*state)->board, &theirs);
	return 0;
}

static int teardown(void **state)
{
	digest_destroy(here);
	digest_destroy(there);
	return shm_table_teardown(state);
}

static struct str payload(void)
{
	return (struct str){ (char *)message, sizeof(message) };
}

/* One interval passes: the other speaks, this one hears. */
static struct digest_state cycle(void)
{
	struct digest_state state;

	now_ms += 1000;
	assert_true(digest_tick(there, now_ms, message));
	digest_receive(here, payload(), now_ms);
	digest_state(here, &state);
	return state;
}

static void equal_tables_do_not_diverge(void **state)
{
	(void)state;
	add(&ours, 0, 5000);
	add(&theirs, 0, 5000);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(cycle().diverging, 0);
	assert_int_equal(cycle().routers, 1);
	assert_int_equal(cycle().routes, 0);
}

static void a_difference_counts_when_it_stays_for_more_than_two_cycles(void **state)
{
	struct digest_state seen;

	(void)state;
	add(&ours, 0, 100000);
	add(&theirs, 0, 99950);
	assert_int_equal(cycle().diverging, 0);
	assert_int_equal(cycle().diverging, 0);
	seen = cycle();
	assert_int_equal(seen.diverging, 1);
	assert_in_range(seen.routes, 50, 75);
	assert_in_range(seen.ppm, 500, 750);
	add(&theirs, 99950, 100000);
	assert_int_equal(cycle().diverging, 0);
	route_digest_add(&ours, &(struct digest_entry){ .key = STR("one more") });
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(cycle().diverging, 0);       /* 1 of 100,000 is no matter */
	assert_int_equal(cycle().routes, 1);
}

static void churn_of_single_cycles_is_no_divergence(void **state)
{
	(void)state;
	add(&ours, 0, 1000);
	add(&theirs, 0, 1000);
	for (unsigned i = 0; i < 10; i++) {
		struct route_digest before = theirs;

		add(&theirs, 5000, 5100);
		assert_int_equal(cycle().diverging, 0);
		assert_int_equal(cycle().diverging, 0);
		theirs = before;
		assert_int_equal(cycle().diverging, 0);
	}
}

static void a_percentage_is_enough_in_a_small_table(void **state)
{
	(void)state;
	add(&ours, 0, 100);
	add(&theirs, 0, 99);
	cycle();
	cycle();
	assert_int_equal(cycle().diverging, 1);
}

static void copies_and_own_messages_are_heard_once_or_not_at_all(void **state)
{
	struct digest_state seen;

	(void)state;
	add(&ours, 0, 100);
	now_ms += 1000;
	assert_true(digest_tick(there, now_ms, message));
	assert_false(digest_tick(there, now_ms + 999, message));
	for (unsigned i = 0; i < 9; i++)
		digest_receive(here, payload(), now_ms);
	digest_state(here, &seen);
	assert_int_equal(seen.routers, 1);
	assert_int_equal(seen.diverging, 0);
	assert_true(digest_tick(here, now_ms, message));
	digest_receive(here, payload(), now_ms);
	digest_state(here, &seen);
	assert_int_equal(seen.routers, 1);
}

static void routers_of_other_shards_are_not_compared(void **state)
{
	static char *one[] = { "a", "b" }, *same[] = { "b", "a" }, *other[] = { "a", "c" };
	struct registrar_settings theirs_settings = settings;
	struct shm_table *t = *state;
	struct digest_state seen;

	settings.sharding = theirs_settings.sharding = SHARDING_SEGMENTS;
	settings.isolation_segments = (struct texts){ one, 2 };
	for (unsigned i = 0; i < 2; i++) {
		theirs_settings.isolation_segments = (struct texts){ i ? same : other, 2 };
		digest_destroy(here);
		digest_destroy(there);
		here = digest_create(&settings, "here", t->board, &ours);
		there = digest_create(&theirs_settings, "there", t->board, &theirs);
		seen = cycle();
		assert_int_equal(seen.routers, i);
	}
}

static void a_router_that_falls_silent_is_forgotten(void **state)
{
	struct digest_state seen;

	(void)state;
	add(&ours, 0, 100);
	cycle();
	cycle();
	assert_int_equal(cycle().diverging, 1);
	assert_true(digest_tick(here, now_ms + 5000, message));
	digest_state(here, &seen);
	assert_int_equal(seen.routers, 1);
	assert_true(digest_tick(here, now_ms + 6001, message));
	digest_state(here, &seen);
	assert_int_equal(seen.routers, 0);
	assert_int_equal(seen.diverging, 0);
}

static void no_number_of_strangers_takes_more_than_its_place(void **state)
{
	struct digest_message m = { .shard = 0, .interval_ms = 1000, .name = "stranger" };
	struct digest_state seen;
	unsigned char own[DIGEST_MESSAGE_BYTES];

	(void)state;
	assert_true(digest_tick(here, now_ms, own));
	memcpy(&m.shard, own + 32, 8);
	for (unsigned i = 1; i < 1000; i++) {
		memcpy(m.id, &i, sizeof(i));
		m.sequence = UINT64_MAX - i;
		digest_message_format(&m, message);
		digest_receive(here, payload(), now_ms);
	}
	digest_state(here, &seen);
	assert_int_equal(seen.routers, 64);
}

static void a_message_says_what_was_put_in_and_others_are_refused(void **state)
{
	struct digest_message m = { .sequence = 7, .shard = UINT64_MAX, .interval_ms = 3600000,
				    .name = "a \"name\"\n" }, out;

	(void)state;
	add(&m.table, 0, 1000);
	digest_message_format(&m, message);
	assert_true(digest_message_parse(payload(), &out));
	assert_memory_equal(&m.table, &out.table, sizeof(out.table));
	assert_int_equal(out.sequence, 7);
	assert_true(out.shard == UINT64_MAX);
	assert_string_equal(out.name, "a??name??");
	for (size_t len = 0; len < sizeof(message); len++)
		assert_false(digest_message_parse((struct str){ (char *)message, len }, &out));
	memset(message + 44, 'n', DIGEST_NAME_SIZE);
	assert_true(digest_message_parse(payload(), &out));
	assert_int_equal(strlen(out.name), DIGEST_NAME_SIZE - 1);
	message[43] = 0xff;           /* an interval of months */
	assert_false(digest_message_parse(payload(), &out));
	message[0] = 'X';
	assert_false(digest_message_parse(payload(), &out));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(equal_tables_do_not_diverge),
		T(a_difference_counts_when_it_stays_for_more_than_two_cycles),
		T(churn_of_single_cycles_is_no_divergence),
		T(a_percentage_is_enough_in_a_small_table),
		T(copies_and_own_messages_are_heard_once_or_not_at_all),
		T(routers_of_other_shards_are_not_compared),
		T(a_router_that_falls_silent_is_forgotten),
		T(no_number_of_strangers_takes_more_than_its_place),
		T(a_message_says_what_was_put_in_and_others_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
