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
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "registrar/names.h"

/* What the name service says of "several.example": 127.0.0.N for each digit; "": nothing.  In the
 * place of the C library's functions. */
static const char *digits = "";

static struct addrinfo *made_up(const char *digit)
{
	struct addrinfo *info = calloc(1, sizeof(*info) + sizeof(struct sockaddr_in));
	struct sockaddr_in *in = (struct sockaddr_in *)(info + 1);

	*in = (struct sockaddr_in){ .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(0x7f000000u + (unsigned)(*digit - '0')) };
	*info = (struct addrinfo){ .ai_family = AF_INET, .ai_socktype = SOCK_STREAM,
				   .ai_addrlen = sizeof(*in), .ai_addr = (struct sockaddr *)in,
				   .ai_next = digit[1] ? made_up(digit + 1) : NULL };
	return info;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		struct addrinfo **out)
{
	(void)service;
	(void)hints;
	if (strcmp(node, "several.example") != 0 || !*digits)
		return EAI_NONAME;
	*out = made_up(digits);
	return 0;
}

void freeaddrinfo(struct addrinfo *info)
{
	while (info) {
		struct addrinfo *next = info->ai_next;

		free(info);
		info = next;
	}
}

static struct names *names_of_several(void)
{
	char *items[] = { "nats://several.example:4222" };

	return names_create(&(struct texts){ .items = items, .count = 1 });
}

/* The last digit of the source's address, or the error. */
static int claim(struct names *names, unsigned source)
{
	struct reason reason;
	struct addr addr;
	int rc = names_claim(names, 0, source, &addr, &reason);

	return rc < 0 ? rc : (int)(ntohl(addr.in.sin_addr.s_addr) & 0xff);
}

static unsigned spares(struct names *names)
{
	unsigned server, count = 0;

	while (names_take_spare(names, &server))
		count++;
	return count;
}

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

static void each_address_of_a_name_asks_for_a_source_of_its_own(void **state)
{
	struct names *names = names_of_several();

	(void)state;
	digits = "1232";
	assert_int_equal(claim(names, 0), 1);
	assert_int_equal(spares(names), 2);
	assert_int_equal(claim(names, 1), 2);
	assert_int_equal(spares(names), 0);   /* one is asked for, and did not ask yet */
	assert_int_equal(claim(names, 2), 3);
	assert_int_equal(claim(names, 0), 1);
	assert_int_equal(spares(names), 0);
	assert_int_equal(claim(names, 3), -ENOENT);
	names_destroy(names);
}

static void a_source_without_an_address_takes_the_next_that_comes(void **state)
{
	struct names *names = names_of_several();

	(void)state;
	digits = "12";
	claim(names, 0);
	assert_int_equal(spares(names), 1);
	claim(names, 1);
	digits = "1";
	assert_int_equal(claim(names, 1), -ENOENT);
	digits = "143";
	assert_int_equal(claim(names, 0), 1);
	assert_int_equal(spares(names), 1);   /* the other one is for who has none */
	assert_int_equal(claim(names, 1), 4);
	assert_int_equal(claim(names, 2), 3);
	names_destroy(names);
}

static void an_address_is_kept_while_the_name_service_is_away(void **state)
{
	struct names *names = names_of_several();

	(void)state;
	digits = "5";
	assert_int_equal(claim(names, 0), 5);
	digits = "";
	assert_int_equal(claim(names, 0), 5);
	digits = "6";
	assert_int_equal(claim(names, 0), 6);
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
		cmocka_unit_test(a_source_without_an_address_takes_the_next_that_comes),
		cmocka_unit_test(an_address_is_kept_while_the_name_service_is_away),
		cmocka_unit_test(a_name_that_is_not_known_is_a_reason_and_not_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
