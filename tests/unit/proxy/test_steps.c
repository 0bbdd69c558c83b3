/*
 * tests/unit/proxy/test_steps.c - what is done to every request and every answer,
 * from the head that came to the head that goes on.
 */
#include <ctype.h>
#include <stdio.h>

#include "proxy/steps.h"
#include "tests/unit/fixture/proxy_exchange.h"

#define REQUEST(fields) "GET / HTTP/1.1\r\nHost: app.example\r\n" fields "\r\n"

/* True: on to an endpoint. */
static bool admit(struct exchange_test *t, const char *request)
{
	struct exchange *x = exchange_test_begin(t, request);
	bool goes_on = steps_request(x);

	assert_int_equal(x->state == X_RESPOND, !goes_on);
	return goes_on;
}

static void assert_answer(const struct exchange *x, unsigned status, const char *body)
{
	assert_int_equal(x->response.status, status);
	assert_text(x->local_body, body);
}

static void an_ordinary_request_goes_on_with_these_fields(void **state)
{
	struct exchange_test *t = *state;

	assert_true(admit(t, REQUEST("A: 1\r\nConnection: close\r\nX-Forwarded-For: 1.1.1.1\r\n")));
	t->x->request_id[0] = '\0';
	http_head_set(&t->x->request, STR("X-Vcap-Request-Id"), STR("ID"));
	steps_forward(t->x);
	fields_assert(&t->x->request,
		      "A: 1\n"
		      "X-Forwarded-For: 1.1.1.1, " EXCHANGE_PEER_IP "\n"
		      "X-Vcap-Request-Id: ID\n"
		      "X-Forwarded-Proto: http\n"
		      "X-Request-Start: 1795179081846\n");
}

static void every_request_has_an_id_of_our_own_making(void **state)
{
	static const char *const requests[] = {
		REQUEST(""),
		REQUEST("X-Vcap-Request-Id: mine\r\n"),
		REQUEST("x-vcap-request-id: one\r\nA: 1\r\nX-VCAP-REQUEST-ID: two\r\n"),
		REQUEST("X-Vcap-Request-Id: mine\r\nConnection: X-Vcap-Request-Id\r\n"),
	};
	static const char form[] = "xxxxxxxx-xxxx-4xxx-vxxx-xxxxxxxxxxxx";
	struct exchange_test *t = *state;
	char last[REQUEST_ID_SIZE] = "";

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		const char *id;

		assert_true(admit(t, requests[i]));
		id = fields_value(&t->x->request, "X-Vcap-Request-Id");
		assert_string_equal(id, t->x->request_id);
		assert_int_equal(strlen(id), strlen(form));
		for (size_t at = 0; form[at]; at++)
			if (form[at] == 'x')
				assert_true(isxdigit(id[at]) && !isupper(id[at]));
			else if (form[at] == 'v')
				assert_non_null(strchr("89ab", id[at]));
			else
				assert_int_equal(id[at], form[at]);
		assert_string_not_equal(id, last);
		memcpy(last, id, sizeof(last));
	}
}

static void options_about_the_router_itself_are_answered(void **state)
{
	static const struct { const char *request; bool goes_on; } cases[] = {
		{ "OPTIONS * HTTP/1.1\r\nHost: app.example\r\n\r\n",  false },
		{ "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n",              false },
		{ "OPTIONS / HTTP/1.1\r\nHost: app.example\r\n\r\n",  true  },
		{ "OPTIONS /* HTTP/1.1\r\nHost: app.example\r\n\r\n", true  },
	};
	struct exchange_test *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(admit(t, cases[i].request), cases[i].goes_on);
		if (cases[i].goes_on)
			continue;
		assert_answer(t->x, 200, "");
		assert_true(t->x->response.has_length);
		assert_int_equal(t->x->response.content_length, 0);
	}
}

