/*
 * tests/unit/registrar/test_message_refused.c - messages that are refused and the
 * words for it, what asks for nothing, the limits, and hostile bytes.
 */
#include "tests/unit/fixture/registrar_message.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* `count` times `text` between head and tail; the caller frees it. */
static char *repeated(const char *head, const char *text, size_t count, const char *tail)
{
	size_t len = strlen(text), at = strlen(head);
	char *out = malloc(at + len * count + strlen(tail) + 1);

	memcpy(out, head, at);
	for (size_t i = 0; i < count; i++, at += len)
		memcpy(out + at, text, len);
	strcpy(out + at, tail);
	return out;
}

static void what_is_no_registration_is_refused_with_the_reason(void **state)
{
	static const struct { const char *text, *reason; } cases[] = {
		{ "",                                      "empty payload" },
		{ " \n",                                   "at byte 2" },
		{ "[]",                                    "not a JSON object" },
		{ "[{'host':'h','port':1,'uris':['a']}]",  "not a JSON object" },
		{ "'text'",                                "not a JSON object" },
		{ "1",                                     "not a JSON object" },
		{ "true",                                  "not a JSON object" },
		{ "nul",                                   "at byte 3" },
		{ "{'host':'h','port':1,'uris':['a']",     "at byte" },
		{ "{'host':'h','port':1,'uris':['a']}}",   "end of file expected" },
		{ "{'host':'h','port':1,'uris':['a']} x",  "end of file expected" },
		{ "{'host':'h','port':1,'uris':['a'],}",   "expected" },
		{ "{host:'h'}",                            "expected" },
		{ "\xef\xbb\xbf{}",                        "at byte" },
		{ "{'port':1,'uris':['a']}",               "no host" },
		{ "{'host':'','port':1,'uris':['a']}",     "no host" },
		{ "{'host':5,'port':1,'uris':['a']}",      "no host" },
		{ "{'host':'a\\tb','port':1,'uris':['a']}", "no host" },
		{ "{'host':'h','uris':['a']}",             "no usable port" },
		{ "{'host':'h','port':0,'uris':['a']}",    "no usable port" },
		{ "{'host':'h','port':1,'uris':'a'}",      "no usable uris" },
		{ "{'host':'h','port':1,'uris':{'a':1}}",  "no usable uris" },
		{ "{'host':'h','port':1,'uris':['',null,7]}", "no usable uris" },
	};
	struct parsed p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		parsed_text(&p, cases[i].text);
		assert_refused(&p, cases[i].text, cases[i].reason);
		parsed_free(&p);
	}
}

/* Gorouter neither registers nor says anything; what is wrong is said all the same. */
static void an_empty_list_of_uris_asks_for_nothing(void **state)
{
	static const struct { const char *text; int rc; } cases[] = {
		{ "null",                                                  -ENODATA },
		{ "{'host':'h','port':1,'uris':null}",                     -ENODATA },
		{ "{'host':'h','port':1,'uris':[]}",                       -ENODATA },
		{ "{'uris':[]}",                                           -ENODATA },
		{ "{'host':'h','port':1,'uris':['a'],'URIS':[]}",          -ENODATA },
		{ "{'host':'h','port':1,'uris':['a'],'URIS':null}",        0 },
		{ "{'host':'h','port':1}",                                 -EINVAL },
		{ "{}",                                                    -EINVAL },
		{ "{'host':'h','port':1,'uris':[null]}",                   -EINVAL },
		{ "{'host':'h','port':1,'uris':[],'tls_port':'x'}",        -EINVAL },
		{ "{'host':'h','port':1,'uris':[],'route_service_url':'http://rs'}", -EINVAL },
	};
	struct parsed p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		parsed_text(&p, cases[i].text);
		if (p.rc != cases[i].rc)
			fail_msg("%s: %d, not %d", cases[i].text, p.rc, cases[i].rc);
		assert_int_equal(p.reason.text[0] != '\0', p.rc != 0);
		parsed_free(&p);
	}
}

