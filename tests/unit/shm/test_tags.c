/*
 * tests/unit/shm/test_tags.c - tags are small in the table and whole outside it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/must.h"
#include "shm/tags.h"
#include "tests/unit/fixture/shm_table.h"

#include "shm/route_layout.h"

#define APP "0c56c2b1-26c4-4c31-8b6b-4a3c2f3d1a2b"
#define INSTANCE "5e1d3fa0-91b7-4d2c-9f4e-77aa21c0b9d8"
#define ORGANIZATION "8f0e53a7-3a55-4d5c-b4a8-5f0d5a2e9c11"

static const char emitted[] =
	"{\"app_id\":\"" APP "\",\"app_name\":\"shop\",\"component\":\"route-emitter\","
	"\"instance_id\":\"3\",\"organization_id\":\"" ORGANIZATION "\","
	"\"organization_name\":\"acme\",\"process_id\":\"" APP "\",\"process_instance_id\":\"" INSTANCE
	"\",\"process_type\":\"web\",\"source_id\":\"" APP "\","
	"\"space_id\":\"e71e2b4d-66f8-4a0b-8f43-1c9a2d7e5b60\",\"space_name\":\"production\"}";

/* What it is packed to. */
static const char emitted_packed[] =
	"\xca\x01" "\x81" "\x96shop" "\x8a" "\x83"
	"\x90\x8f\x0e\x53\xa7\x3a\x55\x4d\x5c\xb4\xa8\x5f\x0d\x5a\x2e\x9c\x11" "\x96" "acme"
	"\x89" "\x82" "\x95web" "\x81"
	"\x90\xe7\x1e\x2b\x4d\x66\xf8\x4a\x0b\x8f\x43\x1c\x9a\x2d\x7e\x5b\x60" "\x9cproduction";

/* An inst whose block has not a byte more than its texts need. */
static struct inst *inst_of(const char *const texts[INST_TEXTS])
{
	size_t len = 0, at = 0;
	struct inst *inst;

	for (unsigned i = 0; i < INST_TEXTS; i++)
		len += texts[i] ? strlen(texts[i]) : 0;
	inst = calloc(1, offsetof(struct inst, text) + len);
	inst->bytes = (uint32_t)(offsetof(struct inst, text) + len);
	for (unsigned i = 0; i < INST_TEXTS; i++) {
		struct str text = str_of(texts[i]);

		if (text.len)
			memcpy(inst->text + at, text.p, text.len);
		inst->ends[i] = (uint16_t)(at += text.len);
	}
	return inst;
}

/* With the texts of an app. */
static struct inst *inst_new(void)
{
	const char *const texts[INST_TEXTS] = {
		[INST_TEXT_host] = "10.0.0.1", [INST_TEXT_app_id] = APP,
		[INST_TEXT_instance_id] = INSTANCE, [INST_TEXT_instance_index] = "3",
		[INST_TEXT_zone] = "z1", [INST_TEXT_process_id] = APP,
		[INST_TEXT_component] = "route-emitter",
	};

	return inst_of(texts);
}

/* From memory of exactly that size, so that a sanitizer sees each byte too far. */
static bool unpacks(const struct inst *inst, const char *packed, size_t len, char *out,
		    struct str *back)
{
	char *exact = malloc(len + !len);
	bool is_good;

	memcpy(exact, packed, len);
	is_good = tags_unpack(inst, (struct str){ exact, len }, out, back);
	free(exact);
	return is_good;
}

/* How many bytes it took. */
static size_t survives(const struct inst *inst, struct str tags)
{
	char *exact = malloc(tags.len + !tags.len);
	static char packed[TAGS_PACKED_MAX + 64], again[TAGS_PACKED_MAX], out[ENDPOINT_TAGS_MAX];
	char *behind = packed + tags.len + 2;
	struct str back;
	size_t n;

	if (tags.len)
		memcpy(exact, tags.p, tags.len);
	memset(behind, 0xaa, 64);
	n = tags_pack(inst, (struct str){ exact, tags.len }, packed);
	for (size_t i = 0; i < 64; i++)
		assert_int_equal((unsigned char)behind[i], 0xaa);
	assert_true(n <= (tags.len ? tags.len + 2 : 0));
	assert_true(unpacks(inst, packed, n, out, &back));
	assert_true(str_equal(back, tags));
	assert_int_equal(tags_pack(inst, tags, again), n);
	assert_memory_equal(again, packed, n);
	free(exact);
	return n;
}

