/*
 * tests/unit/proxy/test_access_format.c - what operators add to the access log's
 * line or take from it, and the line as JSON.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proxy/access_log.h"

/* 2026-11-20T12:51:21.846675894Z */
#define STARTED_NS 1795179081846675894ull
#define TEXTS(...) { (char *[]){ __VA_ARGS__ }, sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *) }

static struct access_record example(void)
{
	return (struct access_record){
		.host = STR("app.test"), .method = STR("GET"), .target = STR("/a?b=1&c"), .minor = 1,
		.status = 200, .sent_bytes = 2, .user_agent = STR("ua"), .remote = STR("127.0.0.1:33778"),
		.backend = STR("127.0.0.1:39577"), .started_wall_ns = STARTED_NS,
		.elapsed_ns = 1427000, .router_ns = 299000, .app_index = STR("0"),
		.failed_attempts = 2, .failed_attempts_ns = 1500000, .dns_ns = 0, .dial_ns = 2000000,
		.tls_ns = 3000000, .backend_ns = 4000000, .local_address = STR("127.0.0.1:4000"),
		.failure_code = STR("UF"),
	};
}

static const char *line_of(const struct access_settings *settings, const struct access_record *record)
{
	static char line[ACCESS_LINE_MAX + 1];
	struct access_format *format = access_format_create(settings);
	size_t bound = access_log_bound(format, record);
	char *exact = malloc(bound);          /* a sanitizer sees a byte too many */
	size_t n = access_log_format(format, record, exact);

	assert_true(n > 0 && n <= bound);
	memcpy(line, exact, n);
	line[n] = '\0';
	free(exact);
	access_format_destroy(format);
	return line;
}

/* The part of the line from `from` on. */
static const char *end_of(const char *line, const char *from)
{
	const char *found = strstr(line, from);

	assert_non_null(found);
	return found;
}

static void extra_fields_stand_in_the_order_of_the_setting_once_each(void **state)
{
	struct access_settings settings = {
		.extra_fields = TEXTS("local_address", "failed_attempts", "backend_time", "no_such_field",
				      "failed_attempts", "dns_time", "failure_code", "tls_time",
				      "dial_time", "failed_attempts_time", "local_address"),
	};
	struct access_record record = example();

	(void)state;
	assert_string_equal(end_of(line_of(&settings, &record), " instance_id"),
		" instance_id:\"-\" local_address:\"127.0.0.1:4000\" failed_attempts:2 backend_time:0.004000 "
		"dns_time:0.000000 failure_code:\"UF\" tls_time:0.003000 dial_time:0.002000 "
		"failed_attempts_time:0.001500 x_cf_routererror:\"-\"\n");
}

static void extra_fields_that_have_no_value_are_dashes(void **state)
{
	struct access_settings settings = {
		.extra_fields = TEXTS("failed_attempts", "failed_attempts_time", "dns_time", "dial_time",
				      "tls_time", "backend_time", "local_address", "failure_code"),
	};
	struct access_record record = { .failed_attempts_ns = -1, .dns_ns = -1, .dial_ns = -1,
					.tls_ns = -1, .backend_ns = -1 };

	(void)state;
	assert_string_equal(end_of(line_of(&settings, &record), " instance_id"),
		" instance_id:\"-\" failed_attempts:0 failed_attempts_time:\"-\" dns_time:\"-\" "
		"dial_time:\"-\" tls_time:\"-\" backend_time:\"-\" local_address:\"-\" failure_code:\"-\" "
		"x_cf_routererror:\"-\"\n");
}

static void extra_headers_end_the_line(void **state)
{
	struct access_settings settings = {
		.extra_headers = TEXTS("X-Something-Cool", "Accept", "x-something_cool", "X-B3-TraceId"),
	};
	struct str values[] = { STR("a \"b\""), STR_NONE, STR("\303\244\001") };
	struct access_record record = example();

	(void)state;
	record.extra_headers = values;
	assert_string_equal(end_of(line_of(&settings, &record), " x_cf_routererror"),
		" x_cf_routererror:\"-\" x_something_cool:\"a \\\"b\\\"\" accept:\"-\" "
		"x_b3_traceid:\"\303\244\\x01\"\n");
}

