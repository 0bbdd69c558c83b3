/*
 * tests/unit/proxy/test_sticky.c - which session a request belongs to, and which
 * cookie its answer sets.
 */
#include <stdio.h>

#include "proxy/instance.h"
#include "proxy/steps.h"
#include "proxy/sticky.h"
#include "tests/unit/fixture/proxy_exchange.h"

#define REQUEST(fields) "GET /Path/x HTTP/1.1\r\nHost: app.example\r\n" fields "\r\n"

static char jsession[] = "JSESSIONID", other_name[] = "sid";
static char *names[] = { jsession, other_name };

static int set_up(void **state)
{
	int rc = exchange_test_set_up(state);
	struct exchange_test *t = *state;

	t->settings.headers.sticky_session_cookie_names = (struct texts){ names, 2 };
	return rc;
}

static struct exchange *ask(struct exchange_test *t, const char *request)
{
	struct exchange *x = exchange_test_begin(t, request);

	assert_true(steps_request(x));
	return x;
}

static void a_session_needs_its_cookie_and_the_name_of_its_instance(void **state)
{
	static const struct { const char *fields, *id; } cases[] = {
		{ "Cookie: JSESSIONID=s; __VCAP_ID__=i",              "i" },
		{ "Cookie: __VCAP_ID__=i; JSESSIONID=s",              "i" },
		{ "cookie: a=b;sid=s;c=d;__VCAP_ID__=i;e",            "i" },
		{ "Cookie: JSESSIONID=s\r\nA: 1\r\nCookie: __VCAP_ID__=i", "i" },
		{ "Cookie: JSESSIONID; __VCAP_ID__=\"i j\"",          "i j" },
		{ "Cookie: JSESSIONID=\"\"; __VCAP_ID__=i",           "i" },
		{ "Cookie: sid=s; __VCAP_ID__=1; __VCAP_ID__=2",      "1" },
		{ "Cookie: __VCAP_ID__=1; __VCAP_ID__=2; sid=s",      "1" },
		{ "Cookie: __VCAP_ID__=; __VCAP_ID__=2; sid=s",       "" },
		{ "Cookie: sid=s; __VCAP_ID__=\"; __VCAP_ID__=2",     "2" },
		{ "Cookie: sid=s; __VCAP_ID__=a\\; __VCAP_ID__=2",    "2" },
		{ "Cookie: sid=s; __VCAP_ID__=; __VCAP_ID__=2",       "" },
		{ "Cookie: sid=s; __VCAP_ID__",                       "" },
		{ "Cookie: __VCAP_ID__=i",                            "" },
		{ "Cookie: JSESSIONID=s",                             "" },
		{ "Cookie: jsessionid=s; __VCAP_ID__=i",              "" },
		{ "Cookie: JSESSIONID=s; __vcap_id__=i",              "" },
		{ "Cookie: JSESSIONID=\"s; __VCAP_ID__=i",            "" },
		{ "Cookie: XJSESSIONID=s; __VCAP_ID__=i",             "" },
		{ "Cookie: JSESSIONID=s, __VCAP_ID__=i",              "" },
		{ "Set-Cookie: JSESSIONID=s; __VCAP_ID__=i",          "" },
		/* as Gorouter looks at the request that goes out */
		{ "Connection: cookie\r\nCookie: sid=s; __VCAP_ID__=i", "" },
		{ "Authorization: Negotiate x\r\nCookie: __VCAP_ID__=i", "" },
	};
	struct exchange_test *t = *state;
	char request[256];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exchange *x;

		snprintf(request, sizeof(request), REQUEST("%s\r\n"), cases[i].fields);
		x = ask(t, request);
		if (!str_equal(x->wish.sticky_id, str_of(cases[i].id)))
			fail_msg("%s: %.*s", cases[i].fields, STR_ARG(x->wish.sticky_id));
		assert_false(x->wish.must_stick);
	}
}

static void a_request_that_is_too_large_sticks_nowhere(void **state)
{
	struct exchange_test *t = *state;

	t->settings.max_request_headers = 2;      /* ours among them */
	assert_false(ask(t, REQUEST("Cookie: sid=s; __VCAP_ID__=i\r\n"))->is_too_large);
	assert_int_equal(t->x->wish.sticky_id.len, 1);
	assert_true(ask(t, REQUEST("Cookie: sid=s; __VCAP_ID__=i\r\nA: 1\r\n"))->is_too_large);
	assert_int_equal(t->x->wish.sticky_id.len, 0);
}