static void what_an_emitter_sends_shrinks_to_a_fifth(void **state)
{
	struct inst *inst = inst_new();

	(void)state;
	assert_int_equal(sizeof(emitted) - 1, 458);
	assert_true(survives(inst, STR(emitted)) <= 458 / 5);
	free(inst);
}

/* Files outlive programs: if this fails, TABLE_LAYOUT and SNAPSHOT_VERSION must go up. */
static void what_was_packed_once_is_packed_so_for_ever(void **state)
{
	char packed[TAGS_PACKED_MAX], out[ENDPOINT_TAGS_MAX];
	struct inst *inst = inst_new();
	struct str back;

	(void)state;
	assert_int_equal(tags_pack(inst, STR(emitted), packed), sizeof(emitted_packed) - 1);
	assert_memory_equal(packed, emitted_packed, sizeof(emitted_packed) - 1);
	assert_true(unpacks(inst, emitted_packed, sizeof(emitted_packed) - 1, out, &back));
	assert_true(str_equal(back, STR(emitted)));
	free(inst);
}

/* --- kinds of keys and values */

/* The bytes that one pair takes, of what was said about each kind. */
static void each_kind_of_pair_takes_what_it_should(void **state)
{
	static const struct {
		const char *pair;
		size_t bytes;
	} cases[] = {
		{ "", 0 },
		{ "\"app_id\":\"" APP "\"", 1 },                        /* the first key, a text */
		{ "\"source_id\":\"" APP "\"", 2 },                     /* a later key, a text */
		{ "\"instance_id\":\"3\"", 2 },
		{ "\"instance_id\":\"4\"", 3 },
		{ "\"app_name\":\"" APP "\"", 18 },                     /* a GUID, but none of its texts */
		{ "\"app_id\":\"" INSTANCE "\"", 17 },                  /* the text of another key */
		{ "\"app_name\":\"\"", 2 },
		{ "\"index\":\"" INSTANCE "\"", 7 },                    /* other keys may say any text */
		{ "\"ip\":\"10.0.0.1\"", 4 },
		{ "\"\":\"route-emitter\"", 2 },
		{ "\"a\":\"\"", 3 },
		{ "\"a\":\"" ORGANIZATION "\"", 19 },
		{ "\"a\":\"8F0e53a7-3a55-4d5c-b4a8-5f0d5a2e9c11\"", 39 },
		{ "\"a\":\"8f0e53a7-3a55-4d5c-b4a8-5f0d5a2e9c1g\"", 39 },
		{ "\"a\":\"8f0e53a7-3a55-4d5c-b4a8-5f0d5a2e9c1/\"", 39 },
		{ "\"a\":\"8f0e53a7-3a55-4d5c-b4a8-5f0d5a2e9c1:\"", 39 },
		{ "\"a\":\"8f0e53a7-3a55-4d5c-b4a8-5f0d5a2e9c1`\"", 39 },
		{ "\"a\":\"8f0e53a7-3a55-4d5c-b4a8-5f0d5a2e9c1\xb1\"", 39 },
		{ "\"a\":\"\xb8""f0e53a7-3a55-4d5c-b4a8-5f0d5a2e9c11\"", 39 },
		{ "\"a\":\"8f0e53a7-3a55-4d5c-b4a8-5f0d5a2e9c1\"", 38 },
		{ "\"a\":\"8f0e53a7-3a55-4d5c-b4a8-5f0d5a2e9c111\"", 40 },
		{ "\"a\":\"8f0e53a7-3a55-4d5c-b4a8_5f0d5a2e9c11\"", 39 },
		{ "\"a\":\"8f0e53a7a3a55-4d5c-b4a8-5f0d5a2e9c11\"", 39 },
		{ "\"a\":\"\\\\\",\"b\":\"\xc3\xa9\xff\"", 11 },        /* bytes are bytes */
	};
	struct inst *inst = inst_new();
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int len = snprintf(text, sizeof(text), "{%s}", cases[i].pair);
		size_t n = survives(inst, (struct str){ text, (size_t)len });

		if (n != cases[i].bytes + 2)
			fail_msg("%s takes %zu bytes", cases[i].pair, n);
	}
	free(inst);
}

