/*
 * tests/fuzz/fuzz_tags.c - the texts of an endpoint, one a line, and then anything: as its
 * tags, which come back whole from at most two bytes more; and as what lies packed in a
 * damaged table, which is refused or some text within bounds.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/must.h"
#include "shm/route_layout.h"
#include "shm/tags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes the texts; the block has not a byte more than it says. */
static struct inst *inst_of(struct str *data)
{
	struct str rest = *data, line;
	size_t len = 0;
	struct inst *inst;

	for (unsigned i = 0; i < INST_TEXTS; i++)
		if (str_next_item(&rest, '\n', &line))
			len += line.len;
	if (len > ENDPOINT_TEXT_MAX)
		return NULL;
	inst = mem_alloc(offsetof(struct inst, text) + len);
	memset(inst, 0, offsetof(struct inst, text));
	inst->bytes = (uint32_t)(offsetof(struct inst, text) + len);
	len = 0;
	for (unsigned i = 0; i < INST_TEXTS; i++) {
		if (str_next_item(data, '\n', &line) && line.len)
			memcpy(inst->text + len, line.p, line.len);
		else
			line = STR_NONE;
		inst->ends[i] = (uint16_t)(len += line.len);
	}
	return inst;
}

static struct str copied(struct str text)
{
	char *copy = mem_alloc(text.len + !text.len);

	if (text.len)
		memcpy(copy, text.p, text.len);
	return (struct str){ copy, text.len };
}

static void pack_and_unpack(const struct inst *inst, struct str tags, char *out)
{
	char *buffer = mem_alloc(TAGS_PACKED_MAX);
	size_t len = tags_pack(inst, tags, buffer);
	struct str packed = copied((struct str){ buffer, len }), back;

	must(len <= (tags.len ? tags.len + 2 : 0));
	must(tags_unpack(inst, packed, out, &back));
	must(str_equal(back, tags));
	must(tags_pack(inst, tags, buffer) == len && memcmp(buffer, packed.p, len) == 0);
	free((char *)(uintptr_t)packed.p);
	free(buffer);
}

static void unpack(const struct inst *inst, struct str packed, char *out)
{
	struct str tags;

	if (!tags_unpack(inst, packed, out, &tags))
		return;
	must(tags.len <= ENDPOINT_TAGS_MAX && (tags.p == out || !packed.len));
	if (tags.len) {
		tags = copied(tags);
		pack_and_unpack(inst, tags, out);
		free((char *)(uintptr_t)tags.p);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = { (const char *)data, size };
	struct inst *inst = inst_of(&rest);
	struct str bytes = copied(rest);
	char *out = mem_alloc(ENDPOINT_TAGS_MAX);

	if (inst && bytes.len <= ENDPOINT_TAGS_MAX)
		pack_and_unpack(inst, bytes, out);
	if (inst)
		unpack(inst, bytes, out);
	if (inst && size >= sizeof(inst->ends)) {
		memcpy(inst->ends, data, sizeof(inst->ends));     /* texts that are not there */
		unpack(inst, bytes, out);
	}
	free(out);
	free((char *)(uintptr_t)bytes.p);
	free(inst);
	return 0;
}
