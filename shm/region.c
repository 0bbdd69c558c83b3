/*
 * shm/region.c - creating, keeping and replacing the two shared objects, and
 * mapping them.
 */
#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/must.h"
#include "board_layout.h"
#include "route_layout.h"

void (*word_published)(void);

#define NAME_SIZE 80
#define OPEN_ATTEMPTS 5

static int object_name(const char *instance, const char *kind, char name[NAME_SIZE],
		       struct reason *reason)
{
	int len = snprintf(name, NAME_SIZE, "/%s.%s", instance, kind);

	if (len >= NAME_SIZE || !instance[0] || strchr(instance, '/'))
		return reason_set(reason, -EINVAL, "\"%s\" cannot name an instance", instance);
	return 0;
}

static uint64_t round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

/* --- the table --- */

static uint64_t table_bytes(uint64_t arena_bytes, uint64_t history_bytes)
{
	return TABLE_HEAD_SPAN + 2 * arena_bytes + history_bytes;
}

static bool table_is_ours(int fd, const struct region_spec *spec)
{
	struct table_head head;
	struct stat st;

	return pread(fd, &head, sizeof(head), 0) == sizeof(head) && head.magic == TABLE_MAGIC &&
	       head.layout == TABLE_LAYOUT && head.arena_bytes == spec->arena_bytes &&
	       head.history_bytes == spec->history_bytes &&
	       head.size == table_bytes(spec->arena_bytes, spec->history_bytes) && fstat(fd, &st) == 0 &&
	       (uint64_t)st.st_size == head.size;
}

/* Through pwrite: the master never maps the table. */
static int table_format(int fd, const struct region_spec *spec)
{
	struct table_head head = {
		.magic = TABLE_MAGIC, .layout = TABLE_LAYOUT,
		.size = table_bytes(spec->arena_bytes, spec->history_bytes),
		.arena_bytes = spec->arena_bytes, .history_bytes = spec->history_bytes,
		.created_ms = clock_ms(), .epoch = 1,
	};

	random_bytes(&head.seed, sizeof(head.seed));
	if (ftruncate(fd, (off_t)head.size) < 0 ||
	    (head.history_bytes && fallocate(fd, FALLOC_FL_KEEP_SIZE,
					     (off_t)(head.size - head.history_bytes),
					     (off_t)head.history_bytes) < 0))
		return -errno;
	if (pwrite(fd, &head, sizeof(head), 0) != sizeof(head))
		return -ENOSPC;
	return 0;
}

static bool table_has_writer(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

	return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* --- the board --- */

void board_plan(struct board_head *head, uint64_t arena_bytes, unsigned worker_slots,
		uint32_t log_ring_bytes)
{
	*head = (struct board_head){
		.magic = BOARD_MAGIC, .layout = BOARD_LAYOUT, .arena_bytes = arena_bytes,
		.slots = SLOT_WORKER + worker_slots, .log_ring_bytes = log_ring_bytes,
		.row_stride = (uint32_t)round_up(sizeof(struct live_row) + 2 * worker_slots, 64),
		.rows = arena_bytes / 128,    /* no endpoint takes less of the table */
		.slots_at = BOARD_PAGE,
	};
	head->rings_at = head->slots_at + (uint64_t)head->slots * BOARD_PAGE;
	head->rows_at = head->rings_at + worker_slots * (uint64_t)(BOARD_PAGE + log_ring_bytes);
	head->rows_at = round_up(head->rows_at, BOARD_PAGE);
	head->size = round_up(head->rows_at + head->rows * head->row_stride, BOARD_PAGE);
}

/* A head says what board_plan() makes of its own three numbers, or it is damaged. */
static bool board_head_is_sound(const struct board_head *head, uint64_t size)
{
	struct board_head plan;

	if (head->magic != BOARD_MAGIC || head->layout != BOARD_LAYOUT ||
	    head->slots < SLOT_WORKER || head->slots > BOARD_SLOTS_MAX ||
	    head->arena_bytes > 1ull << 40 || head->log_ring_bytes & (head->log_ring_bytes - 1) ||
	    !head->log_ring_bytes)
		return false;
	board_plan(&plan, head->arena_bytes, head->slots - SLOT_WORKER, head->log_ring_bytes);
	return plan.size == size && memcmp(&plan, head, offsetof(struct board_head, rows_used)) == 0;
}

static bool board_is_ours(int fd, const struct region_spec *spec)
{
	struct board_head head;
	struct stat st;

	return pread(fd, &head, sizeof(head), 0) == sizeof(head) && fstat(fd, &st) == 0 &&
	       board_head_is_sound(&head, (uint64_t)st.st_size) &&
	       head.arena_bytes == spec->arena_bytes &&
	       head.slots == SLOT_WORKER + spec->worker_slots &&
	       head.log_ring_bytes == spec->log_ring_bytes;
}

static int board_format(int fd, const struct region_spec *spec)
{
	struct board_head head;

	board_plan(&head, spec->arena_bytes, spec->worker_slots, spec->log_ring_bytes);
	if (ftruncate(fd, (off_t)head.size) < 0 ||
	    fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)head.rings_at) < 0)
		return -errno;
	if (pwrite(fd, &head, sizeof(head), 0) != sizeof(head))
		return -ENOSPC;
	return 0;
}