static void texts_that_are_not_such_an_object_are_stored(void **state)
{
	static const char *const cases[] = {
		"{", "}", "\"", "{}}", "{{}", "{,}", "{}x", "[]", "null", " {}", "{ }", "{} ",
		"{\"a\":\"b\"", "{\"a\":\"b", "{\"a\":\"", "{\"a\":", "{\"a\"", "{\"a", "{\"",
		"{\"a\":\"b\",}", "{\"a\":\"b\",", "{\"a\":\"b\"}}", "{\"a\":\"b\"}\n",
		"{\"a\":\"b\";\"c\":\"d\"}", "{\"a\": \"b\"}", "{\"a\" :\"b\"}", "{\"a\":\"b\" }",
		"{\"a\":\"b\", \"c\":\"d\"}", "{\"a\":1}", "{\"a\":null}", "{\"a\":{}}", "{\"a\":[\"b\"]}",
		"{\"a\":\"b\\\"c\"}", "{\"a\\\"b\":\"c\"}", "{\"app_id\":\"", "{\"app_id\":\"" APP,
		"{\"app_id\":1}", "{\"app_id\": \"" APP "\"}", "{\"space_id\":\"" ORGANIZATION,
		"{'a':'b'}", "{a:\"b\"}", "{:\"b\"}",
	};
	struct inst *inst = inst_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = strlen(cases[i]), n = survives(inst, (struct str){ cases[i], len });

		if (n != len + 2)
			fail_msg("%s takes %zu bytes", cases[i], n);
	}
	free(inst);
}

/* Keys out of order, twice, and all in reverse. */
static void any_order_of_keys_survives(void **state)
{
	static const char *const cases[] = {
		"{\"space_name\":\"s\",\"app_id\":\"a\",\"app_name\":\"b\"}",
		"{\"app_id\":\"" APP "\",\"app_id\":\"" APP "\",\"app_id\":\"x\"}",
		"{\"app_id\":\"" APP "\",\"extra\":\"1\",\"app_name\":\"shop\",\"z\":\"\"}",
		"{\"space_name\":\"a\",\"space_id\":\"b\",\"source_id\":\"c\",\"process_type\":\"d\","
		"\"process_instance_id\":\"e\",\"process_id\":\"f\",\"organization_name\":\"g\","
		"\"organization_id\":\"h\",\"instance_id\":\"i\",\"component\":\"j\",\"app_name\":\"k\","
		"\"app_id\":\"l\"}",
		"{\"app_i\":\"" APP "\",\"app_idd\":\"" APP "\",\"app_nam\":\"x\",\"space_names\":\"y\"}",
	};
	struct inst *inst = inst_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_true(survives(inst, str_of(cases[i])) < strlen(cases[i]) - 4);
	free(inst);
}

/* An endpoint may say less than its tags, nothing at all, or what no JSON text is. */
static void any_texts_of_an_endpoint_will_do(void **state)
{
	const char *const none[INST_TEXTS] = { NULL };
	const char *const quotes[INST_TEXTS] = {
		[INST_TEXT_host] = "a\",\"b", [INST_TEXT_app_id] = "\"", [INST_TEXT_component] = "\\",
	};
	const char *const *const all[] = { none, quotes };
	static const char *const cases[] = {
		emitted, "{}", "{\"app_id\":\"\"}", "{\"app_id\":\"\"\"}", "{\"x\":\"a\",\"b\"}",
		"{\"x\":\"a\",\"b\":\"c\"}", "{\"component\":\"\\\"}", "{\"x\":\"\\\",\"y\":\"\\\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct inst *inst = inst_of(all[i]);

		for (size_t j = 0; j < ARRAY_SIZE(cases); j++)
			survives(inst, str_of(cases[j]));
		free(inst);
	}
}

/* --- lengths */

/* {"kkk":"vvv"} with so many of each; how many bytes it takes. */
static size_t survives_lengths(const struct inst *inst, size_t key, size_t value)
{
	char *text = malloc(key + value + 8), *at = text;
	size_t n;

	at = stpcpy(at, "{\"");
	memset(at, 'k', key);
	at = stpcpy(at + key, "\":\"");
	memset(at, 'v', value);
	at = stpcpy(at + value, "\"}");
	n = survives(inst, str_range(text, at));
	free(text);
	return n;
}

