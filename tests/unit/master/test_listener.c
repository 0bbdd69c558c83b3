/*
 * tests/unit/master/test_listener.c - sockets are kept by address, opened whole
 * or not at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "master/listener.h"

/* A configuration with these listeners; port 0 lets the kernel choose. */
static struct master_config config_of(const char *const *addresses, unsigned count)
{
	struct master_config config = { .listener_count = count };
	struct reason reason;

	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(addr_parse(str_of(addresses[i]), &config.listeners[i].addr, &reason), 0);
		config.listeners[i].backlog = 16;
		str_copy_z(STR("http"), config.listeners[i].kind, sizeof(config.listeners[i].kind));
		str_copy_z(STR("wye.conf:7"), config.listeners[i].where,
			   sizeof(config.listeners[i].where));
	}
	return config;
}

static struct addr bound_to(int fd)
{
	struct addr addr = { .len = sizeof(addr.in6) };

	assert_int_equal(getsockname(fd, &addr.sa, &addr.len), 0);
	return addr;
}

static int connect_to(const struct addr *addr)
{
	int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = connect(fd, &addr->sa, addr->len) < 0 ? -errno : 0;

	close(fd);
	return rc;
}

static const char *const one[] = { "127.0.0.1:0" };

static void sockets_do_not_block_and_do_not_leak_into_children(void **state)
{
	struct master_config config = config_of(one, 1);
	struct listeners set;
	struct reason reason;

	(void)state;
	assert_int_equal(listeners_open(&config, NULL, &set, &reason), 0);
	assert_int_equal(accept(set.items[0].fd, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(fcntl(set.items[0].fd, F_GETFD) & FD_CLOEXEC);
	listeners_close(&set, NULL);
}

static void a_reload_keeps_the_socket_of_an_address_that_stays(void **state)
{
	struct master_config config = config_of(one, 1);
	struct listeners old, next;
	struct reason reason;
	struct addr addr;

	(void)state;
	assert_int_equal(listeners_open(&config, NULL, &old, &reason), 0);
	assert_int_equal(listeners_open(&config, &old, &next, &reason), 0);
	assert_int_equal(old.items[0].fd, next.items[0].fd);
	addr = bound_to(next.items[0].fd);
	listeners_close(&old, &next);
	assert_int_equal(connect_to(&addr), 0);
	listeners_close(&next, NULL);
	assert_int_equal(connect_to(&addr), -ECONNREFUSED);
}

static void a_port_in_use_is_named_and_nothing_new_stays_open(void **state)
{
	const char *const two[] = { "127.0.0.1:0", "127.0.0.1:1" };
	struct master_config config = config_of(one, 1), wanted = config_of(two, 2);
	struct listeners holder, set;
	struct reason reason;
	int before = dup(0);

	(void)state;
	close(before);
	assert_int_equal(listeners_open(&config, NULL, &holder, &reason), 0);
	wanted.listeners[1].addr = bound_to(holder.items[0].fd);
	assert_int_equal(listeners_open(&wanted, NULL, &set, &reason), -EADDRINUSE);
	assert_non_null(strstr(reason.text, "wye.conf:7: cannot listen on 127.0.0.1:"));
	assert_non_null(strstr(reason.text, "in use"));
	listeners_close(&holder, NULL);
	assert_int_equal(dup(0), before);     /* the lowest free descriptor is the same again */
	close(before);
}

static void the_ipv6_wildcard_takes_ipv4_as_well(void **state)
{
	static const char *const any[] = { "[::]:0" };
	struct master_config config = config_of(any, 1);
	struct listeners set;
	struct reason reason;
	struct addr addr;

	(void)state;
	if (listeners_open(&config, NULL, &set, &reason) == -EAFNOSUPPORT)
		skip();
	addr_from_ip(STR("127.0.0.1"), 0, &addr);
	addr.in.sin_port = bound_to(set.items[0].fd).in6.sin6_port;
	assert_int_equal(connect_to(&addr), 0);
	listeners_close(&set, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_do_not_block_and_do_not_leak_into_children),
		cmocka_unit_test(a_reload_keeps_the_socket_of_an_address_that_stays),
		cmocka_unit_test(a_port_in_use_is_named_and_nothing_new_stays_open),
		cmocka_unit_test(the_ipv6_wildcard_takes_ipv4_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
