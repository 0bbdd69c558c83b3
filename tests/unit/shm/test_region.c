/*
 * tests/unit/shm/test_region.c - who may create, keep, replace and map the objects,
 * and what a worker cannot do to the table.
 */
#include "tests/unit/fixture/shm_table.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/board_layout.h"
#include "shm/route_layout.h"

static struct region_spec spec_of(char name[64])
{
	static unsigned number;

	snprintf(name, 64, "wye-region-%d-%u", (int)getpid(), number++);
	return (struct region_spec){
		.instance = name, .arena_bytes = 4u << 20, .worker_slots = 4, .log_ring_bytes = 4096,
	};
}

/* Runs `body` in a child and returns its exit code, or -signal. */
static int in_child(int (*body)(void *), void *context)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		signal(SIGSEGV, SIG_DFL);     /* cmocka catches it */
		_exit(body(context));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int open_as_master(void *context)
{
	struct region_objects objects;
	int rc = region_open(context, &objects, NULL);

	return rc == 0 ? (objects.is_fresh ? 1 : 2) : -rc;
}

static void a_second_master_is_refused(void **state)
{
	char name[64];
	struct region_spec spec = spec_of(name);
	struct region_objects objects;

	(void)state;
	assert_int_equal(region_open(&spec, &objects, NULL), 0);
	assert_true(objects.is_fresh);
	assert_int_equal(in_child(open_as_master, &spec), EBUSY);
	region_release(name, &objects, true);
}

static int register_and_die(void *context)
{
	struct region_objects objects;
	struct route_recovery recovery;
	struct route_writer *writer;
	struct table *table;
	struct board *board;
	struct endpoint *endpoint = calloc(1, sizeof(*endpoint));
	char buffer[ROUTE_KEY_MAX];
	struct route_key key = shm_table_key("a.example.com", buffer);
	struct route_handle handle;
	bool is_new;

	shm_table_describe(endpoint, "10.0.0.1:80", "");
	if (region_open(context, &objects, NULL) || board_map(objects.board, &board, NULL) ||
	    table_map(objects.table_rw, true, &table, NULL) ||
	    route_writer_open(table, board, &writer, &recovery, NULL) ||
	    board_slot_claim(board, SLOT_WORKER, NULL))
		return 1;
	board_slot(board, SLOT_WORKER)->epoch = 1;    /* dies inside a section */
	counter_add(counters_row(board, SLOT_WORKER), COUNTER_requests, 5);
	return route_writer_add(writer, &key, endpoint, 1, &handle, &is_new) == WRITE_ADDED ? 0 : 1;
}

static void routes_outlive_a_master_that_crashed(void **state)
{
	char name[64];
	struct region_spec spec = spec_of(name);
	struct region_objects objects;
	struct board *board;
	struct table *table;

	(void)state;
	assert_int_equal(in_child(register_and_die, &spec), 0);
	assert_int_equal(region_open(&spec, &objects, NULL), 0);
	assert_false(objects.is_fresh);
	assert_int_equal(board_map(objects.board, &board, NULL), 0);
	assert_int_equal(board_slot(board, SLOT_WORKER)->epoch, 0);
	assert_int_equal(counter_sum(board, COUNTER_requests), 5);
	assert_int_equal(table_map(objects.table_ro, false, &table, NULL), 0);
	assert_int_not_equal(table_head(table)->root, 0);
	table_unmap(table);
	board_unmap(board);
	region_release(name, &objects, true);
}

