/*
 * registrar/snapshot.c - when the table is written, and what is read of it.
 */
#include "registrar/snapshot.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "registrar/snapshot_file.h"
#include "registrar/snapshot_load.h"
#include "registrar/snapshot_thread.h"
#include "shm/counters.h"
#include "shm/route_table.h"

#define RENEW_MS (60 * 60 * 1000)     /* an unchanged table is still known to be good */
#define BYTES_PER_MS 32768            /* most of the disk, on average */
#define SLICE_BITS 10
#define SLICES (1u << SLICE_BITS)
#define TURN_NS 20000000              /* enough copying for one turn of the loop */
#define TURN_BYTES (16u << 20)
#define TICKS_PER_S 10

struct snapshot {
	const struct registrar_config *config;
	struct route_writer *writer;
	struct board *board;
	uint64_t *counters;
	struct snapshot_files files;
	struct snapshot_thread *thread;       /* owned; NULL until there is something to write */
	struct snapshot_file *target; /* being written; NULL: nothing is */
	struct snapshot_head head;    /* of the target, as far as it is known */
	struct snapshot_buffer slice; /* of routes; belongs to the thread while it is busy */
	unsigned next_slice;
	uint32_t tick;                /* of the slice, for ages */
	uint64_t changes;             /* of the table when the target was begun */
	uint64_t written_changes;     /* what the newest file holds */
	uint64_t begun_ms, due_ms, renew_ms;
	uint64_t longest_ns;          /* that copying kept the loop, since begun_ms */
	uint64_t sequence, confirmed_wall_ms;
	bool has_written;             /* by this process */
	bool was_trusted;             /* while this process ran */
	bool has_failed;              /* said already */
};

static uint64_t wall_ms(void)
{
	return clock_wall_ns() / 1000000u;
}

struct snapshot *snapshot_open(const struct registrar_config *config,
			       struct route_writer *writer, struct board *board,
			       uint64_t *counters)
{
	const char *directory = config->settings.snapshot_directory;
	struct snapshot_file *newest;
	struct snapshot *s;
	struct reason reason;

	if (!*directory)
		return NULL;
	s = mem_zalloc(sizeof(*s));
	s->config = config;
	s->writer = writer;
	s->board = board;
	s->counters = counters;
	if (snapshot_files_open(&s->files, directory, config->instance.name, &reason) < 0) {
		log_warn("snapshot-off", "reason=%s", reason.text);
		free(s);
		return NULL;
	}
	newest = snapshot_files_newest(&s->files);
	s->sequence = newest ? newest->head.sequence : 0;
	if (newest)
		board_set_fact(board, FACT_SNAPSHOT_WALL_MS, newest->head.saved_wall_ms);
	return s;
}

/* --- reading --- */

static void tell_loaded(const struct snapshot *s, const struct snapshot_file *file,
			const struct snapshot_loaded *loaded, uint64_t took_ms)
{
	uint64_t now = wall_ms(), then = file->head.confirmed_wall_ms;
	unsigned long long age_s = now > then ? (now - then) / 1000 : 0;

	log_info("snapshot-loaded",
		 "file=%s endpoints=%llu age_s=%llu took_ms=%llu other_segments=%llu",
		 file->path, (unsigned long long)loaded->counts.entries, age_s,
		 (unsigned long long)took_ms, (unsigned long long)loaded->foreign);
	if (age_s > s->config->settings.snapshot_max_age_ms / 1000)
		log_error("snapshot-is-old", "file=%s age_s=%llu consequence=%s", file->path, age_s,
			  "its routes are served until NATS confirms or denies them, but "
			  "addresses may have changed hands since");
	if (loaded->counts.full)
		log_error("table-full", "endpoints=%llu error=%s",
			  (unsigned long long)loaded->counts.full,
			  "the table is too small for what was saved");
	if (loaded->counts.doubles)
		log_error("snapshot-has-doubles", "file=%s endpoints=%llu", file->path,
			  (unsigned long long)loaded->counts.doubles);
}

