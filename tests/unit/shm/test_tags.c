/*
 * tests/unit/shm/test_tags.c - tags are small in the table and whole outside it.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "base/must.h"
#include "shm/tags.h"
#include "tests/unit/fixture/shm_table.h"

#include "shm/route_layout.h"

#define APP "0c56c2b1-26c4-4c31-8b6b-4a3c2f3d1a2b"
#define INSTANCE "5e1d3fa0-91b7-4d2c-9f4e-77aa21c0b9d8"

static const char emitted[] =
	"{\"app_id\":\"" APP "\",\"app_name\":\"shop\",\"component\":\"route-emitter\","
	"\"instance_id\":\"3\",\"organization_id\":\"8f0e53a7-3a55-4d5c-b4a8-5f0d5a2e9c11\","
	"\"organization_name\":\"acme\",\"process_id\":\"" APP "\",\"process_instance_id\":\"" INSTANCE
	"\",\"process_type\":\"web\",\"source_id\":\"" APP "\","
	"\"space_id\":\"e71e2b4d-66f8-4a0b-8f43-1c9a2d7e5b60\",\"space_name\":\"production\"}";

/* An inst with the texts of an app. */
static struct inst *inst_new(void)
{
	static const char text[] = "10.0.0.1" APP INSTANCE;
	struct inst *inst = calloc(1, sizeof(*inst) + sizeof(text));

	memcpy(inst->text, text, sizeof(text) - 1);
	for (unsigned i = 0; i < INST_TEXTS; i++)
		inst->ends[i] = sizeof(text) - 1;
	inst->bytes = (uint32_t)(offsetof(struct inst, text) + sizeof(text) - 1);
	return inst;
}

static void assert_survives(const struct inst *inst, struct str tags, size_t most)
{
	char packed[TAGS_PACKED_MAX], out[ENDPOINT_TAGS_MAX];
	size_t n = tags_pack(inst, tags, packed);
	struct str back;

	assert_true(n <= most);
	assert_true(tags_unpack(inst, (struct str){ packed, n }, out, &back));
	assert_true(str_equal(back, tags));
}

static void what_an_emitter_sends_shrinks_to_less_than_half(void **state)
{
	struct inst *inst = inst_new();

	(void)state;
	assert_survives(inst, STR(emitted), sizeof(emitted) / 2);
	free(inst);
}

static void any_text_survives(void **state)
{
	static char noise[ENDPOINT_TAGS_MAX];
	const size_t lengths[] = { 1, 2, 5, 12, 13, 300, 16383, ENDPOINT_TAGS_MAX };
	struct inst *inst = inst_new();

	(void)state;
	random_bytes(noise, sizeof(noise));
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		assert_survives(inst, (struct str){ noise, lengths[i] }, lengths[i] + 2);
	memset(noise, 'x', sizeof(noise));
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		assert_survives(inst, (struct str){ noise, lengths[i] }, lengths[i] + 2);
	assert_survives(inst, STR_NONE, 0);
	free(inst);
}

static void damaged_tags_are_refused_or_bounded(void **state)
{
	char packed[TAGS_PACKED_MAX], out[ENDPOINT_TAGS_MAX], bytes[64];
	struct inst *inst = inst_new();
	size_t n = tags_pack(inst, STR(emitted), packed);
	struct str back;

	(void)state;
	for (size_t cut = 1; cut < n; cut++)
		assert_false(tags_unpack(inst, (struct str){ packed, cut }, out, &back));
	for (unsigned i = 0; i < 100000; i++) {
		random_bytes(bytes, sizeof(bytes));
		if (tags_unpack(inst, (struct str){ bytes, i % sizeof(bytes) }, out, &back))
			assert_true(back.len <= ENDPOINT_TAGS_MAX);
	}
	inst->ends[INST_TEXTS - 1] = UINT16_MAX;      /* texts that are not there */
	tags_unpack(inst, (struct str){ packed, n }, out, &back);
	free(inst);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_an_emitter_sends_shrinks_to_less_than_half),
		cmocka_unit_test(any_text_survives),
		cmocka_unit_test(damaged_tags_are_refused_or_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
