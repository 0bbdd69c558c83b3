/*
 * tests/unit/upstream/test_balancer.c - which endpoint a request gets, over a
 * real table and board.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/process.h"
#include "counters.h"
#include "tests/unit/fixture/shm_table.h"
#include "upstream/balancer.h"

#define START_MS 3600000ull           /* after the table was made */

struct pool {
	struct shm_table *table;
	struct balancer_settings settings;
	struct balancer balancer;
	uint64_t now_ms;
	struct endpoint endpoint;     /* the last choice */
	int events;                   /* read end of the event pipe */
};

static int set_up(void **state)
{
	struct pool *p = mem_zalloc(sizeof(*p));
	int fds[2];

	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	assert_true(fds[0] < PROCESS_FD_EVENTS && fds[1] < PROCESS_FD_EVENTS);
	dup2(fds[1], PROCESS_FD_EVENTS);      /* before the table opens what it needs */
	close(fds[1]);
	p->events = fds[0];
	p->table = shm_table_create(0);
	p->settings = (struct balancer_settings){ .failed_ms = 30000, .zone = "z1" };
	p->balancer = (struct balancer){
		.routes = p->table->reader, .table = p->table->ro, .board = p->table->board,
		.slot = SLOT_WORKER, .counters = counters_row(p->table->board, SLOT_WORKER),
		.settings = &p->settings,
	};
	p->now_ms = table_tick_ms(p->table->ro, 0) + START_MS;
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct pool *p = *state;

	shm_table_destroy(p->table);
	close(PROCESS_FD_EVENTS);
	close(p->events);
	free(p);
	return 0;
}

static void add(struct pool *p, const char *address, const char *zone)
{
	struct endpoint *e = mem_zalloc(sizeof(*e));

	shm_table_describe(e, address, "");
	e->zone = str_of(zone);
	assert_true(shm_table_add(p->table, "app.test", e, NULL) > 0);
	free(e);
}

static void add_many(struct pool *p, unsigned count)
{
	char address[32];

	for (unsigned i = 0; i < count; i++) {
		snprintf(address, sizeof(address), "10.0.%u.%u:%u", i / 250, i % 250 + 1, 1000 + i);
		add(p, address, "");
	}
}

static enum pick pick_again(struct pool *p, const struct tried *tried, unsigned attempt)
{
	char buffer[ROUTE_KEY_MAX];
	struct route_key key = shm_table_key("app.test", buffer);

	return balancer_pick(&p->balancer, &key, tried, attempt, p->now_ms, &p->endpoint);
}

static enum pick pick(struct pool *p)
{
	static const struct tried none = { .count = 0 };

	return pick_again(p, &none, 1);
}

/* Picks and lets go at once; returns the port. */
static unsigned serve(struct pool *p)
{
	assert_int_equal(pick(p), PICK_OK);
	balancer_release(&p->balancer, &p->endpoint);
	return p->endpoint.port;
}

static void blame(struct pool *p)
{
	balancer_mark_failed(&p->balancer, &p->endpoint, FAIL_CONNECT, true, ECONNREFUSED, p->now_ms);
}

static void round_robin_serves_all_in_turn_whatever_the_holes(void **state)
{
	struct pool *p = *state;
	unsigned served[5] = { 0 };

	add_many(p, 5);
	assert_int_equal(shm_table_unregister(p->table, "app.test", "10.0.0.2:1001"), 0);
	for (int i = 0; i < 400; i++)
		served[serve(p) - 1000]++;
	assert_int_equal(served[1], 0);
	assert_int_equal(served[0], 100);
	assert_int_equal(served[2], 100);
	assert_int_equal(served[3], 100);
	assert_int_equal(served[4], 100);
}

static void an_unknown_route_and_an_empty_one_are_told_apart(void **state)
{
	struct pool *p = *state;

	assert_int_equal(pick(p), PICK_NO_ROUTE);
	route_writer_keep_empty(p->table->writer, 100);
	add_many(p, 1);
	assert_int_equal(shm_table_unregister(p->table, "app.test", "10.0.0.1:1000"), 0);
	assert_int_equal(pick(p), PICK_NO_ENDPOINT);
}

static void what_is_in_flight_is_counted_until_it_is_released(void **state)
{
	struct pool *p = *state;

	add_many(p, 1);
	assert_int_equal(pick(p), PICK_OK);
	assert_int_equal(pick(p), PICK_OK);
	assert_int_equal(live_in_flight(p->table->board, p->endpoint.row), 2);
	balancer_release(&p->balancer, &p->endpoint);
	balancer_release(&p->balancer, &p->endpoint);
	assert_int_equal(live_in_flight(p->table->board, p->endpoint.row), 0);
}

