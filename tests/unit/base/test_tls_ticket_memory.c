/*
 * tests/unit/base/test_tls_ticket_memory.c - the memory that one process writes and others map.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/tls_ticket_keys.h"

struct shared {
	struct tls_ticket_keys *master;
	const struct tls_ticket_keys *worker;
	int fd;
};

static struct shared shared_open(void)
{
	struct shared s;
	struct reason reason;

	assert_int_equal(tls_ticket_keys_create(&s.master, &s.fd, &reason), 0);
	assert_int_equal(tls_ticket_keys_map(s.fd, &s.worker, &reason), 0);
	return s;
}

static void shared_close(struct shared *s)
{
	tls_ticket_keys_unmap(s->worker);
	tls_ticket_keys_unmap(s->master);
	close(s->fd);
}

static void nobody_else_can_write_them(void **state)
{
	struct shared s = shared_open();

	(void)state;
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, s.fd, 0), MAP_FAILED);
	assert_int_equal(errno, EPERM);
	assert_int_equal(mprotect((void *)s.worker, 4096, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(write(s.fd, "x", 1), -1);
	assert_int_equal(ftruncate(s.fd, 0), -1);
	shared_close(&s);
}

static void what_are_no_keys_is_refused(void **state)
{
	int fd = memfd_create("other", MFD_CLOEXEC);
	const struct tls_ticket_keys *keys;
	struct reason reason;

	(void)state;
	assert_int_equal(tls_ticket_keys_map(-1, &keys, &reason), -EINVAL);
	assert_int_equal(tls_ticket_keys_map(fd, &keys, &reason), -EINVAL);
	assert_string_equal(reason.text, "these are no ticket keys");
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_else_can_write_them),
		cmocka_unit_test(what_are_no_keys_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
