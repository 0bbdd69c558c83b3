/*
 * tests/unit/net/test_tls_index.c - which certificates carry a name, and at what
 * cost among very many.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/mem.h"
#include "net/tls_index.h"

#define MANY 10000

static struct tls_index index_of(const char *const *names, size_t count)
{
	struct tls_named *all = mem_alloc((count + 1) * sizeof(*all));
	struct tls_index index;

	for (size_t i = 0; i < count; i++)
		all[i] = (struct tls_named){ str_of(names[i]), i };
	tls_index_init(&index, all, count);
	return index;
}

/* "3 1": the certificates found, as a text. */
static void expect(struct tls_index *index, const char *name, const char *expected)
{
	size_t count, len = 0;
	const struct tls_named *found = tls_index_find(index, str_of(name), &count);
	char text[64] = "";

	assert_int_equal(found == NULL, count == 0);
	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%zu", i ? " " : "",
					found[i].certificate);
	assert_string_equal(text, expected);
}

static void an_exact_name_comes_before_a_wildcard_of_one_label(void **state)
{
	static const char *const names[] = {
		"a.example", "*.example", "Twice.Example", "b.test", "tWICE.eXAMPLE", "*.b.test", "",
		"*", "*.*.deep.test",
	};
	static const struct { const char *name, *expected; } cases[] = {
		{ "a.example", "0" }, { "A.EXAMPLE", "0" }, { "a.example.", "0" },
		{ "x.example", "1" }, { "*.example", "1" }, { "x.a.example", "" },
		{ "twice.example", "4 2" }, { "b.test", "3" }, { "x.b.test", "5" },
		{ "example", "" }, { ".example", "" }, { "a.exampl", "" }, { "a.examplee", "" },
		{ "test", "" }, { "", "" }, { ".", "" }, { "x.y.deep.test", "" },
	};
	struct tls_index index = index_of(names, ARRAY_SIZE(names));

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect(&index, cases[i].name, cases[i].expected);
	tls_index_fini(&index);
}

static void names_too_long_for_dns_are_not_found(void **state)
{
	static const char *const names[] = { "*.example" };
	struct tls_index index = index_of(names, ARRAY_SIZE(names));
	char name[400];

	(void)state;
	for (int len = 240; len < 390; len++) {
		snprintf(name, sizeof(name), "%0*d.example", len, 0);
		expect(&index, name, strlen(name) <= 255 ? "0" : "");
	}
	tls_index_fini(&index);
}

static void nothing_is_found_among_nothing(void **state)
{
	struct tls_index index;

	(void)state;
	tls_index_init(&index, NULL, 0);
	expect(&index, "a.example", "");
	tls_index_fini(&index);
}

/* The cost of one look is the binary logarithm, whether it finds or not. */
static void ten_thousand_certificates_cost_few_probes(void **state)
{
	static char names[2 * MANY][32];
	static const char *pointers[2 * MANY];
	struct tls_index index;
	char name[40], expected[16];

	(void)state;
	for (int i = 0; i < MANY; i++) {
		snprintf(names[2 * i], sizeof(names[0]), "app-%d.example", i);
		snprintf(names[2 * i + 1], sizeof(names[0]), "*.apps-%d.example", i);
	}
	for (int i = 0; i < 2 * MANY; i++)
		pointers[i] = names[i];
	index = index_of(pointers, 2 * MANY);
	for (int i = 0; i < MANY; i++) {
		index.probes = 0;
		snprintf(expected, sizeof(expected), "%d", 2 * i);
		expect(&index, names[2 * i], expected);
		assert_in_range(index.probes, 1, 20);
		index.probes = 0;
		snprintf(name, sizeof(name), "any.apps-%d.example", i);
		snprintf(expected, sizeof(expected), "%d", 2 * i + 1);
		expect(&index, name, expected);
		assert_in_range(index.probes, 1, 40);
		index.probes = 0;
		snprintf(name, sizeof(name), "none-%d.example", i);
		expect(&index, name, "");
		assert_in_range(index.probes, 1, 40);
	}
	tls_index_fini(&index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_exact_name_comes_before_a_wildcard_of_one_label),
		cmocka_unit_test(names_too_long_for_dns_are_not_found),
		cmocka_unit_test(nothing_is_found_among_nothing),
		cmocka_unit_test(ten_thousand_certificates_cost_few_probes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
