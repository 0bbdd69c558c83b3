/*
 * tests/unit/shm/test_crash_steps.c - the writer is stopped, then killed, after
 * each single store that it makes; the table is whole at every one of them.
 */
#include "tests/unit/fixture/shm_table.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/ref.h"

/* What happens to the table, in this order; each line is stores of its own. */
static void scenario(struct shm_table *t)
{
	char address[32];

	shm_table_register(t, "a.example.com", "10.0.0.1:80");
	shm_table_register(t, "a.example.com", "10.0.0.1:80");          /* refresh */
	shm_table_register(t, "a.example.com", "10.0.0.2:80");          /* grows */
	shm_table_register(t, "b.example.com/x/y", "10.0.0.1:80");      /* with its host's record */
	shm_table_register(t, "b.example.com/x", "10.0.0.3:80");        /* a depth more */
	shm_table_register(t, "b.example.com", "10.0.0.4:80");          /* the record becomes a route */
	shm_table_unregister(t, "a.example.com", "10.0.0.1:80");
	shm_table_unregister(t, "a.example.com", "10.0.0.2:80");        /* the pool goes */
	shm_table_unregister(t, "b.example.com", "10.0.0.4:80");        /* the record stays */
	shm_table_unregister(t, "b.example.com/x", "10.0.0.3:80");      /* the depth goes */
	shm_table_unregister(t, "b.example.com/x/y", "10.0.0.1:80");    /* and the record */
	route_writer_keep_empty(t->writer, 100);
	shm_table_register(t, "c.example.com", "10.0.0.1:80");
	shm_table_unregister(t, "c.example.com", "10.0.0.1:80");        /* kept empty */
	shm_table_register(t, "c.example.com", "10.0.0.5:80");
	for (int i = 0; i < 6; i++) {
		snprintf(address, sizeof(address), "10.1.0.%d:80", i);
		shm_table_register(t, "d.example.com", address);
		route_writer_tick(t->writer, clock_ms());
	}
	shm_table_restart_writer(t);                                    /* recovery, flip */
	route_writer_tick(t->writer, clock_ms());
	shm_table_unregister(t, "d.example.com", "10.1.0.3:80");
}

static struct {
	struct shm_table *table;
	unsigned stores, kill_after;  /* 0: never */
} hook;

static void check_now(void)
{
	char key[ROUTE_KEY_MAX + 1];

	hook.stores++;
	shm_table_assert_sound(hook.table);
	if (shm_table_find(hook.table, "stays.example.com", "/", key, sizeof(key)) != ROUTE_FOUND)
		fail_msg("a route that stays registered was missed at store %u", hook.stores);
}

static void die_here(void)
{
	if (++hook.stores == hook.kill_after)
		raise(SIGKILL);
}

static void the_table_is_whole_after_every_store(void **state)
{
	hook.table = *state;
	hook.stores = 0;
	shm_table_register(hook.table, "stays.example.com", "10.9.0.1:80");
	word_published = check_now;
	scenario(hook.table);
	word_published = NULL;
	assert_true(hook.stores > 40);
}

/* In a child: its writer dies after `kill_after` stores; ours recovers.  Returns
 * whether it died. */
static bool kill_and_recover(unsigned kill_after)
{
	struct shm_table *t = shm_table_create(4u << 20);
	char key[ROUTE_KEY_MAX + 1];
	int status;
	pid_t child;

	shm_table_register(t, "stays.example.com", "10.9.0.1:80");
	route_writer_close(t->writer);
	table_unmap(t->rw);
	t->writer = NULL;
	t->rw = NULL;
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		hook.stores = 0;
		hook.kill_after = kill_after;
		word_published = die_here;
		shm_table_restart_writer(t);
		scenario(t);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	shm_table_assert_sound(t);
	shm_table_restart_writer(t);
	assert_int_equal(t->recovery.damaged, 0);
	shm_table_assert_sound(t);
	assert_int_equal(shm_table_find(t, "stays.example.com", "/", key, sizeof(key)), ROUTE_FOUND);
	assert_int_equal(shm_table_register(t, "after.example.com", "10.0.0.1:80"), WRITE_ADDED);
	assert_int_equal(shm_table_find(t, "after.example.com", "/", key, sizeof(key)), ROUTE_FOUND);
	shm_table_destroy(t);
	return WIFSIGNALED(status);
}

static void a_writer_killed_after_any_store_is_recovered_from(void **state)
{
	unsigned steps = 0;

	(void)state;
	while (steps < 1000 && kill_and_recover(steps + 1))
		steps++;
	assert_in_range(steps, 40, 999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_table_is_whole_after_every_store,
						shm_table_setup, shm_table_teardown),
		cmocka_unit_test(a_writer_killed_after_any_store_is_recovered_from),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
