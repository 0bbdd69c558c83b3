/*
 * tests/unit/shm/test_table_refused.c - whichever block of memory a change of the table,
 * or a take-over, does not get: the table is whole, nothing is lost, nothing leaks.
 */
#include "tests/unit/fixture/shm_table.h"

#include <errno.h>
#include <stdio.h>

#include "shm/alloc.h"

#define BLOCKS 12                     /* more than any change takes */

/* A pool about to grow, hosts with and without a record of their own, wildcards, tags. */
static const char *const present[][2] = {
	{ "pool.example", "10.0.0.1:80" }, { "deep.example/a/b", "10.0.0.2:80" },
	{ "*.wild.example", "10.0.0.3:80" }, { "both.example", "10.0.0.4:80" },
	{ "both.example/x", "10.0.0.4:80" },
};

static void fill(struct shm_table *t)
{
	for (size_t i = 0; i < ARRAY_SIZE(present); i++)
		assert_int_equal(shm_table_register(t, present[i][0], present[i][1]), WRITE_ADDED);
}

static void assert_all_present(struct shm_table *t)
{
	struct endpoint endpoint;
	uint32_t seen;

	for (size_t i = 0; i < ARRAY_SIZE(present); i++)
		assert_true(shm_table_entry(t, present[i][0], 0, &endpoint, &seen));
	shm_table_assert_sound(t);
}

/* All that was let go of is free again. */
static struct table_usage settled_usage(struct shm_table *t)
{
	static uint64_t now_ms = 1000000;
	struct table_usage usage;

	for (unsigned i = 0; i < 4; i++)
		route_writer_tick(t->writer, now_ms += 100000);
	route_writer_usage(t->writer, &usage);
	return usage;
}

static struct route_digest digest_of(struct shm_table *t)
{
	return *route_writer_digest(t->writer);
}

static const struct change {
	const char *name, *uri, *address, *instance, *tags;
} changes[] = {
	{ "a new host", "new.example", "10.0.1.1:80", "i", "{\"component\":\"x\"}" },
	{ "a path under no host", "none.example/a/b/c", "10.0.1.2:80", "i", "{\"component\":\"y\"}" },
	{ "a path under a host", "pool.example/deep/path", "10.0.1.3:80", "i", "" },
	{ "a host above a path", "deep.example", "10.0.1.4:80", "i", "{\"component\":\"z\"}" },
	{ "a wildcard", "*.new.example/p", "10.0.1.5:80", "i", "{\"component\":\"w\"}" },
	{ "one more endpoint", "pool.example", "10.0.1.6:80", "i", "{\"component\":\"v\"}" },
	{ "another instance", "both.example", "10.0.0.4:80", "other", "{\"component\":\"other\"}" },
	{ "other tags", "deep.example/a/b", "10.0.0.2:80", "id", "{\"component\":\"much longer than before\"}" },
};

static int apply(struct shm_table *t, const struct change *change)
{
	struct endpoint endpoint;

	shm_table_describe(&endpoint, change->address, change->instance);
	endpoint.tags = str_of(change->tags);
	endpoint.flags = *change->tags ? ENDPOINT_HAS_TAGS : 0;
	return shm_table_add(t, change->uri, &endpoint, NULL);
}

static int apply_without_block(struct shm_table *t, const struct change *change, unsigned nth)
{
	int rc;

	alloc_refuses_at = nth;
	rc = apply(t, change);
	alloc_refuses_at = 0;
	return rc;
}

