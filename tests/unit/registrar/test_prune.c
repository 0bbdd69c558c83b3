/*
 * tests/unit/registrar/test_prune.c - who leaves the table and when, who is held
 * for want of evidence, and what workers may say about endpoints.
 */
#include "tests/unit/fixture/registrar_feed.h"

#include <stdio.h>

#define APP "a.example", "10.0.0.1:80", "app-1", "i-1"

static enum live_held held_of(struct feed *f, const char *uri, const char *address)
{
	struct endpoint endpoint;

	feed_find(f, uri, address, &endpoint);
	return live_held(f->table->board, endpoint.row);
}

static void a_silent_endpoint_leaves_after_its_lifetime(void **state)
{
	struct feed *f = feed_create(*state, 1);

	feed_app(f, 0, APP);
	feed_pass(f, 119);
	assert_int_equal(feed_entries(f, "a.example"), 1);
	feed_pass(f, 4);
	assert_int_equal(feed_entries(f, "a.example"), 0);
	assert_int_equal(f->counters[COUNTER_routes_pruned], 1);
	feed_destroy(f);
}

static void nothing_leaves_while_the_feed_is_away_and_a_lifetime_after(void **state)
{
	struct feed *f = feed_create(*state, 1);
	struct endpoint endpoint;
	uint32_t seen;

	feed_app(f, 0, APP);
	feed_pass(f, 1);
	feed_connect(f, 0, false);
	feed_pass(f, 1000);
	assert_int_equal(held_of(f, "a.example", "10.0.0.1:80"), LIVE_HELD_SOURCE);
	assert_int_equal(board_fact(f->table->board, FACT_ENDPOINTS_HELD), 1);
	assert_int_equal(board_fact(f->table->board, FACT_PRUNE_SUSPENDED), 1);
	feed_connect(f, 0, true);
	feed_pass(f, 119);
	assert_true(shm_table_entry(f->table, "a.example", 0, &endpoint, &seen));
	assert_int_equal(seen, 10);           /* it is as old as it is */
	feed_pass(f, 4);
	assert_int_equal(feed_entries(f, "a.example"), 0);
	assert_int_equal(board_fact(f->table->board, FACT_ENDPOINTS_HELD), 0);
	feed_destroy(f);
}

static void a_gap_in_the_feed_gives_everybody_a_lifetime(void **state)
{
	struct feed *f = feed_create(*state, 1);

	feed_app(f, 0, APP);
	feed_pass(f, 110);
	source_note_gap(&f->sources, 0, f->tick);
	feed_pass(f, 110);
	assert_int_equal(feed_entries(f, "a.example"), 1);
	feed_pass(f, 14);
	assert_int_equal(feed_entries(f, "a.example"), 0);
	feed_destroy(f);
}

/* As in Gorouter with this setting: age alone decides. */
static void who_asks_for_no_evidence_gets_none(void **state)
{
	struct feed *f = feed_create(*state, 1);

	f->settings.suspend_pruning_if_nats_unavailable = false;
	feed_app(f, 0, APP);
	feed_pass(f, 1);
	feed_connect(f, 0, false);
	feed_pass(f, 122);
	assert_int_equal(feed_entries(f, "a.example"), 0);
	assert_int_equal(board_fact(f->table->board, FACT_PRUNE_SUSPENDED), 0);
	feed_destroy(f);
}

/* Server 1 froze, and what its clients bring went silent with it: no witness. */
static void what_went_silent_with_its_server_is_held(void **state)
{
	struct feed *f = feed_create(*state, 3);

	for (unsigned i = 0; i < 3; i++)
		feed_app(f, i, APP);
	feed_pass(f, 5);
	feed_connect(f, 1, false);
	feed_pass(f, 300);
	assert_int_equal(held_of(f, "a.example", "10.0.0.1:80"), LIVE_HELD_SOURCE);
	feed_connect(f, 1, true);
	feed_pass(f, 100);
	assert_int_equal(feed_entries(f, "a.example"), 1);
	feed_app(f, 2, APP);                  /* confirmed: not held any more */
	assert_int_equal(held_of(f, "a.example", "10.0.0.1:80"), LIVE_NOT_HELD);
	feed_destroy(f);
}

/* Server 1 is long gone; those who spoke later through others have witnesses. */
static void who_was_heard_elsewhere_since_has_a_witness(void **state)
{
	struct feed *f = feed_create(*state, 3);

	for (unsigned i = 0; i < 3; i++)
		feed_app(f, i, APP);
	feed_connect(f, 1, false);
	for (unsigned n = 0; n < 2; n++) {
		feed_pass(f, 20);
		feed_app(f, 0, APP);
	}
	feed_pass(f, 123);
	assert_int_equal(feed_entries(f, "a.example"), 0);
	feed_destroy(f);
}