static void versions_that_we_do_not_speak_get_a_bare_400(void **state)
{
	static const struct { const char *request; bool goes_on; } cases[] = {
		{ "GET / HTTP/1.0\r\nHost: app.example\r\n\r\n", true  },
		{ "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n", true  },
		{ "GET / HTTP/1.2\r\nHost: app.example\r\n\r\n", false },
		{ "GET / HTTP/1.9\r\nHost: app.example\r\n\r\n", false },
	};
	struct exchange_test *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(admit(t, cases[i].request), cases[i].goes_on);
		if (cases[i].goes_on)
			continue;
		assert_answer(t->x, 400, "");
		assert_int_equal(t->x->response.minor, 0);
		assert_int_equal(t->x->response.count, 0);
		assert_false(t->x->response.has_length || t->x->response.keeps_alive);
	}
}

static void a_request_without_a_host_of_its_own_is_refused(void **state)
{
	static const struct { const char *host, *peer; bool goes_on; } cases[] = {
		{ "app.example",      "192.0.2.7",   true  },
		{ "app.example:8080", "192.0.2.7",   true  },
		{ "192.0.2.8",        "192.0.2.7",   true  },
		{ "192.0.2.7.nip.io", "192.0.2.7",   true  },
		{ "",                 "192.0.2.7",   false },
		{ ":80",              "192.0.2.7",   false },
		{ "192.0.2.7",        "192.0.2.7",   false },
		{ "192.0.2.7:80",     "192.0.2.7",   false },
	};
	struct exchange_test *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exchange *x = exchange_test_begin(t, REQUEST(""));

		x->request.authority = str_of(cases[i].host);
		x->peer_ip = str_of(cases[i].peer);
		assert_int_equal(steps_request(x), cases[i].goes_on);
		if (cases[i].goes_on)
			continue;
		assert_answer(x, 400, "400 Bad Request: Request had empty Host header\n");
		assert_string_equal(fields_value(&x->response, "X-Cf-RouterError"), "empty_host");
		assert_string_equal(fields_value(&x->response, "Cache-Control"),
				    "public,max-age=2");
		assert_string_equal(fields_value(&x->response, "Content-Type"),
				    "text/plain; charset=utf-8");
	}
}

/* "GET" "/" "HTTP/1.1" and 4; "app.example" and 8; our request id with 57. */
#define BARE_SIZE (3 + 1 + 8 + 4 + 11 + 8 + 57)

static void a_head_of_its_limit_or_more_is_refused(void **state)
{
	static const struct { const char *fields; uint64_t limit; bool goes_on; } cases[] = {
		{ "",                      BARE_SIZE + 1,          true  },
		{ "",                      BARE_SIZE,              false },
		{ "A: 12\n",               BARE_SIZE + 7 + 1,      true  },
		{ "A: 12\n",               BARE_SIZE + 7,          false },
		{ "A: 12\nA: 12\nB:\n",    BARE_SIZE + 19 + 1,     true  },
		{ "A: 12\nA: 12\nB:\n",    BARE_SIZE + 19,         false },
	};
	struct exchange_test *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exchange *x = exchange_test_begin(t, REQUEST(""));

		t->settings.max_request_header_bytes = cases[i].limit;
		fields_fill(&x->request, cases[i].fields);
		assert_true(steps_request(x));
		assert_int_equal(!x->is_too_large, cases[i].goes_on);
		if (cases[i].goes_on)
			continue;
		steps_refuse_size(x);
		assert_answer(x, 431, "");
		assert_string_equal(fields_value(&x->response, "X-Cf-RouterError"),
				    "max-request-size-exceeded");
		assert_true(x->response.keeps_alive);
	}
}

