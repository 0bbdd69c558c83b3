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
	struct wish wish;
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

	return balancer_pick(&p->balancer, &key, &p->wish, tried, attempt, p->now_ms,
			     &p->endpoint);
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
	balancer_mark_failed(&p->balancer, &p->endpoint, FAIL_CONNECT, "UF:gone", true, ECONNREFUSED, p->now_ms);
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
	assert_string_equal(event.code, "UF:gone");
	assert_int_equal(event.error, ECONNREFUSED);
	assert_int_equal(p->balancer.counters[COUNTER_endpoint_failures], 1);
	for (int i = 0; i < 5000; i++)        /* nobody reads: the pipe fills, we go on */
		blame(p);
	assert_true(p->balancer.counters[COUNTER_endpoint_events_dropped] > 0);
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

/* --- requests that ask for an endpoint --- */

#define APP_A "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
#define APP_B "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb"

/* An endpoint of a route; its port tells it from the others. */
static void add_instance(struct pool *p, unsigned port, const char *id, const char *app,
			 const char *process, const char *index)
{
	struct endpoint *e = mem_zalloc(sizeof(*e));
	char address[32];

	snprintf(address, sizeof(address), "10.0.0.1:%u", port);
	shm_table_describe(e, address, id);
	e->app_id = str_of(app);
	e->process_id = str_of(process);
	e->instance_index = str_of(index);
	assert_true(shm_table_add(p->table, "app.test", e, NULL) > 0);
	free(e);
}

static void add_three_with_ids(struct pool *p)
{
	add_instance(p, 1, "one", APP_A, "", "0");
	add_instance(p, 2, "two", APP_A, "", "1");
	add_instance(p, 3, "three", APP_A, "", "2");
}

static void a_session_stays_where_it_is_even_if_it_failed_lately(void **state)
{
	struct pool *p = *state;

	for (int algorithm = 0; algorithm < 2; algorithm++) {
		p->settings.algorithm = algorithm;
		add_three_with_ids(p);
		p->wish = (struct wish){ .sticky_id = STR("two") };
		for (int i = 0; i < 10; i++)
			assert_int_equal(serve(p), 2);
		assert_int_equal(p->balancer.stuck, STUCK_FOUND);
		blame(p);
		assert_int_equal(serve(p), 2);
		p->wish.sticky_id = STR_NONE;
		assert_int_not_equal(serve(p), 2);
		assert_int_equal(p->balancer.stuck, STUCK_NOT_ASKED);
	}
}

/* 19.21: a client cannot choose a backend by its address. */
static void a_session_is_nowhere_by_address_or_in_other_letters(void **state)
{
	static const struct str ids[] = {
		STR_INIT("10.0.0.1:2"), STR_INIT("TWO"), STR_INIT("tw"), STR_INIT("two "),
	};
	struct pool *p = *state;

	add_three_with_ids(p);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		unsigned served[4] = { 0 };

		p->wish = (struct wish){ .sticky_id = ids[i] };
		for (int n = 0; n < 30; n++)
			served[serve(p)]++;
		assert_int_equal(p->balancer.stuck, STUCK_MISSING);
		assert_true(served[1] == 10 && served[2] == 10 && served[3] == 10);
	}
}

static void a_session_that_need_not_stick_goes_elsewhere(void **state)
{
	static const struct tried none = { .count = 0 };
	struct pool *p = *state;
	bool was_elsewhere = false;

	add_three_with_ids(p);
	p->settings.max_conns = 1;
	p->wish = (struct wish){ .sticky_id = STR("two") };
	assert_int_equal(pick(p), PICK_OK);
	assert_int_equal(p->endpoint.port, 2);
	assert_int_not_equal(serve(p), 2);
	assert_int_equal(p->balancer.stuck, STUCK_OVERLOADED);
	p->settings.max_conns = 0;
	for (int i = 0; i < 3; i++) {         /* a second attempt wants nothing */
		assert_int_equal(pick_again(p, &none, 2), PICK_OK);
		was_elsewhere |= p->endpoint.port != 2;
	}
	assert_true(was_elsewhere);
	assert_int_equal(shm_table_unregister(p->table, "app.test", "10.0.0.1:2"), 0);
	assert_int_not_equal(serve(p), 2);
	assert_int_equal(p->balancer.stuck, STUCK_MISSING);
}

