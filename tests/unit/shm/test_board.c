/*
 * tests/unit/shm/test_board.c - slots, rows, counters, log rings and facts.
 */
#include "tests/unit/fixture/shm_table.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/board_layout.h"
#include "shm/endpoint_live.h"

static void a_slot_has_one_living_owner_and_its_lock_dies_with_it(void **state)
{
	struct shm_table *t = *state;
	struct slot_view view;
	int ready[2], status;
	char byte;
	pid_t child;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		if (board_slot_claim(t->board, SLOT_WORKER + 1, NULL) || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(board_slot_claim(t->board, SLOT_WORKER + 1, NULL), -EBUSY);
	board_slot_view(t->board, SLOT_WORKER + 1, &view);
	assert_true(view.is_alive);
	assert_int_equal(view.pid, child);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	board_slot_view(t->board, SLOT_WORKER + 1, &view);
	assert_false(view.is_alive);
	assert_int_equal(board_slot_claim(t->board, SLOT_WORKER + 1, NULL), 0);
	board_slot_view(t->board, SLOT_WORKER + 1, &view);
	assert_true(view.is_alive);
	assert_int_equal(board_slot_claim(t->board, 1000, NULL), -EINVAL);
	close(ready[0]);
	close(ready[1]);
}

static void counts_are_exact_after_a_worker_was_killed_while_counting(void **state)
{
	struct shm_table *t = *state;
	struct endpoint in;
	pid_t child;
	int status;

	shm_table_register(t, "a.example.com", "10.0.0.1:80");
	assert_true(shm_table_entry(t, "a.example.com", 0, &in, NULL));
	live_begin(t->board, in.row, SLOT_WORKER);
	child = fork();
	if (child == 0) {
		for (;;) {
			live_begin(t->board, in.row, SLOT_WORKER + 2);
			live_begin(t->board, in.row, SLOT_WORKER + 2);
			live_end(t->board, in.row, SLOT_WORKER + 2);
		}
	}
	while (live_in_flight(t->board, in.row) < 100)
		;
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	board_slot_clear(t->board, SLOT_WORKER + 2);
	assert_int_equal(live_in_flight(t->board, in.row), 1);
	live_end(t->board, in.row, SLOT_WORKER);
	live_end(t->board, in.row, SLOT_WORKER);      /* once too often does no harm */
	assert_int_equal(live_in_flight(t->board, in.row), 0);
}

static void a_cell_is_full_at_its_limit(void **state)
{
	struct shm_table *t = *state;

	shm_table_register(t, "a.example.com", "10.0.0.1:80");
	for (unsigned i = 0; i < 65535; i++)
		assert_true(live_begin(t->board, 0, SLOT_WORKER));
	assert_false(live_begin(t->board, 0, SLOT_WORKER));
	assert_false(live_begin(t->board, UINT32_MAX, SLOT_WORKER));
	assert_false(live_begin(t->board, 0, SLOT_REGISTRAR));
	assert_false(live_begin(t->board, 0, SLOT_WORKER + FIXTURE_WORKERS));
	assert_int_equal(live_in_flight(t->board, 0), 65535);
}

static void sums_do_not_go_back_when_a_worker_dies(void **state)
{
	struct shm_table *t = *state;
	uint64_t *row = counters_row(t->board, SLOT_WORKER + 1);

	counter_add(row, COUNTER_requests, 7);
	counter_add(row, COUNTER_connections_open, 3);
	counter_add(counters_row(t->board, SLOT_WORKER), COUNTER_requests, 1);
	assert_int_equal(counter_sum(t->board, COUNTER_requests), 8);
	counters_fold(t->board, SLOT_WORKER + 1);
	assert_int_equal(counter_sum(t->board, COUNTER_requests), 8);
	assert_int_equal(counter_of_slot(t->board, SLOT_WORKER + 1, COUNTER_requests), 0);
	assert_int_equal(counter_sum(t->board, COUNTER_connections_open), 0);
	assert_string_equal(counter_name(COUNTER_requests), "requests");
	assert_string_equal(counter_name(COUNTER_COUNT), "unknown");
}

static void lines_come_out_of_a_ring_whole_and_in_order(void **state)
{
	struct shm_table *t = *state;
	struct log_ring *ring = log_ring_of(t->board, SLOT_WORKER);
	char line[300], out[8192];
	unsigned written = 0, read = 0, next = 0, lines = 0;
	const char *bytes;
	size_t n, have = 0;

	for (unsigned i = 0; i < 2000; i++) {
		size_t len = 20 + i * 37 % 270;

		memset(line, 'a' + (int)(written % 26), len);
		line[len - 1] = '\n';
		if (log_ring_append(ring, (struct str){ line, len }))
			written++;
		if (i % 5 != 0)
			continue;
		while ((n = log_ring_peek(ring, &bytes)) > 0) {
			memcpy(out + have, bytes, n);
			have += n;
			log_ring_consume(ring, n);
		}
		for (size_t k = 0; k < have; k++) {
			assert_true(out[k] == '\n' || out[k] == 'a' + (int)(next % 26));
			next += out[k] == '\n';
		}
		lines += have != 0;
		have = 0;
		read = next;
	}
	assert_true(lines > 0);
	assert_in_range(written - read, 0, 30);
	memset(line, 'x', sizeof(line));
	while (log_ring_append(ring, (struct str){ line, sizeof(line) }))
		;
	assert_false(log_ring_append(ring, (struct str){ line, sizeof(line) }));
}

static void a_ring_gone_wrong_gives_nothing(void **state)
{
	struct shm_table *t = *state;
	struct log_ring *ring = log_ring_of(t->board, SLOT_WORKER);
	const char *bytes;

	ring->words->head = 1ull << 60;
	assert_int_equal(log_ring_peek(ring, &bytes), 0);
	assert_false(log_ring_append(ring, STR("x\n")));
}

static void facts_have_names_and_values(void **state)
{
	struct shm_table *t = *state;

	for (int fact = 0; fact < FACT_COUNT; fact++)
		assert_string_not_equal(fact_name((enum fact)fact), "unknown");
	board_set_fact(t->board, FACT_HEALTH, HEALTH_DEGRADED);
	assert_int_equal(board_fact(t->board, FACT_HEALTH), HEALTH_DEGRADED);
	shm_table_register(t, "a.example.com", "10.0.0.1:80");
	route_writer_tick(t->writer, 1);
	assert_int_equal(board_fact(t->board, FACT_ROUTES), 1);
	assert_int_equal(board_fact(t->board, FACT_ENDPOINTS), 1);
	assert_int_equal(table_route_count(t->ro), 1);
}

static void marks_of_a_row_are_set_apart_and_cleared_together(void **state)
{
	struct shm_table *t = *state;
	struct endpoint endpoint;
	uint32_t seen;

	shm_table_register(t, "a.example", "10.0.0.1:80");
	assert_true(shm_table_entry(t, "a.example", 0, &endpoint, &seen));
	for (unsigned held = 0; held < LIVE_HELD_COUNT; held++) {
		live_set_held(t->board, endpoint.row, (enum live_held)held);
		live_set_excluded(t->board, endpoint.row, LIVE_EXCLUDED_WRONG_ID);
		live_mark_failed(t->board, endpoint.row, 9);
		assert_int_equal(live_held(t->board, endpoint.row), held);
		assert_string_not_equal(live_held_name((enum live_held)held), "");
	}
	assert_int_equal(live_excluded(t->board, endpoint.row), LIVE_EXCLUDED_WRONG_ID);
	live_clear_marks(t->board, endpoint.row);
	assert_int_equal(live_held(t->board, endpoint.row), LIVE_NOT_HELD);
	assert_int_equal(live_excluded(t->board, endpoint.row), LIVE_NOT_EXCLUDED);
	assert_int_equal(live_failed_at(t->board, endpoint.row), 0);
	live_set_held(t->board, UINT32_MAX, LIVE_HELD_BRAKE);        /* no such row */
	assert_int_equal(live_held(t->board, UINT32_MAX), LIVE_NOT_HELD);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, shm_table_setup, shm_table_teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_slot_has_one_living_owner_and_its_lock_dies_with_it),
		CASE(counts_are_exact_after_a_worker_was_killed_while_counting),
		CASE(a_cell_is_full_at_its_limit),
		CASE(sums_do_not_go_back_when_a_worker_dies),
		CASE(lines_come_out_of_a_ring_whole_and_in_order),
		CASE(a_ring_gone_wrong_gives_nothing),
		CASE(facts_have_names_and_values),
		CASE(marks_of_a_row_are_set_apart_and_cleared_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
