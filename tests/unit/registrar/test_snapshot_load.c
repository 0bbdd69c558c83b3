/*
 * tests/unit/registrar/test_snapshot_load.c - many batches between the thread that reads
 * an image and the one that fills the table: all of it comes, or none.
 */
#include "tests/unit/fixture/shm_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "registrar/snapshot_load.h"

#define INSTANCE "test-instance"
#define ENTRIES 20000u
#define SEGMENTED 1000u               /* of them belong to a segment */

struct image {
	struct snapshot_buffer bytes;
	struct snapshot_head head;
	struct registrar_settings settings;
};

static enum entry_verdict save(void *context, const struct entry_view *view)
{
	struct image *image = context;
	size_t bytes = route_image_bytes(view->inst, view->packed_tags, view->key);

	route_image_write(view->inst, view->packed_tags, view->key, 0,
			  snapshot_append(&image->bytes, bytes));
	image->head.entries++;
	return ENTRY_KEEP;
}

static void fill(struct shm_table *t)
{
	struct endpoint e;
	char uri[32], address[32];

	for (unsigned i = 0; i < ENTRIES; i++) {
		snprintf(uri, sizeof(uri), "app-%u.example", i / 3);
		snprintf(address, sizeof(address), "10.%u.%u.%u:80", i >> 16, i >> 8 & 255, i & 255);
		shm_table_describe(&e, address, "");
		e.stale_s = i % 200;
		if (i < SEGMENTED)
			e.isolation_segment = STR("a-segment");
		assert_int_equal(shm_table_add(t, uri, &e, NULL), WRITE_ADDED);
	}
}

static void seal(struct image *image)
{
	char *records = image->bytes.bytes + sizeof(image->head);
	struct snapshot_sum sum = { 0 };

	image->head.sequence = 1;
	image->head.body_bytes = image->bytes.used - sizeof(image->head);
	snapshot_sum_add(&sum, records, image->head.body_bytes);
	image->head.body_sum = snapshot_sum_of(&sum);
	snapshot_seal(&image->head, INSTANCE);
}

static int setup(void **state)
{
	struct image *image = mem_zalloc(sizeof(*image));
	struct shm_table *t = shm_table_create(64u << 20);

	image->bytes.used = image->bytes.room = sizeof(image->head);
	image->bytes.bytes = mem_zalloc(sizeof(image->head));
	image->settings.droplet_stale_threshold_ms = 120000;
	image->settings.sharding = SHARDING_ALL;
	fill(t);
	for (unsigned slice = 0; slice < ROUTE_WRITER_SLICES; slice++)
		route_writer_sweep(t->writer, slice, t->tick, save, image);
	shm_table_destroy(t);
	seal(image);
	*state = image;
	return 0;
}

static int teardown(void **state)
{
	struct image *image = *state;

	snapshot_buffer_fini(&image->bytes);
	free(image);
	return 0;
}

/* In a copy, as a file is mapped anew each time. */
static int load(struct image *image, struct shm_table *t, struct snapshot_loaded *loaded,
		struct reason *reason)
{
	char *copy = memcpy(mem_alloc(image->bytes.used), image->bytes.bytes, image->bytes.used);
	const struct snapshot_source source = {
		.settings = &image->settings, .head = &image->head,
		.image = { copy, image->bytes.used },
	};
	int rc = snapshot_load_image(&source, t->writer, t->board, 5, loaded, reason);

	free(copy);
	return rc;
}

static uint64_t entries_of(struct shm_table *t)
{
	struct table_usage usage;

	route_writer_usage(t->writer, &usage);
	return usage.entries;
}

static enum entry_verdict check_lifetime(void *context, const struct entry_view *view)
{
	(void)context;
	assert_true(view->stale_s >= 1 && view->stale_s <= 120);
	assert_int_equal(view->last_seen, 5);
	return ENTRY_KEEP;
}

static void all_batches_come_and_lifetimes_are_those_of_the_configuration(void **state)
{
	struct shm_table *t = shm_table_create(64u << 20);
	struct snapshot_loaded loaded;
	struct reason reason;

	assert_int_equal(load(*state, t, &loaded, &reason), 0);
	assert_int_equal(loaded.counts.entries, ENTRIES);
	assert_int_equal(entries_of(t), ENTRIES);
	for (unsigned slice = 0; slice < ROUTE_WRITER_SLICES; slice++)
		route_writer_sweep(t->writer, slice, t->tick, check_lifetime, NULL);
	shm_table_assert_sound(t);
	shm_table_destroy(t);
}

static void what_belongs_to_another_shard_is_left_out_and_counted(void **state)
{
	struct shm_table *t = shm_table_create(64u << 20);
	struct image *image = *state;
	struct snapshot_loaded loaded;
	struct reason reason;

	image->settings.sharding = SHARDING_SHARED_AND_SEGMENTS;
	assert_int_equal(load(image, t, &loaded, &reason), 0);
	assert_int_equal(loaded.foreign, SEGMENTED);
	assert_int_equal(loaded.counts.entries, ENTRIES - SEGMENTED);
	assert_int_equal(entries_of(t), ENTRIES - SEGMENTED);
	shm_table_destroy(t);
}

/* The damage is met when thousands of entries are in already. */
static void damage_at_the_very_end_leaves_the_table_as_it_was(void **state)
{
	struct shm_table *t = shm_table_create(64u << 20);
	struct image *image = *state;
	struct snapshot_loaded loaded;
	struct reason reason;

	image->bytes.bytes[image->bytes.used - 9] ^= 1;
	assert_int_equal(load(image, t, &loaded, &reason), -EINVAL);
	assert_string_equal(reason.text, "the checksum of its routes is wrong");
	assert_int_equal(entries_of(t), 0);
	shm_table_assert_sound(t);
	image->bytes.bytes[image->bytes.used - 9] ^= 1;
	assert_int_equal(load(image, t, &loaded, &reason), 0);
	assert_int_equal(entries_of(t), ENTRIES);
	shm_table_assert_sound(t);
	shm_table_destroy(t);
}

static void a_table_that_holds_something_refuses_with_a_reason(void **state)
{
	struct shm_table *t = shm_table_create(64u << 20);
	struct snapshot_loaded loaded;
	struct reason reason;

	shm_table_register(t, "here.example", "10.0.0.1:80");
	assert_int_equal(load(*state, t, &loaded, &reason), -EEXIST);
	assert_string_equal(reason.text, "the table is not empty");
	assert_int_equal(entries_of(t), 1);
	shm_table_destroy(t);
}

int main(void)
{
#define ON_AN_IMAGE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		ON_AN_IMAGE(all_batches_come_and_lifetimes_are_those_of_the_configuration),
		ON_AN_IMAGE(what_belongs_to_another_shard_is_left_out_and_counted),
		ON_AN_IMAGE(damage_at_the_very_end_leaves_the_table_as_it_was),
		ON_AN_IMAGE(a_table_that_holds_something_refuses_with_a_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
