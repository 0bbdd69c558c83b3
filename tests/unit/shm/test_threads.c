/*
 * tests/unit/shm/test_threads.c - one writer and several readers as threads over one
 * mapping, so that the thread sanitizer sees the same protocol (it follows
 * addresses, and two mappings of one object look unrelated to it).
 */
#include "tests/unit/fixture/shm_table.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "shm/alloc.h"
#include "shm/endpoint_live.h"
#include "shm/recovery.h"
#include "shm/route_layout.h"

#define READERS 3
#define CHANGES 6000
#define KEYS 40

struct reading {
	struct shm_table *t;
	unsigned slot;
	uint64_t found, wrong;
	int *stop;
};

static void *read_for_a_while(void *context)
{
	struct reading *r = context;
	struct route_reader *reader = route_reader_create(r->t->rw, r->t->board, (int)r->slot);
	struct endpoint *copy = calloc(1, sizeof(*copy));

	for (unsigned k = 0; !__atomic_load_n(r->stop, __ATOMIC_RELAXED); k = (k + 7) % KEYS) {
		char host[40], id[16], buffer[ROUTE_KEY_MAX];
		const struct inst *inst = NULL;
		const struct route *route;
		struct route_key key;

		snprintf(host, sizeof(host), "www.r%u.example.com", k);
		snprintf(id, sizeof(id), "id-%u", k);
		route_key_from_request(str_of(host), STR("/x/y"), buffer, &key);
		route_read_begin(reader);
		if (route_find(reader, &key, &route) == ROUTE_FOUND)
			for (unsigned i = 0; !inst && i < route_capacity(route); i++)
				inst = route_entry(reader, route, i, NULL);
		if (inst && inst_copy(inst, copy)) {
			__atomic_fetch_add(&r->found, 1, __ATOMIC_RELAXED);
			r->wrong += !str_equal(copy->instance_id, str_of(id));
			live_begin(r->t->board, copy->row, r->slot);
		}
		route_read_end(reader);
		if (inst)
			live_end(r->t->board, copy->row, r->slot);
	}
	free(copy);
	route_reader_destroy(reader);
	return NULL;
}

static void change(struct shm_table *t, unsigned i)
{
	struct endpoint *in = calloc(1, sizeof(*in));
	char uri[40], id[16], address[32], zone[16];
	unsigned k = i * 2654435761u % KEYS;

	snprintf(uri, sizeof(uri), "*.r%u.example.com%s", k, k % 3 ? "/x" : "");
	snprintf(id, sizeof(id), "id-%u", k);
	snprintf(zone, sizeof(zone), "zone-%u", i % 100);
	snprintf(address, sizeof(address), "10.0.%u.%u:80", k, i % 3);
	shm_table_describe(in, address, id);
	in->zone = str_of(zone);
	if (i % 5 == 4)
		shm_table_unregister(t, uri, address);
	else
		shm_table_add(t, uri, in, NULL);
	free(in);
}

/* A reader may not have had a turn on the processor yet. */
static bool have_all_found(struct reading *readings)
{
	for (unsigned i = 0; i < READERS; i++)
		if (!__atomic_load_n(&readings[i].found, __ATOMIC_RELAXED))
			return false;
	return true;
}

static void readers_never_see_a_block_that_is_reused(void **state)
{
	struct shm_table *t = *state;
	struct reading readings[READERS];
	pthread_t threads[READERS];
	struct route_recovery moved;
	int stop = 0;

	alloc_poisons = true;
	for (unsigned i = 0; i < READERS; i++) {
		readings[i] = (struct reading){ t, SLOT_WORKER + i, 0, 0, &stop };
		pthread_create(&threads[i], NULL, read_for_a_while, &readings[i]);
	}
	for (unsigned i = 0; i < CHANGES || (!have_all_found(readings) && i < 1000 * CHANGES); i++) {
		change(t, i);
		if (i % 8 == 0)
			route_writer_tick(t->writer, clock_ms());
		if (i % 1500 == 1499 && table_head(t->rw)->spare == SPARE_CLEAN)
			assert_int_equal(recovery_move(t->writer, &moved), 0);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < READERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(readings[i].wrong, 0);
		assert_true(readings[i].found > 0);
	}
	alloc_poisons = false;
	shm_table_assert_sound(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(readers_never_see_a_block_that_is_reused,
						shm_table_setup, shm_table_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