static void an_authorization_in_progress_must_stick(void **state)
{
	static const struct { const char *fields, *id; bool must; } cases[] = {
		{ "Authorization: Negotiate abc\r\nCookie: __VCAP_ID__=i",          "i", true  },
		{ "Authorization: nEGOTIATE\r\nCookie: __VCAP_ID__=i",              "i", true  },
		{ "Authorization: Negotiated\r\nCookie: sid=s; __VCAP_ID__=i",      "i", true  },
		{ "Authorization: Basic eDp5\r\nCookie: sid=s; __VCAP_ID__=i",      "i", false },
		{ "Authorization: Basic eDp5\r\nCookie: __VCAP_ID__=i",             "",  false },
		{ "Authorization: Negotiate abc\r\nCookie: sid=s",                  "",  false },
		{ "Authorization: Negotiate abc\r\nCookie: __VCAP_ID__=; sid=s",    "",  false },
		{ "Authorization: Negotiate abc",                                   "",  false },
		{ "Proxy-Authorization: Negotiate abc\r\nCookie: __VCAP_ID__=i",    "",  false },
	};
	struct exchange_test *t = *state;
	char request[256];

	t->settings.headers.sticky_sessions_for_auth_negotiate = true;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exchange *x;

		snprintf(request, sizeof(request), REQUEST("%s\r\n"), cases[i].fields);
		x = ask(t, request);
		if (!str_equal(x->wish.sticky_id, str_of(cases[i].id)) ||
		    x->wish.must_stick != cases[i].must)
			fail_msg("%s", cases[i].fields);
	}
}

/* What an app with these fields makes of the answer: all Set-Cookie fields. */
static const char *answer(struct exchange_test *t, const char *request, const char *fields)
{
	struct exchange *x = ask(t, request);
	enum failure failure;

	x->endpoint.instance_id = STR("here");
	fields_fill(&x->response, fields);
	x->response.status = 200;
	assert_true(steps_response(x, &failure));
	return fields_value(&x->response, "Set-Cookie");
}

#define OURS "__VCAP_ID__=here; Path=/; "

static void the_cookie_of_a_session_is_followed_by_ours(void **state)
{
	static const struct { const char *theirs, *ours; } cases[] = {
		{ "JSESSIONID=s",                  OURS "HttpOnly" },
		{ "sid=s; Path=/x; Domain=b.test", OURS "HttpOnly" },
		{ "sid=; Max-Age=0",               OURS "Max-Age=0; HttpOnly" },
		{ "sid=s; Max-Age=-5",             OURS "Max-Age=0; HttpOnly" },
		{ "sid=s; Max-Age=3600",           OURS "HttpOnly" },
		{ "sid=s; Max-Age=x",              OURS "HttpOnly" },
		{ "sid=s; Expires=Fri, 31-Dec-2027 23:59:59 GMT",
		  OURS "Expires=Fri, 31 Dec 2027 23:59:59 GMT; HttpOnly" },
		{ "sid=s; Expires=soon",           OURS "HttpOnly" },
		{ "sid=s; Secure",                 OURS "HttpOnly; Secure" },
		{ "sid=s; HttpOnly",               OURS "HttpOnly" },
		{ "sid=s; SameSite=Lax",           OURS "HttpOnly; SameSite=Lax" },
		{ "sid=s; samesite=strict",        OURS "HttpOnly; SameSite=Strict" },
		{ "sid=s; SameSite=None; Secure; Partitioned",
		  OURS "HttpOnly; Secure; SameSite=None; Partitioned" },
		{ "sid=s; SameSite=odd",           OURS "HttpOnly" },
		{ "sid=s; Partitioned; SameSite=None; Secure; Max-Age=0; "
		  "Expires=Thu, 01 Jan 1970 00:00:00 GMT",
		  OURS "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; Secure; "
		       "SameSite=None; Partitioned" },
	};
	struct exchange_test *t = *state;
	char fields[256], expected[512];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(fields, sizeof(fields), "Set-Cookie: %s\n", cases[i].theirs);
		snprintf(expected, sizeof(expected), "%s|%s", cases[i].theirs, cases[i].ours);
		assert_string_equal(answer(t, REQUEST(""), fields), expected);
	}
}