static void another_size_is_replaced_only_if_nobody_lives_there(void **state)
{
	char name[64];
	struct region_spec spec = spec_of(name), larger = spec;
	struct region_objects objects, again;
	struct reason reason;
	struct board *board;
	int up[2], down[2], status;
	char byte;
	pid_t child;

	(void)state;
	larger.worker_slots = 8;
	assert_int_equal(region_open(&spec, &objects, NULL), 0);
	assert_int_equal(pipe(up), 0);
	assert_int_equal(pipe(down), 0);
	child = fork();
	if (child == 0) {
		close(down[1]);
		if (board_map(objects.board, &board, NULL) || board_slot_claim(board, SLOT_WORKER, NULL) ||
		    write(up[1], "x", 1) != 1 || read(down[0], &byte, 1) != 0)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(read(up[0], &byte, 1), 1);
	region_release(name, &objects, false);        /* the master goes, its worker drains */
	assert_int_equal(region_open(&larger, &again, &reason), -EBUSY);
	assert_int_equal(region_open(&spec, &again, NULL), 0);
	assert_false(again.is_fresh);
	region_release(name, &again, false);
	close(down[1]);
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(region_open(&larger, &again, NULL), 0);
	assert_true(again.is_fresh);
	region_release(name, &again, true);
	close(up[0]);
	close(up[1]);
	close(down[0]);
}

static void a_table_of_another_layout_is_refused_with_a_reason(void **state)
{
	struct shm_table *t = *state;
	struct reason reason;
	struct table *table;

	table_head(t->rw)->layout = TABLE_LAYOUT + 1;
	assert_int_equal(table_map(t->objects.table_ro, false, &table, &reason), -EINVAL);
	assert_non_null(strstr(reason.text, "layout"));
	table_head(t->rw)->layout = TABLE_LAYOUT;
	table_head(t->rw)->magic = 7;
	assert_int_equal(table_map(t->objects.table_ro, false, &table, &reason), -EINVAL);
	table_head(t->rw)->magic = TABLE_MAGIC;
	table_head(t->rw)->arena_bytes *= 2;
	assert_int_equal(table_map(t->objects.table_ro, false, &table, &reason), -EINVAL);
	table_head(t->rw)->arena_bytes /= 2;
	board_head(t->board)->row_stride = 8;
	assert_int_equal(board_map(t->objects.board, &(struct board *){ NULL }, &reason), -EINVAL);
}

static int map_as_writer(void *context)
{
	struct shm_table *t = context;
	struct table *table;

	return -table_map(t->objects.table_rw, true, &table, NULL);
}

static void there_is_one_writer_at_a_time(void **state)
{
	struct shm_table *t = *state;

	assert_int_equal(in_child(map_as_writer, t), EBUSY);
	table_unmap(t->rw);
	assert_int_equal(in_child(map_as_writer, t), 0);
	assert_int_equal(table_map(t->objects.table_rw, true, &t->rw, NULL), 0);
}

static void a_bad_spec_is_refused(void **state)
{
	char name[64];
	struct region_spec good = spec_of(name), bad;
	struct region_objects objects;
	struct reason reason;

	(void)state;
#define REFUSED(change) \
	bad = good; \
	bad.change; \
	assert_int_equal(region_open(&bad, &objects, &reason), -EINVAL)
	REFUSED(arena_bytes = 0);
	REFUSED(arena_bytes = 3u << 20);
	REFUSED(arena_bytes = 64ull << 30);
	REFUSED(worker_slots = 0);
	REFUSED(worker_slots = 100000);
	REFUSED(log_ring_bytes = 5000);
	REFUSED(instance = "a/b");
	REFUSED(instance = "");
}

/* --- what a worker, broken into, can try (design section 11) --- */

static void become_worker(const struct shm_table *t)
{
	close(t->objects.table_rw);
	if (geteuid() == 0 && (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
			       setresuid(65534, 65534, 65534)))
		_exit(99);
}

static int attack_store(void *context)
{
	struct shm_table *t = context;

	become_worker(t);
	*(volatile uint64_t *)&table_head(t->ro)->root = 0;
	return 0;
}

static int attack_mprotect(void *context)
{
	struct shm_table *t = context;

	become_worker(t);
	return mprotect(t->ro->base, 4096, PROT_READ | PROT_WRITE) ? errno : 0;
}

static int attack_mmap(void *context)
{
	struct shm_table *t = context;

	become_worker(t);
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, t->objects.table_ro, 0) ==
	       MAP_FAILED ? errno : 0;
}

static int attack_remove(void *context)
{
	struct shm_table *t = context;

	become_worker(t);
	return madvise(t->ro->base, 4096, MADV_REMOVE) ? errno : 0;
}

static int attack_truncate(void *context)
{
	struct shm_table *t = context;

	become_worker(t);
	return ftruncate(t->objects.table_ro, 0) ? errno : 0;
}

static int attack_write(void *context)
{
	struct shm_table *t = context;

	become_worker(t);
	return pwrite(t->objects.table_ro, "x", 1, 0) < 0 ? errno : 0;
}

static int attack_punch(void *context)
{
	struct shm_table *t = context;

	become_worker(t);
	return fallocate(t->objects.table_ro, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096)
		? errno : 0;
}

static int attack_reopen(void *context)
{
	struct shm_table *t = context;
	char path[64];

	become_worker(t);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", t->objects.table_ro);
	return open(path, O_RDWR) < 0 ? errno : 0;
}

