/*
 * tests/unit/registrar/test_bus.c - what servers that nobody can reach are allowed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "registrar/bus.h"

#define LIMIT (90u << 20)

static void all_servers_together_may_keep_so_much_waiting(void **state)
{
	char none[] = "", url[] = "nats://127.0.0.1:1";
	char *urls[] = { url, url, url };

	(void)state;
	for (unsigned count = 1; count <= 3; count++) {
		const struct nats_settings settings = {
			.servers = { .items = urls, .count = count }, .user = none, .password = none,
			.connect_timeout_ms = 100, .ping_interval_ms = 100, .pending_limit = LIMIT,
			.tls = { .ca = none, .certificate = none, .key = none, .server_name = none },
		};
		struct bus_source source;
		struct reason reason;
		struct bus *bus;
		uint64_t all = 0;

		assert_int_equal(bus_open(&settings, "test", &bus, &reason), 0);
		assert_int_equal(bus_sources(bus), count);
		for (unsigned i = 0; i < count; i++) {
			bus_source(bus, i, &source);
			assert_int_equal(source.pending_limit, LIMIT / count);
			all += source.pending_limit;
		}
		assert_true(all <= LIMIT);
		bus_close(bus);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_servers_together_may_keep_so_much_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
