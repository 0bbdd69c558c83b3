/*
 * tests/unit/http/test_cookie.c - what is a cookie to us: the same as to Go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "http/cookie.h"

#define assert_text(actual, expected) \
	do { \
		struct str actual_ = (actual), expected_ = str_of(expected); \
		if (!str_equal(actual_, expected_)) \
			fail_msg("\"%.*s\" is not \"%.*s\"", STR_ARG(actual_), STR_ARG(expected_)); \
	} while (0)

/* All cookies of a Cookie field, as "<name>=<value>|". */
static void cookies_of_a_request_are_those_that_go_takes(void **state)
{
	static const struct { const char *field, *cookies; } cases[] = {
		{ "a=1",                     "a=1|" },
		{ "a=1; b=2",                "a=1|b=2|" },
		{ "a=1;b=2",                 "a=1|b=2|" },
		{ " \ta=1 ;\tb=2\t",         "a=1|b=2|" },
		{ "a=1; a=2",                "a=1|a=2|" },
		{ "a",                       "a=|" },
		{ "a=",                      "a=|" },
		{ "a==1=",                   "a==1=|" },
		{ "a =1",                    "a=1|" },
		{ "a= 1",                    "a= 1|" },
		{ "a=1 2",                   "a=1 2|" },
		{ "a=1,b=2",                 "a=1,b=2|" },
		{ "a=\"1\"",                 "a=1|" },
		{ "a=\"1 2,3\"",             "a=1 2,3|" },
		{ "a=\"\"",                  "a=|" },
		{ "$Version=1; a=2",         "$Version=1|a=2|" },
		{ "",                        "" },
		{ ";;; ;",                   "" },
		{ ";a=1;;b=2;",              "a=1|b=2|" },
		/* not cookies; those around them are */
		{ "=1; b=2",                 "b=2|" },
		{ "a b=1; b=2",              "b=2|" },
		{ "a\"=1; b=2",              "b=2|" },
		{ "a@b=1; b=2",              "b=2|" },
		{ "\303\244=1; b=2",         "b=2|" },
		{ "a=\303\244; b=2",         "b=2|" },
		{ "a=1\\; b=2",              "b=2|" },
		{ "a=\"; b=2",               "b=2|" },
		{ "a=\"1; b=2",              "b=2|" },
		{ "a=1\"; b=2",              "b=2|" },
		{ "a=\"1;2\"; b=3",          "b=3|" },
		{ "a=\"\"1\"\"; b=2",        "b=2|" },
		{ "a=1\t2; b=2",             "b=2|" },
		{ "a=1\177; b=2",            "b=2|" },
	};
	char found[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct str rest = str_of(cases[i].field);
		struct cookie cookie;
		size_t len = 0;

		found[0] = '\0';
		while (cookie_next(&rest, &cookie))
			len += (size_t)snprintf(found + len, sizeof(found) - len, "%.*s=%.*s|",
						STR_ARG(cookie.name), STR_ARG(cookie.value));
		assert_text(str_of(found), cases[i].cookies);
	}
}

static void a_zero_byte_is_in_no_name_and_no_value(void **state)
{
	struct str rest = STR("a\0b=1; c=\0; d=2");
	struct cookie cookie;

	(void)state;
	assert_true(cookie_next(&rest, &cookie));
	assert_text(cookie.name, "d");
	assert_false(cookie_next(&rest, &cookie));
}

static void what_sets_no_cookie_is_told(void **state)
{
	static const char *const none[] = {
		"", " ", ";", "; Path=/", "a", "a; b=1", "=1", "a b=1", "a=\"1", "a=1\"2", "a=1\\",
		"a=\303\244", "\303\244=1",
	};
	struct set_cookie cookie;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		if (set_cookie_parse(str_of(none[i]), &cookie))
			fail_msg("\"%s\" sets %.*s", none[i], STR_ARG(cookie.name));
	assert_true(set_cookie_parse(STR(" a =\"1 2\" "), &cookie));
	assert_text(cookie.name, "a");
	assert_text(cookie.value, "1 2");
	assert_true(set_cookie_parse(STR("a="), &cookie));
	assert_text(cookie.value, "");
}

static struct set_cookie parsed(const char *attributes)
{
	struct set_cookie cookie;
	static char line[256];        /* the texts of the cookie point into it */

