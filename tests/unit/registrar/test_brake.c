/*
 * tests/unit/registrar/test_brake.c - masses that would expire at once are held,
 * and let go one by one or altogether; ordinary deaths are none of that.
 */
#include "tests/unit/fixture/registrar_feed.h"

#include <stdio.h>
#include <stdlib.h>

#define PER_CELL 100

/* Cell c is host 10.1.0.c, with endpoints at ports 1 to `ports`, each an app's own. */
static void cell_speaks(struct feed *f, unsigned c, unsigned ports)
{
	for (unsigned port = 1; port <= ports; port++) {
		char json[256];

		snprintf(json, sizeof(json), "{'uris':['c%u-%u.example'],'host':'10.1.0.%u',"
			 "'port':%u,'app':'app-%u-%u'}", c, port, c, port, c, port);
		feed_register(f, 0, json);
	}
}

static unsigned cell_routes(struct feed *f, unsigned c)
{
	unsigned n = 0;

	for (unsigned port = 1; port <= PER_CELL; port++) {
		char uri[64];

		snprintf(uri, sizeof(uri), "c%u-%u.example", c, port);
		n += feed_entries(f, uri);
	}
	return n;
}

/* Cells from `first` on speak every 20 seconds. */
static void live(struct feed *f, unsigned seconds, unsigned first, unsigned cells)
{
	for (unsigned s = 0; s < seconds; s += 20) {
		for (unsigned c = first; c < cells; c++)
			cell_speaks(f, c, PER_CELL);
		feed_pass(f, 20);
	}
}

static struct feed *ten_cells(struct shm_table *t)
{
	struct feed *f = feed_create(t, 1);

	live(f, 20, 0, 10);
	return f;
}

static void a_cell_that_falls_silent_is_held(void **state)
{
	struct feed *f = ten_cells(*state);

	live(f, 400, 1, 10);
	assert_int_equal(cell_routes(f, 0), PER_CELL);
	assert_int_equal(f->counters[COUNTER_mass_expiry_held_total], PER_CELL);
	assert_int_equal(board_fact(f->table->board, FACT_ENDPOINTS_HELD), PER_CELL);
	cell_speaks(f, 0, PER_CELL);          /* it is back */
	feed_pass(f, 2);
	assert_int_equal(board_fact(f->table->board, FACT_ENDPOINTS_HELD), 0);
	shm_table_assert_sound(*state);
	feed_destroy(f);
}

/* Spread over twenty seconds, as heartbeats are: still one death. */
static void a_mass_that_comes_due_bit_by_bit_is_held_whole(void **state)
{
	struct feed *f = ten_cells(*state);

	f->prune.brake.limits.cell_percent = 0;
	for (unsigned port = 1; port <= PER_CELL; port++) {
		char json[256];

		snprintf(json, sizeof(json), "{'uris':['c0-%u.example'],'host':'10.1.0.0',"
			 "'port':%u,'app':'app-0-%u'}", port, port, port);
		feed_register(f, 0, json);
		if (port % 5 == 0)
			feed_pass(f, 1);
	}
	live(f, 200, 1, 10);
	assert_int_equal(cell_routes(f, 0), PER_CELL);
	feed_destroy(f);
}

static void few_deaths_are_no_mass(void **state)
{
	struct feed *f = ten_cells(*state);

	for (unsigned s = 0; s < 160; s += 20) {
		for (unsigned c = 1; c < 10; c++)
			cell_speaks(f, c, PER_CELL);
		cell_speaks(f, 0, PER_CELL - 40);
		feed_pass(f, 20);
	}
	assert_int_equal(cell_routes(f, 0), PER_CELL - 40);
	assert_int_equal(f->counters[COUNTER_mass_expiry_held_total], 0);
	feed_destroy(f);
}

/* Half of a small cell is fewer than the limit of all, and too many for the cell. */
static void more_than_half_of_a_cell_is_held(void **state)
{
	struct feed *f = feed_create(*state, 1);

	for (unsigned s = 0; s < 200; s += 20) {
		for (unsigned c = 1; c < 5; c++)
			cell_speaks(f, c, PER_CELL);
		cell_speaks(f, 0, s ? 9 : 20);
		cell_speaks(f, 6, s ? 11 : 20);
		feed_pass(f, 20);
	}
	assert_int_equal(cell_routes(f, 0), 20);
	assert_int_equal(cell_routes(f, 6), 11);
	assert_int_equal(f->counters[COUNTER_mass_expiry_held_total], 11);
	feed_destroy(f);
}

static void a_small_table_has_no_brake(void **state)
{
	struct feed *f = feed_create(*state, 1);

	cell_speaks(f, 0, 50);
	feed_pass(f, 124);
	assert_int_equal(cell_routes(f, 0), 0);
	cell_speaks(f, 0, 51);
	feed_pass(f, 124);
	assert_int_equal(cell_routes(f, 0), 51);
	feed_destroy(f);
}

static struct feed *held_cell(struct shm_table *t)
{
	struct feed *f = ten_cells(t);

	live(f, 160, 1, 10);
	assert_int_equal(cell_routes(f, 0), PER_CELL);
	return f;
}

