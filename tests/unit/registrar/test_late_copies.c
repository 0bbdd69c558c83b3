/*
 * tests/unit/registrar/test_late_copies.c - copies of a message that come late
 * through another server: what was unregistered stays so, an address that changed
 * hands does not change back, and of two opinions the newer one counts.
 */
#include "tests/unit/fixture/registrar_feed.h"

#define ADDRESS "10.0.0.1:61001"
#define MINE  "a.example", ADDRESS, "app-a", "i-a"
#define YOURS "b.example", ADDRESS, "app-b", "i-b"

/* --- unregistered (rule 4) */

static void a_late_copy_through_another_server_does_not_bring_it_back(void **state)
{
	struct feed *f = feed_create(*state, 3);

	feed_app(f, 0, MINE);
	feed_app_gone(f, 0, MINE);
	for (unsigned n = 0; n < 5; n++) {    /* a queue that comes at once is one copy */
		feed_app(f, 1, MINE);
		feed_app(f, 2, MINE);
	}
	assert_int_equal(feed_entries(f, "a.example"), 0);
	assert_int_equal(f->counters[COUNTER_tombstone_hits_total], 10);
	feed_destroy(f);
}

static void what_came_the_way_of_the_unregister_is_new(void **state)
{
	struct feed *f = feed_create(*state, 2);

	feed_app(f, 0, MINE);
	feed_app_gone(f, 0, MINE);
	feed_app(f, 0, MINE);
	assert_int_equal(feed_entries(f, "a.example"), 1);
	feed_app_gone(f, 0, MINE);
	feed_app_gone(f, 1, MINE);
	feed_app(f, 1, MINE);
	assert_int_equal(feed_entries(f, "a.example"), 1);
	assert_int_equal(f->counters[COUNTER_tombstone_hits_total], 0);
	feed_destroy(f);
}

static void what_is_said_in_two_cycles_is_new(void **state)
{
	struct feed *f = feed_create(*state, 2);

	feed_app(f, 0, MINE);
	feed_app_gone(f, 0, MINE);
	feed_app(f, 1, MINE);
	feed_pass(f, 19);
	feed_app(f, 1, MINE);                 /* its first registration and the next, both late */
	assert_int_equal(feed_entries(f, "a.example"), 0);
	feed_pass(f, 2);
	feed_app(f, 1, MINE);
	assert_int_equal(feed_entries(f, "a.example"), 1);
	feed_destroy(f);
}

static void a_tombstone_stands_for_an_emit_cycle(void **state)
{
	struct feed *f = feed_create(*state, 2);

	feed_app(f, 0, MINE);
	feed_app_gone(f, 0, MINE);
	feed_pass(f, 25);
	feed_app(f, 1, MINE);
	assert_int_equal(feed_entries(f, "a.example"), 0);
	feed_app_gone(f, 0, MINE);
	feed_pass(f, 26);
	feed_app(f, 1, MINE);
	assert_int_equal(feed_entries(f, "a.example"), 1);
	feed_destroy(f);
}

/* Its copies are late, not those of another instance at the same address. */
static void a_tombstone_is_of_one_instance_and_one_route(void **state)
{
	struct feed *f = feed_create(*state, 2);

	feed_app_gone(f, 0, MINE);            /* whether or not it was there */
	feed_app(f, 1, "a.example", ADDRESS, "app-a", "i-new");
	feed_app(f, 1, "other.example", ADDRESS, "app-a", "i-new");
	assert_int_equal(feed_entries(f, "a.example"), 1);
	assert_int_equal(feed_entries(f, "other.example"), 1);
	feed_destroy(f);
}

static const struct tombstone_times times = { .stands = 50, .burst = 40 };

static void the_newest_of_a_million_tombstones_are_known(void **state)
{
	struct tombstones *t = tombstones_create(&times);
	unsigned known = 0;

	(void)state;
	for (uint64_t i = 1; i <= 1000000; i++)
		tombstones_add(t, i * 0x9e3779b97f4a7c15u, 0, (uint32_t)(100 + i / 100000));
	for (uint64_t i = 990001; i <= 1000000; i++)
		known += tombstones_cover(t, i * 0x9e3779b97f4a7c15u, 1, 111);
	assert_true(known > 9990);
	tombstones_destroy(t);
}

/* --- taken over (rule 3) */

static void an_address_belongs_to_its_newest_app_at_once(void **state)
{
	struct feed *f = feed_create(*state, 2);

	feed_app(f, 0, MINE);
	feed_app(f, 0, "a2.example", ADDRESS, "app-a", "i-a");
	feed_app(f, 0, "a.example", "10.0.0.2:61001", "app-a", "i-a2");
	feed_pass(f, 1);
	feed_app(f, 1, YOURS);
	assert_int_equal(feed_choices(f, "a.example"), 1);
	assert_int_equal(feed_choices(f, "a2.example"), 0);
	assert_int_equal(feed_choices(f, "b.example"), 1);
	feed_pass(f, 1);
	assert_int_equal(feed_entries(f, "a.example"), 1);
	assert_int_equal(feed_entries(f, "a2.example"), 0);
	assert_int_equal(f->counters[COUNTER_ownership_change_total], 1);
	shm_table_assert_sound(*state);
	feed_destroy(f);
}

