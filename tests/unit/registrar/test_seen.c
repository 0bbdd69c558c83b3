/*
 * tests/unit/registrar/test_seen.c - through which servers a row was heard; a row
 * that is given to another endpoint knows nothing of the one before.
 */
#include "tests/unit/fixture/registrar_feed.h"

#include "registrar/evidence.h"

static void a_row_knows_when_and_through_whom(void **state)
{
	struct seen *s = seen_create(3);

	(void)state;
	seen_note(s, 5000, 1, 77);
	seen_note(s, 5000, 2, 70);
	assert_int_equal(seen_tick(s, 5000, 0), 0);
	assert_int_equal(seen_tick(s, 5000, 1), 77);
	assert_int_equal(seen_newest(s, 5000), 77);
	assert_int_equal(seen_newest(s, 4999), 0);
	assert_int_equal(seen_newest(s, 1000000), 0);
	assert_int_equal(seen_rows(s), 5001);
	seen_destroy(s);
}

static void a_row_of_another_endpoint_begins_anew(void **state)
{
	struct seen *s = seen_create(2);

	(void)state;
	assert_false(seen_claim(s, 3, 100));
	seen_note(s, 3, 0, 9);
	seen_row(s, 3)->routes = 4;
	assert_false(seen_claim(s, 3, 100));
	assert_int_equal(seen_newest(s, 3), 9);
	assert_true(seen_claim(s, 3, 101));
	assert_int_equal(seen_newest(s, 3), 0);
	assert_int_equal(seen_row(s, 3)->routes, 0);
	seen_destroy(s);
}

static void servers_may_become_more(void **state)
{
	struct seen *s = seen_create(1);

	(void)state;
	for (uint32_t row = 0; row < 2000; row++)
		seen_note(s, row, 0, row + 1);
	seen_note(s, 7, 4, 99);
	for (uint32_t row = 0; row < 2000; row++)
		assert_int_equal(seen_tick(s, row, 0), row + 1);
	assert_int_equal(seen_tick(s, 7, 4), 99);
	assert_int_equal(seen_tick(s, 8, 4), 0);
	seen_destroy(s);
}

static void a_census_counts_copies_and_who_has_only_one_way(void **state)
{
	struct seen *s = seen_create(3);
	struct seen_census census;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		seen_note(s, 0, i, 100);
	seen_note(s, 1, 2, 100);
	seen_note(s, 1, 0, 50);               /* long ago */
	seen_note(s, 2, 2, 120);
	seen_note(s, 3, 1, 60);
	seen_census(s, 100, &census);
	assert_int_equal(census.heard, 3);
	assert_int_equal(census.copies, 5);
	assert_int_equal(census.only_via[0], 0);
	assert_int_equal(census.only_via[2], 2);
	seen_destroy(s);
}

/* Ten seconds of two servers; 1 was not there in the middle. */
static void witnesses_are_those_who_brought_the_last_word(void **state)
{
	static const struct { uint32_t via0, via1; enum live_held expected; } cases[] = {
		{ 0,    0,    LIVE_HELD_UNCONFIRMED },
		{ 900,  0,    LIVE_NOT_HELD },
		{ 0,    900,  LIVE_HELD_SOURCE },
		{ 900,  900,  LIVE_HELD_SOURCE },
		{ 900,  890,  LIVE_HELD_SOURCE },     /* of the same cycle */
		{ 900,  700,  LIVE_NOT_HELD },        /* heard since, without it */
		{ 700,  900,  LIVE_HELD_SOURCE },
		{ 1990, 1990, LIVE_NOT_HELD },        /* one speaks of it now, and was there */
		{ 0,    1990, LIVE_HELD_SOURCE },
	};
	struct sources sources;

	(void)state;
	sources_init(&sources, 2);
	for (unsigned i = 0; i < 2; i++)
		source_note_connected(&sources, i, true, 1);
	source_note_gap(&sources, 1, 1500);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct seen *s = seen_create(2);
		struct silence silence = { .row = 0, .is_known = true, .since = 1000, .now = 2000,
					   .cycle = 100 };

		if (cases[i].via0)
			seen_note(s, 0, 0, cases[i].via0);
		if (cases[i].via1)
			seen_note(s, 0, 1, cases[i].via1);
		assert_int_equal(evidence_missing(&sources, s, &silence), cases[i].expected);
		silence.is_known = false;
		assert_int_equal(evidence_missing(&sources, s, &silence), LIVE_HELD_UNCONFIRMED);
		silence.since = 1500;
		assert_int_equal(evidence_missing(&sources, s, &silence), LIVE_NOT_HELD);
		seen_destroy(s);
	}
}

static void copies_are_counted_for_the_operator(void **state)
{
	struct feed *f = feed_create(*state, 3);

	feed_app(f, 0, "a.example", "10.0.0.1:80", "a", "i");
	feed_app(f, 1, "a.example", "10.0.0.1:80", "a", "i");
	feed_app(f, 1, "b.example", "10.0.0.2:80", "b", "i");
	feed_pass(f, 2);
	assert_int_equal(board_fact(f->table->board, FACT_REGISTRY_COPIES_RATIO), 150);
	feed_destroy(f);
}

/* An endpoint's own server may go before it has brought a single heartbeat. */
static void a_server_that_went_before_it_could_speak_may_be_the_reason(void **state)
{
	static const struct { uint32_t came; enum live_held expected; } cases[] = {
		{ 801,  LIVE_HELD_SOURCE },
		{ 899,  LIVE_HELD_SOURCE },
		{ 999,  LIVE_HELD_SOURCE },
		{ 800,  LIVE_NOT_HELD },      /* a whole cycle without it */
		{ 1000, LIVE_NOT_HELD },      /* it was silent before that server came */
	};
	const struct silence silence = { .row = 0, .is_known = true, .since = 1000, .now = 2000,
					 .cycle = 100 };
	struct seen *s = seen_create(2);

	(void)state;
	seen_note(s, 0, 0, 900);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sources sources;

		sources_init(&sources, 2);
		source_note_connected(&sources, 0, true, 1);
		source_note_connected(&sources, 1, true, cases[i].came);
		source_note_connected(&sources, 1, false, 1100);
		assert_int_equal(evidence_missing(&sources, s, &silence), cases[i].expected);
	}
	seen_destroy(s);
}

int main(void)
{
#define ON_TABLE(test) cmocka_unit_test_setup_teardown(test, shm_table_setup, shm_table_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_knows_when_and_through_whom),
		cmocka_unit_test(a_row_of_another_endpoint_begins_anew),
		cmocka_unit_test(servers_may_become_more),
		cmocka_unit_test(a_census_counts_copies_and_who_has_only_one_way),
		cmocka_unit_test(witnesses_are_those_who_brought_the_last_word),
		cmocka_unit_test(a_server_that_went_before_it_could_speak_may_be_the_reason),
		ON_TABLE(copies_are_counted_for_the_operator),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