static void at_max_conns_others_serve_and_then_nobody(void **state)
{
	struct pool *p = *state;
	unsigned first;

	add_many(p, 2);
	p->settings.max_conns = 1;
	assert_int_equal(pick(p), PICK_OK);
	first = p->endpoint.port;
	assert_int_equal(pick(p), PICK_OK);
	assert_int_not_equal(p->endpoint.port, first);
	assert_int_equal(pick(p), PICK_OVERLOADED);
	balancer_release(&p->balancer, &p->endpoint);
	assert_int_equal(pick(p), PICK_OK);
	assert_int_not_equal(p->endpoint.port, first);
}

static void requests_of_other_workers_count_towards_the_limit(void **state)
{
	struct pool *p = *state;

	add_many(p, 1);
	p->settings.max_conns = 1;
	serve(p);
	assert_true(live_begin(p->table->board, p->endpoint.row, SLOT_WORKER + 1));
	assert_int_equal(pick(p), PICK_OVERLOADED);
	live_end(p->table->board, p->endpoint.row, SLOT_WORKER + 1);
	assert_int_equal(pick(p), PICK_OK);
}

static void least_connection_prefers_the_idle_and_spreads_ties(void **state)
{
	struct pool *p = *state;
	unsigned served[4] = { 0 }, busy;

	add_many(p, 4);
	p->settings.algorithm = 1;
	assert_int_equal(pick(p), PICK_OK);
	busy = p->endpoint.port;
	for (int i = 0; i < 300; i++)
		served[serve(p) - 1000]++;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(served[i] > 50, 1000 + i != busy);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pick(p), PICK_OK);
	p->settings.max_conns = 1;
	assert_int_equal(pick(p), PICK_OVERLOADED);
}

static void the_option_of_a_route_beats_the_setting(void **state)
{
	struct pool *p = *state;
	struct endpoint *e = mem_zalloc(sizeof(*e));
	unsigned busy, other;

	shm_table_describe(e, "10.0.0.1:1", "");
	e->balancing = BALANCE_LEAST_CONNECTION;
	assert_true(shm_table_add(p->table, "app.test", e, NULL) > 0);
	shm_table_describe(e, "10.0.0.2:2", "");
	e->balancing = BALANCE_LEAST_CONNECTION;
	assert_true(shm_table_add(p->table, "app.test", e, NULL) > 0);
	free(e);
	assert_int_equal(pick(p), PICK_OK);
	busy = p->endpoint.port;
	other = 3 - busy;
	for (int i = 0; i < 10; i++)
		assert_int_equal(serve(p), other);
}

static void a_failed_endpoint_is_passed_over_until_its_time_is_up(void **state)
{
	struct pool *p = *state;
	bool was_served = false;
	unsigned failed;

	for (int algorithm = 0; algorithm < 2; algorithm++) {
		p->settings.algorithm = algorithm;
		add_many(p, 3);
		failed = serve(p);
		blame(p);
		for (int i = 0; i < 30; i++)
			assert_int_not_equal(serve(p), failed);
		p->now_ms -= 100;             /* our clock was read before the mark was made */
		for (int i = 0; i < 30; i++)
			assert_int_not_equal(serve(p), failed);
		p->now_ms += 100 + p->settings.failed_ms;
		for (int i = 0; i < 3; i++)
			was_served |= serve(p) == failed;
		assert_true(was_served);
	}
}

static void when_all_have_failed_all_are_eligible_again(void **state)
{
	struct pool *p = *state;
	unsigned served[3] = { 0 };

	add_many(p, 3);
	for (int i = 0; i < 3; i++) {
		serve(p);
		blame(p);
	}
	for (int i = 0; i < 30; i++)
		served[serve(p) - 1000]++;
	for (int i = 0; i < 3; i++)
		assert_int_equal(served[i], 10);
	assert_int_equal(live_failed_at(p->table->board, p->endpoint.row), 0);
}

static void a_failed_endpoint_is_still_better_than_one_already_tried(void **state)
{
	struct pool *p = *state;
	struct tried tried = { .count = 0 };
	uint32_t failed_row;

	add_many(p, 2);
	serve(p);
	blame(p);
	failed_row = p->endpoint.row;
	serve(p);                             /* the good one, which closed the connection */
	tried.serials[tried.count++] = p->endpoint.serial;
	assert_int_equal(pick_again(p, &tried, 2), PICK_OK);
	assert_int_equal(p->endpoint.row, failed_row);
	/* not everybody has failed: the mark stays for the others */
	assert_int_not_equal(live_failed_at(p->table->board, failed_row), 0);
}

static void nobody_is_tried_twice(void **state)
{
	struct pool *p = *state;
	struct tried tried = { .count = 0 };

	add_many(p, 3);
	for (unsigned attempt = 1; attempt <= 3; attempt++) {
		assert_int_equal(pick_again(p, &tried, attempt), PICK_OK);
		assert_false(tried_has(&tried, p->endpoint.serial));
		tried.serials[tried.count++] = p->endpoint.serial;
	}
	assert_int_equal(pick_again(p, &tried, 4), PICK_EXHAUSTED);
	add(p, "10.9.9.9:9", "");             /* registered while the request was tried */
	assert_int_equal(pick_again(p, &tried, 4), PICK_OK);
	assert_int_equal(p->endpoint.port, 9);
}

