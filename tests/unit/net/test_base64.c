/*
 * tests/unit/net/test_base64.c - base64 as certificates are sent in it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "net/base64.h"

/* RFC 4648 section 10, and every value of six bits. */
static void bytes_become_text_with_padding(void **state)
{
	static const char all[] =
		"\x00\x10\x83\x10\x51\x87\x20\x92\x8b\x30\xd3\x8f\x41\x14\x93\x51\x55\x97\x61\x96"
		"\x9b\x71\xd7\x9f\x82\x18\xa3\x92\x59\xa7\xa2\x9a\xab\xb2\xdb\xaf\xc3\x1c\xb3\xd3"
		"\x5d\xb7\xe3\x9e\xbb\xf3\xdf\xbf";
	static const struct { struct str bytes; const char *text; } cases[] = {
		{ STR_INIT(""),       ""         },
		{ STR_INIT("f"),      "Zg=="     },
		{ STR_INIT("fo"),     "Zm8="     },
		{ STR_INIT("foo"),    "Zm9v"     },
		{ STR_INIT("foob"),   "Zm9vYg==" },
		{ STR_INIT("fooba"),  "Zm9vYmE=" },
		{ STR_INIT("foobar"), "Zm9vYmFy" },
		{ { all, 48 }, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *text = base64_encode(cases[i].bytes);

		assert_string_equal(text, cases[i].text);
		free(text);
	}
}

static void a_long_text_is_one_line(void **state)
{
	static char bytes[8192];
	char *text;

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	text = base64_encode((struct str){ bytes, sizeof(bytes) });
	assert_int_equal(strlen(text), (sizeof(bytes) + 2) / 3 * 4);
	assert_null(strchr(text, '\n'));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_become_text_with_padding),
		cmocka_unit_test(a_long_text_is_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