static void too_many_fields_are_refused_ours_included(void **state)
{
	static const struct { const char *fields; uint64_t limit; bool goes_on; } cases[] = {
		{ "A: 1\nB: 2\nC: 3\n", 0, true  },
		{ "A: 1\nB: 2\nC: 3\n", 4, true  },
		{ "A: 1\nB: 2\nC: 3\n", 3, false },
		{ "A: 1\nA: 2\nA: 3\n", 3, false },
	};
	struct exchange_test *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exchange *x = exchange_test_begin(t, REQUEST(""));

		t->settings.max_request_headers = cases[i].limit;
		fields_fill(&x->request, cases[i].fields);
		assert_true(steps_request(x));
		assert_int_equal(!x->is_too_large, cases[i].goes_on);
	}
}

static void pragma_no_cache_becomes_cache_control(void **state)
{
	static const struct { const char *fields, *value; } cases[] = {
		{ "Pragma: no-cache\n",                             "no-cache"  },
		{ "Pragma: no-cache\nCache-Control: max-age=1\n",   "max-age=1" },
		{ "Pragma: no-cache\nCache-Control:\n",             ""          },
		{ "Pragma: No-Cache\n",                             ""          },
		{ "Pragma: x\nPragma: no-cache\n",                  ""          },
		{ "A: no-cache\n",                                  ""          },
	};
	struct exchange_test *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exchange *x = exchange_test_begin(t, REQUEST(""));

		fields_fill(&x->request, cases[i].fields);
		assert_true(steps_request(x));
		assert_string_equal(fields_value(&x->request, "Cache-Control"), cases[i].value);
	}
}

static void a_missing_body_is_said_only_where_one_is_expected(void **state)
{
	static const struct { const char *request; bool has_length; uint64_t length; } cases[] = {
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n",                          false, 0 },
		{ "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",                         false, 0 },
		{ "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n",                       false, 0 },
		{ "POST / HTTP/1.1\r\nHost: a\r\n\r\n",                         true,  0 },
		{ "PUT / HTTP/1.1\r\nHost: a\r\n\r\n",                          true,  0 },
		{ "PATCH / HTTP/1.1\r\nHost: a\r\n\r\n",                        true,  0 },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",    true,  0 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",     false, 0 },
		{ "DELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",  false, 0 },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", true,  3 },
		{ "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",  true,  3 },
	};
	struct exchange_test *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(admit(t, cases[i].request));
		assert_int_equal(t->x->request.has_length, cases[i].has_length);
		assert_int_equal(t->x->request.content_length, cases[i].length);
	}
}

static void the_monitor_is_told_how_healthy_we_are(void **state)
{
	static const struct { enum health health; unsigned status; const char *body; } cases[] = {
		{ HEALTH_INITIALIZING, 503, ""     },
		{ HEALTH_HEALTHY,      200, "ok\n" },
		{ HEALTH_DEGRADED,     503, ""     },
	};
	struct exchange_test *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		board_set_fact(t->table->board, FACT_HEALTH, cases[i].health);
		/* whatever the host and the version */
		assert_false(admit(t, "GET /x HTTP/1.2\r\nHost:\r\nUser-Agent: HTTP-Monitor/1.1\r\n\r\n"));
		assert_answer(t->x, cases[i].status, cases[i].body);
		assert_string_equal(fields_value(&t->x->response, "Cache-Control"),
				    "private, max-age=0");
		assert_string_equal(fields_value(&t->x->response, "Expires"), "0");
		assert_string_equal(fields_value(&t->x->response, "Content-Type"), "");
	}
	assert_false(admit(t, REQUEST("User-Agent: HTTP-Monitor/1.1 \r\nX: 1\r\n")));
	assert_true(admit(t, REQUEST("User-Agent: http-monitor/1.1\r\n")));
	assert_true(admit(t, REQUEST("User-Agent: HTTP-Monitor/1.10\r\n")));
	assert_true(admit(t, REQUEST("")));
}