/* -EINVAL: the file is not good, other errors are the machine's; `reason` says which, and
 * nothing was taken from it. */
static int load_file(struct snapshot *s, struct snapshot_file *file, uint32_t tick,
		     struct snapshot_loaded *loaded, struct reason *reason)
{
	struct snapshot_source source = { .settings = &s->config->settings, .head = &file->head };
	uint64_t began_ms = clock_ms();
	int rc = snapshot_file_map(file, &source.image);

	if (rc < 0)
		return reason_set(reason, rc, "%s", strerror(-rc));
	rc = snapshot_load_image(&source, s->writer, s->board, tick, loaded, reason);
	if (rc == 0)
		tell_loaded(s, file, loaded, clock_ms() - began_ms);
	snapshot_file_unmap(source.image);
	return rc;
}

/* Names what a file holds, for the next registrar, should it kill this one. */
static uint64_t snapshot_mark(const struct snapshot_file *file)
{
	return file->head.sequence << 32 | file->head.head_crc;
}

/* The board outlives us, and what is noted there of a file stays until it was read to its
 * end.  -EINVAL also: a registrar before us died of it. */
static int load_once(struct snapshot *s, struct snapshot_file *file, uint32_t tick,
		     struct snapshot_loaded *loaded, struct reason *reason)
{
	enum fact begun = FACT_SNAPSHOT_BEGUN_0 + (file - s->files.of);
	int rc;

	if (board_fact(s->board, begun) == snapshot_mark(file))
		return reason_set(reason, -EINVAL, "a registrar died while it read this file; the "
				  "kernel's log tells whether the disk is at fault, and if not, "
				  "the file can be put back before a start");
	board_set_fact(s->board, begun, snapshot_mark(file));
	rc = load_file(s, file, tick, loaded, reason);
	board_set_fact(s->board, begun, 0);
	return rc;
}

uint64_t snapshot_load(struct snapshot *s, uint32_t tick)
{
	struct snapshot_loaded loaded = { .foreign = 0 };
	struct snapshot_file *file;
	struct reason why;

	while ((file = snapshot_files_newest(&s->files)) != NULL) {
		int rc = load_once(s, file, tick, &loaded, &why);

		if (rc == 0) {
			s->confirmed_wall_ms = file->head.confirmed_wall_ms;
			break;
		}
		if (rc == -EINVAL) {
			snapshot_file_refuse(&s->files, file, &why);
			continue;
		}
		log_error("snapshot-not-usable", "file=%s reason=%s", file->path, why.text);
		break;
	}
	return loaded.counts.entries;
}

/* --- writing --- */

static enum entry_verdict save(void *context, const struct entry_view *view)
{
	struct snapshot *s = context;
	uint32_t age = s->tick > view->last_seen ? s->tick - view->last_seen : 0;
	size_t bytes = route_image_bytes(view->inst, view->packed_tags, view->key);

	route_image_write(view->inst, view->packed_tags, view->key, age / TICKS_PER_S,
			  snapshot_append(&s->slice, bytes));
	s->head.entries++;
	return ENTRY_KEEP;
}

/* Copies slices until this turn of the loop has done enough. */
static void copy_slices(struct snapshot *s)
{
	uint64_t began_ns = clock_ns(), took_ns;

	s->slice.used = 0;
	do {
		route_writer_sweep_part(s->writer, s->next_slice++, SLICE_BITS, s->tick, save, s);
		took_ns = clock_ns() - began_ns;
	} while (s->next_slice < SLICES && s->slice.used < TURN_BYTES &&
		 took_ns < TURN_NS);
	if (took_ns > s->longest_ns)
		s->longest_ns = took_ns;
}

/* The next part goes to the thread; after the last one, the head. */
static void hand_over(struct snapshot *s)
{
	if (s->next_slice < SLICES) {
		copy_slices(s);
		snapshot_thread_write(s->thread, s->target, &s->slice);
		return;
	}
	snapshot_thread_commit(s->thread, s->target, &s->head, s->config->instance.name);
	s->next_slice++;
}

