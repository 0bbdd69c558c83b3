/*
 * tests/unit/registrar/test_snapshot_format.c - an image of the last-known-good table:
 * what goes in comes out, and every damaged byte is noticed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

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

static void add(struct image *image, const char *key, uint32_t age_s, const struct endpoint *e)
{
	snapshot_put(&image->bytes, str_of(key), age_s, e);
	image->head.entries++;
}

static void seal(struct image *image)
{
	char *records = image->bytes.bytes + sizeof(image->head);

	image->head.sequence = 9;
	image->head.body_bytes = image->bytes.used - sizeof(image->head);
	image->head.body_crc = snapshot_crc(0, records, image->head.body_bytes);
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
	add(image, "full.example/with/path", 12, &full);
	add(image, "*.bare.example", 0, &bare);
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

/* 0 if the image is good as a whole. */
static int verify(struct str image, struct reason *reason)
{
	struct snapshot_head head;
	int rc = snapshot_read_head(image, INSTANCE, &head, reason);

	return rc ? rc : snapshot_check(image, &head, reason);
}

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
	struct snapshot_entry *entry = mem_zalloc(sizeof(*entry));
	struct endpoint full;
	struct reason reason;

	describe_fully(&full);
	assert_int_equal(verify(bytes_of(*state), &reason), 0);
	assert_int_equal(snapshot_next(&records, entry), 0);
	assert_true(str_equal(entry->key.text, STR("full.example/with/path")));
	assert_int_equal(entry->key.segments, 2);
	assert_int_equal(entry->age_s, 12);
	assert_same(&entry->endpoint, &full);
	assert_int_equal(snapshot_next(&records, entry), 0);
	assert_true(str_equal(entry->key.text, STR("*.bare.example")));
	assert_int_equal(entry->endpoint.tags.len, 0);
	assert_int_equal(snapshot_next(&records, entry), -ENODATA);
	free(entry);
}

static void no_length_but_the_right_one_is_accepted(void **state)
{
	struct str whole = bytes_of(*state);
	struct reason reason;

	for (size_t len = 1; len < whole.len; len++)
		assert_int_equal(verify(str_sub(whole, 0, len), &reason), -EINVAL);
	assert_int_equal(verify(STR_NONE, &reason), -ENODATA);
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
	assert_int_equal(verify(bytes_of(image), &reason), 0);
}

/* Checksums are no proof: a program may have computed them over nonsense. */
static void nonsense_with_right_checksums_is_noticed(void **state)
{
	struct image *image = *state;
	struct reason reason;
	unsigned refused = 0;

	for (size_t i = sizeof(image->head); i < sizeof(image->head) + 72; i++) {
		image->bytes.bytes[i] ^= 0x80;
		seal(image);
		refused += verify(bytes_of(image), &reason) == -EINVAL;
		image->bytes.bytes[i] ^= 0x80;
	}
	assert_true(refused >= 30);           /* lengths, flags and the like; not ages */
}

static void a_key_that_is_not_canonical_is_noticed(void **state)
{
	struct image *image = *state;
	struct reason reason;

	image->bytes.bytes[sizeof(image->head) + 72] = 'F';
	seal(image);
	assert_int_equal(verify(bytes_of(image), &reason), -EINVAL);
	assert_string_equal(reason.text, "route 1 of 2 makes no sense");
}

static void a_file_that_was_never_completed_is_empty(void **state)
{
	struct image *image = *state;
	struct reason reason;

	memset(image->bytes.bytes, 0, sizeof(image->head));
	assert_int_equal(verify(bytes_of(image), &reason), -ENODATA);
}

int main(void)
{
#define ON_AN_IMAGE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		ON_AN_IMAGE(what_was_saved_is_read_field_by_field),
		ON_AN_IMAGE(no_length_but_the_right_one_is_accepted),
		ON_AN_IMAGE(every_changed_byte_is_noticed),
		ON_AN_IMAGE(nonsense_with_right_checksums_is_noticed),
		ON_AN_IMAGE(a_key_that_is_not_canonical_is_noticed),
		ON_AN_IMAGE(a_file_that_was_never_completed_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
