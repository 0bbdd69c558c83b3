/*
 * tests/unit/registrar/test_names.c - URLs of NATS servers taken apart, and addresses
 * dealt out so that no two sources sit on one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "registrar/names.h"

static void a_url_is_taken_apart(void **state)
{
	static const struct {
		const char *url, *user, *password, *host;
		uint16_t port;
		bool is_tls;
	} cases[] = {
		{ "nats://nats.example:4222",      NULL,  NULL,    "nats.example", 4222, false },
		{ "nats://u:p@10.0.0.1:1",         "u",   "p",     "10.0.0.1",     1,    false },
		{ "tls://u:p@s:s@10.0.0.1:65535",  "u",   "p@s:s", "10.0.0.1",     65535, true },
		{ "nats://token@[::1]:4222",       "token", NULL,  "::1",          4222, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *items[] = { (char *)cases[i].url };
		struct names *names = names_create(&(struct texts){ .items = items, .count = 1 });
		const struct server_name *server = names_server(names, 0);

		assert_string_equal(server->host, cases[i].host);
		assert_int_equal(server->port, cases[i].port);
		assert_int_equal(server->is_tls, cases[i].is_tls);
		assert_true(!server->user == !cases[i].user);
		assert_true(!server->password == !cases[i].password);
		if (cases[i].user)
			assert_string_equal(server->user, cases[i].user);
		if (cases[i].password)
			assert_string_equal(server->password, cases[i].password);
		names_destroy(names);
	}
}

static void an_address_serves_one_source_and_stays_with_it(void **state)
{
	char *items[] = { "nats://127.0.0.1:4222" };
	struct names *names = names_create(&(struct texts){ .items = items, .count = 1 });
	struct addr first, again;
	struct reason reason;
	unsigned server;

	(void)state;
	assert_int_equal(names_claim(names, 0, 0, &first, &reason), 0);
	assert_int_equal(names_claim(names, 0, 0, &again, &reason), 0);
	assert_true(addr_equal(&first, &again));
	assert_int_equal(addr_port(&first), 4222);
	assert_int_equal(names_claim(names, 0, 1, &again, &reason), -ENOENT);
	assert_false(names_take_spare(names, &server));
	names_destroy(names);
}

/* "localhost" has one or two addresses: as many sources find one, and no more. */
static void each_address_of_a_name_asks_for_a_source_of_its_own(void **state)
{
	char *items[] = { "nats://localhost:4222" };
	struct names *names = names_create(&(struct texts){ .items = items, .count = 1 });
	struct addr addr[SOURCES_MAX];
	struct reason reason;
	unsigned server, sources = 1;

	(void)state;
	if (names_claim(names, 0, 0, &addr[0], &reason) < 0) {
		names_destroy(names);
		skip();
	}
	for (; names_take_spare(names, &server); sources++) {
		assert_true(sources < SOURCES_MAX);
		assert_int_equal(server, 0);
		assert_int_equal(names_claim(names, 0, sources, &addr[sources], &reason), 0);
		assert_false(addr_equal(&addr[sources], &addr[sources - 1]));
	}
	assert_int_equal(names_claim(names, 0, sources, &addr[sources], &reason), -ENOENT);
	names_destroy(names);
}

static void a_name_that_is_not_known_is_a_reason_and_not_an_end(void **state)
{
	char *items[] = { "nats://nobody.invalid:4222" };
	struct names *names = names_create(&(struct texts){ .items = items, .count = 1 });
	struct reason reason;
	struct addr addr;

	(void)state;
	assert_int_equal(names_claim(names, 0, 0, &addr, &reason), -EHOSTUNREACH);
	assert_non_null(strstr(reason.text, "nobody.invalid"));
	names_destroy(names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_url_is_taken_apart),
		cmocka_unit_test(an_address_serves_one_source_and_stays_with_it),
		cmocka_unit_test(each_address_of_a_name_asks_for_a_source_of_its_own),
		cmocka_unit_test(a_name_that_is_not_known_is_a_reason_and_not_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
