/*
 * tests/unit/registrar/test_snapshot_file.c - the two files of the last-known-good table
 * on a disk that fails: whatever call is refused, one of them stays whole.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "registrar/snapshot_file.h"
#include "tests/unit/fixture/registrar_disk.h"

#define INSTANCE "unit"
#define BODY 3000

struct place {
	char directory[64];
	struct snapshot_files files;
};

static char body[BODY];

static void open_files(struct place *p)
{
	struct reason reason;

	if (snapshot_files_open(&p->files, p->directory, INSTANCE, &reason))
		fail_msg("%s", reason.text);
}

static void reopen_files(struct place *p)
{
	snapshot_files_close(&p->files);
	open_files(p);
}

/* One whole table in three parts; 0 or the first error. */
static int save(struct snapshot_file *file, uint64_t sequence)
{
	struct snapshot_head head = { .sequence = sequence, .body_bytes = BODY };
	int rc = snapshot_file_begin(file);

	for (unsigned i = 0; i < 3 && rc == 0; i++)
		rc = snapshot_file_write(file, sizeof(head) + i * 1000, body + i * 1000, 1000);
	snapshot_seal(&head, INSTANCE);
	return rc ? rc : snapshot_file_commit(file, &head);
}

static void assert_newest(struct place *p, uint64_t sequence)
{
	struct snapshot_file *newest = snapshot_files_newest(&p->files);
	struct str image;

	assert_non_null(newest);
	assert_int_equal(newest->head.sequence, sequence);
	assert_int_equal(snapshot_file_map(newest, &image), 0);
	assert_int_equal(image.len, sizeof(newest->head) + BODY);
	assert_memory_equal(image.p + sizeof(newest->head), body, BODY);
	snapshot_file_unmap(image);
}

static unsigned names_in(const char *directory)
{
	DIR *all = opendir(directory);
	unsigned count = 0;

	assert_non_null(all);
	for (struct dirent *one; (one = readdir(all));)
		count += one->d_name[0] != '.';
	closedir(all);
	return count;
}

static void remove_all(const char *directory)
{
	DIR *all = opendir(directory);

	for (struct dirent *one; all && (one = readdir(all));)
		unlinkat(dirfd(all), one->d_name, 0);
	if (all)
		closedir(all);
	rmdir(directory);
}

static int setup(void **state)
{
	static struct place place;

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char)(i * 7 + 1);
	strcpy(place.directory, "/tmp/wye-unit-XXXXXX");
	assert_non_null(mkdtemp(place.directory));
	open_files(&place);
	*state = &place;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	disk_heal();
	snapshot_files_close(&p->files);
	remove_all(p->directory);
	return 0;
}

/* The disk may fill up, or die, between any two calls. */
static void whichever_call_is_refused_the_last_table_stays_good(void **state)
{
	static const int errors[] = { ENOSPC, EIO };
	struct place *p = *state;
	uint64_t sequence = 1;
	unsigned refused = 0;

	assert_int_equal(save(&p->files.of[0], sequence), 0);
	reopen_files(p);
	for (unsigned nth = 1; nth <= 8; nth++)
		for (unsigned e = 0; e < ARRAY_SIZE(errors); e++) {
			int rc;

			disk_refuse(NULL, nth, errors[e]);
			rc = save(snapshot_files_next(&p->files), sequence + 1);
			disk_heal();
			assert_int_equal(rc, nth <= 7 ? -errors[e] : 0);
			refused += rc < 0;
			sequence += nth >= 7; /* only whether the head will stay is not sure */
			reopen_files(p);
			assert_newest(p, sequence);
			assert_int_equal(names_in(p->directory), SNAPSHOT_FILES);
			assert_int_equal(save(snapshot_files_next(&p->files), ++sequence), 0);
			reopen_files(p);
			assert_newest(p, sequence);
		}
	assert_int_equal(refused, 7 * ARRAY_SIZE(errors));
}

static void a_write_that_is_interrupted_or_taken_in_crumbs_ends_whole(void **state)
{
	struct place *p = *state;

	disk_crumble(7);
	assert_int_equal(save(snapshot_files_next(&p->files), 1), 0);
	disk_heal();
	reopen_files(p);
	assert_newest(p, 1);
}

static void a_device_that_takes_no_byte_is_an_error_and_no_endless_loop(void **state)
{
	struct snapshot_file full = { .fd = open("/dev/full", O_WRONLY) };

	(void)state;
	assert_int_equal(snapshot_file_write(&full, 0, body, BODY), -ENOSPC);
	close(full.fd);
}