static void a_status_port_answers_three_things_and_routes_nothing(void **state)
{
	static const struct { const char *target; unsigned status; const char *body; } cases[] = {
		{ "/health",     200, "ok\n" },
		{ "/health?x=1", 200, "ok\n" },
		{ "/is-process-alive-do-not-use-for-loadbalancing", 200, "ok\n" },
		{ "/health/",    404, "404 page not found\n" },
		{ "/",           404, "404 page not found\n" },
	};
	struct exchange_test *t = *state;

	board_set_fact(t->table->board, FACT_HEALTH, HEALTH_HEALTHY);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exchange *x = exchange_test_begin(t, REQUEST(""));

		x->is_monitor = true;
		x->request.target = str_of(cases[i].target);
		assert_false(steps_request(x));
		assert_answer(x, cases[i].status, cases[i].body);
	}
	board_set_fact(t->table->board, FACT_HEALTH, HEALTH_DEGRADED);
	for (size_t i = 0; i < 3; i++) {
		struct exchange *x = exchange_test_begin(t, REQUEST(""));

		x->is_monitor = true;
		x->request.target = str_of(cases[i].target);
		assert_false(steps_request(x));
		assert_answer(x, i < 2 ? 503 : 200, i < 2 ? "" : "ok\n");
	}
}

static void each_attempt_names_its_endpoint_and_only_that(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, REQUEST(""));

	fields_fill(&x->request, "x-cf-instanceid: forged\nX-CF-App-Instance: guid:0\n"
		    "X-CF-Process-Instance: guid\nX-Cf-ApplicationID: forged\n");
	x->endpoint = (struct endpoint){
		.host = STR("10.0.0.1"), .port = 8080, .app_id = STR("app-1"),
		.instance_id = STR("instance-1"), .instance_index = STR("1"),
	};
	x->request.keeps_alive = false;       /* the client's wish about its own connection */
	steps_attempt(x);
	fields_assert(&x->request,
		      "X-Cf-Instanceid: instance-1\nX-CF-Process-Instance: guid\n"
		      "X-Cf-Applicationid: app-1\nX-Cf-Instanceindex: 1\n");
	assert_true(x->request.keeps_alive);
	x->endpoint = (struct endpoint){ .host = STR("10.0.0.2"), .port = 81 };
	steps_attempt(x);
	fields_assert(&x->request,
		      "X-Cf-Instanceid: 10.0.0.2:81\nX-CF-Process-Instance: guid\n"
		      "X-Cf-Applicationid: \nX-Cf-Instanceindex: \n");
}

/* Handler 7 of spec proxy section 4: before anything looks at them. */
static void a_client_may_not_say_which_instance_answered(void **state)
{
	static const bool settings[] = { true, false };
	struct exchange_test *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		t->settings.headers.send_http_start_stop_server_event = settings[i];
		assert_true(admit(t, REQUEST("X-CF-ApplicationID: a\r\nX-CF-InstanceID: b\r\n"
					     "x-cf-instanceindex: c\r\nX-CF-InstanceIndex: d\r\n")));
		assert_int_equal(http_head_has(&t->x->request, STR("X-Cf-Applicationid")), !settings[i]);
		assert_int_equal(http_head_has(&t->x->request, STR("X-Cf-Instanceid")), !settings[i]);
		assert_string_equal(fields_value(&t->x->request, "X-Cf-Instanceindex"),
				    settings[i] ? "" : "c|d");
	}
}

static void begin_response(struct exchange *x, unsigned status, const char *fields)
{
	http_head_init(&x->response, &x->arena);
	x->response.status = status;
	x->response.minor = 0;
	x->response.reason = STR("Whatever");
	x->response.keeps_alive = false;
	fields_fill(&x->response, fields);
}