static void a_change_that_gets_no_block_leaves_the_table_as_it_was(void **state)
{
	unsigned refused = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
		for (unsigned nth = 1; nth <= BLOCKS; nth++) {
			struct shm_table *t = shm_table_create(0);
			struct table_usage before, after;
			struct route_digest digest;
			uint64_t once;
			int rc;

			fill(t);
			before = settled_usage(t);
			digest = digest_of(t);
			rc = apply_without_block(t, &changes[i], nth);
			assert_all_present(t);
			if (rc < 0) {
				refused++;
				assert_int_equal(rc, -ENOSPC);
				after = settled_usage(t);
				once = after.used_bytes;
				for (unsigned again = 0; again < 20; again++)
					assert_int_equal(apply_without_block(t, &changes[i], nth), -ENOSPC);
				after = settled_usage(t);
				if (after.used_bytes > once)  /* it may have been compacted */
					fail_msg("%s without block %u leaks", changes[i].name, nth);
				assert_int_equal(after.entries, before.entries);
				assert_int_equal(after.routes, before.routes);
				assert_int_equal(after.endpoints, before.endpoints);
				assert_memory_equal(&digest, route_writer_digest(t->writer), sizeof(digest));
				assert_true(apply(t, &changes[i]) > 0);
			}
			shm_table_assert_sound(t);
			shm_table_restart_writer(t);
			assert_int_equal(t->recovery.damaged, 0);
			assert_all_present(t);
			shm_table_destroy(t);
		}
	assert_in_range(refused, 2 * ARRAY_SIZE(changes), BLOCKS * ARRAY_SIZE(changes));
}

static void register_many(struct shm_table *t, unsigned count)
{
	char uri[40], address[32];

	for (unsigned i = 0; i < count; i++) {
		snprintf(uri, sizeof(uri), "r%u.example%s", i, i % 3 ? "/a/b" : "");
		snprintf(address, sizeof(address), "10.2.%u.%u:80", i / 200, i % 200);
		assert_int_equal(shm_table_register(t, uri, address), WRITE_ADDED);
	}
}

/* Another registrar takes the table over while the machine has no memory: what does not fit is
 * said, and the rest is served. */
static void a_take_over_that_gets_no_block_keeps_the_rest_and_says_how_many(void **state)
{
	const unsigned many = 50;

	(void)state;
	for (unsigned nth = 2; nth < 8 * many; nth += 3) {
		struct shm_table *t = shm_table_create(0);
		struct table_usage usage;

		register_many(t, many);
		alloc_refuses_at = nth;
		shm_table_restart_writer(t);
		alloc_refuses_at = 0;
		route_writer_usage(t->writer, &usage);
		assert_int_equal(usage.entries, t->recovery.endpoints);
		assert_int_equal(usage.routes, t->recovery.routes);
		assert_in_range(t->recovery.endpoints, many - 1, many);
		assert_int_equal(t->recovery.endpoints + t->recovery.damaged, many);
		shm_table_assert_sound(t);
		assert_int_equal(shm_table_register(t, "new.example", "10.0.0.1:80"), WRITE_ADDED);
		shm_table_restart_writer(t);
		assert_int_equal(t->recovery.damaged, 0);
		shm_table_destroy(t);
	}
}

static void a_take_over_that_cannot_begin_leaves_the_old_table_to_readers(void **state)
{
	struct shm_table *t = *state;
	struct route_recovery recovery;
	struct reason reason;
	char key[64];

	fill(t);
	route_writer_close(t->writer);
	alloc_refuses_at = 1;
	assert_int_equal(route_writer_open(t->rw, t->board, &t->writer, &recovery, &reason), -ENOSPC);
	alloc_refuses_at = 0;
	assert_true(reason.text[0]);
	assert_int_equal(shm_table_find(t, "pool.example", "/", key, sizeof(key)), ROUTE_FOUND);
	assert_int_equal(route_writer_open(t->rw, t->board, &t->writer, &recovery, &reason), 0);
	assert_int_equal(recovery.endpoints, ARRAY_SIZE(present));
	assert_int_equal(recovery.damaged, 0);
	assert_all_present(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_that_gets_no_block_leaves_the_table_as_it_was),
		cmocka_unit_test(a_take_over_that_gets_no_block_keeps_the_rest_and_says_how_many),
		cmocka_unit_test_setup_teardown(a_take_over_that_cannot_begin_leaves_the_old_table_to_readers,
						shm_table_setup, shm_table_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
