/*
 * tests/unit/proxy/test_forwarded.c - fields that belong to one connection, and
 * fields that tell the app who its client is.
 */
#include <stdio.h>

#include "proxy/steps.h"
#include "tests/unit/fixture/proxy_exchange.h"

#define PLAIN "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n"

struct fields_case {
	const char *before, *after;
};

static void fields_of_one_connection_end_here(void **state)
{
	static const struct fields_case cases[] = {
		{ "", "" },
		{ "A: 1\nB: 2\n", "A: 1\nB: 2\n" },
		{ "Connection: close\nA: 1\n", "A: 1\n" },
		{ "A: 1\nProxy-Connection: x\nKeep-Alive: timeout=5\nProxy-Authenticate: x\n"
		  "Proxy-Authorization: x\nTransfer-Encoding: x\nUpgrade: h2c\nB: 2\n",
		  "A: 1\nB: 2\n" },
		{ "CONNECTION: x\nkeep-alive: x\nUPGRADE: x\nte: x\n", "" },
		{ "Connections: x\nUpgrade-Insecure-Requests: 1\n",
		  "Connections: x\nUpgrade-Insecure-Requests: 1\n" },
		{ "Authorization: x\nCookie: y\n", "Authorization: x\nCookie: y\n" },
		/* what Connection names */
		{ "Connection: X-Foo\nX-Foo: 1\nX-Bar: 2\n", "X-Bar: 2\n" },
		{ "X-Foo: 1\nConnection: x-FOO\nX-Bar: 2\nx-foo: 3\n", "X-Bar: 2\n" },
		{ "Connection: a, ,b ,\nA: 1\nB: 2\nC: 3\n", "C: 3\n" },
		{ "Connection: close, a\nA: 1\nC: 3\n", "C: 3\n" },
		{ "A: 1\nConnection: a\nB: 2\nConnection: close,\tb\nC: 3\n", "C: 3\n" },
		{ "Connection:\nA: 1\n", "A: 1\n" },
		{ "Connection: a b\nA: 1\nB: 2\n", "A: 1\nB: 2\n" },
		{ "Connection: keep-alive, Keep-Alive, connection\nA: 1\n", "A: 1\n" },
	};
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, PLAIN);
	struct http_head response = x->request;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fields_fill(&x->request, cases[i].before);
		assert_true(step_strip_hop_by_hop(x));
		fields_assert(&x->request, cases[i].after);
		fields_fill(&response, cases[i].before);
		assert_true(step_strip_response(&response));
		fields_assert(&response, cases[i].after);
	}
}

static char *const trusted[] = {
	"X-Forwarded-For", "X-Forwarded-Proto", "X-B3", "X-Request-Start", "X-Custom",
};

/* CVE-2023-34041: a client that names them would hide them from the app. */
static void a_client_cannot_take_away_what_the_app_trusts(void **state)
{
	static const struct { const char *name; bool needs_setting; } cases[] = {
		{ "X-Forwarded-For", true }, { "x-forwarded-for", true }, { "X-FORWARDED-FOR", true },
		{ "X-Forwarded-Proto", true }, { "X-B3", true }, { "X-Request-Start", true },
		{ "X-Custom", true },
		{ "X-Vcap-Request-Id", false }, { "X-VCAP-REQUEST-ID", false },
		{ "X-Forwarded-Client-Cert", false }, { "B3", false }, { "X-B3-TraceId", false },
		{ "X-B3-SpanId", false }, { "traceparent", false }, { "tracestate", false },
	};
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, PLAIN);
	struct texts *filtered = &t->settings.headers.hop_by_hop_headers_to_filter;
	char before[256], after[128];

	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		const char *name = cases[i / 2].name;
		bool has_setting = i % 2;

		*filtered = has_setting ? (struct texts){ (char **)trusted, ARRAY_SIZE(trusted) } :
					  (struct texts){ NULL, 0 };
		snprintf(before, sizeof(before), "Connection: close, A, %s\nA: 1\n%s: value\n",
			 name, name);
		snprintf(after, sizeof(after), "%s: value\n", name);
		fields_fill(&x->request, before);
		assert_true(step_strip_hop_by_hop(x));
		fields_assert(&x->request, has_setting || !cases[i / 2].needs_setting ? after : "");
		fields_fill(&x->request, before);     /* an app may do so to its own answer */
		assert_true(step_strip_response(&x->request));
		fields_assert(&x->request, "");
	}
}

