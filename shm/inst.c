/*
 * shm/inst.c - an endpoint's block in the table, read.
 */
#include "route_layout.h"
#include "route_table.h"

uint64_t inst_serial(const struct inst *inst)
{
	return inst->serial;
}

uint32_t inst_row(const struct inst *inst)
{
	return inst->row;
}

uint32_t inst_flags(const struct inst *inst)
{
	return inst->flags;
}

struct str inst_zone(const struct inst *inst)
{
	return inst_text(inst, INST_TEXT_zone);
}

struct str inst_instance_id(const struct inst *inst)
{
	return inst_text(inst, INST_TEXT_instance_id);
}

struct str inst_instance_index(const struct inst *inst)
{
	return inst_text(inst, INST_TEXT_instance_index);
}

struct str inst_app_id(const struct inst *inst)
{
	return inst_text(inst, INST_TEXT_app_id);
}

struct str inst_process_id(const struct inst *inst)
{
	return inst_text(inst, INST_TEXT_process_id);
}

/* Points one text of the copy at its place; false if the ends make no sense. */
static bool place_text(const struct inst *inst, enum inst_text which, size_t len,
		       const char *copy, struct str *text)
{
	unsigned from = which ? inst->ends[which - 1] : 0, to = inst->ends[which];

	*text = (struct str){ copy + from, to - from };
	return from <= to && to <= len;
}

bool inst_copy(const struct inst *inst, struct endpoint *out)
{
	size_t len = inst->ends[INST_TEXTS - 1];
	bool sound = len + offsetof(struct inst, text) <= inst->bytes && len <= ENDPOINT_TEXT_MAX;

	if (!sound)
		return false;
	out->serial = inst->serial;
	out->row = inst->row;
	out->flags = inst->flags;
	out->stale_s = inst->stale_s;
	out->port = inst->port;
	out->balancing = (uint8_t)inst->balancing;
	out->updated_at_ns = inst->updated_at_ns;
	memcpy(out->ip, inst->ip, sizeof(out->ip));
	out->tags = STR_NONE;
	memcpy(out->text, inst->text, len);
#define X(name) sound &= place_text(inst, INST_TEXT_##name, len, out->text, &out->name);
	ENDPOINT_TEXTS(X)
#undef X
	return sound;
}

uint64_t inst_fingerprint(const struct route_hash_seed *seed, const struct inst *inst,
			  struct str packed_tags)
{
	uint64_t block = block_hash(seed, &inst->bytes, inst->bytes - offsetof(struct inst, bytes));

	return route_hash_join(seed, block_hash(seed, packed_tags.p, packed_tags.len), block);
}

uint32_t inst_sum(const struct inst *inst)
{
	union {
		struct inst inst;
		char bytes[offsetof(struct inst, bytes)];
	} own;

	memcpy(own.bytes, inst, sizeof(own.bytes));
	own.inst.sum = 0;
	return block_sum(own.bytes, sizeof(own.bytes));
}

bool inst_is_whole(const struct table *table, const struct inst *inst, struct str *tags)
{
	*tags = STR_NONE;
	if (inst_sum(inst) != inst->sum)
		return false;
	if (inst->tags_bytes)
		*tags = (struct str){ shm_get(table, inst->tags, inst->tags_bytes), inst->tags_bytes };
	return (tags->p || !tags->len) &&
	       inst_fingerprint(&table_head(table)->seed, inst, *tags) == inst->fingerprint;
}
