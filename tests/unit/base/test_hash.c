/*
 * tests/unit/base/test_hash.c - SipHash-1-3 of short texts; and the long hash: two halves
 * that know nothing of one another, and everything of the text and the key.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"

#define LENGTH_MAX 2100

static struct hash_text_key key;

static int make_key(void **state)
{
	(void)state;
	hash_text_key_random(&key);
	return 0;
}

static struct hash128 hash_with(char *text, size_t len, size_t bit)
{
	struct hash128 hash;

	text[bit / 8] ^= (char)(1 << bit % 8);
	hash = hash_text(&key, (struct str){ text, len });
	text[bit / 8] ^= (char)(1 << bit % 8);
	return hash;
}

static void both_halves_depend_on_every_bit_and_on_the_length(void **state)
{
	char text[LENGTH_MAX + 1] = { 0 };

	(void)state;
	for (size_t len = 0; len < LENGTH_MAX; len += len < 40 ? 1 : 103) {
		struct hash128 hash = hash_text(&key, (struct str){ text, len });
		struct hash128 longer = hash_text(&key, (struct str){ text, len + 1 });

		assert_true(hash.a != longer.a && hash.b != longer.b && hash.a != hash.b);
		for (size_t bit = 0; bit < 8 * len; bit++) {
			struct hash128 other = hash_with(text, len, bit);

			assert_true(hash.a != other.a && hash.b != other.b);
		}
	}
}

/* Pairs, chunks and words in another order are another text. */
static void neither_pairs_nor_chunks_can_change_places(void **state)
{
	const size_t pieces[] = { 8, 16, 32, HASH_CHUNK };
	char text[2 * HASH_CHUNK], swapped[2 * HASH_CHUNK];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 7 + i / 256);
	for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++) {
		size_t n = pieces[i];
		struct hash128 a, b;

		memcpy(swapped, text, sizeof(text));
		memcpy(swapped, text + n, n);
		memcpy(swapped + n, text, n);
		a = hash_text(&key, (struct str){ text, sizeof(text) });
		b = hash_text(&key, (struct str){ swapped, sizeof(text) });
		assert_true(a.a != b.a && a.b != b.b);
	}
}

/* Whatever part of the key is another one, so long as the text reaches it. */
static void another_key_makes_another_hash(void **state)
{
	char text[HASH_CHUNK] = "text";
	struct hash128 hash = hash_text(&key, (struct str){ text, sizeof(text) });

	(void)state;
	for (size_t i = 0; i < sizeof(key) / 8; i++) {
		struct hash_text_key other = key;
		struct hash128 changed;

		((uint64_t *)&other)[i] ^= 1;
		changed = hash_text(&other, (struct str){ text, sizeof(text) });
		assert_true(hash.a != changed.a || hash.b != changed.b);
	}
}

/* In a million texts that differ by a number only. */
static void no_two_of_many_texts_share_a_half(void **state)
{
	static uint32_t halves[1 << 20];
	unsigned same = 0;

	(void)state;
	for (uint64_t i = 0; i < ARRAY_SIZE(halves); i++) {
		struct hash128 hash = hash_text(&key, (struct str){ (char *)&i, sizeof(i) });
		uint32_t *place = &halves[hash.a % ARRAY_SIZE(halves)];

		same += *place == (uint32_t)(hash.a >> 32);
		*place = (uint32_t)(hash.a >> 32);
	}
	assert_in_range(same, 0, 3);
}

static void a_join_depends_on_both_and_on_their_order(void **state)
{
	const struct hash_key one = hash_key_random(), two = { one.k0, one.k1 ^ 1 };

	(void)state;
	assert_true(hash_join(&one, 1, 2) != hash_join(&one, 2, 1));
	assert_true(hash_join(&one, 1, 2) != hash_join(&one, 1, 3));
	assert_true(hash_join(&one, 1, 2) != hash_join(&two, 1, 2));
}

/* The first n of the bytes 0, 1, 2... under the key 0..15; calculated apart, from the paper. */
static void short_texts_have_the_hashes_of_the_paper_whatever_is_around_them(void **state)
{
	static const uint64_t expected[] = {
		0xabac0158050fc4dc, 0xc9f49bf37d57ca93, 0x82cb9b024dc7d44d, 0x8bf80ab8e7ddf7fb,
		0xcf75576088d38328, 0xdef9d52f49533b67, 0xc50d2b50c59f22a7, 0xd3927d989bb11140,
		0x369095118d299a8e, 0x25a48eb36c063de4, 0x79de85ee92ff097f, 0x70c118c1f94dc352,
		0x78a384b157b4d9a2, 0x306f760c1229ffa7, 0x605aa111c0f95d34, 0xd320d86d2a519956,
		0xcc4fdd1a7d908b66, 0x9cf2689063dbd80c, 0x8ffc389cb473e63e, 0xf21f9de58d297d1c,
		0xc0dc2f46a6cce040, 0xb992abfe2b45f844, 0x7ffe7b9ba320872e, 0x525a0e7fdae6c123,
		0xf464aeb267349c8c,
	};
	const struct hash_key paper = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
	char text[64];

	(void)state;
	for (size_t before = 0; before < 9; before++)
		for (size_t len = 0; len < ARRAY_SIZE(expected); len++) {
			memset(text, 0xa5, sizeof(text));
			for (size_t i = 0; i < len; i++)
				text[before + i] = (char)i;
			assert_true(hash_bytes(&paper, text + before, len) == expected[len]);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_texts_have_the_hashes_of_the_paper_whatever_is_around_them),
		cmocka_unit_test(both_halves_depend_on_every_bit_and_on_the_length),
		cmocka_unit_test(neither_pairs_nor_chunks_can_change_places),
		cmocka_unit_test(another_key_makes_another_hash),
		cmocka_unit_test(no_two_of_many_texts_share_a_half),
		cmocka_unit_test(a_join_depends_on_both_and_on_their_order),
	};

	return cmocka_run_group_tests(tests, make_key, NULL);
}