static void fail(struct snapshot *s, const char *path, const char *why)
{
	counter_add(s->counters, COUNTER_snapshot_failures, 1);
	if (!s->has_failed)
		log_error("snapshot-not-written", "file=%s reason=%s", path, why);
	s->has_failed = true;
	s->target = NULL;
}

static void begin(struct snapshot *s, uint64_t now_ms)
{
	struct table_usage usage;

	route_writer_usage(s->writer, &usage);
	if (!usage.entries)
		return;               /* an empty table never replaces one that is not */
	s->due_ms = now_ms + s->config->settings.snapshot_interval_ms;
	s->target = snapshot_files_next(&s->files);
	if (!s->target) {
		fail(s, s->config->settings.snapshot_directory,
		     "no file of it but the newest can be used, and that is not overwritten");
		return;
	}
	if (!s->thread)
		s->thread = snapshot_thread_create();
	s->target->head.sequence = 0;
	s->head = (struct snapshot_head){
		.sequence = s->sequence + 1, .saved_wall_ms = wall_ms(),
		.confirmed_wall_ms = s->confirmed_wall_ms,
	};
	s->changes = route_writer_changes(s->writer);
	s->begun_ms = now_ms;
	s->longest_ns = 0;
	s->next_slice = 0;
	snapshot_thread_begin(s->thread, s->target);
}

/* A large table is written less often. */
static void finish(struct snapshot *s, uint64_t now_ms)
{
	uint64_t pace_ms = s->head.body_bytes / BYTES_PER_MS;

	log_debug("snapshot-written", "file=%s endpoints=%llu bytes=%llu took_ms=%llu "
		  "longest_turn_us=%llu", s->target->path,
		  (unsigned long long)s->head.entries, (unsigned long long)s->head.body_bytes,
		  (unsigned long long)(now_ms - s->begun_ms),
		  (unsigned long long)(s->longest_ns / 1000));
	counter_add(s->counters, COUNTER_snapshots_written, 1);
	board_set_fact(s->board, FACT_SNAPSHOT_WALL_MS, s->head.saved_wall_ms);
	s->target->head = s->head;
	s->sequence = s->head.sequence;
	s->written_changes = s->changes;
	s->renew_ms = now_ms + RENEW_MS;
	s->has_written = true;
	s->has_failed = false;
	if (s->begun_ms + pace_ms > s->due_ms)
		s->due_ms = s->begun_ms + pace_ms;
	s->target = NULL;
}

/* One step of a write under way, if the thread is ready for it. */
static void advance(struct snapshot *s, uint64_t now_ms)
{
	int rc = snapshot_thread_result(s->thread);

	if (rc == -EINPROGRESS)
		return;
	if (rc < 0)
		fail(s, s->target->path, strerror(-rc));
	else if (s->next_slice > SLICES)
		finish(s, now_ms);
	else
		hand_over(s);
}

static bool has_news(const struct snapshot *s)
{
	return !s->has_written || route_writer_changes(s->writer) != s->written_changes;
}

void snapshot_tick(struct snapshot *s, uint64_t now_ms, uint32_t tick, bool is_trusted)
{
	if (!s)
		return;
	s->tick = tick;
	if (is_trusted) {
		s->confirmed_wall_ms = wall_ms();
		s->was_trusted = true;
	}
	if (s->target)
		advance(s, now_ms);
	else if (is_trusted && now_ms >= s->due_ms && (has_news(s) || now_ms >= s->renew_ms))
		begin(s, now_ms);
}

/* The rest at once. */
static void write_out(struct snapshot *s)
{
	while (s->target) {
		snapshot_thread_wait(s->thread);
		advance(s, clock_ms());
	}
}

void snapshot_close(struct snapshot *s)
{
	if (!s)
		return;
	write_out(s);
	if (s->was_trusted && has_news(s)) {
		begin(s, clock_ms());
		write_out(s);
	}
	snapshot_thread_destroy(s->thread);
	snapshot_buffer_fini(&s->slice);
	snapshot_files_close(&s->files);
	free(s);
}