static void the_largest_of_each_is_taken_and_one_more_refused(void **state)
{
	static const struct { const char *head, *item, *tail; size_t most; const char *reason; }
	cases[] = {
		{ "'app':'",      "x",     "'",       ENDPOINT_TEXT_MAX - 13, "more than 3072 bytes" },
		{ "'app':'1','route_service_url':'https",    /* a text for all texts together */
				  "x",     "'",       ENDPOINT_TEXT_MAX - 19, "more than 3072 bytes" },
		{ "'uris':['a'", ",'a'",   "]",       MESSAGE_URIS_MAX - 1,   "no usable uris" },
		{ "'x':0",        " ",     "",        MESSAGE_BYTES_MAX - 56, "too long" },
	};
	struct parsed p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t more = 0; more < 2; more++) {
			char *fields = repeated(cases[i].head, cases[i].item,
						cases[i].most + more, cases[i].tail);

			parsed_with(&p, fields);
			if (more)
				assert_refused(&p, cases[i].head, cases[i].reason);
			else
				assert_taken(&p, cases[i].head, 0);
			parsed_free(&p);
			free(fields);
		}
}

/* Requests do not need them: the app stays reachable without. */
static void tags_that_are_too_long_are_left_out(void **state)
{
	struct parsed p;

	(void)state;
	for (unsigned more = 0; more < 2; more++) {
		char *fields = repeated("'tags':{'process_id':'p','t':'", "x",
					ENDPOINT_TAGS_MAX - 25 + more, "'}");

		parsed_with(&p, fields);
		assert_taken(&p, "long tags", more);
		assert_int_equal(p.out.endpoint.tags.len, more ? 0 : ENDPOINT_TAGS_MAX);
		assert_text("process_id", p.out.endpoint.process_id, more ? "" : "p");
		parsed_free(&p);
		free(fields);
	}
}

static void json_that_is_too_deep_is_refused(void **state)
{
	static const struct { const char *head, *item; size_t count; } cases[] = {
		{ "",         "[",      MESSAGE_BYTES_MAX },
		{ "",         "{'a':",  200000 },
		{ "{'tags':", "{'a':",  200000 },
		{ "{'uris':", "[",      500000 },
	};
	struct parsed p;
	char *text;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		text = repeated(cases[i].head, cases[i].item, cases[i].count, "");
		parsed_text(&p, text);
		assert_refused(&p, cases[i].head, "depth");
		parsed_free(&p);
		free(text);
	}
	text = repeated("'x':[", "[],[[[[[1]]]]],", 1000, "1]");
	parsed_with(&p, text);
	assert_taken(&p, "wide", 0);
	parsed_free(&p);
	free(text);
}

static void a_message_of_many_keys_is_read(void **state)
{
	size_t cap = MESSAGE_BYTES_MAX, at = 0;
	char *fields = malloc(cap);
	struct parsed p;

	(void)state;
	for (unsigned i = 0; i < 50000; i++)
		at += (size_t)snprintf(fields + at, cap - at, "'k%u':%u,", i, i);
	snprintf(fields + at, cap - at, "'app':'guid'");
	parsed_with(&p, fields);
	assert_taken(&p, "many keys", 0);
	assert_text("app", p.out.endpoint.app_id, "guid");
	parsed_free(&p);
	free(fields);
}

/* No number is cut to fit: a field is what was sent, or is not there. */
static void numbers_beyond_64_bits_are_refused(void **state)
{
	static const char *const numbers[] = {
		"9223372036854775808", "-9223372036854775809", "1e999", "-1e999",
		"100000000000000000000000000000000000000000000000000080",
	};
	static const char *const keys[] = { "port", "tls_port", "stale_threshold_in_seconds" };
	struct parsed p;
	char fields[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
			snprintf(fields, sizeof(fields), "'%s':%s", keys[k], numbers[i]);
			parsed_with(&p, fields);
			assert_refused(&p, fields, "at byte");
			parsed_free(&p);
		}
}

