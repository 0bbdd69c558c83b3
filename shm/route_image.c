/*
 * shm/route_image.c - a record: a head as long as the part of a block that is left out,
 * so that the rest of the block follows at its place; then the tags, the key and zeros.
 */
#include "route_image.h"

#include <errno.h>

#include "route_layout.h"
#include "route_table.h"
#include "tags.h"

#define KNOWN_FLAGS (ENDPOINT_TLS | ENDPOINT_HTTP2 | ENDPOINT_HOST_IS_NAME | ENDPOINT_HAS_TAGS)

/* Lies where a block has what is left out. */
#define ZEROS 11
struct record {
	uint32_t bytes;               /* all of it */
	uint32_t age_s;
	uint16_t key_len, zeros[ZEROS];
};
#define HEAD offsetof(struct inst, bytes)
_Static_assert(sizeof(struct record) == HEAD, "record");
_Static_assert(HEAD % ROUTE_IMAGE_UNIT == 0, "blocks are aligned");
_Static_assert(ROUTE_IMAGE_MOST >= INST_BYTES_MAX + TAGS_PACKED_MAX + ROUTE_KEY_MAX + 8, "most");
_Static_assert(ROUTE_IMAGE_LEAST <= offsetof(struct inst, text) + 8, "least");

static size_t rounded(size_t bytes)
{
	return (bytes + ROUTE_IMAGE_UNIT - 1) / ROUTE_IMAGE_UNIT * ROUTE_IMAGE_UNIT;
}

size_t route_image_bytes(const struct inst *inst, struct str packed_tags, struct str key)
{
	return rounded(inst->bytes + packed_tags.len + key.len);
}

void route_image_write(const struct inst *inst, struct str packed_tags, struct str key,
		       uint32_t age_s, char *out)
{
	const struct record head = {
		.bytes = (uint32_t)route_image_bytes(inst, packed_tags, key), .age_s = age_s,
		.key_len = (uint16_t)key.len,
	};
	char *end = out + head.bytes;

	memset(end - ROUTE_IMAGE_UNIT, 0, ROUTE_IMAGE_UNIT);
	memcpy(out, &head, HEAD);
	memcpy(out + HEAD, (const char *)inst + HEAD, inst->bytes - HEAD);
	out += inst->bytes;
	if (packed_tags.len)
		memcpy(out, packed_tags.p, packed_tags.len);
	memcpy(out + packed_tags.len, key.p, key.len);
}

/* --- reading --- */

/* Its texts lie one behind the other and fill it. */
static bool has_sound_texts(const struct inst *inst)
{
	unsigned end = 0;

	for (unsigned i = 0; i < INST_TEXTS; i++) {
		if (inst->ends[i] < end)
			return false;
		end = inst->ends[i];
	}
	return end <= ENDPOINT_TEXT_MAX && inst->bytes == offsetof(struct inst, text) + end;
}

static bool is_sound_block(const struct inst *inst)
{
	return has_sound_texts(inst) && inst_text(inst, INST_TEXT_host).len && inst->port &&
	       !(inst->flags & ~(uint32_t)KNOWN_FLAGS) && inst->balancing <= BALANCE_LEAST_CONNECTION;
}

static bool is_sound_head(const struct record *r, size_t room)
{
	for (unsigned i = 0; i < ZEROS; i++)
		if (r->zeros[i])
			return false;
	return r->bytes <= room && r->bytes >= offsetof(struct inst, text) && r->key_len &&
	       r->bytes % ROUTE_IMAGE_UNIT == 0;
}

static bool read_record(struct record *r, struct route_image *out)
{
	struct inst *inst = (struct inst *)(void *)r;
	uint64_t bytes = (uint64_t)inst->bytes + inst->tags_bytes + r->key_len;
	char *behind = (char *)r + inst->bytes;

	if (rounded(bytes) != r->bytes || !is_sound_block(inst) || inst->tags_bytes > TAGS_PACKED_MAX)
		return false;
	out->age_s = r->age_s;
	out->inst = inst;
	out->tags = inst->tags_bytes ? (struct str){ behind, inst->tags_bytes } : STR_NONE;
	return route_key_read((struct str){ behind + inst->tags_bytes, r->key_len }, &out->key);
}

int route_image_next(struct str *records, struct route_image *out)
{
	struct record *r = (struct record *)(uintptr_t)records->p;

	if (!records->len)
		return -ENODATA;
	if (records->len < offsetof(struct inst, text) || !is_sound_head(r, records->len) ||
	    !read_record(r, out))
		return -EINVAL;
	*records = str_sub(*records, r->bytes, STR_REST);
	return 0;
}

struct str route_image_segment(const struct route_image *image)
{
	return inst_text(image->inst, INST_TEXT_isolation_segment);
}

void route_image_limit_stale(struct route_image *image, uint32_t most_s)
{
	if (image->inst->stale_s == 0 || image->inst->stale_s > most_s)
		image->inst->stale_s = most_s;
}

bool route_image_endpoint(const struct route_image *image, struct endpoint *out,
			  char tags[ENDPOINT_TAGS_MAX])
{
	return inst_copy(image->inst, out) &&
	       tags_unpack(image->inst, image->tags, tags, &out->tags);
}