static void the_own_zone_is_preferred_on_the_first_attempt_while_it_can_serve(void **state)
{
	struct pool *p = *state;
	static const struct tried none = { .count = 0 };
	unsigned far = 0;

	p->settings.zone_preference = 1;
	add(p, "10.0.0.1:1", "z2");
	add(p, "10.0.0.2:2", "z1");
	add(p, "10.0.0.3:3", "");
	for (int i = 0; i < 10; i++)
		assert_int_equal(serve(p), 2);
	for (int i = 0; i < 9; i++) {
		assert_int_equal(pick_again(p, &none, 2), PICK_OK);
		balancer_release(&p->balancer, &p->endpoint);
		far += p->endpoint.port != 2;
	}
	assert_int_equal(far, 6);
	while (serve(p) != 2)
		;
	blame(p);
	assert_int_not_equal(serve(p), 2);
}

static void a_failure_is_marked_counted_and_told_to_the_registrar(void **state)
{
	struct pool *p = *state;
	struct endpoint_event event;

	add_many(p, 1);
	serve(p);
	blame(p);
	assert_int_equal(read(p->events, &event, sizeof(event)), sizeof(event));
	assert_int_equal(event.kind, EVENT_FAILED);
	assert_int_equal(event.row, p->endpoint.row);
	assert_int_equal(event.serial, p->endpoint.serial);
	assert_int_equal(event.failure, FAIL_CONNECT);
	assert_int_equal(event.error, ECONNREFUSED);
	assert_int_equal(p->balancer.counters[COUNTER_endpoint_failures], 1);
	for (int i = 0; i < 5000; i++)        /* nobody reads: the pipe fills, we go on */
		blame(p);
	assert_true(p->balancer.counters[COUNTER_endpoint_events_dropped] > 0);
}

/* Its certificate was another's: no time makes that better, only a registration. */
static void an_endpoint_of_a_wrong_identity_is_not_chosen_until_it_is_let_in_again(void **state)
{
	struct pool *p = *state;
	struct tried tried = { .count = 0 };
	struct endpoint_event event;
	uint32_t row;

	add_many(p, 1);
	serve(p);
	row = p->endpoint.row;
	p->endpoint.flags |= ENDPOINT_TLS;
	balancer_mark_failed(&p->balancer, &p->endpoint, FAIL_TLS_NAME, true, 0, p->now_ms);
	assert_int_equal(read(p->events, &event, sizeof(event)), sizeof(event));
	assert_int_equal(event.kind, EVENT_WRONG_ID);
	assert_int_equal(pick_again(p, &tried, 1), PICK_NO_ENDPOINT);
	tried.serials[tried.count++] = p->endpoint.serial;
	assert_int_equal(pick_again(p, &tried, 1), PICK_EXHAUSTED);
	p->now_ms += 3600000;
	tried.count = 0;
	assert_int_equal(pick_again(p, &tried, 1), PICK_NO_ENDPOINT);
	live_set_excluded(p->table->board, row, LIVE_NOT_EXCLUDED);
	assert_int_equal(pick_again(p, &tried, 1), PICK_OK);
}

static void a_thousand_endpoints_are_served_evenly(void **state)
{
	struct pool *p = *state;
	static unsigned served[1000];

	add_many(p, 1000);
	for (int i = 0; i < 10000; i++)
		served[serve(p) - 1000]++;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(served[i], 10);
}

#define OVER_A_TABLE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVER_A_TABLE(round_robin_serves_all_in_turn_whatever_the_holes),
		OVER_A_TABLE(an_unknown_route_and_an_empty_one_are_told_apart),
		OVER_A_TABLE(what_is_in_flight_is_counted_until_it_is_released),
		OVER_A_TABLE(at_max_conns_others_serve_and_then_nobody),
		OVER_A_TABLE(requests_of_other_workers_count_towards_the_limit),
		OVER_A_TABLE(least_connection_prefers_the_idle_and_spreads_ties),
		OVER_A_TABLE(the_option_of_a_route_beats_the_setting),
		OVER_A_TABLE(a_failed_endpoint_is_passed_over_until_its_time_is_up),
		OVER_A_TABLE(when_all_have_failed_all_are_eligible_again),
		OVER_A_TABLE(a_failed_endpoint_is_still_better_than_one_already_tried),
		OVER_A_TABLE(nobody_is_tried_twice),
		OVER_A_TABLE(the_own_zone_is_preferred_on_the_first_attempt_while_it_can_serve),
		OVER_A_TABLE(a_failure_is_marked_counted_and_told_to_the_registrar),
		OVER_A_TABLE(an_endpoint_of_a_wrong_identity_is_not_chosen_until_it_is_let_in_again),
		OVER_A_TABLE(a_thousand_endpoints_are_served_evenly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