static void queries_of_gets_are_redacted(void **state)
{
	static const struct { int how; const char *method, *target, *line; } cases[] = {
		{ ACCESS_REDACT_NONE, "GET", "/a?b=1&c", "\"GET /a?b=1&c HTTP" },
		{ ACCESS_REDACT_ALL, "GET", "/a?b=1&c", "\"GET /a HTTP" },
		{ ACCESS_REDACT_ALL, "GET", "/a?", "\"GET /a? HTTP" },
		{ ACCESS_REDACT_ALL, "GET", "/a", "\"GET /a HTTP" },
		{ ACCESS_REDACT_ALL, "GET", "http://x.test/a?b", "\"GET /a HTTP" },
		{ ACCESS_REDACT_ALL, "POST", "/a?b=1&c", "\"POST /a?b=1&c HTTP" },
		{ ACCESS_REDACT_ALL, "HEAD", "/a?b=1&c", "\"HEAD /a?b=1&c HTTP" },
		{ ACCESS_REDACT_HASH, "GET", "/a?abc",
		  "\"GET /a?hash=a9993e364706816aba3e25717850c26c9cd0d89d HTTP" },
		{ ACCESS_REDACT_HASH, "GET", "/a?", "\"GET /a? HTTP" },
		{ ACCESS_REDACT_HASH, "POST", "/a?abc", "\"POST /a?abc HTTP" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct access_settings settings = { .redact_query_params = cases[i].how };
		struct access_record record = example();

		record.method = str_of(cases[i].method);
		record.target = str_of(cases[i].target);
		end_of(line_of(&settings, &record), cases[i].line);
	}
}

static void the_json_line_has_the_same_data(void **state)
{
	struct access_settings settings = {
		.format = 1, .extra_fields = TEXTS("local_address", "failed_attempts", "dns_time"),
		.extra_headers = TEXTS("Accept", "User-Agent"),
	};
	struct str values[] = { STR_NONE, STR("ua") };
	struct access_record record = example();

	(void)state;
	record.extra_headers = values;
	assert_string_equal(line_of(&settings, &record),
		"{\"host\":\"app.test\",\"start\":\"2026-11-20T12:51:21.846675894Z\",\"method\":\"GET\","
		"\"uri\":\"/a?b=1&c\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes_received\":0,"
		"\"bytes_sent\":2,\"referer\":null,\"user_agent\":\"ua\",\"remote\":\"127.0.0.1:33778\","
		"\"backend\":\"127.0.0.1:39577\",\"x_forwarded_for\":null,\"x_forwarded_proto\":null,"
		"\"vcap_request_id\":null,\"response_time\":0.001427,\"gorouter_time\":0.000299,"
		"\"app_id\":null,\"app_index\":\"0\",\"instance_id\":null,"
		"\"local_address\":\"127.0.0.1:4000\",\"failed_attempts\":2,\"dns_time\":0.000000,"
		"\"x_cf_routererror\":null,\"headers\":{\"accept\":null,\"user_agent\":\"ua\"}}\n");
}

static void json_of_nothing_is_nulls(void **state)
{
	struct access_settings settings = { .format = 1 };
	struct access_record record = { .started_wall_ns = STARTED_NS, .router_ns = -1 };

	(void)state;
	assert_string_equal(line_of(&settings, &record),
		"{\"host\":null,\"start\":\"2026-11-20T12:51:21.846675894Z\",\"method\":null,\"uri\":null,"
		"\"protocol\":null,\"status\":null,\"bytes_received\":0,\"bytes_sent\":0,\"referer\":null,"
		"\"user_agent\":null,\"remote\":null,\"backend\":null,\"x_forwarded_for\":null,"
		"\"x_forwarded_proto\":null,\"vcap_request_id\":null,\"response_time\":0.000000,"
		"\"gorouter_time\":null,\"app_id\":null,\"app_index\":null,\"instance_id\":null,"
		"\"x_cf_routererror\":null}\n");
}

static void json_is_valid_utf8_in_one_line_whatever_the_texts_hold(void **state)
{
	static const struct { const char *text, *json; } cases[] = {
		{ "plain", "plain" },
		{ "a\"b\\c", "a\\\"b\\\\c" },
		{ "\a\b\f\n\r\t\v", "\\u0007\\b\\f\\n\\r\\t\\u000b" },
		{ "\001\177", "\\u0001\\u007f" },
		{ "\303\274\360\237\230\200", "\303\274\360\237\230\200" },
		{ "a\303", "a\357\277\275" },
		{ "\355\240\200", "\357\277\275\357\277\275\357\277\275" },
		{ "\342\200\250\302\205", "\\u2028\\u0085" },
		{ "\363\240\200\201", "\\udb40\\udc01" },
	};
	struct access_settings settings = { .format = 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct access_record record = example();
		char wanted[128];

		record.user_agent = str_of(cases[i].text);
		snprintf(wanted, sizeof(wanted), ",\"user_agent\":\"%s\",", cases[i].json);
		end_of(line_of(&settings, &record), wanted);
	}
}

static void everything_at_its_longest_still_makes_a_line(void **state)
{
	static char much[100000], names[ACCESS_HEADERS_MAX][65];
	char *headers[ACCESS_HEADERS_MAX];
	struct str values[ACCESS_HEADERS_MAX], long_text = { much, sizeof(much) };
	struct access_settings settings = {
		.extra_fields = TEXTS("failed_attempts", "failed_attempts_time", "dns_time", "dial_time",
				      "tls_time", "backend_time", "local_address", "failure_code"),
		.extra_headers = { headers, ACCESS_HEADERS_MAX },
	};
	struct access_record record = example();

	(void)state;
	memset(much, '\1', sizeof(much));
	for (int i = 0; i < ACCESS_HEADERS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "%064d", i);
		headers[i] = names[i];
		values[i] = long_text;
	}
	record.host = record.target = record.user_agent = record.referer = record.request_id =
		record.router_error = record.forwarded_for = record.forwarded_proto = record.backend =
		record.remote = record.app_id = record.app_index = record.instance_id =
		record.local_address = record.failure_code = record.method = long_text;
	record.extra_headers = values;
	record.received_bytes = record.sent_bytes = record.elapsed_ns = record.failed_attempts = UINT64_MAX;
	record.router_ns = record.dns_ns = record.dial_ns = record.tls_ns = INT64_MAX;
	for (settings.format = 0; settings.format < 2; settings.format++) {
		const char *line = line_of(&settings, &record);

		end_of(line, "...EXTRA-REQUEST-HEADER-TOO-LONG-TO-LOG--TRUNCATED\"");
		end_of(line, "...FAILURE-CODE-TOO-LONG-TO-LOG--TRUNCATED\"");
		assert_string_equal(end_of(line, settings.format ? "}}\n" : "\"\n"), settings.format ? "}}\n" : "\"\n");
	}
}

