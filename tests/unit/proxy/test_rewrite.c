/*
 * tests/unit/proxy/test_rewrite.c - http_rewrite.responses: on answers of apps,
 * on interim ones and on our own.
 */
#include <stdio.h>

#include "proxy/respond.h"
#include "proxy/steps.h"
#include "tests/unit/fixture/proxy_exchange.h"

#define PLAIN "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n"

/* Two names go; two fields of one name come, and a Server of our own. */
static struct rewrite_rule rules[] = {
	{ (char *)"Server", NULL }, { (char *)"X-Secret", NULL },
	{ (char *)"X-Extra", (char *)"one" }, { (char *)"X-Extra", (char *)"two" },
	{ (char *)"Server", (char *)"ours" },
};
static const struct rewrite_settings all = { rules, 2, ARRAY_SIZE(rules) };

static void some_fields_go_and_then_what_is_missing_comes(void **state)
{
	static const struct { const char *before, *after; } cases[] = {
		{ "", "X-Extra: one\nX-Extra: two\nServer: ours\n" },
		{ "A: 1\n", "A: 1\nX-Extra: one\nX-Extra: two\nServer: ours\n" },
		{ "server: app\nA: 1\nSERVER: b\n", "A: 1\nX-Extra: one\nX-Extra: two\nServer: ours\n" },
		{ "x-extra: app\n", "x-extra: app\nServer: ours\n" },
		{ "X-Extra:\nX-Secret: s\n", "X-Extra: \nServer: ours\n" },
	};
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, PLAIN);
	char text[128];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fields_fill(&x->response, cases[i].before);
		rewrite_apply(&all, &x->response);
		fields_assert(&x->response, cases[i].after);
	}
	for (size_t i = 0; i < 3; i++) {              /* the same, field by field */
		static const char *const names[] = { "A", "X-Extra", "x-secret" };
		static const char *const after[] = {
			"X-Extra: one\nX-Extra: two\nServer: ours\nA: 1\n",
			"Server: ours\nX-Extra: 1\n",
			"X-Extra: one\nX-Extra: two\nServer: ours\n",
		};

		fields_fill(&x->response, "");
		rewrite_apply(&all, &x->response);
		rewrite_add(&all, &x->response, str_of(names[i]), STR("1"));
		snprintf(text, sizeof(text), "%s", after[i]);
		fields_assert(&x->response, text);
	}
}

static void begin_response(struct exchange *x, unsigned status, const char *fields)
{
	http_head_init(&x->response, &x->arena);
	x->response.status = status;
	fields_fill(&x->response, fields);
}

static void answers_of_apps_are_rewritten_after_all_else(void **state)
{
	static struct rewrite_rule removals[] = {
		{ (char *)"X-Vcap-Request-Id", NULL }, { (char *)"Date", NULL },
	};
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, PLAIN);
	enum failure failure;

	t->settings.headers.responses = (struct rewrite_settings){ removals, 2, 2 };
	assert_true(steps_request(x));
	begin_response(x, 200, "Date: yesterday\nA: 1\n");
	assert_true(steps_response(x, &failure));
	assert_string_equal(fields_value(&x->response, "X-Vcap-Request-Id"), "");
	assert_string_equal(fields_value(&x->response, "Date"), t->proxy.date);
	t->settings.headers.responses = all;
	begin_response(x, 200, "Server: app\nDate: yesterday\n");
	assert_true(steps_response(x, &failure));
	assert_string_equal(fields_value(&x->response, "Server"), "ours");
	assert_string_equal(fields_value(&x->response, "X-Extra"), "one|two");
	assert_string_equal(fields_value(&x->response, "Date"), "yesterday");
}

static void interim_answers_are_rewritten_too(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, PLAIN);

	t->settings.headers.responses = all;
	begin_response(x, 103, "Link: </a>\nServer: app\n");
	steps_interim(x);
	fields_assert(&x->response, "Link: </a>\nX-Extra: one\nX-Extra: two\nServer: ours\n");
}

static void our_own_answers_are_rewritten_but_not_the_servers(void **state)
{
	struct exchange_test *t = *state;
	struct exchange *x = exchange_test_begin(t, PLAIN);

	t->settings.headers.responses = all;
	respond_error(x, 404, STR("unknown_route"), STR("gone"));
	respond_add(x, STR("X-Extra"), STR("mine"));
	respond_add(x, STR("X-Secret"), STR("mine"));
	assert_string_equal(fields_value(&x->response, "Server"), "ours");
	assert_string_equal(fields_value(&x->response, "X-Extra"), "mine");
	assert_string_equal(fields_value(&x->response, "X-Secret"), "");
	assert_string_equal(fields_value(&x->response, "X-Cf-RouterError"), "unknown_route");
	respond_refusal(x, 400, STR_NONE);
	fields_assert(&x->response, "Content-Type: text/plain; charset=utf-8\n");
	x = exchange_test_begin(t, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_false(steps_request(x));
	assert_int_equal(x->response.count, 1);
	assert_string_equal(fields_value(&x->response, "Date"), t->proxy.date);
	x = exchange_test_begin(t, "GET / HTTP/1.2\r\nHost: a\r\n\r\n");
	assert_false(steps_request(x));
	assert_int_equal(x->response.count, 0);
	x = exchange_test_begin(t, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
	x->is_monitor = true;
	assert_false(steps_request(x));
	assert_string_equal(fields_value(&x->response, "Server"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_AN_EXCHANGE(some_fields_go_and_then_what_is_missing_comes),
		ON_AN_EXCHANGE(answers_of_apps_are_rewritten_after_all_else),
		ON_AN_EXCHANGE(interim_answers_are_rewritten_too),
		ON_AN_EXCHANGE(our_own_answers_are_rewritten_but_not_the_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
