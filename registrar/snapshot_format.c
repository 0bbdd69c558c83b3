/*
 * registrar/snapshot_format.c - records and their checks.
 */
#include "registrar/snapshot_format.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/mem.h"

#define MAGIC "WYEROUTE"
#define BYTE_ORDER_MARK 0x01020304u

#define STRIDE (256u << 10)           /* bytes that go into the checksum at once */

/* --- writing --- */

char *snapshot_append(struct snapshot_buffer *b, size_t bytes)
{
	if (b->room - b->used < bytes) {
		b->room = b->room ? 2 * b->room + bytes : (1u << 20) + bytes;
		b->bytes = mem_resize(b->bytes, b->room);
	}
	b->used += bytes;
	return b->bytes + b->used - bytes;
}

void snapshot_buffer_fini(struct snapshot_buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct snapshot_buffer){ 0 };
}

#define SUM_WORD  0x8ebc6af09c88c6e3u
#define SUM_FIRST 0xa0761d6478bd642fu  /* odd, and the step even: no factor is 0 */
#define SUM_STEP  (2 * 0x9e3779b97f4a7c15u)

static inline uint64_t product_of(uint64_t word, uint64_t factor)
{
	unsigned __int128 product = (unsigned __int128)(word ^ SUM_WORD) * factor;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

void snapshot_sum_add(struct snapshot_sum *sum, const void *bytes, size_t len)
{
	uint64_t factor = SUM_FIRST + sum->words * SUM_STEP, total = sum->total, word;
	const char *at = bytes;

	sum->words += (len + 7) / 8;
	for (; len >= sizeof(word); len -= sizeof(word), at += sizeof(word), factor += SUM_STEP) {
		memcpy(&word, at, sizeof(word));
		total += product_of(word, factor);
	}
	word = 0;
	memcpy(&word, at, len);
	sum->total = len ? total + product_of(word, factor) : total;
}

uint32_t snapshot_sum_of(const struct snapshot_sum *sum)
{
	return (uint32_t)(sum->total ^ sum->total >> 32);
}

static uint32_t head_crc(const struct snapshot_head *head)
{
	struct snapshot_head copy = *head;

	copy.head_crc = 0;
	return (uint32_t)crc32_z(0, (const unsigned char *)&copy, sizeof(copy));
}

void snapshot_seal(struct snapshot_head *head, const char *instance)
{
	memcpy(head->magic, MAGIC, sizeof(head->magic));
	head->version = SNAPSHOT_VERSION;
	head->byte_order = BYTE_ORDER_MARK;
	memset(head->instance, 0, sizeof(head->instance));
	str_copy_z(str_of(instance), head->instance, sizeof(head->instance));
	head->head_crc = head_crc(head);
}

/* --- reading --- */

int snapshot_read_head(struct str image, const char *instance, struct snapshot_head *out,
		       struct reason *reason)
{
	static const char nothing[sizeof(out->magic)];

	if (!image.len)
		return -ENODATA;
	if (image.len < sizeof(*out))
		return reason_set(reason, -EINVAL, "it is cut off: %zu bytes", image.len);
	memcpy(out, image.p, sizeof(*out));
	if (memcmp(out->magic, nothing, sizeof(nothing)) == 0)
		return -ENODATA;      /* its head was never written: it is unfinished */
	if (memcmp(out->magic, MAGIC, sizeof(out->magic)) != 0)
		return reason_set(reason, -EINVAL, "it is no table of routes");
	if (out->byte_order != BYTE_ORDER_MARK)
		return reason_set(reason, -EINVAL, "it comes from a machine of another byte order");
	if (out->version != SNAPSHOT_VERSION)
		return reason_set(reason, -EINVAL, "it is of version %u, this program reads %d",
				  out->version, SNAPSHOT_VERSION);
	if (out->head_crc != head_crc(out))
		return reason_set(reason, -EINVAL, "the checksum of its head is wrong");
	out->instance[sizeof(out->instance) - 1] = '\0';
	if (strcmp(out->instance, instance) != 0)
		return reason_set(reason, -EINVAL, "it belongs to the instance \"%s\", not \"%s\"",
				  out->instance, instance);
	return 0;
}

int snapshot_reader_begin(struct snapshot_reader *r, struct str image,
			  const struct snapshot_head *head, struct reason *reason)
{
	struct str records = str_sub(image, sizeof(*head), STR_REST);

	*r = (struct snapshot_reader){ .head = head, .records = records, .unsummed = records };
	if (records.len != head->body_bytes)
		return reason_set(reason, -EINVAL, "it has %zu bytes of routes instead of %llu",
				  records.len, (unsigned long long)head->body_bytes);
	if (head->entries > records.len / ROUTE_IMAGE_LEAST)
		return reason_set(reason, -EINVAL, "%zu bytes of routes make no %llu routes",
				  records.len, (unsigned long long)head->entries);
	return 0;
}

_Static_assert(STRIDE >= ROUTE_IMAGE_MOST, "sum_ahead");

static void sum(struct snapshot_reader *r, size_t bytes)
{
	struct str part = str_sub(r->unsummed, 0, bytes);

	snapshot_sum_add(&r->sum, part.p, part.len);
	r->unsummed = str_sub(r->unsummed, part.len, STR_REST);
}

/* The sum covers the next record, however long it is. */
static void sum_ahead(struct snapshot_reader *r)
{
	if (r->unsummed.len && r->records.len - r->unsummed.len < ROUTE_IMAGE_MOST)
		sum(r, STRIDE);
}

/* Nonsense in a file with the right checksum is another story than damage. */
static int fail(struct snapshot_reader *r, struct reason *reason)
{
	sum(r, STR_REST);
	if (snapshot_sum_of(&r->sum) != r->head->body_sum)
		return reason_set(reason, -EINVAL, "the checksum of its routes is wrong");
	return reason_set(reason, -EINVAL, "route %llu of %llu makes no sense",
			  (unsigned long long)r->entries + 1, (unsigned long long)r->head->entries);
}

int snapshot_reader_next(struct snapshot_reader *r, struct route_image *out, struct reason *reason)
{
	int rc;

	sum_ahead(r);
	rc = route_image_next(&r->records, out);
	if (rc == 0 && r->entries < r->head->entries) {
		r->entries++;
		return 0;
	}
	if (rc == -ENODATA && r->entries == r->head->entries &&
	    snapshot_sum_of(&r->sum) == r->head->body_sum)
		return -ENODATA;
	return fail(r, reason);
}