/* The address speaks through server 0, and not of this route any more. */
static void a_route_that_its_endpoint_no_longer_names_leaves(void **state)
{
	struct feed *f = feed_create(*state, 2);

	for (unsigned i = 0; i < 2; i++) {
		feed_app(f, i, APP);
		feed_app(f, i, "b.example", "10.0.0.1:80", "app-1", "i-1");
	}
	feed_connect(f, 1, false);
	for (unsigned n = 0; n < 7; n++) {
		feed_pass(f, 19);
		feed_app(f, 0, APP);
	}
	assert_int_equal(feed_entries(f, "a.example"), 1);
	assert_int_equal(feed_entries(f, "b.example"), 0);
	feed_destroy(f);
}

/* Rule 10: what nobody has confirmed goes only if all could have. */
static void a_table_taken_over_needs_all_servers_as_witnesses(void **state)
{
	struct feed *f = feed_create(*state, 2);

	feed_app(f, 0, APP);
	feed_pass(f, 5);
	feed_restart(f);
	feed_connect(f, 0, true);
	feed_pass(f, 200);
	assert_int_equal(held_of(f, "a.example", "10.0.0.1:80"), LIVE_HELD_UNCONFIRMED);
	feed_connect(f, 1, true);
	feed_pass(f, 119);
	assert_int_equal(feed_entries(f, "a.example"), 1);
	feed_pass(f, 4);
	assert_int_equal(feed_entries(f, "a.example"), 0);
	feed_destroy(f);
}

#define TLS(n, rest) "{'uris':['t.example'],'host':'10.0.0." n "','tls_port':443,'app':'app-" n \
		     "','private_instance_id':'i-" n "'" rest "}"

static void an_endpoint_with_tls_ages_only_if_asked_for(void **state)
{
	struct feed *f = feed_create(*state, 1);

	feed_register(f, 0, TLS("1", ""));
	feed_pass(f, 1300);
	assert_int_equal(feed_entries(f, "t.example"), 1);
	f->settings.tls_stale_threshold_ms = 1200000;
	feed_register(f, 0, TLS("1", ""));
	feed_pass(f, 1199);
	assert_int_equal(feed_entries(f, "t.example"), 1);
	feed_pass(f, 4);
	assert_int_equal(feed_entries(f, "t.example"), 0);
	feed_destroy(f);
}

static void a_failed_endpoint_that_nobody_confirms_leaves_after_a_cycle(void **state)
{
	struct feed *f = feed_create(*state, 1);

	feed_register(f, 0, TLS("1", ""));
	feed_register(f, 0, TLS("2", ""));
	feed_pass(f, 15);
	feed_fail(f, "t.example", "10.0.0.1:443", EVENT_PRUNE, 1);
	feed_pass(f, 24);
	assert_int_equal(feed_entries(f, "t.example"), 2);
	feed_pass(f, 3);
	assert_int_equal(feed_entries(f, "t.example"), 1);
	assert_false(feed_has(f, "t.example", "10.0.0.1:443", "i-1"));
	shm_table_assert_sound(*state);
	feed_destroy(f);
}

static void a_failed_endpoint_that_is_confirmed_stays(void **state)
{
	struct feed *f = feed_create(*state, 1);

	feed_register(f, 0, TLS("1", ""));
	feed_register(f, 0, TLS("2", ""));
	for (unsigned n = 0; n < 5; n++) {
		feed_fail(f, "t.example", "10.0.0.1:443", EVENT_PRUNE, 1);
		feed_pass(f, 20);
		feed_register(f, 0, TLS("1", ""));
	}
	assert_int_equal(feed_entries(f, "t.example"), 2);
	feed_destroy(f);
}

/* The slow decay of a split cluster: failures must not cost what nobody can restore. */
static void a_failed_endpoint_stays_while_its_server_is_not_trusted(void **state)
{
	struct feed *f = feed_create(*state, 2);

	feed_register(f, 1, TLS("1", ""));
	feed_register(f, 0, TLS("2", ""));
	feed_connect(f, 1, false);
	feed_fail(f, "t.example", "10.0.0.1:443", EVENT_PRUNE, 1);
	feed_pass(f, 100);
	assert_int_equal(feed_entries(f, "t.example"), 2);
	feed_destroy(f);
}

static void the_last_endpoint_of_a_route_stays_whatever_is_said(void **state)
{
	struct feed *f = feed_create(*state, 1);

	feed_register(f, 0, TLS("1", ""));
	feed_register(f, 0, TLS("2", ""));
	feed_fail(f, "t.example", "10.0.0.1:443", EVENT_PRUNE, 1);
	feed_fail(f, "t.example", "10.0.0.2:443", EVENT_PRUNE, 1);
	feed_pass(f, 100);
	assert_int_equal(feed_entries(f, "t.example"), 1);
	feed_destroy(f);
}

static void a_wrong_certificate_excludes_until_the_endpoint_is_registered_again(void **state)
{
	struct feed *f = feed_create(*state, 1);

	feed_register(f, 0, TLS("1", ""));
	feed_register(f, 0, TLS("2", ""));
	feed_pass(f, 1);
	feed_fail(f, "t.example", "10.0.0.1:443", EVENT_WRONG_ID, 2);
	feed_pass(f, 10);
	assert_int_equal(feed_choices(f, "t.example"), 1);
	feed_register(f, 0, TLS("1", ""));
	assert_int_equal(feed_choices(f, "t.example"), 2);
	feed_destroy(f);
}