static void the_first_cookie_of_a_session_is_the_one_that_counts(void **state)
{
	struct exchange_test *t = *state;

	assert_string_equal(answer(t, REQUEST(""),
				   "Set-Cookie: a=1; Secure\nSet-Cookie: =; sid=1; Secure\n"
				   "Set-Cookie: sid=s; SameSite=Lax\nX: 1\nset-cookie: JSESSIONID=j; Secure\n"),
			    "a=1; Secure|=; sid=1; Secure|sid=s; SameSite=Lax|JSESSIONID=j; Secure|"
			    OURS "HttpOnly; SameSite=Lax");
}

static void the_cookie_is_not_ours_to_set(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x;
	enum failure failure;

	assert_string_equal(answer(t, REQUEST(""), "A: 1\n"), "");
	assert_string_equal(answer(t, REQUEST(""), "Set-Cookie: jsessionid=1\n"), "jsessionid=1");
	assert_string_equal(answer(t, REQUEST(""), "Set-Cookie: a=sid=1\n"), "a=sid=1");
	assert_string_equal(answer(t, REQUEST(""), "Set-Cookie: sid=1\nSet-Cookie: __VCAP_ID__=app\n"),
			    "sid=1|__VCAP_ID__=app");
	assert_string_equal(answer(t, REQUEST("X-CF-Proxy-Signature: s\r\nX-CF-Forwarded-Url: u\r\n"),
				   "Set-Cookie: sid=1\n"), "sid=1");
	assert_string_equal(answer(t, REQUEST("X-CF-Proxy-Signature: s\r\n"), "Set-Cookie: sid=1\n"),
			    "sid=1|" OURS "HttpOnly");
	x = ask(t, REQUEST(""));              /* an endpoint without an id */
	fields_fill(&x->response, "Set-Cookie: sid=1\n");
	x->response.status = 200;
	assert_true(steps_response(x, &failure));
	assert_string_equal(fields_value(&x->response, "Set-Cookie"), "sid=1");
}

static void a_session_that_moved_is_told_where_it_is(void **state)
{
	struct exchange_test *t = *state;

	assert_string_equal(answer(t, REQUEST("Cookie: sid=s; __VCAP_ID__=gone\r\n"), "A: 1\n"),
			    OURS "HttpOnly");
	assert_string_equal(answer(t, REQUEST("Cookie: sid=s; __VCAP_ID__=here\r\n"), "A: 1\n"), "");
	assert_string_equal(answer(t, REQUEST("Cookie: __VCAP_ID__=gone\r\n"), "A: 1\n"), "");
	assert_string_equal(answer(t, REQUEST("Cookie: sid=s; __VCAP_ID__=here\r\n"),
				   "Set-Cookie: sid=n; Secure\n"), "sid=n; Secure|" OURS "HttpOnly; Secure");
	t->settings.headers.secure_cookies = true;
	assert_string_equal(answer(t, REQUEST("Cookie: sid=s; __VCAP_ID__=gone\r\n"), "A: 1\n"),
			    OURS "HttpOnly; Secure");
	assert_string_equal(answer(t, REQUEST(""), "Set-Cookie: sid=1\n"),
			    "sid=1|" OURS "HttpOnly; Secure");
}