/* The old owner's heartbeats are still under way on the other side of a split. */
static void a_late_copy_of_the_old_owner_changes_nothing(void **state)
{
	struct feed *f = feed_create(*state, 2);

	feed_app(f, 0, MINE);
	feed_app(f, 1, MINE);
	feed_pass(f, 1);
	feed_app(f, 0, YOURS);
	for (unsigned n = 0; n < 20; n++) {
		feed_app(f, 1, MINE);
		feed_pass(f, 5);
		feed_app(f, 1, MINE);
		feed_pass(f, 5);
		feed_app(f, 0, YOURS);
		assert_int_equal(feed_choices(f, "a.example"), 0);
		assert_int_equal(feed_choices(f, "b.example"), 1);
	}
	assert_int_equal(f->counters[COUNTER_ownership_change_total], 1);
	feed_destroy(f);
}

static void the_old_owner_comes_back_the_way_the_new_one_came(void **state)
{
	struct feed *f = feed_create(*state, 1);

	feed_app(f, 0, MINE);
	feed_pass(f, 1);
	feed_app(f, 0, YOURS);
	feed_pass(f, 2);
	feed_app(f, 0, MINE);
	feed_pass(f, 1);
	assert_int_equal(feed_choices(f, "a.example"), 1);
	assert_int_equal(feed_entries(f, "b.example"), 0);
	assert_int_equal(f->counters[COUNTER_ownership_change_total], 2);
	feed_destroy(f);
}

static void the_old_owner_comes_back_when_the_new_one_is_silent(void **state)
{
	struct feed *f = feed_create(*state, 2);

	feed_app(f, 0, MINE);
	feed_pass(f, 1);
	feed_app(f, 0, YOURS);
	feed_pass(f, 26);
	feed_app(f, 1, MINE);
	assert_int_equal(feed_choices(f, "a.example"), 1);
	assert_int_equal(feed_choices(f, "b.example"), 0);
	feed_destroy(f);
}

#define MADE(app, ns) "{'uris':['" app ".example'],'host':'h','port':1,'app':'" app \
		      "','endpoint_updated_at_ns':" ns "}"
#define BEAT(app) "{'uris':['" app ".example'],'host':'h','port':1,'app':'" app "'}"

/* Two sides that both go on: the one that was made later keeps the address. */
static void of_two_owners_the_one_made_later_wins_for_good(void **state)
{
	struct feed *f = feed_create(*state, 2);

	feed_register(f, 0, MADE("old", "1000"));
	feed_register(f, 1, MADE("new", "2000"));
	for (unsigned n = 0; n < 10; n++) {
		feed_pass(f, 10);
		feed_register(f, 0, BEAT("old"));
		feed_pass(f, 10);
		feed_register(f, 1, BEAT("new"));
		assert_int_equal(feed_choices(f, "old.example"), 0);
		assert_int_equal(feed_choices(f, "new.example"), 1);
	}
	assert_int_equal(f->counters[COUNTER_ownership_change_total], 1);
	feed_destroy(f);
}

static void a_clean_farewell_is_no_change_of_owner(void **state)
{
	struct feed *f = feed_create(*state, 1);

	feed_app(f, 0, MINE);
	feed_pass(f, 3);
	feed_app_gone(f, 0, MINE);
	feed_pass(f, 3);
	feed_app(f, 0, YOURS);
	assert_int_equal(f->counters[COUNTER_ownership_change_total], 0);
	assert_int_equal(feed_choices(f, "b.example"), 1);
	feed_destroy(f);
}

/* A platform component that starts anew brings all of its routes again, one by one. */
static void without_an_app_another_instance_is_no_other_owner(void **state)
{
	struct feed *f = feed_create(*state, 1);

	feed_app(f, 0, "api.example", ADDRESS, "", "old");
	feed_app(f, 0, "uaa.example", ADDRESS, "", "old");
	feed_pass(f, 1);
	feed_app(f, 0, "api.example", ADDRESS, "", "new");
	assert_int_equal(feed_choices(f, "uaa.example"), 1);
	feed_app(f, 0, "x.example", ADDRESS, "", "");
	assert_int_equal(feed_choices(f, "uaa.example"), 1);
	assert_int_equal(f->counters[COUNTER_ownership_change_total], 0);
	feed_app(f, 0, YOURS);                /* but an app is */
	assert_int_equal(feed_choices(f, "api.example"), 0);
	assert_int_equal(feed_choices(f, "uaa.example"), 0);
	assert_int_equal(f->counters[COUNTER_ownership_change_total], 1);
	feed_destroy(f);
}