static void an_answer_goes_on_without_its_connections_fields_and_with_ours(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, REQUEST(""));
	enum failure failure = FAIL_NONE;
	char expected[256];

	assert_true(steps_request(x));
	begin_response(x, 200, "Connection: close, X-Foo\nKeep-Alive: timeout=5\nX-Foo: 1\nA: 1\n"
		       "X-CF-Proxy-Signature: secret\nDate: yesterday\nX-Cf-RouterError: the app's\n");
	assert_true(steps_response(x, &failure));
	snprintf(expected, sizeof(expected), "A: 1\nDate: yesterday\nX-Cf-RouterError: the app's\n"
		 "X-Vcap-Request-Id: %s\n", x->request_id);
	fields_assert(&x->response, expected);
	assert_int_equal(x->response.minor, 1);
	assert_text(x->response.reason, "OK");
	assert_true(x->response.keeps_alive);
	begin_response(x, 200, "X-Vcap-Request-Id: the app's\n");
	assert_true(steps_response(x, &failure));
	assert_string_equal(fields_value(&x->response, "X-Vcap-Request-Id"), "the app's");
	assert_string_equal(fields_value(&x->response, "Date"), t->proxy.date);
	assert_int_equal(failure, FAIL_NONE);
}

/* Its next bytes may be the body or another request: nobody can tell.  And a body that
 * the endpoint does not take any more need not come. */
static void a_client_whose_body_may_not_come_loses_its_connection(void **state)
{
	static const struct { bool waits, endpoint_goes_on, keeps_alive; } cases[] = {
		{ false, true,  true  },
		{ true,  true,  false },
		{ false, false, false },
		{ true,  false, false },
	};
	struct exchange_test *t = *state;
	enum failure failure;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(admit(t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
				     "Expect: 100-continue\r\n\r\n"));
		t->x->expects_continue = cases[i].waits;
		begin_response(t->x, 200, "");
		t->x->response.keeps_alive = cases[i].endpoint_goes_on;
		assert_true(steps_response(t->x, &failure));
		assert_int_equal(t->x->response.keeps_alive, cases[i].keeps_alive);
	}
}

static void whoever_knows_the_key_learns_the_way_of_a_request(void **state)
{
	static char key[] = "secret", none[] = "";
	static const struct { char *key; const char *said; bool is_told; } cases[] = {
		{ none, "",                          false },
		{ none, "X-Vcap-Trace:\r\n",         false },
		{ key,  "",                          false },
		{ key,  "X-Vcap-Trace: Secret\r\n",  false },
		{ key,  "X-Vcap-Trace: secret2\r\n", false },
		{ key,  "x-vcap-trace: secret\r\n",  true  },
	};
	struct exchange_test *t = *state;
	enum failure failure;
	char request[128];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(request, sizeof(request), REQUEST("%s"), cases[i].said);
		t->settings.headers.trace_key = cases[i].key;
		assert_true(admit(t, request));
		t->x->endpoint = (struct endpoint){ .host = STR("10.0.0.1"), .port = 8080 };
		begin_response(t->x, 200, "X-Vcap-Backend: forged\n");
		assert_true(steps_response(t->x, &failure));
		assert_string_equal(fields_value(&t->x->response, "X-Vcap-Backend"),
				    cases[i].is_told ? "10.0.0.1:8080" : "forged");
		assert_string_equal(fields_value(&t->x->response, "X-Cf-Routeendpoint"),
				    cases[i].is_told ? "10.0.0.1:8080" : "");
		assert_int_equal(http_head_has(&t->x->response, STR("X-Vcap-Router")),
				 cases[i].is_told);
	}
}

static void pragma_of_an_answer_becomes_cache_control_too(void **state)
{
	static const struct { const char *fields, *value; } cases[] = {
		{ "Pragma: no-cache\n",                           "no-cache"  },
		{ "pragma: no-cache\nCache-Control: max-age=1\n", "max-age=1" },
		{ "Pragma: public\n",                             ""          },
	};
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, REQUEST(""));
	enum failure failure;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin_response(x, 200, cases[i].fields);
		assert_true(steps_response(x, &failure));
		assert_string_equal(fields_value(&x->response, "Cache-Control"), cases[i].value);
	}
}