static void te_tells_only_that_trailers_are_understood(void **state)
{
	static const struct fields_case cases[] = {
		{ "Te: trailers\n", "Te: trailers\n" },
		{ "TE: deflate, Trailers\nA: 1\n", "A: 1\nTe: trailers\n" },
		{ "Te: gzip\nTe: trailers\n", "Te: trailers\n" },
		{ "Connection: TE\nTe: trailers\n", "Te: trailers\n" },
		{ "Te: gzip\nA: 1\n", "A: 1\n" },
		{ "Te: x-trailers\n", "" },
		{ "Te:\n", "" },
	};
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, PLAIN);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fields_fill(&x->request, cases[i].before);
		assert_true(step_strip_hop_by_hop(x));
		fields_assert(&x->request, cases[i].after);
	}
}

static void trailers_are_announced_only_where_they_can_follow(void **state)
{
	static const struct { enum http_body body; bool kept; } cases[] = {
		{ BODY_NONE, false }, { BODY_LENGTH, false }, { BODY_UNTIL_CLOSE, false },
		{ BODY_CHUNKED, true },
	};
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, PLAIN);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fields_fill(&x->request, "Trailer: X-Sum\n");
		x->request.body = cases[i].body;
		assert_true(step_strip_hop_by_hop(x));
		fields_assert(&x->request, cases[i].kept ? "Trailer: X-Sum\n" : "");
	}
}

/* "Connection: N0,N1,..." with so many names, and field N0. */
static void fill_many(struct http_head *head, unsigned count)
{
	char text[2048];
	size_t len = (size_t)snprintf(text, sizeof(text), "N0: 1\nConnection: ");

	for (unsigned i = 0; i < count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%sN%u", i ? "," : "", i);
	fields_fill(head, text);
}

static void more_than_64_connection_options_are_refused(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, PLAIN);

	fill_many(&x->request, 64);
	assert_true(step_strip_hop_by_hop(x));
	fields_assert(&x->request, "");
	fill_many(&x->response, 64);
	assert_true(step_strip_response(&x->response));
	fields_assert(&x->response, "");
	fill_many(&x->response, 65);
	assert_false(step_strip_response(&x->response));
	fill_many(&x->request, 65);
	assert_false(step_strip_hop_by_hop(x));
	assert_int_equal(x->state, X_RESPOND);
	assert_int_equal(x->response.status, 400);
	assert_false(x->response.keeps_alive);
	assert_text(x->local_body, "400 Bad Request: too many connection options");
}

static void the_client_is_added_to_x_forwarded_for(void **state)
{
	static const struct { const char *fields, *peer, *value; } cases[] = {
		{ "",                                            "192.0.2.7",   "192.0.2.7"       },
		{ "X-Forwarded-For: 1.1.1.1\n",                  "192.0.2.7",   "1.1.1.1, 192.0.2.7" },
		{ "x-forwarded-for: 1.1.1.1, 2.2.2.2\n",         "192.0.2.7",   "1.1.1.1, 2.2.2.2, 192.0.2.7" },
		{ "X-Forwarded-For: 1\nX-Forwarded-For: 2\n",    "192.0.2.7",   "1, 2, 192.0.2.7" },
		{ "X-Forwarded-For: unknown, [::1]:80\n",        "192.0.2.7",   "unknown, [::1]:80, 192.0.2.7" },
		{ "X-Forwarded-For:\n",                          "192.0.2.7",   ", 192.0.2.7"     },
		{ "X-Forwarded-For:\nX-Forwarded-For: 1\n",      "192.0.2.7",   ", 1, 192.0.2.7"  },
		{ "X-Forwarded-For: 1.1.1.1\n",                  "2001:db8::1", "1.1.1.1, 2001:db8::1" },
		{ "Forwarded: for=1.1.1.1\nX-Real-IP: 9.9.9.9\n", "192.0.2.7",  "192.0.2.7"       },
	};
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, PLAIN);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fields_fill(&x->request, cases[i].fields);
		x->peer_ip = str_of(cases[i].peer);
		steps_forward(x);
		assert_string_equal(fields_value(&x->request, "X-Forwarded-For"), cases[i].value);
	}
}

