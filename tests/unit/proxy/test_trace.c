/*
 * tests/unit/proxy/test_trace.c - to which trace a request belongs: B3, W3C trace
 * context, and the request id that follows from them (spec proxy 5.2 to 5.4).
 */
#include "proxy/trace.h"

#include <ctype.h>
#include <stdio.h>

#include "proxy/steps.h"
#include "tests/unit/fixture/proxy_exchange.h"

#define PLAIN "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n"
#define LONG  "463ac35c9f6413ad48485a3953bb6124"
#define LOW   "48485a3953bb6124"
#define SPAN  "0020000000000001"
#define ZEROS "0000000000000000"
#define UP(hex) "00-" hex "-00f067aa0ba902b7-01"
#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define DASHED "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"

/* A new exchange with these fields, after the step. */
static struct exchange *traced(struct exchange_test *t, bool zipkin, bool w3c, const char *fields)
{
	struct exchange *x = exchange_test_begin(t, PLAIN);

	t->settings.headers.enable_zipkin = zipkin;
	t->settings.headers.enable_w3c = w3c;
	fields_fill(&x->request, fields);
	assert_true(step_set_trace(x));
	assert_string_equal(fields_value(&x->request, "X-Vcap-Request-Id"), x->request_id);
	return x;
}

/* 'x' is any lower-case hexadecimal digit, all else itself. */
static void assert_form(const char *text, const char *form)
{
	assert_int_equal(strlen(text), strlen(form));
	for (; *form; text++, form++)
		assert_true(*form == 'x' ? isxdigit(*text) && !isupper(*text) : *text == *form);
}

static const char *value(const struct exchange *x, const char *name)
{
	static char kept[4][4096];
	static unsigned next;
	char *out = kept[next++ % 4];

	snprintf(out, sizeof(kept[0]), "%s", fields_value(&x->request, name));
	return out;
}

static void nothing_but_an_id_is_set_unless_configured(void **state)
{
	struct exchange *x = traced(*state, false, false, "b3: 1\ntraceparent: x\nTracestate: y\n");
	struct trace_ids ids;
	char expected[64];

	assert_int_equal(x->request.count, 4);
	assert_form(x->request_id, "xxxxxxxx-xxxx-4xxx-xxxx-xxxxxxxxxxxx");
	assert_string_equal(value(x, "b3"), "1");
	trace_ids(x, &ids);           /* log lines name the digits of the id */
	snprintf(expected, sizeof(expected), "%.8s-%.4s-%.4s-%.4s-%.12s", ids.trace, ids.trace + 8,
		 ids.trace + 12, ids.trace + 16, ids.trace + 20);
	assert_string_equal(x->request_id, expected);
	assert_string_equal(ids.span, ids.trace + 16);
}

static void a_request_without_b3_begins_a_trace_whose_id_is_the_requests(void **state)
{
	static const char *const fields[] = {
		"", "X-B3-TraceId: " LONG "\n", "X-B3-SpanId: " SPAN "\n", "b3:\n",
		"b3: nonsense\n", "x-b3-traceid:\nX-B3-SpanId: " SPAN "\n",
	};
	char expected[64];

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		struct exchange *x = traced(*state, true, false, fields[i]);
		const char *trace = value(x, "X-B3-TraceId"), *span = value(x, "X-B3-SpanId");

		assert_form(trace, "xxxxxxxxxxxx4xxxxxxxxxxxxxxxxxxx");
		assert_string_equal(span, trace + 16);
		snprintf(expected, sizeof(expected), "%s-%s", trace, span);
		assert_string_equal(value(x, "b3"), expected);
		snprintf(expected, sizeof(expected), "%.8s-%.4s-%.4s-%.4s-%.12s", trace, trace + 8,
			 trace + 12, trace + 16, trace + 20);
		assert_string_equal(x->request_id, expected);
	}
}

static void the_names_we_set_are_those_that_go_writes(void **state)
{
	struct exchange *x = traced(*state, true, true, "");
	static const char *const names[] = {
		"X-B3-Traceid", "X-B3-Spanid", "B3", "Traceparent", "Tracestate", "X-Vcap-Request-Id",
	};

	assert_int_equal(x->request.count, ARRAY_SIZE(names));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_true(str_equal(x->request.fields[i].name, str_of(names[i])));
}