/* True if any slot but the master's belongs to a living process. */
static bool board_is_lived_in(int fd)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET,
		.l_start = SLOT_REGISTRAR, .l_len = BOARD_SLOTS_MAX,
	};

	return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* --- the master's side --- */

static int lock_master(int board, struct reason *reason)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = SLOT_MASTER, .l_len = 1,
	};

	if (fcntl(board, F_SETLK, &lock) == 0)
		return 0;
	if (errno != EACCES && errno != EAGAIN)
		return reason_set(reason, -errno, "the board cannot be locked");
	return reason_set(reason, -EBUSY, "another master runs this instance");
}

/* Opens or creates; mode 0600 whatever the umask. */
static int object_open(const char *name, struct reason *reason)
{
	int rc, fd = shm_open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return reason_set(reason, -errno, "shared memory object %s: %s", name, strerror(errno));
	if (fchmod(fd, 0600) < 0) {
		rc = reason_set(reason, -errno, "shared memory object %s: %s", name, strerror(errno));
		close(fd);
		return rc;
	}
	return fd;
}

static bool is_linked(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

/* The board with the master's lock taken; -EAGAIN if another master replaced it
 * between our opening and our locking. */
static int board_open_locked(const char *name, struct reason *reason)
{
	int rc, fd = object_open(name, reason);

	if (fd < 0)
		return fd;
	rc = lock_master(fd, reason);
	if (!rc && !is_linked(fd))
		rc = -EAGAIN;
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

/* Workers of a master that died: who holds no lock is dead, and its section and
 * its counts with it. */
static int clear_dead_slots(int fd, struct reason *reason)
{
	struct board *board;
	int rc = board_map(fd, &board, reason);

	if (rc)
		return rc;
	for (unsigned slot = SLOT_REGISTRAR; slot < board->slots; slot++) {
		if (board_slot_is_held(board, slot))
			continue;
		counters_fold(board, slot);
		board_slot_clear(board, slot);
	}
	board_unmap(board);
	return 0;
}

/* Puts a new, formatted board in the place of the old one; the lock moves along. */
static int board_replace(const char *name, const struct region_spec *spec,
			 struct region_objects *objects, struct reason *reason)
{
	int rc, fd;

	shm_unlink(name);
	fd = object_open(name, reason);
	if (fd < 0)
		return fd;
	rc = lock_master(fd, reason);
	if (!rc)
		rc = board_format(fd, spec);
	if (rc) {
		close(fd);
		return reason_set(reason, rc, "the board %s: %s", name, strerror(-rc));
	}
	close(objects->board);
	objects->board = fd;
	return 0;
}

static int table_replace(const char *name, const struct region_spec *spec,
			 struct region_objects *objects, struct reason *reason)
{
	int rc;

	shm_unlink(name);
	close(objects->table_rw);
	objects->table_rw = object_open(name, reason);
	if (objects->table_rw < 0)
		return objects->table_rw;
	rc = table_format(objects->table_rw, spec);
	return rc ? reason_set(reason, rc, "the table %s: %s", name, strerror(-rc)) : 0;
}

static int keep_or_replace(const char *table, const char *board, const struct region_spec *spec,
			   struct region_objects *objects, struct reason *reason)
{
	int rc;

	objects->is_fresh = false;
	if (table_is_ours(objects->table_rw, spec) && board_is_ours(objects->board, spec))
		return clear_dead_slots(objects->board, reason);
	if (board_is_lived_in(objects->board) || table_has_writer(objects->table_rw))
		return reason_set(reason, -EBUSY, "the shared memory of instance \"%s\" has another"
				  " layout or size and is still in use", spec->instance);
	objects->is_fresh = true;
	rc = board_replace(board, spec, objects, reason);
	return rc ? rc : table_replace(table, spec, objects, reason);
}

static int check_spec(const struct region_spec *spec, struct reason *reason)
{
	if (!spec->arena_bytes || spec->arena_bytes % TABLE_HEAD_SPAN ||
	    table_bytes(spec->arena_bytes, 0) > (uint64_t)UINT32_MAX * REF_UNIT)
		return reason_set(reason, -EINVAL, "the arena must be a multiple of 2 MiB below 32 GiB");
	if (!spec->worker_slots || spec->worker_slots > BOARD_SLOTS_MAX - SLOT_WORKER)
		return reason_set(reason, -EINVAL, "worker slots must be 1 to %u",
				  BOARD_SLOTS_MAX - SLOT_WORKER);
	if (spec->log_ring_bytes < BOARD_PAGE || spec->log_ring_bytes & (spec->log_ring_bytes - 1))
		return reason_set(reason, -EINVAL, "a log ring must be a power of two of 4096 or more");
	if (spec->history_bytes % BOARD_PAGE || spec->history_bytes > 1ull << 40)
		return reason_set(reason, -EINVAL, "the history must be a multiple of 4096");
	return 0;
}

static int open_read_only(const char *name, struct reason *reason)
{
	int fd = shm_open(name, O_RDONLY | O_CLOEXEC, 0);

	if (fd < 0)
		return reason_set(reason, -errno, "shared memory object %s: %s", name, strerror(errno));
	return fd;
}

int region_open(const struct region_spec *spec, struct region_objects *out, struct reason *reason)
{
	struct region_objects objects = { .table_rw = -1, .table_ro = -1, .board = -1 };
	char table[NAME_SIZE], board[NAME_SIZE];
	int rc = check_spec(spec, reason);

	if (!rc)
		rc = object_name(spec->instance, "table", table, reason);
	if (!rc)
		rc = object_name(spec->instance, "board", board, reason);
	if (rc)
		return rc;
	for (int i = 0; i < OPEN_ATTEMPTS; i++) {
		objects.board = board_open_locked(board, reason);
		if (objects.board != -EAGAIN)
			break;
	}
	rc = objects.board;
	if (rc < 0)
		return rc;
	rc = objects.table_rw = object_open(table, reason);
	if (rc >= 0)
		rc = keep_or_replace(table, board, spec, &objects, reason);
	if (rc >= 0)
		rc = objects.table_ro = open_read_only(table, reason);
	if (rc < 0) {
		region_release(spec->instance, &objects, false);
		return rc;
	}
	*out = objects;
	return 0;
}

static void close_if_open(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void region_release(const char *instance, struct region_objects *objects, bool remove)
{
	char name[NAME_SIZE];

	if (remove && object_name(instance, "table", name, NULL) == 0)
		shm_unlink(name);
	if (remove && object_name(instance, "board", name, NULL) == 0)
		shm_unlink(name);
	close_if_open(&objects->table_rw);
	close_if_open(&objects->table_ro);
	close_if_open(&objects->board);
}

/* --- mapping --- */

static int check_table(const struct table *table, struct reason *reason)
{
	const struct table_head *head = table_head(table);

	if (head->magic != TABLE_MAGIC)
		return reason_set(reason, -EINVAL, "this is not a route table");
	if (head->layout != TABLE_LAYOUT)
		return reason_set(reason, -EINVAL, "the route table has layout %llu, this program %u",
				  (unsigned long long)head->layout, TABLE_LAYOUT);
	if (head->size != table->size || head->arena_bytes % TABLE_HEAD_SPAN ||
	    head->arena_bytes > table->size || head->history_bytes > table->size ||
	    head->history_bytes % BOARD_PAGE ||
	    table_bytes(head->arena_bytes, head->history_bytes) != table->size)
		return reason_set(reason, -EINVAL, "the route table's size does not fit its head");
	return 0;
}

int table_map(int fd, bool writable, struct table **out, struct reason *reason)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	struct table *table;
	struct stat st;
	void *base;
	int rc;

	if (fstat(fd, &st) < 0)
		return reason_set(reason, -errno, "the route table: %s", strerror(errno));
	if (st.st_size < (off_t)TABLE_HEAD_SPAN)
		return reason_set(reason, -EINVAL, "this is not a route table");
	if (writable && fcntl(fd, F_SETLK, &lock) < 0)
		return reason_set(reason, errno == EAGAIN || errno == EACCES ? -EBUSY : -errno,
				  "the route table has another writer");
	base = mmap(NULL, (size_t)st.st_size, PROT_READ | (writable ? PROT_WRITE : 0),
		    MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (base == MAP_FAILED)
		return reason_set(reason, -errno, "mapping the route table: %s", strerror(errno));
	table = mem_zalloc(sizeof(*table));
	*table = (struct table){
		.base = base, .size = (uint64_t)st.st_size,
		.fd = writable ? fd : -1, .is_writable = writable,
	};
	rc = check_table(table, reason);
	if (rc) {
		table_unmap(table);
		return rc;
	}
	*out = table;
	return 0;
}

void table_unmap(struct table *table)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_len = 1 };

	if (!table)
		return;
	munmap(table->base, table->size);
	if (table->is_writable)
		fcntl(table->fd, F_SETLK, &lock);
	free(table);
}

static void adopt_board(struct board *board, const struct board_head *head)
{
	board->slots = head->slots;
	board->worker_slots = head->slots - SLOT_WORKER;
	board->row_stride = head->row_stride;
	board->rows = head->rows;
	board->first_slot = board->base + head->slots_at;
	board->first_row = board->base + head->rows_at;
	board->rings = mem_zalloc(board->worker_slots * sizeof(*board->rings));
	for (unsigned i = 0; i < board->worker_slots; i++) {
		uint64_t at = head->rings_at + i * (uint64_t)(BOARD_PAGE + head->log_ring_bytes);

		board->rings[i].words = (struct ring_words *)(board->base + at);
		board->rings[i].size = head->log_ring_bytes;
	}
}

static int board_map_as(int fd, bool writable, struct board **out, struct reason *reason)
{
	struct board_head head;
	struct board *board;
	struct stat st;
	void *base;

	if (fstat(fd, &st) < 0 || pread(fd, &head, sizeof(head), 0) != sizeof(head) ||
	    !board_head_is_sound(&head, (uint64_t)st.st_size))
		return reason_set(reason, -EINVAL, "this is not a board of this program's layout");
	base = mmap(NULL, (size_t)st.st_size, PROT_READ | (writable ? PROT_WRITE : 0),
		    MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (base == MAP_FAILED)
		return reason_set(reason, -errno, "mapping the board: %s", strerror(errno));
	board = mem_zalloc(sizeof(*board));
	board->base = base;
	board->size = (uint64_t)st.st_size;
	board->fd = fd;
	board->is_writable = writable;
	adopt_board(board, &head);
	*out = board;
	return 0;
}

int board_map(int fd, struct board **out, struct reason *reason)
{
	return board_map_as(fd, true, out, reason);
}

void board_unmap(struct board *board)
{
	if (!board)
		return;
	munmap(board->base, board->size);
	if (board->owns_fd)
		close(board->fd);
	free(board->rings);
	free(board);
}

int table_open_by_name(const char *instance, struct table **out, struct reason *reason)
{
	char name[NAME_SIZE];
	int fd, rc = object_name(instance, "table", name, reason);

	if (rc)
		return rc;
	fd = open_read_only(name, reason);
	if (fd < 0)
		return fd;
	rc = table_map(fd, false, out, reason);
	close(fd);
	return rc;
}

int board_open_by_name(const char *instance, bool board_writable, struct board **out,
		       struct reason *reason)
{
	char name[NAME_SIZE];
	int fd, rc = object_name(instance, "board", name, reason);

	if (rc)
		return rc;
	fd = shm_open(name, (board_writable ? O_RDWR : O_RDONLY) | O_CLOEXEC, 0);
	if (fd < 0)
		return reason_set(reason, -errno, "shared memory object %s: %s", name, strerror(errno));
	rc = board_map_as(fd, board_writable, out, reason);
	if (rc) {
		close(fd);
		return rc;
	}
	(*out)->owns_fd = true;
	return 0;
}