static void settings_that_make_no_sense_are_refused(void **state)
{
	const struct { struct access_settings settings; const char *reason; } cases[] = {
		{ { .syslog_tag = "t", .syslog_addr = "h:1" }, NULL },
		{ { .syslog_tag = "t", .syslog_addr = "[::1]:514" }, NULL },
		{ { .syslog_tag = "t", .syslog_addr = "/dev/log", .syslog_network = 7 }, NULL },
		{ { .syslog_tag = "t", .syslog_addr = "log", .syslog_network = 6 }, "syslog_addr" },
		{ { .syslog_tag = "t", .syslog_addr = "127.0.0.1" }, "syslog_addr" },
		{ { .syslog_tag = "t", .syslog_addr = "h:65536" }, "syslog_addr" },
		{ { .syslog_tag = "t", .syslog_addr = ":514" }, "syslog_addr" },
		{ { .syslog_tag = "a b", .syslog_addr = "h:1" }, "syslog_tag" },
		{ { .syslog_tag = "t", .syslog_addr = "h:1", .syslog_buffer_bytes = 3 }, "syslog_buffer" },
		{ { .syslog_tag = "t", .syslog_addr = "h:1", .extra_headers = TEXTS("A:b") },
		  "extra_headers_to_log: \"A:b\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct reason reason = { "" };
		int rc = access_settings_check(&cases[i].settings, &reason);

		assert_int_equal(rc, cases[i].reason ? -22 : 0);
		assert_true(!cases[i].reason || strncmp(reason.text, cases[i].reason, strlen(cases[i].reason)) == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(extra_fields_stand_in_the_order_of_the_setting_once_each),
		cmocka_unit_test(extra_fields_that_have_no_value_are_dashes),
		cmocka_unit_test(extra_headers_end_the_line),
		cmocka_unit_test(queries_of_gets_are_redacted),
		cmocka_unit_test(the_json_line_has_the_same_data),
		cmocka_unit_test(json_of_nothing_is_nulls),
		cmocka_unit_test(json_is_valid_utf8_in_one_line_whatever_the_texts_hold),
		cmocka_unit_test(everything_at_its_longest_still_makes_a_line),
		cmocka_unit_test(settings_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