static int attack_name(void *context)
{
	struct shm_table *t = context;
	char name[80];

	become_worker(t);
	snprintf(name, sizeof(name), "/%s.table", t->instance);
	return shm_open(name, O_RDWR, 0) < 0 ? errno : 0;
}

static int attack_unlink(void *context)
{
	struct shm_table *t = context;
	char name[80];

	become_worker(t);
	snprintf(name, sizeof(name), "/%s.table", t->instance);
	return shm_unlink(name) ? errno : 0;
}

static int attack_parent(void *context)
{
	struct shm_table *t = context;
	char path[64];

	become_worker(t);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getppid(), t->objects.table_rw);
	return open(path, O_RDWR) < 0 ? errno : 0;
}

static int attack_lock(void *context)
{
	struct shm_table *t = context;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

	become_worker(t);
	return fcntl(t->objects.table_ro, F_SETLK, &lock) ? errno : 0;
}

static void a_worker_cannot_write_the_table(void **state)
{
	static const struct {
		const char *name;
		int (*attack)(void *);
		int expected;
		bool needs_other_uid;
	} attacks[] = {
		{ "store through the mapping", attack_store, -SIGSEGV, false },
		{ "mprotect", attack_mprotect, EACCES, false },
		{ "mmap writable", attack_mmap, EACCES, false },
		{ "MADV_REMOVE", attack_remove, EACCES, false },
		{ "ftruncate", attack_truncate, EINVAL, false },
		{ "pwrite", attack_write, EBADF, false },
		{ "punch a hole", attack_punch, EBADF, false },
		{ "take the writer's lock", attack_lock, EBADF, false },
		{ "reopen through /proc/self/fd", attack_reopen, EACCES, true },
		{ "open by name", attack_name, EACCES, true },
		{ "unlink the name", attack_unlink, EPERM, true },
		{ "the master's descriptor through /proc", attack_parent, EACCES, true },
	};
	struct shm_table *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(attacks); i++) {
		int result;

		if (attacks[i].needs_other_uid && geteuid() != 0)
			continue;
#ifdef WYE_SANITIZED
		if (attacks[i].attack == attack_store)
			continue;     /* the sanitizer catches the signal itself */
#endif
		result = in_child(attacks[i].attack, t);
		if (result != attacks[i].expected &&
		    !(attacks[i].attack == attack_unlink && result == EACCES))
			fail_msg("%s: %d", attacks[i].name, result);
	}
	shm_table_assert_sound(t);
}

/* --- another address --- */

static void the_table_reads_the_same_at_another_address(void **state)
{
	struct shm_table *t = *state;
	struct route_reader *reader;
	struct table *table;
	char uri[40];

	for (int i = 0; i < 500; i++) {
		snprintf(uri, sizeof(uri), "r%d.example.com/x", i);
		shm_table_register(t, uri, "10.0.0.1:80");
	}
	assert_int_equal(table_open_by_name(t->instance, &table, NULL), 0);
	assert_ptr_not_equal(table->base, t->ro->base);
	assert_int_equal(board_slot_claim(t->board, SLOT_WORKER + 1, NULL), 0);
	reader = route_reader_create(table, t->board, SLOT_WORKER + 1);
	for (int i = 0; i < 200; i++) {
		snprintf(uri, sizeof(uri), "s%d.example.com/x", i);
		shm_table_register(t, uri, "10.0.0.1:80");
		if (i % 20 == 0)
			assert_int_equal(table_check(reader, NULL, NULL), 0);
	}
	madvise(table->base, table->size, MADV_DONTNEED);
	assert_int_equal(table_check(reader, NULL, NULL), 0);
	route_reader_destroy(reader);
	table_unmap(table);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, shm_table_setup, shm_table_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_second_master_is_refused),
		cmocka_unit_test(routes_outlive_a_master_that_crashed),
		cmocka_unit_test(another_size_is_replaced_only_if_nobody_lives_there),
		cmocka_unit_test(a_bad_spec_is_refused),
		CASE(a_table_of_another_layout_is_refused_with_a_reason),
		CASE(there_is_one_writer_at_a_time),
		CASE(a_worker_cannot_write_the_table),
		CASE(the_table_reads_the_same_at_another_address),
	};

	/* As the master does: nobody of another uid looks into /proc/PID. */
	prctl(PR_SET_DUMPABLE, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