static void answers_that_have_no_body_do_not_describe_one(void **state)
{
	static const struct { unsigned status; bool keeps_length; const char *type; } cases[] = {
		{ 200, true,  "text/html" },
		{ 204, false, "text/html" },
		{ 304, false, ""          },
		{ 404, true,  "text/html" },
	};
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, REQUEST(""));
	enum failure failure;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin_response(x, cases[i].status, "Content-Type: text/html\n");
		x->response.has_length = true;
		x->response.content_length = 5;
		assert_true(steps_response(x, &failure));
		assert_int_equal(x->response.has_length, cases[i].keeps_length);
		assert_string_equal(fields_value(&x->response, "Content-Type"), cases[i].type);
	}
}

/* 65 names in Connection are more than we look at; then no field is known to be
 * the client's. */
static void begin_with_too_many_options(struct exchange *x, unsigned status)
{
	char text[1024];
	size_t len = (size_t)snprintf(text, sizeof(text), "Link: x\nSecret: 1\nConnection: Secret");

	for (int i = 0; i < 64; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, ",N%d", i);
	begin_response(x, status, arena_copy(&x->arena, (struct str){ text, len + 1 }).p);
}

static void an_answer_with_too_many_connection_options_is_malformed(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, REQUEST(""));
	enum failure failure = FAIL_NONE;

	begin_with_too_many_options(x, 200);
	assert_false(steps_response(x, &failure));
	assert_int_equal(failure, FAIL_BAD_RESPONSE);
}

static void an_interim_answer_gets_no_fields_of_ours(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, REQUEST(""));

	begin_response(x, 103, "Connection: X-Foo\nX-Foo: 1\nLink: </a>\nX-CF-Proxy-Signature: s\n"
		       "Upgrade: x\n");
	steps_interim(x);
	fields_assert(&x->response, "Link: </a>\n");
	assert_int_equal(x->response.minor, 1);
	assert_text(x->response.reason, "Early Hints");
}

static void an_interim_answer_with_too_many_connection_options_loses_its_fields(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, REQUEST(""));

	begin_with_too_many_options(x, 103);
	steps_interim(x);
	fields_assert(&x->response, "");
	assert_int_equal(x->response.status, 103);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_AN_EXCHANGE(an_ordinary_request_goes_on_with_these_fields),
		ON_AN_EXCHANGE(every_request_has_an_id_of_our_own_making),
		ON_AN_EXCHANGE(options_about_the_router_itself_are_answered),
		ON_AN_EXCHANGE(versions_that_we_do_not_speak_get_a_bare_400),
		ON_AN_EXCHANGE(a_request_without_a_host_of_its_own_is_refused),
		ON_AN_EXCHANGE(a_head_of_its_limit_or_more_is_refused),
		ON_AN_EXCHANGE(too_many_fields_are_refused_ours_included),
		ON_AN_EXCHANGE(pragma_no_cache_becomes_cache_control),
		ON_AN_EXCHANGE(a_missing_body_is_said_only_where_one_is_expected),
		ON_AN_EXCHANGE(the_monitor_is_told_how_healthy_we_are),
		ON_AN_EXCHANGE(a_status_port_answers_three_things_and_routes_nothing),
		ON_AN_EXCHANGE(each_attempt_names_its_endpoint_and_only_that),
		ON_AN_EXCHANGE(an_answer_goes_on_without_its_connections_fields_and_with_ours),
		ON_AN_EXCHANGE(a_client_whose_body_may_not_come_loses_its_connection),
		ON_AN_EXCHANGE(whoever_knows_the_key_learns_the_way_of_a_request),
		ON_AN_EXCHANGE(pragma_of_an_answer_becomes_cache_control_too),
		ON_AN_EXCHANGE(a_client_may_not_say_which_instance_answered),
		ON_AN_EXCHANGE(answers_that_have_no_body_do_not_describe_one),
		ON_AN_EXCHANGE(an_answer_with_too_many_connection_options_is_malformed),
		ON_AN_EXCHANGE(an_interim_answer_gets_no_fields_of_ours),
		ON_AN_EXCHANGE(an_interim_answer_with_too_many_connection_options_loses_its_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