	snprintf(line, sizeof(line), "a=1; %s", attributes);
	assert_true(set_cookie_parse(str_of(line), &cookie));
	return cookie;
}

static void attributes_are_read_in_any_case_and_only_where_they_are_whole(void **state)
{
	(void)state;
	assert_true(parsed("Secure").is_secure);
	assert_true(parsed("sECURE=no").is_secure);
	assert_true(parsed(";; secure ;").is_secure);
	assert_false(parsed("Secure =1").is_secure);
	assert_false(parsed("Secure=\"\"").is_secure);
	assert_false(parsed("XSecure").is_secure);
	assert_true(parsed("partitioned").is_partitioned);
	assert_false(parsed("Path=/; HttpOnly").is_secure);
	assert_int_equal(parsed("SameSite=Lax").same_site, SAME_SITE_LAX);
	assert_int_equal(parsed("samesite=STRICT").same_site, SAME_SITE_STRICT);
	assert_int_equal(parsed("SameSite=none").same_site, SAME_SITE_NONE);
	assert_int_equal(parsed("SameSite=odd").same_site, SAME_SITE_UNSAID);
	assert_int_equal(parsed("SameSite").same_site, SAME_SITE_UNSAID);
	assert_int_equal(parsed("SameSite=Lax; SameSite=odd").same_site, SAME_SITE_UNSAID);
	assert_int_equal(parsed("SameSite=Lax; SameSite=\"x").same_site, SAME_SITE_LAX);
}

