/*
 * tests/unit/base/test_hash.c - the long hash: two halves that know nothing of one
 * another, and everything of the text and the key.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"

#define LENGTH_MAX 40

static void both_halves_depend_on_every_bit_and_on_the_length(void **state)
{
	const struct hash_key key = { 0x0706050403020100u, 0x0f0e0d0c0b0a0908u };
	char text[LENGTH_MAX + 1] = { 0 };

	(void)state;
	for (size_t len = 0; len < LENGTH_MAX; len++) {
		const struct str s = { text, len };
		struct hash128 hash = hash_str_128(&key, s);
		struct hash128 longer = hash_str_128(&key, (struct str){ text, len + 1 });

		assert_true(hash.a != longer.a && hash.b != longer.b && hash.a != hash.b);
		for (size_t bit = 0; bit < 8 * len; bit++) {
			struct hash128 other;

			text[bit / 8] ^= (char)(1 << bit % 8);
			other = hash_str_128(&key, s);
			text[bit / 8] ^= (char)(1 << bit % 8);
			assert_true(hash.a != other.a && hash.b != other.b);
		}
	}
}

static void another_key_makes_another_hash(void **state)
{
	const struct hash_key one = hash_key_random(), two = { one.k0, one.k1 ^ 1 };
	struct hash128 a = hash_str_128(&one, STR("text")), b = hash_str_128(&two, STR("text"));

	(void)state;
	assert_true(a.a != b.a && a.b != b.b);
	assert_true(a.a != hash_str(&one, STR("text")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_halves_depend_on_every_bit_and_on_the_length),
		cmocka_unit_test(another_key_makes_another_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
