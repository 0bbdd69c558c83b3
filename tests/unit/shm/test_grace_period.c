/*
 * tests/unit/shm/test_grace_period.c - a reader inside a section keeps exactly what
 * was retired since, and nothing else waits for it; moving the table waits too.
 */
#include "tests/unit/fixture/shm_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "shm/recovery.h"
#include "shm/route_writer_core.h"

static uint64_t deferred(const struct shm_table *t)
{
	struct table_usage usage;

	route_writer_usage(t->writer, &usage);
	return usage.deferred_bytes;
}

static void a_reader_in_a_section_keeps_what_was_retired_since(void **state)
{
	struct shm_table *t = *state;
	struct endpoint before, after;
	const struct route *route;
	const struct inst *inst;
	struct str tags;
	char buffer[ROUTE_KEY_MAX];
	struct route_key key = shm_table_key("a.example.com", buffer);

	alloc_poisons = true;
	shm_table_register(t, "a.example.com", "10.0.0.1:80");
	route_read_begin(t->reader);
	assert_int_equal(route_find(t->reader, &key, &route), ROUTE_FOUND);
	inst = route_entry(t->reader, route, 0, NULL);
	assert_true(inst_copy(inst, &before));
	shm_table_unregister(t, "a.example.com", "10.0.0.1:80");
	for (int i = 0; i < 10; i++)
		route_writer_tick(t->writer, 1000);
	assert_true(deferred(t) > 0);
	assert_true(inst_copy(inst, &after));
	assert_true(str_equal(after.host, STR("10.0.0.1")));
	assert_true(inst_is_whole(route_reader_table(t->reader), inst, &tags));
	route_read_end(t->reader);
	route_writer_tick(t->writer, 1000);
	assert_int_equal(deferred(t), 0);
	assert_int_equal(inst->bytes, 0xdbdbdbdb);
	alloc_poisons = false;
}

static void the_writer_goes_on_while_a_reader_is_stuck(void **state)
{
	struct shm_table *t = *state;
	char key[ROUTE_KEY_MAX + 1];
	uint64_t first;

	shm_table_register(t, "a.example.com", "10.0.0.1:80");
	route_read_begin(t->reader);
	shm_table_register(t, "a.example.com", "10.0.0.2:80");
	route_writer_tick(t->writer, 1000);
	first = deferred(t);
	assert_true(first > 0);
	for (int i = 0; i < 1000; i++)        /* a refresh retires nothing */
		assert_int_equal(shm_table_register(t, "a.example.com", "10.0.0.1:80"), WRITE_UPDATED);
	assert_int_equal(deferred(t), first);
	assert_int_equal(shm_table_register(t, "b.example.com", "10.0.0.3:80"), WRITE_ADDED);
	assert_int_equal(shm_table_unregister(t, "a.example.com", "10.0.0.1:80"), 0);
	assert_true(deferred(t) > first);
	route_read_end(t->reader);
	route_writer_tick(t->writer, 1000);
	assert_int_equal(deferred(t), 0);
	assert_int_equal(shm_table_find(t, "b.example.com", "/", key, sizeof(key)), ROUTE_FOUND);
}

static void a_stuck_slot_is_reported_and_a_reader_that_moves_is_not(void **state)
{
	struct shm_table *t = *state;

	shm_table_register(t, "a.example.com", "10.0.0.1:80");
	route_read_begin(t->reader);
	shm_table_unregister(t, "a.example.com", "10.0.0.1:80");
	route_writer_tick(t->writer, 1000);
	route_writer_tick(t->writer, 5000);
	assert_int_equal(route_writer_stuck_slot(t->writer, 10999, 10000), -1);
	assert_int_equal(route_writer_stuck_slot(t->writer, 11001, 10000), SLOT_WORKER);
	route_read_end(t->reader);
	route_read_begin(t->reader);
	route_writer_tick(t->writer, 12000);
	assert_int_equal(route_writer_stuck_slot(t->writer, 99000, 10000), -1);
	assert_int_equal(deferred(t), 0);
	route_read_end(t->reader);
}