static void an_authorization_that_begins_sticks_for_a_minute(void **state)
{
	static const char begun[] = "WWW-Authenticate: Negotiate\n";
	static const char minute[] = OURS "Max-Age=60; HttpOnly; SameSite=Strict";
	struct exchange_test *t = *state;

	assert_string_equal(answer(t, REQUEST(""), begun), "");       /* not configured */
	t->settings.headers.sticky_sessions_for_auth_negotiate = true;
	assert_string_equal(answer(t, REQUEST(""), begun), minute);
	assert_string_equal(answer(t, REQUEST(""), "www-authenticate: NEGOTIATE abc=\n"), minute);
	assert_string_equal(answer(t, REQUEST(""), "WWW-Authenticate: Basic, Negotiate\n"), "");
	assert_string_equal(answer(t, REQUEST("Authorization: Negotiate x\r\nCookie: __VCAP_ID__=here\r\n"),
				   begun), "");
	assert_string_equal(answer(t, REQUEST("Authorization: Negotiate x\r\nCookie: __VCAP_ID__=gone\r\n"),
				   begun), minute);
	/* the app's session is ignored then */
	assert_string_equal(answer(t, REQUEST(""), "WWW-Authenticate: Negotiate\nSet-Cookie: sid=1\n"),
			    "sid=1|__VCAP_ID__=here; Path=/; Max-Age=60; HttpOnly; SameSite=Strict");
	assert_string_equal(answer(t, REQUEST("Cookie: sid=s; __VCAP_ID__=here\r\n"),
				   "WWW-Authenticate: Negotiate\nSet-Cookie: sid=1\n"), "sid=1");
	t->settings.headers.secure_cookies = true;
	assert_string_equal(answer(t, REQUEST(""), begun),
			    OURS "Max-Age=60; HttpOnly; Secure; SameSite=Strict");
}

static void the_path_is_the_routes_in_the_letters_of_the_client(void **state)
{
	static const struct { const char *target; unsigned len; const char *path; } cases[] = {
		{ "/Path/x",                    0, "/" },
		{ "/Path/x",                    5, "/Path" },
		{ "/path",                      5, "/path" },
		{ "/path?x",                    5, "/path" },
		{ "http://h/Path/x?y",          5, "/Path" },
		{ "/a;b/c",                     4, "/ab" },       /* as Go leaves it out */
	};
	struct exchange_test *t = *state;
	char request[128], expected[128];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exchange *x;

		snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", cases[i].target);
		x = ask(t, request);
		t->proxy.balancer.path_len = (uint16_t)cases[i].len;
		sticky_note_pick(x);
		x->endpoint.instance_id = STR("here");
		fields_fill(&x->response, "Set-Cookie: sid=1\n");
		sticky_set_cookie(x);
		snprintf(expected, sizeof(expected), "sid=1|__VCAP_ID__=here; Path=%s; HttpOnly",
			 cases[i].path);
		assert_string_equal(fields_value(&x->response, "Set-Cookie"), expected);
	}
}

/* --- 5.9: X-CF-App-Instance and X-CF-Process-Instance --- */

#define GUID  "0123abcd-0123-0123-0123-0123456789ab"
#define GUID2 "fedc9876-fedc-fedc-fedc-fedcba987654"

static void an_instance_is_named_by_a_guid_and_an_index(void **state)
{
	static const struct { const char *fields; enum wish_scope scope; const char *guid, *index; } cases[] = {
		{ "X-CF-App-Instance: " GUID ":0",          SCOPE_APP_INSTANCE, GUID, "0" },
		{ "x-cf-app-instance: " GUID ":007",        SCOPE_APP_INSTANCE, GUID, "007" },
		{ "X-CF-Process-Instance: " GUID ":12",     SCOPE_PROCESS, GUID, "12" },
		{ "X-CF-Process-Instance: " GUID,           SCOPE_PROCESS, GUID, "" },
		{ "X-CF-Process-Instance: " GUID2 "\r\nX-CF-App-Instance: " GUID ":1",
		  SCOPE_APP_INSTANCE, GUID, "1" },
		{ "X-CF-App-Instance: " GUID ":1\r\nX-CF-App-Instance: no", SCOPE_APP_INSTANCE, GUID, "1" },
		{ "X-CF-App-Instance:\r\nX-CF-Process-Instance: " GUID, SCOPE_PROCESS, GUID, "" },
		{ "X-CF-App-Instance:",                     SCOPE_ROUTE, "", "" },
		{ "X-CF-Process-Instance:  ",               SCOPE_ROUTE, "", "" },
	};
	struct exchange_test *t = *state;
	char request[256];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exchange *x;

		snprintf(request, sizeof(request), REQUEST("%s\r\n"), cases[i].fields);
		x = ask(t, request);
		if (x->wish.scope != cases[i].scope ||
		    !str_equal(x->wish.guid, str_of(cases[i].guid)) ||
		    !str_equal(x->wish.index, str_of(cases[i].index)))
			fail_msg("%s", cases[i].fields);
	}
}