/* The pipe of reports may be full: the mark alone must do. */
static void a_wrong_certificate_whose_report_was_lost_is_not_for_ever(void **state)
{
	struct feed *f = feed_create(*state, 1);
	struct endpoint endpoint;

	feed_register(f, 0, TLS("1", ""));
	feed_pass(f, 1);
	feed_find(f, "t.example", "10.0.0.1:443", &endpoint);
	live_mark_failed(f->table->board, endpoint.row, f->tick);
	live_set_excluded(f->table->board, endpoint.row, LIVE_EXCLUDED_WRONG_ID);
	feed_pass(f, 3);
	assert_int_equal(feed_choices(f, "t.example"), 0);
	feed_register(f, 0, TLS("1", ""));
	assert_int_equal(feed_choices(f, "t.example"), 1);
	feed_destroy(f);
}

static void a_report_about_a_plain_endpoint_or_none_removes_nothing(void **state)
{
	struct feed *f = feed_create(*state, 1);
	struct endpoint endpoint;
	struct endpoint_event event = { 0 };

	feed_app(f, 0, APP);
	feed_app(f, 0, "a.example", "10.0.0.2:80", "app-1", "i-2");
	feed_find(f, "a.example", "10.0.0.1:80", &endpoint);
	for (uint32_t kind = 0; kind < 6; kind++) {
		event.kind = kind;
		event.row = endpoint.row;
		event.serial = endpoint.serial;
		prune_event(&f->prune, &event);
		event.serial++;
		prune_event(&f->prune, &event);
		event.row = UINT32_MAX;
		prune_event(&f->prune, &event);
	}
	feed_pass(f, 100);
	assert_int_equal(feed_entries(f, "a.example"), 2);
	shm_table_assert_sound(*state);
	feed_destroy(f);
}

/* n routes with two endpoints each, every one of an app and a host of its own. */
static void register_pairs(struct feed *f, unsigned n)
{
	for (unsigned i = 0; i < 2 * n; i++) {
		char json[256];

		snprintf(json, sizeof(json), "{'uris':['r%u.example'],'host':'10.0.%u.%u',"
			 "'tls_port':443,'app':'app-%u'}", i / 2, i / 2, i % 2, i / 2);
		feed_register(f, 0, json);
	}
}

/* Spec control W3: five apps on five hosts fail alike, so the fault is ours. */
static void what_fails_alike_everywhere_removes_nothing(void **state)
{
	struct feed *f = feed_create(*state, 1);
	char route[32], address[32];

	f->settings.prune_alarm_apps = 5;
	register_pairs(f, 6);
	feed_pass(f, 1);
	for (unsigned i = 0; i < 6; i++) {
		snprintf(route, sizeof(route), "r%u.example", i);
		snprintf(address, sizeof(address), "10.0.%u.0:443", i);
		feed_fail(f, route, address, EVENT_PRUNE, 7);
	}
	for (unsigned n = 0; n < 6; n++) {    /* it goes on */
		feed_pass(f, 9);
		feed_fail(f, "r5.example", "10.0.5.0:443", EVENT_PRUNE, 7);
	}
	for (unsigned i = 0; i < 6; i++) {
		snprintf(route, sizeof(route), "r%u.example", i);
		assert_int_equal(feed_entries(f, route), 2);
	}
	feed_destroy(f);
}

int main(void)
{
#define ON_TABLE(test) cmocka_unit_test_setup_teardown(test, shm_table_setup, shm_table_teardown)
	const struct CMUnitTest tests[] = {
		ON_TABLE(a_silent_endpoint_leaves_after_its_lifetime),
		ON_TABLE(nothing_leaves_while_the_feed_is_away_and_a_lifetime_after),
		ON_TABLE(a_gap_in_the_feed_gives_everybody_a_lifetime),
		ON_TABLE(who_asks_for_no_evidence_gets_none),
		ON_TABLE(what_went_silent_with_its_server_is_held),
		ON_TABLE(who_was_heard_elsewhere_since_has_a_witness),
		ON_TABLE(a_route_that_its_endpoint_no_longer_names_leaves),
		ON_TABLE(a_table_taken_over_needs_all_servers_as_witnesses),
		ON_TABLE(an_endpoint_with_tls_ages_only_if_asked_for),
		ON_TABLE(a_failed_endpoint_that_nobody_confirms_leaves_after_a_cycle),
		ON_TABLE(a_failed_endpoint_that_is_confirmed_stays),
		ON_TABLE(a_failed_endpoint_stays_while_its_server_is_not_trusted),
		ON_TABLE(the_last_endpoint_of_a_route_stays_whatever_is_said),
		ON_TABLE(a_wrong_certificate_excludes_until_the_endpoint_is_registered_again),
		ON_TABLE(a_wrong_certificate_whose_report_was_lost_is_not_for_ever),
		ON_TABLE(a_report_about_a_plain_endpoint_or_none_removes_nothing),
		ON_TABLE(what_fails_alike_everywhere_removes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
