/*
 * tests/unit/shm/test_dump_text.c - JSON as Go's encoder writes it, and text
 * that cannot harm a terminal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dump_text.h"

/* What a function writes to a stream; freed by the caller. */
struct sink {
	FILE *out;
	char *text;
	size_t len;
};

static FILE *sink_open(struct sink *sink)
{
	sink->out = open_memstream(&sink->text, &sink->len);
	assert_non_null(sink->out);
	return sink->out;
}

static void sink_expect(struct sink *sink, const char *expected)
{
	fclose(sink->out);
	assert_string_equal(sink->text, expected);
	free(sink->text);
}

static void json_strings_are_escaped_as_go_does(void **state)
{
	static const struct { struct str text; const char *expected; } cases[] = {
		{ STR_INIT(""),                   "\"\"" },
		{ STR_INIT("app.example/v1"),     "\"app.example/v1\"" },
		{ STR_INIT("a\"b\\c"),            "\"a\\\"b\\\\c\"" },
		{ STR_INIT("<script>&"),          "\"\\u003cscript\\u003e\\u0026\"" },
		{ STR_INIT("\n\r\t\b\f"),         "\"\\n\\r\\t\\b\\f\"" },
		{ STR_INIT("\x01\x1f\x7f"),       "\"\\u0001\\u001f\x7f\"" },
		{ STR_INIT("a\0b"),               "\"a\\u0000b\"" },
		{ STR_INIT("z\xc3\xbcrich"),      "\"z\xc3\xbcrich\"" },
		{ STR_INIT("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xa6"), "\"\\u2028\\u2029\xe2\x80\xa6\"" },
		{ STR_INIT("\xff\xc0\xaf"),       "\"\\ufffd\\ufffd\\ufffd\"" },
		{ STR_INIT("\xed\xa0\x80"),       "\"\\ufffd\\ufffd\\ufffd\"" },
		{ STR_INIT("\xe2\x82"),           "\"\\ufffd\\ufffd\"" },
		{ STR_INIT("\xf0\x9f\x98\x80"),   "\"\xf0\x9f\x98\x80\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sink sink;

		dump_json_string(sink_open(&sink), cases[i].text);
		sink_expect(&sink, cases[i].expected);
	}
}

static void tags_come_out_sorted_compact_and_once(void **state)
{
	static const struct { const char *text, *expected; } cases[] = {
		{ "{}",                                  "{}" },
		{ " { } ",                               "{}" },
		{ "{\"b\":\"2\", \"a\" : \"1\"}",        "{\"a\":\"1\",\"b\":\"2\"}" },
		{ "{\"ab\":\"\",\"a\":\"\",\"B\":\"\"}", "{\"B\":\"\",\"a\":\"\",\"ab\":\"\"}" },
		{ "{\"a\":\"1\",\"a\":\"2\"}",           "{\"a\":\"2\"}" },
		{ "{\"a\":\"\\u0041\\n<\\/\"}",          "{\"a\":\"A\\n\\u003c/\"}" },
		{ "{\"a\":\"\\ud83d\\ude00\"}",          "{\"a\":\"\xf0\x9f\x98\x80\"}" },
		{ "{\"a\":\"\\ud83dx\"}",                "{\"a\":\"\xef\xbf\xbdx\"}" },
		{ "{\"a\":\"\\ud83d\\u0041\"}",          "{\"a\":\"\xef\xbf\xbd" "A\"}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sink sink;

		assert_true(dump_json_tags(sink_open(&sink), str_of(cases[i].text)));
		sink_expect(&sink, cases[i].expected);
	}
}

static void text_that_is_no_object_of_strings_is_refused(void **state)
{
	static const struct str cases[] = {
		STR_INIT(""), STR_INIT("{"), STR_INIT("null"), STR_INIT("[]"), STR_INIT("{\"a\"}"),
		STR_INIT("{\"a\":1}"), STR_INIT("{\"a\":\"b\""), STR_INIT("{\"a\":\"b\"} x"),
		STR_INIT("{\"a\":\"b\",}"), STR_INIT("{\"a\":\"\\q\"}"), STR_INIT("{\"a\":\"\\u12\"}"),
		STR_INIT("{\"a\":\"\\"), STR_INIT("{\"a\":\"\\u"), STR_INIT("{\"a\":\"\\\0\"}"),
		STR_INIT("{\0}"), STR_INIT("{\"a\":{}}"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sink sink;

		assert_false(dump_json_tags(sink_open(&sink), cases[i]));
		sink_expect(&sink, "");
	}
}

static void plain_text_moves_no_cursor(void **state)
{
	static const struct { struct str text; int width; const char *expected; } cases[] = {
		{ STR_INIT("app.example"),  0, "app.example" },
		{ STR_INIT("app"),          5, "app  " },
		{ STR_INIT(""),             3, "-  " },
		{ STR_INIT("\x1b[2J a\\b"), 0, "\\x1b[2J\\x20a\\x5cb" },
		{ STR_INIT("\xc3\xbc"),     10, "\\xc3\\xbc  " },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sink sink;

		dump_plain(sink_open(&sink), cases[i].text, cases[i].width);
		sink_expect(&sink, cases[i].expected);
	}
}

static void durations_show_two_units_at_most(void **state)
{
	static const struct { uint64_t ms; const char *expected; } cases[] = {
		{ 0, "0ms" }, { 999, "999ms" }, { 1000, "1.0s" }, { 59999, "59.9s" }, { 60000, "1m0s" },
		{ 3599999, "59m59s" }, { 3600000, "1h0m" }, { 90061000, "1d1h" },
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(dump_duration(cases[i].ms, text), cases[i].expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_strings_are_escaped_as_go_does),
		cmocka_unit_test(tags_come_out_sorted_compact_and_once),
		cmocka_unit_test(text_that_is_no_object_of_strings_is_refused),
		cmocka_unit_test(plain_text_moves_no_cursor),
		cmocka_unit_test(durations_show_two_units_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