static void an_age_is_a_number_as_go_reads_it(void **state)
{
	static const struct { const char *text; bool is_age; int is_more; } cases[] = {
		{ "Max-Age=0",    true,  0 }, { "max-age=-1", true,  0 }, { "Max-Age=60", true, 1 },
		{ "Max-Age=+60",  true,  1 }, { "Max-Age=-0", true,  0 }, { "Max-Age=00", true, 0 },
		{ "Max-Age=-07",  true,  0 }, { "Max-Age=07", false, 0 }, { "Max-Age",    false, 0 },
		{ "Max-Age=",     false, 0 }, { "Max-Age=-",  false, 0 }, { "Max-Age=6s", false, 0 },
		{ "Max-Age= 6",   false, 0 }, { "Max-Age=\"6\"", false, 0 },
		{ "Max-Age=9223372036854775807",  true,  1 },
		{ "Max-Age=9223372036854775808",  false, 0 },
		{ "Max-Age=-9223372036854775808", true,  0 },
		{ "Max-Age=0; Max-Age=x",         true,  0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct set_cookie cookie = parsed(cases[i].text);

		if (cookie.has_max_age != cases[i].is_age || cookie.max_age_s != cases[i].is_more)
			fail_msg("%s", cases[i].text);
	}
}

static void dates_are_read_in_the_two_forms_of_go_and_written_in_one(void **state)
{
	static const struct { const char *text, *written; } cases[] = {
		{ "Fri, 31 Dec 2027 23:59:59 GMT",   "Fri, 31 Dec 2027 23:59:59 GMT" },
		{ "Fri, 31-Dec-2027 23:59:59 GMT",   "Fri, 31 Dec 2027 23:59:59 GMT" },
		{ "fri, 31 DEC 2027 3:59:59 UTC",    "Fri, 31 Dec 2027 03:59:59 GMT" },
		{ "Mon, 31 Dec 2027 23:59:59 GMT",   "Fri, 31 Dec 2027 23:59:59 GMT" },
		{ "Fri, 31 Dec 2027 23:59:59 CEST",  "Fri, 31 Dec 2027 23:59:59 GMT" },
		{ "Fri, 31 Dec 2027 23:59:59 GMT+2", "Fri, 31 Dec 2027 21:59:59 GMT" },
		{ "Fri, 31 Dec 2027 23:59:59 GMT-2", "Sat, 01 Jan 2028 01:59:59 GMT" },
		{ "Fri,  31  Dec 2027 23:59:59 GMT", "Fri, 31 Dec 2027 23:59:59 GMT" },
		{ "Fri, 31 Dec 2027 23:59:59.5 GMT", "Fri, 31 Dec 2027 23:59:59 GMT" },
		{ "Thu, 01 Jan 1970 00:00:00 GMT",   "Thu, 01 Jan 1970 00:00:00 GMT" },
		{ "Tue, 29 Feb 2028 00:00:00 GMT",   "Tue, 29 Feb 2028 00:00:00 GMT" },
		{ "Mon, 01 Jan 1601 00:00:00 GMT",   "Mon, 01 Jan 1601 00:00:00 GMT" },
		{ "Sun, 31 Dec 1600 23:59:59 GMT",   "" },
		{ "Mon, 29 Feb 2027 00:00:00 GMT",   NULL },
		{ "Fri, 31 Dec 2027 24:00:00 GMT",   NULL },
		{ "Fri, 31 Dec 2027 23:60:00 GMT",   NULL },
		{ "Fri, 31 Dec 2027 23:59:60 GMT",   NULL },
		{ "Fri, 1 Dec 2027 23:59:59 GMT",    NULL },
		{ "Fri, 00 Dec 2027 23:59:59 GMT",   NULL },
		{ "Fri, 31 Dec 27 23:59:59 GMT",     NULL },
		{ "Friday, 31-Dec-27 23:59:59 GMT",  NULL },
		{ "31 Dec 2027 23:59:59 GMT",        NULL },
		{ "Fri, 31 Dec-2027 23:59:59 GMT",   NULL },
		{ "Fri, 31 Dec 2027 23:59:59",       NULL },
		{ "Fri, 31 Dec 2027 23:59:59 gmt",   NULL },
		{ "Fri, 31 Dec 2027 23:59:59 GMT ;", "Fri, 31 Dec 2027 23:59:59 GMT" },
		{ "Fri, 31 Dec 2027 23:59:59 GMTxx", NULL },
		{ "Fri, 31 Dec 2027 23:59:59 GMT+24", NULL },
		{ "Fri, 31 Dec 2027",                NULL },
		{ "",                                NULL },
	};
	char line[128], expected[128];
	struct arena arena;

	(void)state;
	arena_init(&arena, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct set_cookie cookie;

		snprintf(line, sizeof(line), "Expires=%s", cases[i].text);
		cookie = parsed(line);
		if (cookie.has_expires != (cases[i].written != NULL))
			fail_msg("%s", cases[i].text);
		snprintf(expected, sizeof(expected), "a=1%s%s",
			 cases[i].written && cases[i].written[0] ? "; Expires=" : "",
			 cases[i].written ? cases[i].written : "");
		assert_text(set_cookie_format(&arena, &cookie), expected);
	}
	assert_false(parsed("Expires=Thu, 01 Jan 1970 00:00:00 GMT; Expires=never").has_expires);
	arena_fini(&arena);
}

static void a_cookie_is_written_in_gos_order_without_what_must_not_be_in_it(void **state)
{
	struct set_cookie all = {
		.name = STR("__VCAP_ID__"), .value = STR("id"), .path = STR("/Path"),
		.has_expires = true, .expires_s = 1, .has_max_age = true, .max_age_s = 60,
		.is_http_only = true, .is_secure = true, .same_site = SAME_SITE_NONE,
		.is_partitioned = true,
	};
	struct set_cookie odd = {
		.name = STR("a"), .value = STR("1;\"\\\r\n\303\2442"), .path = STR("/;\r\n\303\244\"x"),
	};
	struct set_cookie blank = { .name = STR("a"), .value = STR("1 2"), .path = STR("/") };
	struct arena arena;

	(void)state;
	arena_init(&arena, NULL, 0);
	assert_text(set_cookie_format(&arena, &all),
		    "__VCAP_ID__=id; Path=/Path; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=60; "
		    "HttpOnly; Secure; SameSite=None; Partitioned");
	assert_text(set_cookie_format(&arena, &odd), "a=12; Path=/\"x");
	assert_text(set_cookie_format(&arena, &blank), "a=\"1 2\"; Path=/");
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cookies_of_a_request_are_those_that_go_takes),
		cmocka_unit_test(a_zero_byte_is_in_no_name_and_no_value),
		cmocka_unit_test(what_sets_no_cookie_is_told),
		cmocka_unit_test(attributes_are_read_in_any_case_and_only_where_they_are_whole),
		cmocka_unit_test(an_age_is_a_number_as_go_reads_it),
		cmocka_unit_test(dates_are_read_in_the_two_forms_of_go_and_written_in_one),
		cmocka_unit_test(a_cookie_is_written_in_gos_order_without_what_must_not_be_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