static void a_session_that_must_stick_is_served_there_or_not_at_all(void **state)
{
	struct tried tried = { .count = 0 };
	struct pool *p = *state;

	add_three_with_ids(p);
	p->wish = (struct wish){ .sticky_id = STR("two"), .must_stick = true };
	for (unsigned attempt = 1; attempt <= 3; attempt++) {
		assert_int_equal(pick_again(p, &tried, attempt), PICK_OK);
		assert_int_equal(p->endpoint.port, 2);
		balancer_release(&p->balancer, &p->endpoint);
		tried.serials[0] = p->endpoint.serial;
		tried.count = 1;
	}
	assert_int_equal(pick_again(p, &tried, 4), PICK_EXHAUSTED);   /* three endpoints */
	p->settings.max_conns = 1;
	assert_int_equal(pick(p), PICK_OK);
	assert_int_equal(pick(p), PICK_EXHAUSTED);
	assert_int_equal(p->balancer.stuck, STUCK_OVERLOADED);
	p->wish.sticky_id = STR("gone");
	assert_int_equal(pick(p), PICK_EXHAUSTED);
	assert_int_equal(p->balancer.stuck, STUCK_MISSING);
	p->wish = (struct wish){ .sticky_id = STR_NONE };
	assert_int_equal(pick(p), PICK_OK);
	assert_int_equal(pick(p), PICK_OK);
	p->wish = (struct wish){ .sticky_id = STR("two"), .must_stick = true };
	assert_int_equal(pick(p), PICK_OVERLOADED);   /* everybody is */
}

static void of_endpoints_with_one_id_any_with_room_has_the_session(void **state)
{
	struct pool *p = *state;

	add_instance(p, 1, "same", APP_A, "", "0");
	add_instance(p, 2, "same", APP_A, "", "1");
	add_instance(p, 3, "other", APP_A, "", "2");
	p->settings.max_conns = 1;
	p->wish = (struct wish){ .sticky_id = STR("same"), .must_stick = true };
	assert_int_equal(pick(p), PICK_OK);
	assert_int_equal(pick(p), PICK_OK);
	assert_int_not_equal(p->endpoint.port, 3);
	assert_int_equal(pick(p), PICK_EXHAUSTED);
}

static void an_instance_of_an_app_is_found_by_id_and_index_as_text(void **state)
{
	static const struct { const char *guid, *index; unsigned port; } cases[] = {
		{ APP_A, "0",  1 }, { APP_A, "1", 2 }, { APP_B, "0", 3 }, { APP_B, "00", 4 },
		{ APP_B, "1",  0 }, { APP_A, "00", 0 }, { APP_A, "2", 0 },
	};
	struct pool *p = *state;

	add_instance(p, 1, "", APP_A, "", "0");
	add_instance(p, 2, "", APP_A, "", "1");
	add_instance(p, 3, "", APP_B, "", "0");
	add_instance(p, 4, "", APP_B, "", "00");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		p->wish = (struct wish){ .scope = SCOPE_APP_INSTANCE, .guid = str_of(cases[i].guid),
					 .index = str_of(cases[i].index) };
		if (cases[i].port)
			assert_int_equal(serve(p), cases[i].port);
		else
			assert_int_equal(pick(p), PICK_NO_ROUTE);
	}
}

/* W9: an older one may be gone without having said so.  Its failures count for
 * everybody, and do not keep from it who asks for it. */
static void of_two_instances_with_one_index_the_last_confirmed_is_asked_first(void **state)
{
	struct tried tried = { .count = 0 };
	struct pool *p = *state;

	p->table->tick = 50;
	add_instance(p, 2, "new", APP_A, "", "0");
	p->table->tick = 20;
	add_instance(p, 1, "old", APP_A, "", "0");
	p->table->tick = 60;
	add_instance(p, 3, "", APP_A, "", "1");
	p->wish = (struct wish){ .scope = SCOPE_APP_INSTANCE, .guid = STR(APP_A),
				 .index = STR("0") };
	assert_int_equal(serve(p), 2);
	assert_int_equal(serve(p), 2);
	blame(p);
	assert_int_equal(serve(p), 2);
	tried.serials[tried.count++] = p->endpoint.serial;
	assert_int_equal(pick_again(p, &tried, 2), PICK_OK);
	assert_int_equal(p->endpoint.port, 1);
	tried.serials[tried.count++] = p->endpoint.serial;
	assert_int_equal(pick_again(p, &tried, 3), PICK_EXHAUSTED);
	p->wish = (struct wish){ .scope = SCOPE_ROUTE };
	for (int i = 0; i < 10; i++)
		assert_int_not_equal(serve(p), 2);
	p->table->tick = 70;
	add_instance(p, 4, "newest", APP_A, "", "0");
	p->wish = (struct wish){ .scope = SCOPE_APP_INSTANCE, .guid = STR(APP_A),
				 .index = STR("0") };
	assert_int_equal(serve(p), 4);
}