static void nul_bytes_hide_nothing(void **state)
{
	static const struct { struct str payload; const char *reason; } cases[] = {
		{ STR_INIT("\0"),                                            "at byte" },
		{ STR_INIT("{\"host\":\"h\",\"port\":1,\"uris\":[\"a\"]}\0"), "at byte" },
		{ STR_INIT("{\"host\":\"h\0\",\"port\":1,\"uris\":[\"a\"]}"), "at byte" },
		{ STR_INIT("{\"host\\u0000\":\"h\",\"port\":1,\"uris\":[\"a\"]}"), "NUL" },
		{ STR_INIT("{\"host\":\"10.0.0.1\\u0000\",\"port\":1,\"uris\":[\"a\"]}"), "no host" },
		{ STR_INIT("{\"host\":\"h\",\"port\":\"80\\u0000\",\"uris\":[\"a\"]}"), "no usable port" },
	};
	struct parsed p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		parsed_bytes(&p, cases[i].payload);
		assert_refused(&p, cases[i].payload.p, cases[i].reason);
		parsed_free(&p);
	}
}

/* Spec control 1.3: U+FFFD for each byte or half of a pair that is no character. */
static void text_that_is_no_unicode_costs_a_character(void **state)
{
#define U "\xef\xbf\xbd"
	static const struct { const char *text, *app; } cases[] = {
		{ "a\xff""b",                "a" U "b" },
		{ "\x80",                   U },
		{ "\xc3",                   U },
		{ "\xe2\x82",               U U },
		{ "\xe2\x82x",              U U "x" },
		{ "\xc0\x80",               U U },
		{ "\xc1\xbf",               U U },
		{ "\xe0\x9f\xbf",           U U U },
		{ "\xed\xa0\x80",           U U U },
		{ "\xf0\x8f\xbf\xbf",       U U U U },
		{ "\xf4\x90\x80\x80",       U U U U },
		{ "\xf5\x80\x80\x80",       U U U U },
		{ "\xff\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf", U "\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf" },
		{ "\xff\xee\x80\x80\xf0\x90\x80\x80", U "\xee\x80\x80\xf0\x90\x80\x80" },
		{ "\xff\xf4\x8f\xbf\xbf",     U "\xf4\x8f\xbf\xbf" },
		{ "\xff\xf1\x80\x80\x80\xf3\xbf\xbf\xbf", U "\xf1\x80\x80\x80\xf3\xbf\xbf\xbf" },
		{ "\\ud800",                U },
		{ "\\uDFFF.",               U "." },
		{ "\\ud800\\u0041",         U "A" },
		{ "\\ud800\\ud83d\\ude00", U "\xf0\x9f\x98\x80" },
		{ "\\udc00\\ud800",         U U },
		{ "\xff\\u00e4\\\\ud800\\\\", U "\xc3\xa4\\ud800\\" },
	};
	struct parsed p;
	char fields[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(fields, sizeof(fields), "'app':'%s'", cases[i].text);
		parsed_with(&p, fields);
		assert_taken(&p, fields, 0);
		assert_text(fields, p.out.endpoint.app_id, cases[i].app);
		parsed_free(&p);
	}
#undef U
}

static void a_message_of_nothing_but_wrong_bytes_is_refused(void **state)
{
	char *text = repeated("{'app':'", "\xff", MESSAGE_BYTES_MAX - 20, "'}");
	struct parsed p;

	(void)state;
	parsed_text(&p, text);
	assert_refused(&p, "U+FFFD a million times", "no usable uris");
	parsed_free(&p);
	free(text);
}