static void lengths_at_every_limit_survive(void **state)
{
	const size_t overhead = 7;            /* of an object with one pair */
	struct inst *inst = inst_new();

	(void)state;
	for (size_t i = 1; i < 300; i++) {
		assert_int_equal(survives_lengths(inst, i, 1), 1 + i + (i <= 239 ? 4 : overhead + 2));
		assert_int_equal(survives_lengths(inst, 1, i), 1 + i + (i <= 109 ? 4 : 6));
	}
	for (size_t left = 0; left < 300; left++)
		survives_lengths(inst, left, ENDPOINT_TAGS_MAX - overhead - left);
	survives_lengths(inst, ENDPOINT_TAGS_MAX - overhead, 0);
	free(inst);
}

/* Of nothing but pairs that gain little, none reaches the end too early. */
static void the_longest_tags_survive(void **state)
{
	static const char *const pairs[] = {
		"\"\":\"\",", "\"a\":\"b\",", "\"instance_id\":\"3\",", "\"a\":\"" ORGANIZATION "\",",
	};
	static char text[ENDPOINT_TAGS_MAX];
	struct inst *inst = inst_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		size_t pair = strlen(pairs[i]), at = 1;

		text[0] = '{';
		for (; at + pair <= sizeof(text); at += pair)
			memcpy(text + at, pairs[i], pair);
		text[at - 1] = '}';
		assert_true(survives(inst, (struct str){ text, at }) < at);
		memset(text + at, '}', sizeof(text) - at);
		survives(inst, (struct str){ text, sizeof(text) });
	}
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
		survives(inst, (struct str){ noise, lengths[i] });
	memset(noise, 'x', sizeof(noise));
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		assert_int_equal(survives(inst, (struct str){ noise, lengths[i] }), lengths[i] + 2);
	assert_int_equal(survives(inst, STR_NONE), 0);
	free(inst);
}

/* Each prefix, and each byte replaced by each other one. */
static void any_change_of_what_is_emitted_survives(void **state)
{
	struct inst *inst = inst_new();
	char text[sizeof(emitted)];

	(void)state;
	for (size_t len = 0; len < sizeof(emitted) - 1; len++)
		survives(inst, (struct str){ emitted, len });
	for (size_t at = 0; at < sizeof(emitted) - 1; at++)
		for (unsigned byte = 0; byte < 256; byte += byte == '"' || byte == '}' ? 1 : 3) {
			memcpy(text, emitted, sizeof(text));
			text[at] = (char)byte;
			survives(inst, (struct str){ text, sizeof(emitted) - 1 });
		}
	free(inst);
}

/* --- damage */

/* All kinds of pairs in one, and what it is packed to. */
static size_t pack_all_kinds(const struct inst *inst, char packed[TAGS_PACKED_MAX])
{
	char text[1024];
	int len = snprintf(text, sizeof(text), "%.*s,\"index\":\"3\",\"x\":\"%0150d\",\"app_id\":\"y\"}",
			   (int)sizeof(emitted) - 2, emitted, 7);

	return tags_pack(inst, (struct str){ text, (size_t)len }, packed);
}

static void truncated_tags_are_refused(void **state)
{
	char packed[TAGS_PACKED_MAX], out[ENDPOINT_TAGS_MAX];
	struct inst *inst = inst_new();
	size_t n = pack_all_kinds(inst, packed), stored;
	struct str back;

	(void)state;
	assert_true(n < 400);
	for (size_t cut = 1; cut < n; cut++)
		assert_false(unpacks(inst, packed, cut, out, &back));
	packed[n] = (char)0x81;
	assert_false(unpacks(inst, packed, n + 1, out, &back));
	stored = tags_pack(inst, STR("{ \"not\": \"packed\" }"), packed);
	for (size_t cut = 1; cut < stored; cut++)
		assert_false(unpacks(inst, packed, cut, out, &back));
	assert_false(unpacks(inst, packed, stored + 1, out, &back));
	free(inst);
}

