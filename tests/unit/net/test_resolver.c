/*
 * tests/unit/net/test_resolver.c - names over a real loop, from a name server
 * that the test plays itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/resolver.h"

#define TYPE_A 1

struct asker {
	struct task task;
	unsigned runs;
};

struct naming {
	struct loop *loop;
	struct resolver *resolver;
	struct asker asker;
	int server;                   /* the name server's socket */
	unsigned asked;               /* queries for addresses of IPv4 */
	uint32_t ttl_s;               /* of its answers */
};

/* The clock of the cache; c-ares has its own. */
static uint64_t ahead_ns;

static uint64_t read_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + ahead_ns;
}

static const struct clock_source movable_clock = { read_clock, read_clock };

static void asker_run(struct task *task)
{
	caa_container_of(task, struct asker, task)->runs++;
}

static int open_server(char name[32])
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	snprintf(name, 32, "127.0.0.1:%u", ntohs(at.sin_port));
	return fd;
}

static int set_up(void **state)
{
	struct naming *n = mem_zalloc(sizeof(*n));
	char server[32];

	ahead_ns = 0;
	clock_set_source(&movable_clock);
	n->loop = loop_create();
	n->resolver = resolver_create(n->loop);
	n->server = open_server(server);
	n->ttl_s = 10;
	assert_int_equal(resolver_use_servers(n->resolver, server), 0);
	task_init(&n->asker.task, asker_run);
	*state = n;
	return 0;
}

static int tear_down(void **state)
{
	struct naming *n = *state;

	resolver_destroy(n->resolver);
	task_fini(n->loop, &n->asker.task);
	loop_destroy(n->loop);
	close(n->server);
	free(n);
	clock_set_source(NULL);
	return 0;
}

/* Every name below "known" is 10.1.2.3, and there are no others. */
static size_t make_answer(struct naming *n, unsigned char *message, size_t len)
{
	static const unsigned char known[] = "\005known";
	unsigned char record[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 10, 1, 2, 3 };
	bool is_known = memmem(message, len, known, sizeof(known) - 1) != NULL;
	size_t end = 12;
	unsigned type;

	while (message[end])
		end += message[end] + 1u;
	end += 5;
	type = message[end - 3];
	n->asked += type == TYPE_A;
	message[2] = 0x81;
	message[3] = (unsigned char)(is_known ? 0x80 : 0x83);
	memset(message + 6, 0, 6);
	if (!is_known || type != TYPE_A)
		return end;
	message[7] = 1;
	for (int i = 0; i < 4; i++)
		record[6 + i] = (unsigned char)(n->ttl_s >> (24 - 8 * i));
	memcpy(message + end, record, sizeof(record));
	return end + sizeof(record);
}

static void serve_names(struct naming *n)
{
	unsigned char message[1024];
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	ssize_t got;

	while ((got = recvfrom(n->server, message, 512, 0, (struct sockaddr *)&from, &len)) > 12) {
		size_t size = make_answer(n, message, (size_t)got);

		assert_int_equal(sendto(n->server, message, size, 0, (struct sockaddr *)&from, len),
				 size);
	}
}

/* Runs the loop and the server until somebody was woken. */
static void wait_until_woken(struct naming *n, const struct asker *asker)
{
	for (int i = 0; i < 300 && !asker->runs; i++) {
		loop_turn(n->loop, 10);
		serve_names(n);
	}
	assert_int_equal(asker->runs, 1);
}

static enum io find(struct naming *n, const char *name, struct addr *out, int *error)
{
	return resolver_find(n->resolver, str_of(name), 8080, &n->asker.task, out, error);
}

static enum io find_and_wait(struct naming *n, const char *name, struct addr *out, int *error)
{
	enum io io = find(n, name, out, error);

	if (io != IO_AGAIN)
		return io;
	n->asker.runs = 0;
	wait_until_woken(n, &n->asker);
	return find(n, name, out, error);
}

static void assert_address(const struct addr *addr, const char *wanted)
{
	char text[ADDR_TEXT_SIZE];

	addr_format(addr, text);
	assert_string_equal(text, wanted);
}

static void addresses_and_the_hosts_file_are_answered_at_once(void **state)
{
	struct naming *n = *state;
	struct addr addr;
	int error;

	assert_int_equal(find(n, "10.0.0.1", &addr, &error), IO_OK);
	assert_address(&addr, "10.0.0.1:8080");
	assert_int_equal(find(n, "2001:db8::1", &addr, &error), IO_OK);
	assert_address(&addr, "[2001:db8::1]:8080");
	assert_int_equal(find(n, "localhost", &addr, &error), IO_OK);
	assert_address(&addr, "127.0.0.1:8080");
	serve_names(n);
	assert_int_equal(n->asked, 0);
}