static void a_name_that_makes_no_sense_is_refused(void **state)
{
	static const char *const bad[] = {
		"x", ":", ":0", GUID ":", GUID ":-1", GUID ":+1", GUID ":1:2", GUID ":1 ,", GUID ": 1",
		GUID "0:1", "0123ABCD-0123-0123-0123-0123456789ab:1", "0123abcd00123-0123-0123-0123456789ab:1",
		"0123abcg-0123-0123-0123-0123456789ab:1", "123abcd-0123-0123-0123-0123456789ab:1",
		GUID ":1x", GUID ":\303\244",
	};
	static const struct { const char *name, *error, *body; enum failure failure; } fields[] = {
		{ "X-CF-App-Instance", "invalid_cf_app_instance_header",
		  "400 Bad Request: Invalid X-CF-App-Instance Header\n", FAIL_BAD_APP_INSTANCE },
		{ "X-CF-Process-Instance", "invalid_cf_process_instance_header",
		  "400 Bad Request: Invalid X-CF-Process-Instance Header\n", FAIL_BAD_PROCESS_INSTANCE },
	};
	struct exchange_test *t = *state;
	char request[256];
	unsigned refused = 0;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		for (size_t f = 0; f < ARRAY_SIZE(fields); f++) {
			struct exchange *x;

			snprintf(request, sizeof(request), REQUEST("%s: %s\r\n"), fields[f].name, bad[i]);
			x = exchange_test_begin(t, request);
			if (steps_request(x))
				fail_msg("%s", bad[i]);
			assert_int_equal(x->response.status, 400);
			assert_int_equal(x->failure, fields[f].failure);
			assert_text(x->local_body, fields[f].body);
			assert_string_equal(fields_value(&x->response, "X-Cf-Routererror"), fields[f].error);
			assert_string_equal(fields_value(&x->response, "Cache-Control"), "no-cache, no-store");
			refused++;
		}
	assert_int_equal(t->proxy.counters[COUNTER_rejected_requests], refused);
	assert_false(steps_request(exchange_test_begin(t, REQUEST("X-CF-App-Instance: " GUID "\r\n"))));
}

static void an_instance_that_is_not_there_is_named_in_the_answer(void **state)
{
	static const struct { const char *fields, *body; } cases[] = {
		{ "X-CF-App-Instance: " GUID ":7", "Requested instance ('7') with guid ('" GUID "')" },
		{ "X-CF-Process-Instance: " GUID ":7",
		  "Requested instance ('7') with process guid ('" GUID "')" },
		{ "X-CF-Process-Instance: " GUID, "Requested instance with process guid ('" GUID "')" },
	};
	struct exchange_test *t = *state;
	char text[512];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exchange *x;

		snprintf(text, sizeof(text), REQUEST("%s\r\n"), cases[i].fields);
		x = ask(t, text);
		assert_int_equal(instance_reject(x), ADVANCE);
		snprintf(text, sizeof(text), "400 Bad Request: %s does not exist for route ('app.example')\n",
			 cases[i].body);
		assert_int_equal(x->response.status, 400);
		assert_int_equal(x->failure, FAIL_NO_INSTANCE);
		assert_text(x->local_body, text);
		assert_string_equal(fields_value(&x->response, "X-Cf-Routererror"), "unknown_route");
		assert_string_equal(fields_value(&x->response, "Cache-Control"), "no-cache, no-store");
	}
}

#define STICKY(test) cmocka_unit_test_setup_teardown(test, set_up, exchange_test_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STICKY(a_session_needs_its_cookie_and_the_name_of_its_instance),
		STICKY(a_request_that_is_too_large_sticks_nowhere),
		STICKY(an_authorization_in_progress_must_stick),
		STICKY(the_cookie_of_a_session_is_followed_by_ours),
		STICKY(the_first_cookie_of_a_session_is_the_one_that_counts),
		STICKY(the_cookie_is_not_ours_to_set),
		STICKY(a_session_that_moved_is_told_where_it_is),
		STICKY(an_authorization_that_begins_sticks_for_a_minute),
		STICKY(the_path_is_the_routes_in_the_letters_of_the_client),
		STICKY(an_instance_is_named_by_a_guid_and_an_index),
		STICKY(a_name_that_makes_no_sense_is_refused),
		STICKY(an_instance_that_is_not_there_is_named_in_the_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
