/*
 * tests/unit/registrar/test_snapshot_format.c - an image of the last-known-good table:
 * what goes in comes out, and every damaged byte is noticed.
 */
#include "tests/unit/fixture/shm_table.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "registrar/snapshot_format.h"

#define INSTANCE "test-instance"

/* An image of two entries, one with everything and one with as little as possible. */
struct image {
	struct snapshot_buffer bytes;
	struct snapshot_head head;
};

static void describe_fully(struct endpoint *e)
{
	*e = (struct endpoint){
		.flags = ENDPOINT_TLS | ENDPOINT_HTTP2 | ENDPOINT_HAS_TAGS, .stale_s = 77,
		.port = 61001, .balancing = BALANCE_LEAST_CONNECTION, .updated_at_ns = 1234567890123u,
		.ip = { [10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1 },
		.tags = STR("{\"component\":\"route-emitter\"}"),
	};
#define X(name) e->name = STR("the " #name);
	ENDPOINT_TEXTS(X)
#undef X
}

static enum entry_verdict save(void *context, const struct entry_view *view)
{
	struct image *image = context;
	char *at = snapshot_append(&image->bytes, route_image_bytes(view->inst, view->packed_tags,
								    view->key));

	route_image_write(view->inst, view->packed_tags, view->key, 12, at);
	image->head.entries++;
	return ENTRY_KEEP;
}

/* Through a table: what is in a record is made there. */
static void add(struct image *image, const char *uri, const struct endpoint *e)
{
	struct shm_table *t = shm_table_create(0);

	assert_int_equal(shm_table_add(t, uri, e, NULL), WRITE_ADDED);
	for (unsigned slice = 0; slice < ROUTE_WRITER_SLICES; slice++)
		route_writer_sweep(t->writer, slice, t->tick, save, image);
	shm_table_destroy(t);
}

static void seal(struct image *image)
{
	char *records = image->bytes.bytes + sizeof(image->head);
	struct snapshot_sum sum = { 0 };

	image->head.sequence = 9;
	image->head.body_bytes = image->bytes.used - sizeof(image->head);
	snapshot_sum_add(&sum, records, image->head.body_bytes);
	image->head.body_sum = snapshot_sum_of(&sum);
	snapshot_seal(&image->head, INSTANCE);
	memcpy(image->bytes.bytes, &image->head, sizeof(image->head));
}

static int setup(void **state)
{
	struct image *image = mem_zalloc(sizeof(*image));
	struct endpoint full, bare = { .port = 80, .stale_s = 120, .host = STR("10.0.0.2") };

	describe_fully(&full);
	image->bytes.used = image->bytes.room = sizeof(image->head);
	image->bytes.bytes = mem_zalloc(sizeof(image->head));
	add(image, "full.example/with/path", &full);
	add(image, "*.bare.example", &bare);
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

static struct str bytes_of(const struct image *image)
{
	return (struct str){ image->bytes.bytes, image->bytes.used };
}

/* 0 if the image is good as a whole; in a buffer of exactly its size. */
static int verify(struct str image, struct reason *reason)
{
	struct str copy = { memcpy(mem_alloc(image.len), image.p, image.len), image.len };
	struct snapshot_reader reader;
	struct snapshot_head head;
	struct route_image entry;
	int rc = snapshot_read_head(copy, INSTANCE, &head, reason);

	if (rc == 0)
		rc = snapshot_reader_begin(&reader, copy, &head, reason);
	if (rc == 0)
		do
			rc = snapshot_reader_next(&reader, &entry, reason);
		while (rc == 0);
	free((void *)(uintptr_t)copy.p);
	return rc;
}

#define GOOD (-ENODATA)               /* nothing is left */

static void assert_same(const struct endpoint *a, const struct endpoint *b)
{
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->stale_s, b->stale_s);
	assert_int_equal(a->port, b->port);
	assert_int_equal(a->balancing, b->balancing);
	assert_int_equal(a->updated_at_ns, b->updated_at_ns);
	assert_memory_equal(a->ip, b->ip, sizeof(a->ip));
	assert_true(str_equal(a->tags, b->tags));
#define X(name) assert_true(str_equal(a->name, b->name));
	ENDPOINT_TEXTS(X)
#undef X
}

static void what_was_saved_is_read_field_by_field(void **state)
{
	struct str records = str_sub(bytes_of(*state), sizeof(struct snapshot_head), STR_REST);
	struct endpoint full, out;
	char tags[ENDPOINT_TAGS_MAX];
	struct route_image entry;
	struct reason reason;

	describe_fully(&full);
	assert_int_equal(verify(bytes_of(*state), &reason), GOOD);
	assert_int_equal(route_image_next(&records, &entry), 0);
	assert_true(str_equal(entry.key.text, STR("full.example/with/path")));
	assert_int_equal(entry.key.host_len, 12);
	assert_int_equal(entry.key.segments, 2);
	assert_int_equal(entry.age_s, 12);
	assert_true(route_image_endpoint(&entry, &out, tags));
	assert_same(&out, &full);
	assert_true(str_equal(route_image_segment(&entry), full.isolation_segment));
	assert_int_equal(route_image_next(&records, &entry), 0);
	assert_true(str_equal(entry.key.text, STR("*.bare.example")));
	assert_true(route_image_endpoint(&entry, &out, tags));
	assert_int_equal(out.tags.len, 0);
	assert_int_equal(route_image_next(&records, &entry), -ENODATA);
}

static void a_lifetime_is_limited_and_never_endless(void **state)
{
	struct str records = str_sub(bytes_of(*state), sizeof(struct snapshot_head), STR_REST);
	char tags[ENDPOINT_TAGS_MAX];
	struct route_image entry;
	struct endpoint out;

	assert_int_equal(route_image_next(&records, &entry), 0);
	route_image_limit_stale(&entry, 100);
	assert_true(route_image_endpoint(&entry, &out, tags));
	assert_int_equal(out.stale_s, 77);
	route_image_limit_stale(&entry, 50);
	assert_true(route_image_endpoint(&entry, &out, tags));
	assert_int_equal(out.stale_s, 50);
}

static void no_length_but_the_right_one_is_accepted(void **state)
{
	struct str whole = bytes_of(*state);
	struct reason reason;

	for (size_t len = 1; len < whole.len; len++)
		assert_int_equal(verify(str_sub(whole, 0, len), &reason), -EINVAL);
	assert_int_equal(snapshot_read_head(STR_NONE, INSTANCE, &(struct snapshot_head){ .sequence = 0 },
					    &reason), -ENODATA);
}

static void every_changed_byte_is_noticed(void **state)
{
	struct image *image = *state;
	struct reason reason;

	for (size_t i = 0; i < image->bytes.used; i++) {
		image->bytes.bytes[i] ^= 0x40;
		assert_int_equal(verify(bytes_of(image), &reason), -EINVAL);
		assert_true(reason.text[0]);
		image->bytes.bytes[i] ^= 0x40;
	}
	assert_int_equal(verify(bytes_of(image), &reason), GOOD);
}

/* Checksums are no proof: a program may have computed them over nonsense. */
static void nonsense_with_right_checksums_is_noticed(void **state)
{
	struct image *image = *state;
	struct reason reason;
	unsigned refused = 0;

	for (size_t i = sizeof(image->head); i < sizeof(image->head) + 98; i++) {
		image->bytes.bytes[i] ^= 0x80;
		seal(image);
		refused += verify(bytes_of(image), &reason) == -EINVAL;
		image->bytes.bytes[i] ^= 0x80;
	}
	assert_true(refused >= 60);           /* lengths, flags and the like; not ages */
}

static void a_key_that_is_not_canonical_is_noticed(void **state)
{
	struct image *image = *state;
	struct reason reason;
	char *key = memmem(image->bytes.bytes, image->bytes.used, "full.example", 12);

	assert_non_null(key);
	*key = 'F';
	seal(image);
	assert_int_equal(verify(bytes_of(image), &reason), -EINVAL);
	assert_string_equal(reason.text, "route 1 of 2 makes no sense");
}

static void a_file_that_was_never_completed_is_empty(void **state)
{
	struct image *image = *state;
	struct snapshot_head head;
	struct reason reason;

	memset(image->bytes.bytes, 0, sizeof(image->head));
	assert_int_equal(snapshot_read_head(bytes_of(image), INSTANCE, &head, &reason), -ENODATA);
}

static uint32_t sum_in_parts(const char *bytes, size_t len, size_t part)
{
	struct snapshot_sum sum = { 0 };

	for (size_t at = 0; at < len; at += part)
		snapshot_sum_add(&sum, bytes + at, len - at < part ? len - at : part);
	return snapshot_sum_of(&sum);
}

static void a_checksum_does_not_depend_on_the_parts_but_on_every_place(void **state)
{
	char bytes[1003], moved[1003];
	uint32_t whole;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 31 >> 3);
	whole = sum_in_parts(bytes, sizeof(bytes), sizeof(bytes));
	for (size_t part = 8; part < sizeof(bytes); part += 8)
		assert_int_equal(sum_in_parts(bytes, sizeof(bytes), part), whole);
	for (size_t at = 8; at + 8 <= sizeof(bytes); at += 8) {      /* two words change places */
		memcpy(moved, bytes, sizeof(bytes));
		memcpy(moved, bytes + at, 8);
		memcpy(moved + at, bytes, 8);
		assert_int_not_equal(sum_in_parts(moved, sizeof(moved), 64), whole);
	}
	memset(bytes, 0, sizeof(bytes));
	assert_int_not_equal(sum_in_parts(bytes, 800, 8), sum_in_parts(bytes, 808, 8));
}

int main(void)
{
#define ON_AN_IMAGE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		ON_AN_IMAGE(what_was_saved_is_read_field_by_field),
		ON_AN_IMAGE(a_lifetime_is_limited_and_never_endless),
		ON_AN_IMAGE(no_length_but_the_right_one_is_accepted),
		ON_AN_IMAGE(every_changed_byte_is_noticed),
		ON_AN_IMAGE(nonsense_with_right_checksums_is_noticed),
		ON_AN_IMAGE(a_key_that_is_not_canonical_is_noticed),
		cmocka_unit_test(a_checksum_does_not_depend_on_the_parts_but_on_every_place),
		ON_AN_IMAGE(a_file_that_was_never_completed_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
