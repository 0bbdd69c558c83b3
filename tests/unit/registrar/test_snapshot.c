/*
 * tests/unit/registrar/test_snapshot.c - the last-known-good table from table to disk and
 * back, with its thread, on disks that are full, slow to recover or damaged.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "registrar/snapshot.h"
#include "registrar/snapshot_format.h"
#include "shm/counters.h"
#include "tests/unit/fixture/base_log.h"
#include "tests/unit/fixture/registrar_disk.h"
#include "tests/unit/fixture/shm_table.h"

#define INTERVAL_MS 1000
#define ROUTES 40

struct keeper {
	struct shm_table *table;
	struct snapshot *snapshot;    /* NULL: closed */
	struct registrar_config config;
	char directory[64], instance[32];
	uint64_t counters[COUNTER_COUNT];
	uint64_t now_ms;
	uint32_t tick;
};

static void open_snapshot(struct keeper *k)
{
	k->snapshot = snapshot_open(&k->config, k->table->writer, k->table->board, k->counters);
	assert_non_null(k->snapshot);
}

static void close_snapshot(struct keeper *k)
{
	snapshot_close(k->snapshot);
	k->snapshot = NULL;
}

static void register_routes(struct keeper *k, unsigned from, unsigned count)
{
	char uri[32], address[32];

	for (unsigned i = from; i < from + count; i++) {
		snprintf(uri, sizeof(uri), "app-%u.example", i);
		snprintf(address, sizeof(address), "10.0.%u.%u:80", i / 200, i % 200);
		assert_true(shm_table_register(k->table, uri, address) > 0);
	}
}

static int setup(void **state)
{
	struct keeper *k = calloc(1, sizeof(*k));

	k->table = shm_table_create(0);
	strcpy(k->directory, "/tmp/wye-unit-XXXXXX");
	assert_non_null(mkdtemp(k->directory));
	snprintf(k->instance, sizeof(k->instance), "wye-unit-kept-%d", (int)getpid());
	k->config.instance.name = k->instance;
	k->config.settings = (struct registrar_settings){
		.snapshot_directory = k->directory, .snapshot_interval_ms = INTERVAL_MS,
		.snapshot_max_age_ms = 3600000, .droplet_stale_threshold_ms = 120000,
		.minimum_register_interval_ms = 20000,
	};
	k->now_ms = 1000000;
	k->tick = 100;
	register_routes(k, 0, ROUTES);
	open_snapshot(k);
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	struct keeper *k = *state;
	DIR *all = opendir(k->directory);

	disk_heal();
	close_snapshot(k);
	for (struct dirent *one; all && (one = readdir(all));)
		unlinkat(dirfd(all), one->d_name, 0);
	closedir(all);
	rmdir(k->directory);
	shm_table_destroy(k->table);
	free(k);
	return 0;
}

/* The loop goes on while the thread works; the time that the disk takes does not count. */
static void turn(struct keeper *k, bool is_trusted)
{
	snapshot_tick(k->snapshot, k->now_ms, k->tick, is_trusted);
	usleep(100);
}

static uint64_t written(const struct keeper *k)
{
	return k->counters[COUNTER_snapshots_written];
}

static uint64_t failures(const struct keeper *k)
{
	return k->counters[COUNTER_snapshot_failures];
}

/* Until one more write has ended, well or not. */
static void pass_one_write(struct keeper *k)
{
	uint64_t before = written(k) + failures(k);

	k->now_ms += INTERVAL_MS;
	for (unsigned i = 0; i < 200000 && written(k) + failures(k) == before; i++)
		turn(k, true);
	assert_int_equal(written(k) + failures(k), before + 1);
}

/* Another start, with an empty table: what would be served then. */
static uint64_t load_into_an_empty_table(struct keeper *k)
{
	uint64_t entries;

	if (k->snapshot)
		close_snapshot(k);
	shm_table_destroy(k->table);
	k->table = shm_table_create(0);
	open_snapshot(k);
	entries = snapshot_load(k->snapshot, k->tick);
	shm_table_assert_sound(k->table);
	return entries;
}