static void clearing_a_dead_slot_frees_what_it_kept(void **state)
{
	struct shm_table *t = *state;

	shm_table_register(t, "a.example.com", "10.0.0.1:80");
	route_read_begin(t->reader);  /* and dies there */
	shm_table_unregister(t, "a.example.com", "10.0.0.1:80");
	route_writer_tick(t->writer, 1000);
	assert_true(deferred(t) > 0);
	board_slot_clear(t->board, SLOT_WORKER);
	route_writer_tick(t->writer, 1000);
	assert_int_equal(deferred(t), 0);
}

/* A tool is nobody's child; the writer itself sees that its lock is gone. */
static void a_tool_that_died_in_a_section_does_not_block_for_ever(void **state)
{
	struct shm_table *t = *state;
	int status;
	pid_t child;

	shm_table_register(t, "a.example.com", "10.0.0.1:80");
	child = fork();
	if (child == 0) {
		int slot = board_tool_slot(t->board, NULL);

		route_read_begin(route_reader_create(t->ro, t->board, slot));
		_exit(slot == SLOT_TOOL ? 0 : 1);
	}
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	shm_table_unregister(t, "a.example.com", "10.0.0.1:80");
	route_writer_tick(t->writer, 1000);
	assert_true(deferred(t) > 0);
	route_writer_tick(t->writer, 2500);
	route_writer_tick(t->writer, 2501);
	assert_int_equal(deferred(t), 0);
}

/* --- recovery --- */

static uint64_t spare_of(const struct shm_table *t)
{
	return table_head(t->ro)->spare;
}

/* The bytes of the arena that the root pointed into before. */
static void the_old_arena_is_untouched_until_its_reader_leaves(void **state)
{
	struct shm_table *t = *state;
	char buffer[ROUTE_KEY_MAX];
	struct route_key key = shm_table_key("a.example.com", buffer);
	const struct route *route;
	const struct inst *inst;
	struct str tags;
	struct endpoint copy;

	shm_table_register(t, "a.example.com", "10.0.0.1:80");
	route_read_begin(t->reader);
	assert_int_equal(route_find(t->reader, &key, &route), ROUTE_FOUND);
	shm_table_restart_writer(t);
	assert_int_equal(spare_of(t), SPARE_DRAINING);
	for (int i = 0; i < 5; i++)
		route_writer_tick(t->writer, clock_ms());
	inst = route_entry(t->reader, route, 0, NULL);
	assert_non_null(inst);
	assert_true(inst_is_whole(route_reader_table(t->reader), inst, &tags));
	assert_int_equal(spare_of(t), SPARE_DRAINING);
	route_read_end(t->reader);
	route_writer_tick(t->writer, clock_ms());
	assert_int_equal(spare_of(t), SPARE_CLEAN);
	assert_int_equal(inst->sum, 0);       /* punched out */
	assert_true(shm_table_entry(t, "a.example.com", 0, &copy, NULL));
}

static void recovery_waits_only_for_readers_of_an_arena_that_drains(void **state)
{
	struct shm_table *t = *state;

	shm_table_register(t, "a.example.com", "10.0.0.1:80");
	shm_table_restart_writer(t);
	assert_int_equal(spare_of(t), SPARE_DRAINING);
	route_read_begin(t->reader);          /* in the new arena, or the old: who knows */
	assert_int_equal(recovery_wait_for_readers(t->writer, 20), -EBUSY);
	route_read_end(t->reader);
	assert_int_equal(recovery_wait_for_readers(t->writer, 20), 0);
	word_publish(&table_head(t->rw)->spare, SPARE_FILLING);
	route_read_begin(t->reader);
	assert_int_equal(recovery_wait_for_readers(t->writer, 0), 0);
	route_read_end(t->reader);
	shm_table_restart_writer(t);
	assert_int_equal(t->recovery.routes, 1);
	shm_table_assert_sound(t);
}