static void a_b3_field_that_can_be_read_is_adopted_and_left_alone(void **state)
{
	static const struct { const char *b3, *trace, *span; } cases[] = {
		{ LONG "-" SPAN,                LONG,  SPAN  },
		{ LONG "-" SPAN "-1",           LONG,  SPAN  },
		{ LONG "-" SPAN "-d-" LOW,      LONG,  SPAN  },
		{ LOW "-" SPAN "-0",            LOW,   SPAN  },
		{ ZEROS LOW "-" SPAN,           LOW,   SPAN  },
		{ "463AC35C9F6413AD48485A3953BB6124-" SPAN, LONG, SPAN },
		{ "0",                          ZEROS, ZEROS },
		{ "1",                          ZEROS, ZEROS },
		{ "d",                          ZEROS, ZEROS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exchange *x;
		struct trace_ids ids;
		char fields[256];

		snprintf(fields, sizeof(fields), "b3: %s\nX-B3-TraceId: other\n", cases[i].b3);
		x = traced(*state, true, false, fields);
		trace_ids(x, &ids);
		assert_string_equal(ids.trace, cases[i].trace);
		assert_string_equal(ids.span, cases[i].span);
		assert_string_equal(value(x, "b3"), cases[i].b3);
		assert_string_equal(value(x, "X-B3-TraceId"), "other");
		assert_string_equal(value(x, "X-B3-SpanId"), "");
	}
}

static void a_b3_field_that_cannot_be_read_counts_as_none(void **state)
{
	static const char *const bad[] = {
		"x", "2", "-", "--", LONG, LOW, LONG "-", "-" SPAN, LONG "-" SPAN "-", LONG "-" SPAN "-2",
		LONG "-" SPAN "-1-", LONG "-" SPAN "-1-" SPAN "-", LONG "-" SPAN "-1-" SPAN "-1",
		LONG "0-" SPAN, LONG "-" SPAN "0", LONG "-0x20000000000001", "48485a3953bb612-" SPAN,
		LONG "-" SPAN "--" SPAN, "+463ac35c9f6413a-" SPAN, LONG "-" SPAN "-" SPAN,
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct exchange *x;
		char fields[256];

		snprintf(fields, sizeof(fields), "b3: %s\n", bad[i]);
		x = traced(*state, true, false, fields);
		assert_form(value(x, "b3"), "xxxxxxxxxxxx4xxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx");
		snprintf(fields, sizeof(fields), "b3: %s\nX-B3-TraceId: " LONG "\nX-B3-SpanId: " SPAN
			 "\n", bad[i]);
		x = traced(*state, true, false, fields);
		assert_string_equal(value(x, "b3"), LONG "-" SPAN);
	}
}

#define BOTH "X-B3-TraceId: " LONG "\nX-B3-SpanId: " SPAN "\n"

static void b3_is_made_of_the_single_fields(void **state)
{
	static const struct { const char *fields, *b3; } cases[] = {
		{ BOTH,                                              LONG "-" SPAN          },
		{ BOTH "X-B3-Sampled: 1\n",                          LONG "-" SPAN "-1"     },
		{ BOTH "X-B3-Sampled: True\n",                       LONG "-" SPAN "-1"     },
		{ BOTH "X-B3-Sampled: 0\n",                          LONG "-" SPAN "-0"     },
		{ BOTH "x-b3-sampled: FALSE\n",                      LONG "-" SPAN "-0"     },
		{ BOTH "X-B3-Sampled: 0\nX-B3-Flags: 1\n",           LONG "-" SPAN "-d"     },
		{ BOTH "X-B3-Flags: 2\n",                            LONG "-" SPAN          },
		{ BOTH "X-B3-ParentSpanId: a1\n",                    LONG "-" SPAN "-00000000000000a1" },
		{ BOTH "X-B3-Sampled: 1\nX-B3-ParentSpanId: " LOW "\n", LONG "-" SPAN "-1-" LOW },
		{ "X-B3-TraceId: A\nX-B3-SpanId: B\n", "000000000000000a-000000000000000b"  },
		{ "X-B3-TraceId: 1" ZEROS "\nX-B3-SpanId: B\n",
		  "0000000000000001" ZEROS "-000000000000000b" },
		{ "X-B3-TraceId: 0\nX-B3-SpanId: B\nX-B3-Sampled: 1\n", "1" },
		{ "X-B3-TraceId: 0\nX-B3-SpanId: 0\n",               ""                     },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(value(traced(*state, true, false, cases[i].fields), "b3"),
				    cases[i].b3);
}

static void single_fields_that_cannot_be_read_are_left_as_they_are(void **state)
{
	static const char *const bad[] = {
		"X-B3-TraceId: x\nX-B3-SpanId: 1\n", "X-B3-TraceId: 1\nX-B3-SpanId: x\n",
		"X-B3-TraceId: 1" LONG "\nX-B3-SpanId: 1\n", BOTH "X-B3-Sampled: maybe\n",
		BOTH "X-B3-ParentSpanId: -\n", "X-B3-TraceId: 1\nX-B3-SpanId: " LONG "\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct exchange *x = traced(*state, true, false, bad[i]);

		assert_string_equal(value(x, "b3"), "");
		assert_int_equal(x->trace_id.len, 0);
		assert_form(x->request_id, "xxxxxxxx-xxxx-4xxx-xxxx-xxxxxxxxxxxx");
	}
}

static void the_request_id_is_that_of_the_trace_where_it_looks_like_a_uuid(void **state)
{
	static const struct { const char *trace, *id; } cases[] = {
		{ "4bf92f3577b31da6a3ce929d0e0e4736", "4bf92f35-77b3-1da6-a3ce-929d0e0e4736" },
		{ TRACE,                              DASHED                                 },
		{ "4bf92f3577b35da603ce929d0e0e4736", "4bf92f35-77b3-5da6-03ce-929d0e0e4736" },
		{ "4bf92f3577b36da6a3ce929d0e0e4736", NULL },
		{ "4bf92f3577b30da6a3ce929d0e0e4736", NULL },
		{ "4bf92f3577b3ada6a3ce929d0e0e4736", NULL },
		{ LOW,                                NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exchange *x;
		char fields[128];

		snprintf(fields, sizeof(fields), "b3: %s-" SPAN "\n", cases[i].trace);
		x = traced(*state, true, false, fields);
		if (cases[i].id)
			assert_string_equal(x->request_id, cases[i].id);
		else
			assert_form(x->request_id, "xxxxxxxx-xxxx-4xxx-xxxx-xxxxxxxxxxxx");
	}
}

static void a_traceparent_that_can_be_read_goes_on_with_a_parent_of_ours(void **state)
{
	static const struct { const char *fields, *form, *rest; } cases[] = {
		{ "traceparent: " UP(TRACE) "\n", "00-" TRACE "-xxxxxxxxxxxxxxxx-01", "" },
		{ "traceparent: ff-" TRACE "-00f067aa0ba902b7-00\n",
		  "00-" TRACE "-xxxxxxxxxxxxxxxx-00", "" },
		{ "TraceParent:   00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-0A\n",
		  "00-" TRACE "-xxxxxxxxxxxxxxxx-0a", "" },
		{ "traceparent: 00_" TRACE "_00f067aa0ba902b7_01\n",
		  "00-" TRACE "-xxxxxxxxxxxxxxxx-01", "" },
		{ "traceparent: " UP(TRACE) "\nTracestate: a=1 ,b=2,, noequals,\tgorouter=old,c=x=y\n",
		  "00-" TRACE "-xxxxxxxxxxxxxxxx-01", ",a=1,b=2,c=x=y" },
		{ "traceparent: " UP(TRACE) "\nTracestate: a=1\nTracestate: b=2\n",
		  "00-" TRACE "-xxxxxxxxxxxxxxxx-01", ",a=1" },
		{ "traceparent: " UP(TRACE) "\nTracestate: t@gorouter=1,gorouter=2\n",
		  "00-" TRACE "-xxxxxxxxxxxxxxxx-01", ",t@gorouter=1" },
	};
	char state_text[256];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exchange *x = traced(*state, false, true, cases[i].fields);
		const char *parent = value(x, "Traceparent");

		assert_form(parent, cases[i].form);
		assert_memory_not_equal(parent + 36, "00f067aa0ba902b7", 16);
		snprintf(state_text, sizeof(state_text), "gorouter=%.16s%s", parent + 36,
			 cases[i].rest);
		assert_string_equal(value(x, "Tracestate"), state_text);
		assert_string_equal(x->request_id, DASHED);
	}
}

static void a_traceparent_that_cannot_be_read_begins_a_trace(void **state)
{
	static const char *const fields[] = {
		"", "traceparent:\n", "traceparent: 00-" TRACE "-00f067aa0ba902b7-1\n",
		"traceparent: 00-" TRACE "-00f067aa0ba902b7-011\n",
		"traceparent: 0g-" TRACE "-00f067aa0ba902b7-01\n",
		"traceparent: 00-" TRACE "-00f067aa0ba902bx-01\n",
		"traceparent: 00-xbf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n",
		"traceparent: bad\ntraceparent: " UP(TRACE) "\n", "Tracestate: a=1\n",
	};
	char expected[64];

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		struct exchange *x = traced(*state, false, true, fields[i]);
		const char *parent = value(x, "Traceparent");

		assert_form(parent, "00-xxxxxxxxxxxx4xxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-01");
		assert_memory_equal(parent + 3 + 16, parent + 36, 16);
		snprintf(expected, sizeof(expected), "gorouter=%.16s", parent + 36);
		assert_string_equal(value(x, "Tracestate"), expected);
		assert_memory_equal(x->request_id, parent + 3, 8);
	}
}

static void a_long_tracestate_is_dropped_and_a_tenant_is_named(void **state)
{
	static char tenant[] = "t-1";
	struct exchange_test *t = *state;
	char fields[2300], expected[2300];
	struct exchange *x;

	t->settings.headers.w3c_tenant_id = tenant;
	for (int len = 2047; len <= 2049; len++) {
		int used = snprintf(fields, sizeof(fields), "traceparent: " UP(TRACE) "\nTracestate: a=");

		memset(fields + used, 'b', (size_t)len - 2);
		snprintf(fields + used + len - 2, 2, "\n");
		x = traced(t, false, true, fields);
		snprintf(expected, sizeof(expected), "t-1@gorouter=%.16s%s%.*s",
			 value(x, "Traceparent") + 36, len > 2048 ? "" : ",a=",
			 len > 2048 ? 0 : len - 2, fields + used);
		assert_string_equal(value(x, "Tracestate"), expected);
	}
	x = traced(t, false, true, "traceparent: " UP(TRACE) "\nTracestate: t-1@gorouter=1,gorouter=2\n");
	assert_string_equal(value(x, "Tracestate") + 29, ",gorouter=2");
}

static void zipkin_comes_first_when_both_are_on(void **state)
{
	struct exchange *x = traced(*state, true, true, "b3: " LOW "-" SPAN "\n");
	struct trace_ids ids;

	assert_string_equal(value(x, "Traceparent"), "00-" ZEROS LOW "-" SPAN "-01");
	assert_string_equal(value(x, "Tracestate"), "gorouter=" SPAN);
	x = traced(*state, true, true, "traceparent: " UP(TRACE) "\n");
	trace_ids(x, &ids);
	assert_string_equal(value(x, "X-B3-TraceId"), ids.trace);
	assert_form(value(x, "Traceparent"), "00-" TRACE "-xxxxxxxxxxxxxxxx-01");
	assert_memory_equal(ids.trace, x->request_id, 8);
	assert_string_not_equal(x->request_id, DASHED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_AN_EXCHANGE(nothing_but_an_id_is_set_unless_configured),
		ON_AN_EXCHANGE(a_request_without_b3_begins_a_trace_whose_id_is_the_requests),
		ON_AN_EXCHANGE(the_names_we_set_are_those_that_go_writes),
		ON_AN_EXCHANGE(a_b3_field_that_can_be_read_is_adopted_and_left_alone),
		ON_AN_EXCHANGE(a_b3_field_that_cannot_be_read_counts_as_none),
		ON_AN_EXCHANGE(b3_is_made_of_the_single_fields),
		ON_AN_EXCHANGE(single_fields_that_cannot_be_read_are_left_as_they_are),
		ON_AN_EXCHANGE(the_request_id_is_that_of_the_trace_where_it_looks_like_a_uuid),
		ON_AN_EXCHANGE(a_traceparent_that_can_be_read_goes_on_with_a_parent_of_ours),
		ON_AN_EXCHANGE(a_traceparent_that_cannot_be_read_begins_a_trace),
		ON_AN_EXCHANGE(a_long_tracestate_is_dropped_and_a_tenant_is_named),
		ON_AN_EXCHANGE(zipkin_comes_first_when_both_are_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