static void a_name_is_asked_for_once_and_kept_for_its_time_to_live(void **state)
{
	struct naming *n = *state;
	struct addr addr;
	int error;

	assert_int_equal(find_and_wait(n, "a.known.test", &addr, &error), IO_OK);
	assert_address(&addr, "10.1.2.3:8080");
	ahead_ns += 9000000000u;
	assert_int_equal(find(n, "A.Known.TEST", &addr, &error), IO_OK);
	assert_int_equal(n->asked, 1);
	ahead_ns += 2000000000u;
	assert_int_equal(find_and_wait(n, "a.known.test", &addr, &error), IO_OK);
	assert_int_equal(n->asked, 2);
}

static void a_time_to_live_is_at_least_a_second_and_at_most_a_minute(void **state)
{
	struct naming *n = *state;
	struct addr addr;
	int error;

	n->ttl_s = 0;
	assert_int_equal(find_and_wait(n, "short.known.test", &addr, &error), IO_OK);
	assert_int_equal(find(n, "short.known.test", &addr, &error), IO_OK);
	ahead_ns += 1100000000u;
	assert_int_equal(find_and_wait(n, "short.known.test", &addr, &error), IO_OK);
	assert_int_equal(n->asked, 2);
	n->ttl_s = 86400;
	assert_int_equal(find_and_wait(n, "long.known.test", &addr, &error), IO_OK);
	ahead_ns += 61000000000u;
	assert_int_equal(find(n, "long.known.test", &addr, &error), IO_AGAIN);
	resolver_forget(n->resolver, &n->asker.task);
}

static void a_name_that_does_not_exist_is_an_error_for_a_second(void **state)
{
	struct naming *n = *state;
	struct addr addr;
	unsigned asked;
	int error;

	assert_int_equal(find_and_wait(n, "nobody.test", &addr, &error), IO_ERROR);
	assert_int_equal(error, ENOENT);
	asked = n->asked;
	assert_int_equal(find(n, "nobody.test", &addr, &error), IO_ERROR);
	serve_names(n);
	assert_int_equal(n->asked, asked);
	ahead_ns += 1100000000u;
	assert_int_equal(find(n, "nobody.test", &addr, &error), IO_AGAIN);
	resolver_forget(n->resolver, &n->asker.task);
}

static void all_who_wait_for_a_name_are_woken_but_not_who_went_away(void **state)
{
	struct naming *n = *state;
	struct asker others[2] = { { .runs = 0 }, { .runs = 0 } };
	struct addr addr;
	int error;

	for (int i = 0; i < 2; i++) {
		task_init(&others[i].task, asker_run);
		assert_int_equal(resolver_find(n->resolver, STR("b.known.test"), 1, &others[i].task,
					       &addr, &error), IO_AGAIN);
	}
	assert_int_equal(find(n, "b.known.test", &addr, &error), IO_AGAIN);
	assert_int_equal(find(n, "b.known.test", &addr, &error), IO_AGAIN);
	resolver_forget(n->resolver, &others[1].task);
	wait_until_woken(n, &n->asker);
	assert_int_equal(others[0].runs, 1);
	assert_int_equal(others[1].runs, 0);
	assert_int_equal(n->asked, 1);
	for (int i = 0; i < 2; i++)
		task_fini(n->loop, &others[i].task);
}

static void a_server_that_is_not_there_is_an_error_of_its_own(void **state)
{
	struct naming *n = *state;
	struct addr addr;
	char server[32];
	int error;

	close(open_server(server));
	assert_int_equal(resolver_use_servers(n->resolver, server), 0);
	assert_int_equal(find_and_wait(n, "c.known.test", &addr, &error), IO_ERROR);
	assert_int_equal(error, ETIMEDOUT);
	assert_int_equal(resolver_use_servers(n->resolver, "nonsense,"), -EINVAL);
}

static void names_are_bounded_and_the_oldest_are_forgotten(void **state)
{
	struct naming *n = *state;
	struct addr addr;
	char name[64];
	unsigned waiting = 0;
	int error;

	for (int i = 0; i < 1500; i++) {
		snprintf(name, sizeof(name), "n%d.known.test", i);
		waiting += find(n, name, &addr, &error) == IO_AGAIN;
	}
	assert_int_equal(waiting, 1024);
	resolver_forget(n->resolver, &n->asker.task);
	for (int i = 0; i < 50; i++) {
		loop_turn(n->loop, 5);
		serve_names(n);
	}
	assert_int_equal(find_and_wait(n, "one.more.known.test", &addr, &error), IO_OK);
}

#define WITH_NAMES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_NAMES(addresses_and_the_hosts_file_are_answered_at_once),
		WITH_NAMES(a_name_is_asked_for_once_and_kept_for_its_time_to_live),
		WITH_NAMES(a_time_to_live_is_at_least_a_second_and_at_most_a_minute),
		WITH_NAMES(a_name_that_does_not_exist_is_an_error_for_a_second),
		WITH_NAMES(all_who_wait_for_a_name_are_woken_but_not_who_went_away),
		WITH_NAMES(a_server_that_is_not_there_is_an_error_of_its_own),
		WITH_NAMES(names_are_bounded_and_the_oldest_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
