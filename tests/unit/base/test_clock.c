/*
 * tests/unit/base/test_clock.c - durations, timestamps, addresses and hashing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/hash.h"

static uint64_t seven(void)
{
	return 7000000;
}

static void the_clock_can_be_replaced(void **state)
{
	static const struct clock_source fake = { seven, seven };

	(void)state;
	clock_set_source(&fake);
	assert_int_equal(clock_ms(), 7);
	assert_int_equal(clock_wall_ns(), 7000000);
	clock_set_source(NULL);
	assert_true(clock_wall_ns() > 1600000000000000000u);
}

static void durations_are_read_and_written(void **state)
{
	static const struct { const char *text; uint64_t ns; } good[] = {
		{ "15s", 15000000000u }, { "250ms", 250000000u }, { "1h5m", 3900000000000u }, { "0", 0 },
		{ "2m30s", 150000000000u }, { "1d", 86400000000000u }, { "7us", 7000u }, { "9ns", 9u },
	};
	static const char *const bad[] = { "", "15", "s", "-1s", "1x", "1 s", "99999999999999999999s" };
	char out[32];
	uint64_t ns;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		uint64_t again;

		assert_true(duration_parse(str_of(good[i].text), &ns));
		assert_true(ns == good[i].ns);
		duration_format(ns, out, sizeof(out));
		assert_true(ns == 0 || (duration_parse(str_of(out), &again) && again == ns));
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(duration_parse(str_of(bad[i]), &ns));
	assert_string_equal(duration_format(90000000000u, out, sizeof(out)), "1m30s");
}

static void timestamps_are_utc_with_nanoseconds(void **state)
{
	char out[TIMESTAMP_SIZE];

	(void)state;
	timestamp_format(951782400123456789u, out);
	assert_string_equal(out, "2000-02-29T00:00:00.123456789Z");
}

static void addresses_go_there_and_back(void **state)
{
	static const char *const good[] = { "10.0.0.1:80", "[::1]:65535", "[2001:db8::1]:1" };
	static const char *const bad[] = { "", "10.0.0.1", "10.0.0.1:", "10.0.0.1:65536",
					   "[::1]80", "x:80", "10.0.0:80" };
	struct addr addr, again;
	char text[ADDR_TEXT_SIZE];
	struct reason reason;
	uint8_t ip[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(addr_parse(str_of(good[i]), &addr, &reason), 0);
		addr_format(&addr, text);
		assert_string_equal(text, good[i]);
		addr_to_bytes(&addr, ip);
		addr_from_bytes(ip, addr_port(&addr), &again);
		addr_format(&again, text);
		assert_string_equal(text, good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(addr_parse(str_of(bad[i]), &addr, &reason), -EINVAL);
	assert_true(addr_from_ip(STR("[::1]"), 9, &addr));
	assert_false(addr_from_ip(STR("name"), 9, &addr));
}

static void hashes_depend_on_the_key(void **state)
{
	struct hash_key a = hash_key_random(), b = hash_key_random();

	(void)state;
	assert_true(hash_str(&a, STR("x")) == hash_bytes(&a, "x", 1));
	assert_true(hash_str(&a, STR("x")) != hash_str(&b, STR("x")));
	assert_true(hash_str(&a, STR("x")) != hash_str(&a, STR("y")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_clock_can_be_replaced),
		cmocka_unit_test(durations_are_read_and_written),
		cmocka_unit_test(timestamps_are_utc_with_nanoseconds),
		cmocka_unit_test(addresses_go_there_and_back),
		cmocka_unit_test(hashes_depend_on_the_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