/* Only within text: it stays refused elsewhere, and nothing becomes a name that was meant. */
static void no_repair_makes_sense_of_nonsense(void **state)
{
	static const char *const texts[] = {
		"\xff{'host':'h','port':1,'uris':['a']}", "{'host':'h','port':1,'uris':['a']}\xff",
		"{'host':'h','port':1\xff,'uris':['a']}", "{'host':'h','port':1,'uris':['\\ud80']}",
		"{'host':'h','port':1,'uris':['a\\", "{'host':'h','port':1,'uris':['\\\xff']}",
		"\xff\xfe", "{'a':'\xe2", "{'a':'\xf0\x90\x80", "{'a':'\xff\\ud8",
		"{'host':'h\xff\\x','port':1,'uris':['a']}",
	};
	struct parsed p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		parsed_text(&p, texts[i]);
		assert_refused(&p, texts[i], "at byte");
		parsed_free(&p);
	}
	parsed_text(&p, "{'hos\xfft':'h','port':1,'uris':['a']}");
	assert_refused(&p, "a key", "no host");
	parsed_free(&p);
	parsed_with(&p, "'server_cert_domain_san':'good\xff','isolation_segment':'\\ud800'");
	assert_taken(&p, "vital", 0);
	assert_text("san", p.out.endpoint.san, "good\xef\xbf\xbd");
	assert_text("segment", p.out.endpoint.isolation_segment, "\xef\xbf\xbd");
	parsed_free(&p);
}

#define WHOLE "{\"host\":\"10.0.0.1\",\"port\":80,\"tls_port\":8443,\"uris\":[\"a\",\"\\u00e4\"]," \
	      "\"tags\":{\"process_id\":\"p\"},\"options\":{\"loadbalancing\":\"round-robin\"}}"

static void every_part_of_a_message_is_refused(void **state)
{
	struct parsed p;

	(void)state;
	for (size_t len = 0; len < sizeof(WHOLE) - 1; len++) {
		parsed_bytes(&p, str_sub(STR(WHOLE), 0, len));
		assert_refused(&p, "a part", len ? "at byte" : "empty payload");
		parsed_free(&p);
	}
	parsed_bytes(&p, STR(WHOLE));
	assert_taken(&p, "the whole", 0);
	parsed_free(&p);
}

/* Whatever one byte does to a message, the table can hold what comes of it. */
static void one_wrong_byte_refuses_or_leaves_an_endpoint(void **state)
{
	static const char bytes[] = { '\0', '"', '\\', '{', ']', '-', '9', ' ', '\x80', '\xff' };
	struct parsed p;

	(void)state;
	for (size_t at = 0; at < sizeof(WHOLE) - 1; at++)
		for (size_t i = 0; i < sizeof(bytes); i++) {
			char text[] = WHOLE;

			text[at] = bytes[i];
			parsed_bytes(&p, (struct str){ text, sizeof(WHOLE) - 1 });
			if (p.rc == 0) {
				assert_true(p.out.endpoint.port && p.out.endpoint.host.len);
				assert_in_range(p.out.uri_count, 1, 2);
				assert_in_range(p.out.dropped_fields, 0, 4);
			} else {
				assert_true(p.rc < 0);
				assert_true(p.reason.text[0] != '\0');
			}
			parsed_free(&p);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_registration_is_refused_with_the_reason),
		cmocka_unit_test(an_empty_list_of_uris_asks_for_nothing),
		cmocka_unit_test(the_largest_of_each_is_taken_and_one_more_refused),
		cmocka_unit_test(tags_that_are_too_long_are_left_out),
		cmocka_unit_test(json_that_is_too_deep_is_refused),
		cmocka_unit_test(a_message_of_many_keys_is_read),
		cmocka_unit_test(numbers_beyond_64_bits_are_refused),
		cmocka_unit_test(nul_bytes_hide_nothing),
		cmocka_unit_test(text_that_is_no_unicode_costs_a_character),
		cmocka_unit_test(a_message_of_nothing_but_wrong_bytes_is_refused),
		cmocka_unit_test(no_repair_makes_sense_of_nonsense),
		cmocka_unit_test(every_part_of_a_message_is_refused),
		cmocka_unit_test(one_wrong_byte_refuses_or_leaves_an_endpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