static void a_full_disk_is_said_once_counted_each_time_and_over_when_there_is_room(void **state)
{
	static const char *const calls[] = { "ftruncate", "pwrite", "fdatasync" };
	struct keeper *k = *state;

	pass_one_write(k);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		uint64_t good = written(k), bad = failures(k);
		const char *said;

		register_routes(k, 1000 * ((unsigned)i + 1), 1);
		log_catch_begin();
		disk_refuse(calls[i], 1, ENOSPC);
		for (unsigned n = 0; n < 3; n++)
			pass_one_write(k);
		disk_heal();
		said = log_catch_end();
		assert_int_equal(log_times(said, "\"message\":\"snapshot-not-written\""), 1);
		assert_int_equal(log_times(said, strerror(ENOSPC)), 1);
		assert_int_equal(failures(k), bad + 3);
		pass_one_write(k);
		assert_int_equal(written(k), good + 1);
		assert_int_equal(load_into_an_empty_table(k), ROUTES + i + 1);
	}
}

/* A disk that is full is not asked again ten times a second. */
static void a_write_that_failed_is_tried_again_after_the_interval(void **state)
{
	struct keeper *k = *state;

	disk_refuse("pwrite", 1, ENOSPC);
	log_catch_begin();
	pass_one_write(k);
	for (unsigned i = 0; i < 1000; i++)
		turn(k, true);
	log_catch_end();
	assert_int_equal(failures(k), 1);
}

static void only_what_a_server_stands_behind_is_written(void **state)
{
	struct keeper *k = *state;

	for (unsigned i = 0; i < 1000; i++) {
		k->now_ms += INTERVAL_MS;
		turn(k, false);
	}
	close_snapshot(k);
	assert_int_equal(written(k), 0);
	open_snapshot(k);
	assert_int_equal(snapshot_load(k->snapshot, k->tick), 0);
}

static void an_orderly_exit_ends_also_if_the_disk_refuses(void **state)
{
	struct keeper *k = *state;

	pass_one_write(k);
	register_routes(k, 5000, 3);
	turn(k, true);
	disk_refuse(NULL, 1, EIO);
	log_catch_begin();
	close_snapshot(k);
	log_catch_end();
	disk_heal();
	assert_int_equal(failures(k), 1);
	assert_int_equal(load_into_an_empty_table(k), ROUTES);
}

static void an_orderly_exit_writes_what_has_changed_since(void **state)
{
	struct keeper *k = *state;

	pass_one_write(k);
	register_routes(k, 5000, 3);
	turn(k, true);
	close_snapshot(k);
	assert_int_equal(written(k), 2);
	assert_int_equal(load_into_an_empty_table(k), ROUTES + 3);
}

/* The first write goes to the first file. */
static void cut_second_file(struct keeper *k)
{
	char path[512];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s.routes.1", k->directory, k->instance);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 1), 0);
}

static void the_older_file_is_read_if_the_newer_was_cut(void **state)
{
	struct keeper *k = *state;
	const char *said;

	pass_one_write(k);
	register_routes(k, 5000, 3);
	pass_one_write(k);
	assert_int_equal(written(k), 2);
	close_snapshot(k);
	cut_second_file(k);
	log_catch_begin();
	assert_int_equal(load_into_an_empty_table(k), ROUTES);
	said = log_catch_end();
	assert_int_equal(log_times(said, "\"message\":\"snapshot-refused\""), 1);
	assert_int_equal(log_times(said, "\"message\":\"snapshot-loaded\""), 1);
}

/* What a registrar that dies in the middle of a load leaves on the board. */
static void note_as_begun(struct keeper *k, unsigned file)
{
	struct snapshot_head head;
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.routes.%u", k->directory, k->instance, file);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, &head, sizeof(head)), sizeof(head));
	close(fd);
	board_set_fact(k->table->board, FACT_SNAPSHOT_BEGUN_0 + file, head.sequence << 32 | head.head_crc);
}