static void recovery_keeps_serials_rows_ids_and_last_seen(void **state)
{
	struct shm_table *t = *state;
	struct endpoint before, after;
	uint32_t seen;

	for (int i = 0; i < 20; i++) {
		char uri[40], address[40];

		snprintf(uri, sizeof(uri), "r%d.example.com/p", i);
		snprintf(address, sizeof(address), "10.0.0.%d:80", i);
		t->tick = 100 + (uint32_t)i;
		shm_table_register(t, uri, address);
		shm_table_register(t, uri, "10.0.1.1:80");
	}
	shm_table_unregister(t, "r3.example.com/p", "10.0.0.3:80");
	assert_true(shm_table_entry(t, "r7.example.com/p", 0, &before, NULL));
	shm_table_restart_writer(t);
	assert_int_equal(t->recovery.routes, 20);
	assert_int_equal(t->recovery.endpoints, 39);
	assert_int_equal(t->recovery.damaged, 0);
	assert_true(shm_table_entry(t, "r7.example.com/p", 0, &after, &seen));
	assert_int_equal(seen, 107);
	assert_int_equal(before.serial, after.serial);
	assert_int_equal(before.row, after.row);
	assert_true(str_equal(before.host, after.host));
	shm_table_assert_sound(t);
}

static void damaged_blocks_are_dropped_and_counted(void **state)
{
	struct shm_table *t = *state;
	char buffer[ROUTE_KEY_MAX], key[ROUTE_KEY_MAX + 1];
	struct route_key bad = shm_table_key("bad.example.com", buffer);
	const struct inst *inst;

	shm_table_register(t, "good.example.com", "10.0.0.1:80");
	shm_table_register(t, "bad.example.com", "10.0.0.2:80");
	inst = route_entry(t->reader, route_find_exact(t->reader, &bad), 0, NULL);
	/* The same block through the writer's own mapping. */
	((struct inst *)(t->rw->base + ((const unsigned char *)inst - t->ro->base)))->port ^= 1;
	assert_int_equal(table_check(t->reader, NULL, NULL), 1);
	shm_table_restart_writer(t);
	assert_int_equal(t->recovery.damaged, 1);
	assert_int_equal(shm_table_find(t, "good.example.com", "/", key, sizeof(key)), ROUTE_FOUND);
	assert_int_equal(shm_table_find(t, "bad.example.com", "/", key, sizeof(key)), ROUTE_NONE);
	shm_table_assert_sound(t);
}

static void compaction_gives_memory_back_and_loses_nothing(void **state)
{
	struct shm_table *t = *state;
	struct route_recovery moved;
	struct table_usage before, after;
	char uri[40];

	for (int i = 0; i < 4000; i++) {
		snprintf(uri, sizeof(uri), "r%d.example.com", i);
		shm_table_register(t, uri, "10.0.0.1:80");
	}
	for (int i = 0; i < 3900; i++) {
		snprintf(uri, sizeof(uri), "r%d.example.com", i);
		shm_table_unregister(t, uri, "10.0.0.1:80");
	}
	route_writer_tick(t->writer, clock_ms());
	route_writer_usage(t->writer, &before);
	assert_int_equal(recovery_move(t->writer, &moved), 0);
	route_writer_tick(t->writer, clock_ms());
	route_writer_usage(t->writer, &after);
	assert_int_equal(after.routes, 100);
	assert_int_equal(after.free_list_bytes, 0);
	assert_true(before.free_list_bytes > 100000);
	shm_table_assert_sound(t);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, shm_table_setup, shm_table_teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_reader_in_a_section_keeps_what_was_retired_since),
		CASE(the_writer_goes_on_while_a_reader_is_stuck),
		CASE(a_stuck_slot_is_reported_and_a_reader_that_moves_is_not),
		CASE(clearing_a_dead_slot_frees_what_it_kept),
		CASE(a_tool_that_died_in_a_section_does_not_block_for_ever),
		CASE(the_old_arena_is_untouched_until_its_reader_leaves),
		CASE(recovery_waits_only_for_readers_of_an_arena_that_drains),
		CASE(recovery_keeps_serials_rows_ids_and_last_seen),
		CASE(damaged_blocks_are_dropped_and_counted),
		CASE(compaction_gives_memory_back_and_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