/* Spec proxy 5.13, every combination of settings and connection. */
static void x_forwarded_proto_is_kept_or_replaced_as_the_settings_say(void **state)
{
	static const struct { bool forced, sanitized, tls; const char *fields, *value; } cases[] = {
		{ false, false, false, "",                                    "http"  },
		{ false, false, true,  "",                                    "https" },
		{ false, false, false, "X-Forwarded-Proto:\n",                "http"  },
		{ false, false, true,  "X-Forwarded-Proto:\n",                "https" },
		{ false, false, false, "X-Forwarded-Proto: https\n",          "https" },
		{ false, false, true,  "X-Forwarded-Proto: http\n",           "http"  },
		{ false, false, false, "x-forwarded-proto: anything, else\n", "anything, else" },
		{ false, true,  false, "",                                    "http"  },
		{ false, true,  true,  "",                                    "https" },
		{ false, true,  false, "X-Forwarded-Proto: https\n",          "http"  },
		{ false, true,  true,  "X-Forwarded-Proto: http\n",           "https" },
		{ false, true,  false, "X-Forwarded-Proto: https\nA: 1\nX-Forwarded-Proto: x\n", "http" },
		{ true,  false, false, "",                                    "https" },
		{ true,  false, true,  "",                                    "https" },
		{ true,  false, false, "X-Forwarded-Proto: http\n",           "https" },
		{ true,  true,  false, "X-Forwarded-Proto: http\nX-Forwarded-Proto: x\n", "https" },
	};
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, PLAIN);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		t->settings.force_forwarded_proto_https = cases[i].forced;
		t->settings.sanitize_forwarded_proto = cases[i].sanitized;
		x->is_tls = cases[i].tls;
		fields_fill(&x->request, cases[i].fields);
		steps_forward(x);
		assert_string_equal(fields_value(&x->request, "X-Forwarded-Proto"), cases[i].value);
	}
}

static void x_request_start_is_the_wall_clock_unless_somebody_was_earlier(void **state)
{
	static const struct { const char *fields, *value; } cases[] = {
		{ "",                                             "1795179081846" },
		{ "X-Request-Start: 17\n",                        "17" },
		{ "x-request-start: t=1.5\n",                     "t=1.5" },
		{ "X-Request-Start: 1\nX-Request-Start: 2\n",     "1|2" },
	};
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, PLAIN);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fields_fill(&x->request, cases[i].fields);
		steps_forward(x);
		assert_string_equal(fields_value(&x->request, "X-Request-Start"), cases[i].value);
	}
	fields_fill(&x->request, "X-Request-Start:\n");       /* empty, and there */
	steps_forward(x);
	fields_assert(&x->request, "X-Request-Start: \nX-Forwarded-For: " EXCHANGE_PEER_IP "\n"
		      "X-Forwarded-Proto: http\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_AN_EXCHANGE(fields_of_one_connection_end_here),
		ON_AN_EXCHANGE(a_client_cannot_take_away_what_the_app_trusts),
		ON_AN_EXCHANGE(te_tells_only_that_trailers_are_understood),
		ON_AN_EXCHANGE(trailers_are_announced_only_where_they_can_follow),
		ON_AN_EXCHANGE(more_than_64_connection_options_are_refused),
		ON_AN_EXCHANGE(the_client_is_added_to_x_forwarded_for),
		ON_AN_EXCHANGE(x_forwarded_proto_is_kept_or_replaced_as_the_settings_say),
		ON_AN_EXCHANGE(x_request_start_is_the_wall_clock_unless_somebody_was_earlier),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