static void a_damaged_byte_is_refused_or_gives_a_text_as_long(void **state)
{
	char packed[TAGS_PACKED_MAX], *out = malloc(ENDPOINT_TAGS_MAX);
	struct inst *inst = inst_new();
	size_t n = pack_all_kinds(inst, packed), len;
	struct str back;

	(void)state;
	assert_true(unpacks(inst, packed, n, out, &back));
	len = back.len;
	for (size_t at = 0; at < n; at++)
		for (unsigned flip = 1; flip < 256; flip++) {
			packed[at] = (char)(packed[at] ^ flip);
			if (unpacks(inst, packed, n, out, &back)) {
				assert_ptr_equal(back.p, out);
				assert_int_equal(back.len, len);
			} else {
				assert_true(str_is_empty(back));
			}
			packed[at] = (char)(packed[at] ^ flip);
		}
	free(out);
	free(inst);
}

static void noise_is_refused_or_bounded(void **state)
{
	char bytes[64], *out = malloc(ENDPOINT_TAGS_MAX);
	struct inst *inst = inst_new();
	struct str back;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		random_bytes(bytes, sizeof(bytes));
		if (unpacks(inst, bytes, i % sizeof(bytes), out, &back))
			assert_true(back.len <= ENDPOINT_TAGS_MAX);
	}
	free(out);
	free(inst);
}

static void texts_that_are_not_there_are_never_said(void **state)
{
	char packed[TAGS_PACKED_MAX], out[ENDPOINT_TAGS_MAX];
	struct inst *inst = inst_new();
	size_t n = tags_pack(inst, STR(emitted), packed);
	struct str back;

	(void)state;
	for (unsigned i = 0; i < INST_TEXTS; i++) {
		const uint16_t before = inst->ends[i];

		for (unsigned end = 0; end <= UINT16_MAX; end += end < 300 ? 1 : 4093) {
			inst->ends[i] = (uint16_t)end;
			if (unpacks(inst, packed, n, out, &back))
				assert_int_equal(back.len, sizeof(emitted) - 1);
			survives(inst, STR(emitted));
		}
		inst->ends[i] = before;
	}
	free(inst);
}

/* What cannot be: numbers beyond the keys, the texts and the kinds. */
static void numbers_that_mean_nothing_are_refused(void **state)
{
	static const struct str cases[] = {
		STR_INIT("\x02"), STR_INIT("\x01\x40{"), STR_INIT("\xff\xff"),
		STR_INIT("\x0d\x00\x8b"),                     /* text 11 */
		STR_INIT("\x0d\x00\x8f"),
		STR_INIT("\x0d\x00\x12\x0c"),                 /* key 12 */
		STR_INIT("\x0d\x00\x12\x0f"),
		STR_INIT("\x1e\x00\x12\x0b\x92"),             /* the key behind the last */
		STR_INIT("\x01\x00"), STR_INIT("\x03\x00"), STR_INIT("\x00\x00"),
		STR_INIT("\x0d\x00\x91\x00"),                 /* half a length */
		STR_INIT("\x0d\x00\x91\xff\xff"), STR_INIT("\x0d\x00\xff"), STR_INIT("\x0d\x00\x12\xff"),
	};
	char out[ENDPOINT_TAGS_MAX];
	struct inst *inst = inst_new();
	struct str back;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (unpacks(inst, cases[i].p, cases[i].len, out, &back))
			fail_msg("case %zu gives %.*s", i, STR_ARG(back));
	assert_true(unpacks(inst, "\x02\x00", 2, out, &back) && str_equal(back, STR("{}")));
	free(inst);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_an_emitter_sends_shrinks_to_a_fifth),
		cmocka_unit_test(what_was_packed_once_is_packed_so_for_ever),
		cmocka_unit_test(each_kind_of_pair_takes_what_it_should),
		cmocka_unit_test(texts_that_are_not_such_an_object_are_stored),
		cmocka_unit_test(any_order_of_keys_survives),
		cmocka_unit_test(any_texts_of_an_endpoint_will_do),
		cmocka_unit_test(lengths_at_every_limit_survive),
		cmocka_unit_test(the_longest_tags_survive),
		cmocka_unit_test(any_text_survives),
		cmocka_unit_test(any_change_of_what_is_emitted_survives),
		cmocka_unit_test(truncated_tags_are_refused),
		cmocka_unit_test(a_damaged_byte_is_refused_or_gives_a_text_as_long),
		cmocka_unit_test(noise_is_refused_or_bounded),
		cmocka_unit_test(texts_that_are_not_there_are_never_said),
		cmocka_unit_test(numbers_that_mean_nothing_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