static void save_in_both_files_and_lose_the_table(struct keeper *k)
{
	pass_one_write(k);
	register_routes(k, 5000, 3);
	pass_one_write(k);
	close_snapshot(k);
	shm_table_destroy(k->table);
	k->table = shm_table_create(0);
}

static void a_file_that_a_registrar_did_not_survive_is_not_read_again(void **state)
{
	struct keeper *k = *state;
	const char *said;

	save_in_both_files_and_lose_the_table(k);
	note_as_begun(k, 1);
	open_snapshot(k);
	log_catch_begin();
	assert_int_equal(snapshot_load(k->snapshot, k->tick), ROUTES);
	said = log_catch_end();
	assert_int_equal(log_times(said, "a registrar died while it read this file"), 1);
	assert_int_equal(log_times(said, ".routes.1.refused"), 1);
	assert_int_equal(log_times(said, "\"message\":\"snapshot-loaded\""), 1);
	assert_int_equal(board_fact(k->table->board, FACT_SNAPSHOT_BEGUN_0), 0);
}

static void nothing_is_read_again_if_a_registrar_died_of_either_file(void **state)
{
	struct keeper *k = *state;
	const char *said;

	save_in_both_files_and_lose_the_table(k);
	note_as_begun(k, 0);
	note_as_begun(k, 1);
	open_snapshot(k);
	log_catch_begin();
	assert_int_equal(snapshot_load(k->snapshot, k->tick), 0);
	said = log_catch_end();
	assert_int_equal(log_times(said, "a registrar died while it read this file"), 2);
	register_routes(k, 0, 3);
	pass_one_write(k);            /* life goes on, and what is written then can be read */
	assert_int_equal(load_into_an_empty_table(k), 3);
}

static void what_was_read_to_its_end_is_read_at_the_next_start_too(void **state)
{
	struct keeper *k = *state;

	pass_one_write(k);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(load_into_an_empty_table(k), ROUTES);
		assert_int_equal(board_fact(k->table->board, FACT_SNAPSHOT_BEGUN_0), 0);
	}
}

/* Every other change would be lost at a power cut, and nobody would know. */
static void that_no_file_is_left_to_be_written_is_said_and_counted(void **state)
{
	struct keeper *k = *state;
	const char *said;

	close_snapshot(k);
	log_catch_begin();
	disk_refuse("openat", 2, EACCES);
	open_snapshot(k);
	disk_heal();
	pass_one_write(k);
	assert_int_equal(written(k), 1);
	register_routes(k, 5000, 1);
	for (unsigned i = 0; i < 3; i++)
		pass_one_write(k);
	said = log_catch_end();
	assert_int_equal(written(k), 1);
	assert_int_equal(failures(k), 3);
	assert_int_equal(log_times(said, "\"message\":\"snapshot-not-usable\""), 1);
	assert_int_equal(log_times(said, "\"message\":\"snapshot-not-written\""), 1);
}

#define KEPT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		KEPT(a_full_disk_is_said_once_counted_each_time_and_over_when_there_is_room),
		KEPT(a_write_that_failed_is_tried_again_after_the_interval),
		KEPT(only_what_a_server_stands_behind_is_written),
		KEPT(an_orderly_exit_ends_also_if_the_disk_refuses),
		KEPT(an_orderly_exit_writes_what_has_changed_since),
		KEPT(the_older_file_is_read_if_the_newer_was_cut),
		KEPT(a_file_that_a_registrar_did_not_survive_is_not_read_again),
		KEPT(nothing_is_read_again_if_a_registrar_died_of_either_file),
		KEPT(what_was_read_to_its_end_is_read_at_the_next_start_too),
		KEPT(that_no_file_is_left_to_be_written_is_said_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
