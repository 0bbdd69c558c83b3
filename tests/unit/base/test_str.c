/*
 * tests/unit/base/test_str.c - borrowed text, and memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"

static void texts_compare_and_are_cut(void **state)
{
	(void)state;
	assert_true(str_equal(STR_NONE, STR("")));
	assert_false(str_equal(STR("a"), STR("A")));
	assert_true(str_equal_nocase(STR("Content-Length"), STR("content-length")));
	assert_true(str_has_prefix(STR("abc"), STR("ab")));
	assert_false(str_has_prefix(STR("a"), STR("ab")));
	assert_true(str_has_prefix_nocase(STR("ABc"), STR("ab")));
	assert_true(str_has_suffix(STR("abc"), STR("bc")));
	assert_int_equal(str_find_char(STR("abc"), 'c'), 2);
	assert_int_equal(str_find_char(STR("abc"), 'x'), -1);
	assert_int_equal(str_find(STR("a needle b"), STR("needle")), 2);
	assert_int_equal(str_find(STR("needl"), STR("needle")), -1);
	assert_true(str_equal(str_sub(STR("abcdef"), 2, 3), STR("cde")));
	assert_true(str_equal(str_sub(STR("abc"), 9, 3), STR("")));
	assert_true(str_equal(str_sub(STR("abc"), 1, STR_REST), STR("bc")));
	assert_true(str_equal(str_trim(STR(" \t a b\t ")), STR("a b")));
	assert_true(str_equal(str_trim(STR(" \t")), STR("")));
}

static void case_is_ignored_for_letters_only(void **state)
{
	char a[17] = "sixteen bytes...", b[17] = "SIXTEEN BYTES...";

	(void)state;
	for (int x = 0; x < 256; x++)
		for (int y = 0; y < 256; y++)
			for (size_t at = 0; at < 16; at += 5) {
				char old_a = a[at], old_b = b[at];

				a[at] = (char)x;
				b[at] = (char)y;
				assert_int_equal(str_same_nocase(a, b, 16),
						 ascii_lower((char)x) == ascii_lower((char)y));
				a[at] = old_a;
				b[at] = old_b;
			}
}

static void letters_become_lower_case_and_nothing_else_changes(void **state)
{
	char text[40], lower[41];

	(void)state;
	for (size_t len = 0; len <= sizeof(text); len++)
		for (int c = 0; c < 256; c++) {
			for (size_t i = 0; i < len; i++)
				text[i] = (char)(c + (int)i);
			lower[len] = '#';
			assert_int_equal(str_lower((struct str){ text, len }, lower), len);
			for (size_t i = 0; i < len; i++)
				assert_int_equal(lower[i], ascii_lower(text[i]));
			assert_int_equal(lower[len], '#');
		}
	assert_int_equal(str_lower(STR_NONE, lower), 0);
}

static void lists_are_walked_and_searched(void **state)
{
	struct str rest = STR("a, b ,,c"), item;
	char seen[16] = "";

	(void)state;
	while (str_next_item(&rest, ',', &item)) {
		strncat(seen, item.p, item.len);
		strcat(seen, ";");
	}
	assert_string_equal(seen, "a;b;;c;");
	assert_true(str_list_has(STR("keep-alive, Upgrade"), STR("upgrade")));
	assert_false(str_list_has(STR("upgraded"), STR("upgrade")));
}

static void numbers_are_digits_and_nothing_else(void **state)
{
	static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616" };
	char text[21];
	uint64_t n;

	(void)state;
	assert_true(str_parse_u64(STR("18446744073709551615"), &n));
	assert_true(n == UINT64_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(str_parse_u64(str_of(bad[i]), &n));
	assert_true(str_parse_hex64(STR("fF"), &n));
	assert_int_equal(n, 255);
	assert_false(str_parse_hex64(STR("g"), &n));
	assert_int_equal(u64_format(0, text), 1);
	assert_int_equal(u64_format(UINT64_MAX, text), 20);
	for (uint64_t step = 1; step < UINT64_MAX / 10; step *= 10)
		for (uint64_t value = step - 1; value <= step + 1; value++) {
			char wanted[21];
			int len = snprintf(wanted, sizeof(wanted), "%llu", (unsigned long long)value);

			assert_int_equal(u64_format(value, text), len);
			assert_memory_equal(text, wanted, len);
		}
}

static void characters_are_decoded_and_what_is_none_is_refused(void **state)
{
	static const struct { struct str bytes; size_t len; uint32_t rune; } cases[] = {
		{ STR_INIT(""), 0, 0 },                 { STR_INIT("a\xc3"), 1, 'a' },
		{ STR_INIT("\0"), 1, 0 },               { STR_INIT("\x7f"), 1, 0x7f },
		{ STR_INIT("\x80"), 0, 0 },             { STR_INIT("\xc1\xbf"), 0, 0 },
		{ STR_INIT("\xc2\x80"), 2, 0x80 },      { STR_INIT("\xdf\xbf"), 2, 0x7ff },
		{ STR_INIT("\xc3"), 0, 0 },             { STR_INIT("\xc3(") , 0, 0 },
		{ STR_INIT("\xe0\x9f\xbf"), 0, 0 },     { STR_INIT("\xe0\xa0\x80"), 3, 0x800 },
		{ STR_INIT("\xed\x9f\xbf"), 3, 0xd7ff }, { STR_INIT("\xed\xa0\x80"), 0, 0 },
		{ STR_INIT("\xee\x80\x80"), 3, 0xe000 }, { STR_INIT("\xef\xbf\xbf"), 3, 0xffff },
		{ STR_INIT("\xf0\x8f\xbf\xbf"), 0, 0 }, { STR_INIT("\xf0\x90\x80\x80"), 4, 0x10000 },
		{ STR_INIT("\xf4\x8f\xbf\xbf"), 4, 0x10ffff }, { STR_INIT("\xf4\x90\x80\x80"), 0, 0 },
		{ STR_INIT("\xf0\x90\x80"), 0, 0 },     { STR_INIT("\xff"), 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t rune = 0;
		size_t n = utf8_decode(cases[i].bytes, &rune);

		assert_int_equal(n, cases[i].len);
		if (n)
			assert_int_equal(rune, cases[i].rune);
	}
}

static void copies_are_clipped_and_say_so(void **state)
{
	char out[4];

	(void)state;
	assert_true(str_copy_z(STR("abc"), out, sizeof(out)));
	assert_false(str_copy_z(STR("abcd"), out, sizeof(out)));
	assert_string_equal(out, "abc");
}

static void distances_find_what_was_meant(void **state)
{
	(void)state;
	assert_int_equal(str_distance(STR("timeout"), STR("timeout")), 0);
	assert_int_equal(str_distance(STR("timeot"), STR("timeout")), 1);
	assert_int_equal(str_distance(STR(""), STR("abc")), 3);
}

static size_t naive_plain_run(const char *p, size_t len)
{
	size_t n = 0;

	while (n < len && p[n] >= 0x20 && p[n] < 0x7f && p[n] != '"' && p[n] != '\\')
		n++;
	return n;
}

#define RUN_MOST 70

static void a_plain_run_ends_at_every_byte_that_is_not_plain_wherever_it_is(void **state)
{
	char text[RUN_MOST + 16], copy[RUN_MOST + STR_COPY_LEAST];

	(void)state;
	memset(text, '~', sizeof(text));
	for (size_t align = 0; align < 8; align++)
		for (size_t len = 0; len <= RUN_MOST; len++)
			for (size_t at = 0; at < len; at++)
				for (int byte = 0; byte < 256; byte++) {
					struct str s = { text + align, len };

					text[align + at] = (char)byte;
					if (str_plain_run(s) != naive_plain_run(s.p, len))
						fail_msg("byte 0x%02x at %zu of %zu", byte, at, len);
					if (str_copy_plain(s, copy) != naive_plain_run(s.p, len) ||
					    memcmp(copy, s.p, naive_plain_run(s.p, len)) != 0)
						fail_msg("copy: 0x%02x at %zu of %zu", byte, at, len);
					text[align + at] = '~';
				}
	assert_int_equal(str_plain_run(STR_NONE), 0);
	assert_int_equal(str_copy_plain(STR_NONE, copy), 0);
}

static void a_plain_copy_writes_no_more_than_it_says(void **state)
{
	char text[RUN_MOST], copy[RUN_MOST + STR_COPY_LEAST];

	(void)state;
	memset(text, 'a', sizeof(text));
	for (size_t len = 0; len <= RUN_MOST; len++) {
		size_t most = len > STR_COPY_LEAST ? len : STR_COPY_LEAST;

		memset(copy, '#', sizeof(copy));
		assert_int_equal(str_copy_plain((struct str){ text, len }, copy), len);
		for (size_t i = most; i < sizeof(copy); i++)
			assert_int_equal(copy[i], '#');
	}
}

static void nine_digits_have_zeros_in_front(void **state)
{
	static const uint64_t values[] = { 0, 1, 9999, 10000, 12345678, 100000000, 999999999 };
	char digits[10] = "", expected[10];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		u64_format_nine(values[i], digits);
		snprintf(expected, sizeof(expected), "%09u", (unsigned)values[i]);
		assert_string_equal(digits, expected);
	}
}

/* A whole word may not be taken where only a part of one is left. */
static void a_plain_run_reads_nothing_behind_the_text(void **state)
{
	long page = sysconf(_SC_PAGESIZE);
	char copy[RUN_MOST + STR_COPY_LEAST];
	char *pages = mmap(NULL, 2 * (size_t)page, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(pages, MAP_FAILED);
	memset(pages, 'a', (size_t)page);
	assert_int_equal(mprotect(pages + page, (size_t)page, PROT_NONE), 0);
	for (size_t len = 0; len <= RUN_MOST; len++) {
		struct str s = { pages + page - len, len };

		assert_int_equal(str_plain_run(s), len);
		assert_int_equal(str_copy_plain(s, copy), len);
	}
	munmap(pages, 2 * (size_t)page);
}

/* Sizes around a page, the allocator's own limits and huge pages. */
static void a_table_is_zeroed_also_where_memory_was_used_before(void **state)
{
	static const size_t sizes[] = {
		0, 1, 4095, 4097, 131072, (2u << 20) - 1, 2u << 20, (2u << 20) + 1, (4u << 20) + 17,
		9u << 20,
	};

	(void)state;
	for (size_t i = 0; i < 3 * ARRAY_SIZE(sizes); i++) {
		size_t size = sizes[i % ARRAY_SIZE(sizes)], dirty = 0;
		unsigned char *table = mem_zalloc_table(size), *next = mem_zalloc_table(size);

		assert_int_equal((uintptr_t)table % _Alignof(max_align_t), 0);
		for (size_t at = 0; at < size; at++)
			dirty += table[at] != 0;
		assert_int_equal(dirty, 0);
		memset(table, 0xff, size);
		for (size_t at = 0; at < size; at++)
			dirty += next[at] != 0;
		assert_int_equal(dirty, 0);
		free(table);
		free(next);
	}
}

static void an_arena_begins_in_the_block_it_was_lent(void **state)
{
	char block[256];
	struct arena arena;
	char *p;

	(void)state;
	arena_init(&arena, block, sizeof(block));
	p = arena_alloc(&arena, 10);
	assert_in_range((uintptr_t)p, (uintptr_t)block, (uintptr_t)block + sizeof(block));
	assert_int_equal(arena.taken_bytes, 0);
	memset(arena_alloc(&arena, 100000), 1, 100000);
	assert_true(arena.taken_bytes >= 100000);
	assert_true(str_equal(arena_format(&arena, "%d-%s", 7, "x"), STR("7-x")));
	assert_true(str_equal(arena_copy(&arena, STR("copy")), STR("copy")));
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(case_is_ignored_for_letters_only),
		cmocka_unit_test(texts_compare_and_are_cut),
		cmocka_unit_test(letters_become_lower_case_and_nothing_else_changes),
		cmocka_unit_test(lists_are_walked_and_searched),
		cmocka_unit_test(numbers_are_digits_and_nothing_else),
		cmocka_unit_test(characters_are_decoded_and_what_is_none_is_refused),
		cmocka_unit_test(copies_are_clipped_and_say_so),
		cmocka_unit_test(distances_find_what_was_meant),
		cmocka_unit_test(a_plain_run_ends_at_every_byte_that_is_not_plain_wherever_it_is),
		cmocka_unit_test(a_plain_run_reads_nothing_behind_the_text),
		cmocka_unit_test(a_plain_copy_writes_no_more_than_it_says),
		cmocka_unit_test(nine_digits_have_zeros_in_front),
		cmocka_unit_test(a_table_is_zeroed_also_where_memory_was_used_before),
		cmocka_unit_test(an_arena_begins_in_the_block_it_was_lent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
