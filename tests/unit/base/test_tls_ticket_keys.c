/*
 * tests/unit/base/test_tls_ticket_keys.c - keys in shared memory: whole or not at all.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/tls_ticket_keys.h"

static struct tls_ticket_keys keys;

static void zeroed_memory_holds_no_keys(void **state)
{
	struct tls_ticket_keys none = { 0 }, copy;

	(void)state;
	assert_false(tls_ticket_keys_read(&none, &copy));
}

static void the_current_key_becomes_the_previous_one(void **state)
{
	struct tls_ticket_keys all = { 0 }, first, second;

	(void)state;
	tls_ticket_keys_rotate(&all);
	assert_true(tls_ticket_keys_read(&all, &first));
	tls_ticket_keys_rotate(&all);
	assert_true(tls_ticket_keys_read(&all, &second));
	assert_memory_equal(&second.previous, &first.current, sizeof(first.current));
	assert_memory_not_equal(&second.current, &first.current, sizeof(first.current));
}

static void a_writer_that_died_half_way_leaves_no_keys_until_the_next(void **state)
{
	struct tls_ticket_keys all = { 0 }, copy;

	(void)state;
	tls_ticket_keys_rotate(&all);
	all.version++;
	assert_false(tls_ticket_keys_read(&all, &copy));
	tls_ticket_keys_rotate(&all);
	assert_true(tls_ticket_keys_read(&all, &copy));
}

static void *rotate(void *unused)
{
	(void)unused;
	for (int i = 0; i < 20000; i++)
		tls_ticket_keys_rotate(&keys);
	return NULL;
}

/* Each key is the previous one of exactly one later read: never a mixture. */
static void readers_beside_a_writer_see_whole_keys(void **state)
{
	struct tls_ticket_keys a, b;
	pthread_t writer;

	(void)state;
	tls_ticket_keys_rotate(&keys);
	assert_int_equal(pthread_create(&writer, NULL, rotate, NULL), 0);
	for (int i = 0; i < 20000; i++) {
		if (!tls_ticket_keys_read(&keys, &a) || !tls_ticket_keys_read(&keys, &b))
			continue;
		if (a.version == b.version)
			assert_memory_equal(&a, &b, sizeof(a));
		if (a.version + 2 == b.version)
			assert_memory_equal(&a.current, &b.previous, sizeof(a.current));
	}
	pthread_join(writer, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeroed_memory_holds_no_keys),
		cmocka_unit_test(the_current_key_becomes_the_previous_one),
		cmocka_unit_test(a_writer_that_died_half_way_leaves_no_keys_until_the_next),
		cmocka_unit_test(readers_beside_a_writer_see_whole_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
