/*
 * tests/unit/proxy/test_request_id.c - request ids are random UUIDs of version 4.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "proxy/request_id.h"

#define MADE 20000                    /* many pages of random bytes */

static void assert_is_uuid(const char *id)
{
	assert_int_equal(strlen(id), REQUEST_ID_SIZE - 1);
	for (int i = 0; i < REQUEST_ID_SIZE - 1; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23)
			assert_int_equal(id[i], '-');
		else
			assert_non_null(strchr("0123456789abcdef", id[i]));
	}
	assert_int_equal(id[14], '4');
	assert_non_null(strchr("89ab", id[19]));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void ids_are_uuids_of_version_4_and_never_the_same(void **state)
{
	static char ids[MADE][REQUEST_ID_SIZE];

	(void)state;
	for (int i = 0; i < MADE; i++) {
		request_id_make(ids[i]);
		assert_is_uuid(ids[i]);
	}
	qsort(ids, MADE, sizeof(ids[0]), by_text);
	for (int i = 1; i < MADE; i++)
		assert_string_not_equal(ids[i - 1], ids[i]);
}

static void every_digit_that_is_not_fixed_varies(void **state)
{
	unsigned seen[REQUEST_ID_SIZE] = { 0 };
	char id[REQUEST_ID_SIZE];

	(void)state;
	for (int i = 0; i < 2000; i++) {
		request_id_make(id);
		for (int k = 0; k < REQUEST_ID_SIZE - 1; k++)
			seen[k] |= id[k] == '-' ? 0 : 1u << (id[k] <= '9' ? id[k] - '0' : id[k] - 'a' + 10);
	}
	for (int k = 0; k < REQUEST_ID_SIZE - 1; k++)
		assert_int_equal(seen[k], k == 8 || k == 13 || k == 18 || k == 23 ? 0 :
				 k == 14 ? 1 << 4 : k == 19 ? 0xf << 8 : 0xffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_uuids_of_version_4_and_never_the_same),
		cmocka_unit_test(every_digit_that_is_not_fixed_varies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
