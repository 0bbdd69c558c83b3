/*
 * tests/unit/shm/test_route_digest.c - the digest that the writer keeps is the one
 * that a full count gives, whatever was done to the table.
 */
#include "tests/unit/fixture/shm_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "route_digest.h"

static bool count_route(void *context, struct route_reader *reader, const struct route *route)
{
	static struct endpoint e;

	for (unsigned i = 0; i < route_capacity(route); i++) {
		uint32_t seen;
		const struct inst *inst = route_entry(reader, route, i, &seen);

		if (!inst || !inst_copy(inst, &e))
			continue;
		route_digest_add(context, &(struct digest_entry){ route_name(route), e.host, e.app_id,
								  e.port });
	}
	return true;
}

static void assert_digest_is_true(struct shm_table *t)
{
	struct route_digest counted = { 0 };

	route_each(t->reader, count_route, &counted);
	assert_memory_equal(&counted, route_writer_digest(t->writer), sizeof(counted));
}

static int add(struct shm_table *t, unsigned key, unsigned address, const char *app)
{
	struct endpoint endpoint;
	char uri[64], text[32];

	snprintf(uri, sizeof(uri), key % 3 ? "h%u.example/p/%u" : "h%u.example", key % 50, key);
	snprintf(text, sizeof(text), "10.0.0.%u:80", address);
	shm_table_describe(&endpoint, text, "");
	endpoint.app_id = str_of(app);
	return shm_table_add(t, uri, &endpoint, NULL);
}

static void drop(struct shm_table *t, unsigned key, unsigned address)
{
	char uri[64], text[32];

	snprintf(uri, sizeof(uri), key % 3 ? "h%u.example/p/%u" : "h%u.example", key % 50, key);
	snprintf(text, sizeof(text), "10.0.0.%u:80", address);
	shm_table_unregister(t, uri, text);
}

static enum entry_verdict remove_some(void *context, const struct entry_view *entry)
{
	unsigned *n = context;

	(void)entry;
	return ++*n % 7 ? ENTRY_KEEP : ENTRY_REMOVE;
}

static void random_changes(struct shm_table *t, unsigned *seed, unsigned changes)
{
	static const char *const apps[] = { "app-1", "app-2", "" };

	for (unsigned i = 0; i < changes; i++) {
		unsigned key = (unsigned)rand_r(seed) % 300, address = (unsigned)rand_r(seed) % 8;

		if (rand_r(seed) % 3)
			add(t, key, address, apps[(unsigned)rand_r(seed) % 3]);
		else
			drop(t, key, address);
	}
}

static void the_kept_digest_is_the_counted_one(void **state)
{
	struct shm_table *t = *state;
	unsigned seed = 1, n = 0;

	for (unsigned round = 0; round < 20; round++) {
		random_changes(t, &seed, 500);
		assert_digest_is_true(t);
		for (unsigned slice = 0; slice < ROUTE_WRITER_SLICES; slice += 3)
			route_writer_sweep(t->writer, slice, t->tick, remove_some, &n);
		assert_digest_is_true(t);
		if (round % 5 == 0)
			shm_table_restart_writer(t);
		assert_digest_is_true(t);
	}
	assert_true(route_digest_total(route_writer_digest(t->writer)) > 100);
}

static void the_order_of_changes_does_not_matter_and_the_app_does(void **state)
{
	struct shm_table *one = *state, *other = shm_table_create(0);
	struct digest_difference difference;

	for (unsigned i = 0; i < 100; i++) {
		add(one, i, i % 7, "app");
		add(other, 99 - i, (99 - i) % 7, "app");
	}
	route_digest_compare(route_writer_digest(one->writer), route_writer_digest(other->writer),
			     &difference);
	assert_int_equal(difference.buckets, 0);
	assert_int_equal(difference.routes, 0);
	add(other, 42, 42 % 7, "another");
	route_digest_compare(route_writer_digest(one->writer), route_writer_digest(other->writer),
			     &difference);
	assert_int_equal(difference.buckets, 1);
	assert_int_equal(difference.routes, 1);
	shm_table_destroy(other);
}

/* The estimate from buckets alone: same counts, other members. */
static void the_number_of_differences_is_estimated(void **state)
{
	static const unsigned numbers[] = { 1, 5, 20, 100, 300, 10000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		struct route_digest a = { 0 }, b = { 0 };
		struct digest_difference difference;
		char key[32];

		for (unsigned n = 0; n < numbers[i]; n++) {
			snprintf(key, sizeof(key), "key-%u.example", n);
			route_digest_add(&a, &(struct digest_entry){ .key = str_of(key) });
		}
		route_digest_compare(&a, &b, &difference);
		assert_in_range(difference.routes, numbers[i], numbers[i] * 3 / 2 + 1);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, shm_table_setup, shm_table_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_kept_digest_is_the_counted_one),
		T(the_order_of_changes_does_not_matter_and_the_app_does),
		T(the_number_of_differences_is_estimated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
