/*
 * tests/unit/base/test_addr.c - texts that are IP addresses, and those that are not: as
 * inet_pton() has it, whichever way they are read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "base/addr.h"

/* Of exactly these bytes, with a digit behind them that is none of theirs. */
static void assert_as_inet_pton(const char *text)
{
	char copy[64];
	struct in_addr expected;
	struct addr addr;
	bool is_v4 = inet_pton(AF_INET, text, &expected) == 1;

	snprintf(copy, sizeof(copy), "%s1", text);
	if (addr_from_ip((struct str){ copy, strlen(text) }, 80, &addr) != is_v4)
		fail_msg("\"%s\" is %s address", text, is_v4 ? "an" : "no");
	if (!is_v4)
		return;
	assert_int_equal(addr.sa.sa_family, AF_INET);
	assert_int_equal(addr.in.sin_addr.s_addr, expected.s_addr);
	assert_int_equal(addr_port(&addr), 80);
}

static void every_octet_is_read_as_inet_pton_reads_it(void **state)
{
	static const char *const forms[] = { "%u.2.3.4", "1.%u.3.4", "1.2.%u.4", "1.2.3.%u",
					     "0%u.2.3.4", "1.2.3.0%u", "1.2.00.%u", "-%u.1.1.1" };
	char text[32];

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(forms); f++)
		for (unsigned i = 0; i < 1100; i++) {
			snprintf(text, sizeof(text), forms[f], i);
			assert_as_inet_pton(text);
		}
}

static void what_only_looks_like_an_address_is_none(void **state)
{
	static const char *const texts[] = {
		"1", "1.2", "1.2.3", "1.2.3.", ".1.2.3", "1..2.3", "1.2.3.4.", "1.2.3.4.5", "1.2.3.4 ",
		" 1.2.3.4", "1.2.3.4a", "a.b.c.d", "1.2.3.0x4", "+1.2.3.4", "0.0.0.0", "255.255.255.255",
		"4294967296.1.1.1", "1.2.3.4294967297", "1,2,3,4", "1.2.3.4/8", "....", "1.2.3.4:80",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_as_inet_pton(texts[i]);
}

/* Each byte of an address replaced by each character that a name may have, and more. */
static void one_wrong_byte_is_enough(void **state)
{
	static const char address[] = "10.20.130.4";
	char text[sizeof(address)];

	(void)state;
	for (size_t at = 0; at + 1 < sizeof(address); at++)
		for (int c = 1; c < 256; c++) {
			if (c == ':')
				continue;     /* which makes some of them IPv6 */
			memcpy(text, address, sizeof(text));
			text[at] = (char)c;
			assert_as_inet_pton(text);
		}
}

static void brackets_and_ipv6_are_addresses_too(void **state)
{
	struct addr addr;

	(void)state;
	assert_true(addr_from_ip(STR("[::1]"), 1, &addr) && addr.sa.sa_family == AF_INET6);
	assert_true(addr_from_ip(STR("2001:db8::1.2.3.4"), 1, &addr) && addr.sa.sa_family == AF_INET6);
	assert_true(addr_from_ip(STR("[1.2.3.4]"), 1, &addr) && addr.sa.sa_family == AF_INET);
	assert_false(addr_from_ip(STR("[]"), 1, &addr));
	assert_false(addr_from_ip(STR("["), 1, &addr));
	assert_false(addr_from_ip(STR_NONE, 1, &addr));
	assert_false(addr_from_ip(STR("0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"), 1, &addr));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_octet_is_read_as_inet_pton_reads_it),
		cmocka_unit_test(what_only_looks_like_an_address_is_none),
		cmocka_unit_test(one_wrong_byte_is_enough),
		cmocka_unit_test(brackets_and_ipv6_are_addresses_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