static void an_instance_at_its_limit_is_overloaded_whoever_is_idle(void **state)
{
	struct pool *p = *state;

	add_three_with_ids(p);
	p->settings.max_conns = 1;
	p->wish = (struct wish){ .scope = SCOPE_APP_INSTANCE, .guid = STR(APP_A),
				 .index = STR("1") };
	assert_int_equal(pick(p), PICK_OK);
	assert_int_equal(pick(p), PICK_OVERLOADED);
}

static void a_process_is_all_its_instances_or_the_one_with_an_index(void **state)
{
	struct pool *p = *state;
	unsigned served[5] = { 0 };

	add_instance(p, 1, "one", APP_A, APP_B, "0");
	add_instance(p, 2, "two", APP_A, APP_B, "1");
	add_instance(p, 3, "three", APP_A, APP_A, "0");
	add_instance(p, 4, "four", APP_B, "", "0");
	p->wish = (struct wish){ .scope = SCOPE_PROCESS, .guid = STR(APP_B) };
	for (int i = 0; i < 40; i++)
		served[serve(p)]++;
	assert_true(served[1] && served[2] && !served[3] && !served[4]);
	p->wish.sticky_id = STR("two");       /* a session within it */
	assert_int_equal(serve(p), 2);
	p->wish.sticky_id = STR("three");     /* and one outside */
	assert_int_not_equal(serve(p), 3);
	p->wish = (struct wish){ .scope = SCOPE_PROCESS, .guid = STR(APP_B), .index = STR("1") };
	assert_int_equal(serve(p), 2);
	p->wish.index = STR("2");
	assert_int_equal(pick(p), PICK_NO_ROUTE);
}

static void an_empty_route_has_no_instance(void **state)
{
	struct pool *p = *state;

	route_writer_keep_empty(p->table->writer, 100);
	add_many(p, 1);
	assert_int_equal(shm_table_unregister(p->table, "app.test", "10.0.0.1:1000"), 0);
	p->wish = (struct wish){ .scope = SCOPE_PROCESS, .guid = STR(APP_A) };
	assert_int_equal(pick(p), PICK_NO_ROUTE);
}

static bool has_other(struct pool *p, uint64_t serial)
{
	static const struct tried none = { .count = 0 };
	char buffer[ROUTE_KEY_MAX];
	struct route_key key = shm_table_key("app.test", buffer);

	return balancer_has_other(&p->balancer, &key, &p->wish, &none, serial, p->now_ms);
}

static void another_endpoint_is_one_that_is_asked_for(void **state)
{
	struct pool *p = *state;

	add_three_with_ids(p);
	p->wish = (struct wish){ .sticky_id = STR("two") };
	serve(p);
	assert_true(has_other(p, p->endpoint.serial));
	p->wish.must_stick = true;
	assert_false(has_other(p, p->endpoint.serial));
	p->wish = (struct wish){ .scope = SCOPE_APP_INSTANCE, .guid = STR(APP_A),
				 .index = STR("1") };
	assert_false(has_other(p, p->endpoint.serial));
}

static void the_path_that_a_route_is_registered_with_is_told(void **state)
{
	struct pool *p = *state;
	char buffer[ROUTE_KEY_MAX];
	static const struct tried none = { .count = 0 };
	struct route_key key = shm_table_key("app.test/v1/users", buffer);

	assert_true(shm_table_register(p->table, "app.test/v1", "10.0.0.1:1") > 0);
	assert_int_equal(balancer_pick(&p->balancer, &key, &p->wish, &none, 1, p->now_ms,
				       &p->endpoint), PICK_OK);
	assert_int_equal(p->balancer.path_len, strlen("/v1"));
	add_many(p, 1);
	serve(p);
	assert_int_equal(p->balancer.path_len, 0);
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
		OVER_A_TABLE(a_thousand_endpoints_are_served_evenly),
		OVER_A_TABLE(a_session_stays_where_it_is_even_if_it_failed_lately),
		OVER_A_TABLE(a_session_is_nowhere_by_address_or_in_other_letters),
		OVER_A_TABLE(a_session_that_need_not_stick_goes_elsewhere),
		OVER_A_TABLE(a_session_that_must_stick_is_served_there_or_not_at_all),
		OVER_A_TABLE(of_endpoints_with_one_id_any_with_room_has_the_session),
		OVER_A_TABLE(an_instance_of_an_app_is_found_by_id_and_index_as_text),
		OVER_A_TABLE(of_two_instances_with_one_index_the_last_confirmed_is_asked_first),
		OVER_A_TABLE(an_instance_at_its_limit_is_overloaded_whoever_is_idle),
		OVER_A_TABLE(a_process_is_all_its_instances_or_the_one_with_an_index),
		OVER_A_TABLE(an_empty_route_has_no_instance),
		OVER_A_TABLE(another_endpoint_is_one_that_is_asked_for),
		OVER_A_TABLE(the_path_that_a_route_is_registered_with_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