/* What a full table of descriptors or a lack of rights says nothing about. */
static void a_fault_of_the_machine_moves_no_file_aside(void **state)
{
	static const int errors[] = { EMFILE, ENFILE, ENOMEM, EACCES, EIO, EROFS, ENOSPC, EDQUOT };
	struct place *p = *state;

	assert_int_equal(save(&p->files.of[1], 5), 0);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		snapshot_files_close(&p->files);
		disk_refuse("openat", 1, errors[i]);
		open_files(p);
		disk_heal();
		assert_int_equal(p->files.of[0].fd, -1);
		assert_int_equal(p->files.of[1].fd, -1);
		assert_null(snapshot_files_newest(&p->files));
		assert_null(snapshot_files_next(&p->files));
		assert_int_equal(names_in(p->directory), SNAPSHOT_FILES);
		reopen_files(p);
		assert_newest(p, 5);
	}
}

static void damage(struct snapshot_file *file)
{
	assert_int_equal(snapshot_file_write(file, 0, "no table", 8), 0);
}

static void a_file_that_is_no_table_is_kept_aside_and_a_new_one_begun(void **state)
{
	struct place *p = *state;

	assert_int_equal(save(&p->files.of[0], 5), 0);
	damage(&p->files.of[0]);
	reopen_files(p);
	assert_int_equal(names_in(p->directory), SNAPSHOT_FILES + 1);
	assert_null(snapshot_files_newest(&p->files));
	assert_int_equal(save(snapshot_files_next(&p->files), 1), 0);
	reopen_files(p);
	assert_newest(p, 1);
}

/* The directory was readable at the start only, or the disk is dying. */
static void a_file_that_cannot_be_moved_aside_is_not_written_but_the_other_is(void **state)
{
	struct place *p = *state;

	assert_int_equal(save(&p->files.of[0], 5), 0);
	damage(&p->files.of[0]);
	disk_refuse("renameat", 1, EIO);
	reopen_files(p);
	disk_heal();
	assert_int_equal(p->files.of[0].fd, -1);
	assert_ptr_equal(snapshot_files_next(&p->files), &p->files.of[1]);
	assert_int_equal(save(&p->files.of[1], 6), 0);
	reopen_files(p);
	assert_newest(p, 6);
}

static void a_directory_that_cannot_be_used_is_named_and_nothing_stays_open(void **state)
{
	static const struct { const char *name; mode_t mode; int error; } cases[] = {
		{ "missing", 0, -ENOENT }, { "file", S_IFREG | 0600, -ENOTDIR },
		{ "shared", S_IFDIR | 0770, -EPERM }, { "anybody", S_IFDIR | 0707, -EPERM },
	};
	struct place *p = *state;
	unsigned open_before = names_in("/proc/self/fd");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct snapshot_files files;
		struct reason reason = { "" };
		char path[128];

		snprintf(path, sizeof(path), "%s/%s", p->directory, cases[i].name);
		if (S_ISDIR(cases[i].mode))
			mkdir(path, 0700);
		else if (cases[i].mode)
			mknod(path, cases[i].mode, 0);
		chmod(path, cases[i].mode & 07777);
		assert_int_equal(snapshot_files_open(&files, path, INSTANCE, &reason), cases[i].error);
		assert_non_null(strstr(reason.text, path));
		assert_int_equal(names_in("/proc/self/fd"), open_before);
		remove(path);
	}
}

static void what_cannot_be_mapped_is_an_error_and_an_empty_file_is_none(void **state)
{
	struct place *p = *state;
	struct snapshot_file directory = { .fd = p->files.directory };
	struct str image;

	assert_true(snapshot_file_map(&directory, &image) < 0);
	assert_int_equal(snapshot_file_map(&(struct snapshot_file){ .fd = -1 }, &image), -EBADF);
	assert_int_equal(snapshot_file_map(&p->files.of[0], &image), 0);
	assert_int_equal(image.len, 0);
	snapshot_file_unmap(image);
}

#define IN_A_PLACE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_PLACE(whichever_call_is_refused_the_last_table_stays_good),
		IN_A_PLACE(a_write_that_is_interrupted_or_taken_in_crumbs_ends_whole),
		IN_A_PLACE(a_device_that_takes_no_byte_is_an_error_and_no_endless_loop),
		IN_A_PLACE(a_fault_of_the_machine_moves_no_file_aside),
		IN_A_PLACE(a_file_that_is_no_table_is_kept_aside_and_a_new_one_begun),
		IN_A_PLACE(a_file_that_cannot_be_moved_aside_is_not_written_but_the_other_is),
		IN_A_PLACE(a_directory_that_cannot_be_used_is_named_and_nothing_stays_open),
		IN_A_PLACE(what_cannot_be_mapped_is_an_error_and_an_empty_file_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