static void an_owner_is_known_from_a_table_taken_over(void **state)
{
	struct feed *f = feed_create(*state, 1);

	feed_app(f, 0, MINE);
	feed_restart(f);
	feed_connect(f, 0, true);
	feed_pass(f, 1);
	feed_app(f, 0, YOURS);
	assert_int_equal(feed_choices(f, "a.example"), 0);
	feed_destroy(f);
}

/* --- attributes (rule 2) */

#define INSTANCE(id, rest) "{'uris':['a.example'],'host':'h','port':1,'app':'a'," \
			   "'private_instance_id':'" id "'" rest "}"

static void of_two_instances_at_an_address_the_late_copy_loses(void **state)
{
	struct feed *f = feed_create(*state, 2);

	feed_register(f, 0, INSTANCE("one", ""));
	feed_register(f, 1, INSTANCE("one", ""));
	feed_pass(f, 1);
	feed_register(f, 0, INSTANCE("two", ""));
	feed_register(f, 1, INSTANCE("one", ""));
	assert_true(feed_has(f, "a.example", "h:1", "two"));
	assert_int_equal(f->counters[COUNTER_late_registration_total], 1);
	assert_int_equal(f->counters[COUNTER_attribute_conflict_total], 0);
	feed_register(f, 1, INSTANCE("two", ""));
	feed_register(f, 1, INSTANCE("one", ""));     /* after it, on the same way */
	assert_true(feed_has(f, "a.example", "h:1", "one"));
	feed_destroy(f);
}

#define ATTRIBUTES(zone, ns) INSTANCE("i", ",'availability_zone':'" zone "'" \
				      ",'endpoint_updated_at_ns':" ns)

static bool has_zone(struct feed *f, const char *zone)
{
	struct endpoint endpoint;

	feed_find(f, "a.example", "h:1", &endpoint);
	return str_equal(endpoint.zone, str_of(zone));
}

static void of_two_opinions_about_an_endpoint_the_newer_one_counts(void **state)
{
	struct feed *f = feed_create(*state, 2);

	feed_register(f, 0, ATTRIBUTES("z2", "2000"));
	feed_register(f, 1, ATTRIBUTES("z1", "1000"));
	assert_true(has_zone(f, "z2"));
	assert_int_equal(f->counters[COUNTER_attribute_conflict_total], 1);
	feed_register(f, 1, ATTRIBUTES("z3", "3000"));
	assert_true(has_zone(f, "z3"));
	assert_int_equal(f->counters[COUNTER_attribute_conflict_total], 2);
	feed_register(f, 1, ATTRIBUTES("z4", "1"));   /* who said it may take it back */
	assert_true(has_zone(f, "z4"));
	assert_int_equal(f->counters[COUNTER_attribute_conflict_total], 2);
	assert_int_equal(f->counters[COUNTER_late_registration_total], 0);
	feed_destroy(f);
}

/* Spec control 11.1: only the first message says when the instance was made. */
static void the_first_heartbeat_is_no_other_endpoint(void **state)
{
	struct feed *f = feed_create(*state, 2);
	struct endpoint first, then;

	feed_register(f, 0, INSTANCE("i", ",'endpoint_updated_at_ns':5"));
	feed_find(f, "a.example", "h:1", &first);
	feed_pass(f, 20);
	feed_register(f, 1, INSTANCE("i", ""));
	feed_find(f, "a.example", "h:1", &then);
	assert_true(first.serial == then.serial && then.updated_at_ns == 5);
	assert_int_equal(f->counters[COUNTER_attribute_conflict_total], 0);
	feed_destroy(f);
}

int main(void)
{
#define ON_TABLE(test) cmocka_unit_test_setup_teardown(test, shm_table_setup, shm_table_teardown)
	const struct CMUnitTest tests[] = {
		ON_TABLE(a_late_copy_through_another_server_does_not_bring_it_back),
		ON_TABLE(what_came_the_way_of_the_unregister_is_new),
		ON_TABLE(what_is_said_in_two_cycles_is_new),
		ON_TABLE(a_tombstone_stands_for_an_emit_cycle),
		ON_TABLE(a_tombstone_is_of_one_instance_and_one_route),
		cmocka_unit_test(the_newest_of_a_million_tombstones_are_known),
		ON_TABLE(an_address_belongs_to_its_newest_app_at_once),
		ON_TABLE(a_late_copy_of_the_old_owner_changes_nothing),
		ON_TABLE(the_old_owner_comes_back_the_way_the_new_one_came),
		ON_TABLE(the_old_owner_comes_back_when_the_new_one_is_silent),
		ON_TABLE(of_two_owners_the_one_made_later_wins_for_good),
		ON_TABLE(a_clean_farewell_is_no_change_of_owner),
		ON_TABLE(without_an_app_another_instance_is_no_other_owner),
		ON_TABLE(an_owner_is_known_from_a_table_taken_over),
		ON_TABLE(of_two_instances_at_an_address_the_late_copy_loses),
		ON_TABLE(of_two_opinions_about_an_endpoint_the_newer_one_counts),
		ON_TABLE(the_first_heartbeat_is_no_other_endpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