/* What fails a request has told itself; the rest stays held, however few they are. */
static void a_held_endpoint_that_fails_leaves_unless_it_is_the_last(void **state)
{
	struct feed *f = held_cell(*state);

	feed_app(f, 0, "c0-1.example", "10.9.9.9:1", "app-0-1", "");
	for (unsigned port = 1; port <= 2; port++) {
		char uri[64], address[64];

		snprintf(uri, sizeof(uri), "c0-%u.example", port);
		snprintf(address, sizeof(address), "10.1.0.0:%u", port);
		feed_fail(f, uri, address, EVENT_FAILED, 1);
	}
	feed_pass(f, 3);
	assert_int_equal(feed_entries(f, "c0-1.example"), 1);
	assert_true(feed_has(f, "c0-1.example", "10.9.9.9:1", ""));
	assert_int_equal(feed_entries(f, "c0-2.example"), 1);
	assert_int_equal(cell_routes(f, 0), PER_CELL);
	feed_destroy(f);
}

static void an_unregister_needs_no_brake(void **state)
{
	struct feed *f = held_cell(*state);

	feed_app_gone(f, 0, "c0-1.example", "10.1.0.0:1", "app-0-1", "");
	feed_pass(f, 3);
	assert_int_equal(cell_routes(f, 0), PER_CELL - 1);
	assert_int_equal(board_fact(f->table->board, FACT_ENDPOINTS_HELD), PER_CELL - 1);
	feed_destroy(f);
}

static void the_operator_lets_go_of_what_is_held(void **state)
{
	struct feed *f = held_cell(*state);

	prune_release(&f->prune);
	assert_int_equal(cell_routes(f, 0), 0);
	assert_int_equal(cell_routes(f, 1), PER_CELL);
	feed_pass(f, 1);
	assert_int_equal(board_fact(f->table->board, FACT_ENDPOINTS_HELD), 0);
	feed_destroy(f);
}

/* Nobody was there to hear anything: that is no truth to be released. */
static void without_any_server_there_is_nothing_to_release(void **state)
{
	struct feed *f = ten_cells(*state);

	feed_connect(f, 0, false);
	feed_pass(f, 200);
	prune_release(&f->prune);
	assert_int_equal(cell_routes(f, 0), PER_CELL);
	assert_int_equal(cell_routes(f, 9), PER_CELL);
	feed_destroy(f);
}

static void a_hold_ends_after_its_limit(void **state)
{
	struct feed *f = held_cell(*state);

	f->settings.hold_limit_ms = 300000;
	live(f, 200, 1, 10);
	assert_int_equal(cell_routes(f, 0), PER_CELL);
	live(f, 120, 1, 10);
	assert_int_equal(cell_routes(f, 0), 0);
	feed_destroy(f);
}

/* The process was stopped in the middle of a round, wherever that is. */
static void a_clock_that_leaps_removes_nothing(void **state)
{
	struct feed *f = ten_cells(*state);

	for (unsigned n = 0; n < 12; n++) {
		for (unsigned c = 0; c < 10; c++)
			cell_speaks(f, c, PER_CELL);
		for (unsigned i = 0; i < n; i++)
			prune_tick(&f->prune, ++f->tick);
		f->tick += 1500;
		for (unsigned i = 0; i < 5; i++)
			prune_tick(&f->prune, ++f->tick);
		for (unsigned c = 0; c < 10; c++)
			assert_int_equal(cell_routes(f, c), PER_CELL);
	}
	feed_destroy(f);
}

static void a_brake_can_be_left_out(void **state)
{
	struct feed *f = ten_cells(*state);

	f->prune.brake.limits.percent = 0;
	live(f, 160, 1, 10);
	assert_int_equal(cell_routes(f, 0), 0);
	feed_destroy(f);
}

static void one_percent_of_many_is_more_than_fifty(void **state)
{
	struct brake b = { .limits = { 1, 50, 50 }, .endpoints = 10000, .expiring = 100 };
	struct cell cell = { .endpoints = 200, .expiring = 100 };

	(void)state;
	assert_false(brake_is_on(&b));
	assert_false(brake_holds_cell(&b, &cell));
	b.expiring = cell.expiring = 101;
	assert_true(brake_is_on(&b));
	assert_true(brake_holds_cell(&b, &cell));
	assert_false(brake_holds_cell(&b, NULL));
	b.endpoints = b.expiring = 50;
	assert_false(brake_is_on(&b));
}

int main(void)
{
#define ON_TABLE(test) cmocka_unit_test_setup_teardown(test, shm_table_setup, shm_table_teardown)
	const struct CMUnitTest tests[] = {
		ON_TABLE(a_cell_that_falls_silent_is_held),
		ON_TABLE(a_mass_that_comes_due_bit_by_bit_is_held_whole),
		ON_TABLE(few_deaths_are_no_mass),
		ON_TABLE(more_than_half_of_a_cell_is_held),
		ON_TABLE(a_small_table_has_no_brake),
		ON_TABLE(a_held_endpoint_that_fails_leaves_unless_it_is_the_last),
		ON_TABLE(an_unregister_needs_no_brake),
		ON_TABLE(the_operator_lets_go_of_what_is_held),
		ON_TABLE(without_any_server_there_is_nothing_to_release),
		ON_TABLE(a_hold_ends_after_its_limit),
		ON_TABLE(a_clock_that_leaps_removes_nothing),
		ON_TABLE(a_brake_can_be_left_out),
		cmocka_unit_test(one_percent_of_many_is_more_than_fifty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
