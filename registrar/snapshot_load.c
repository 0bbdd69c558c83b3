/*
 * registrar/snapshot_load.c - a reader and a writer with a ring of batches between them, and
 * somebody who gets the memory.
 */
#include "registrar/snapshot_load.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "registrar/registry.h"
#include "shm/route_table.h"

#define BATCH 512u
#define BATCHES 32u
#define BEAT_BATCHES 128u
#define LARGE 50000u                  /* entries */

struct batch {
	unsigned count;
	struct route_load_entry of[BATCH];
};

struct loading {
	const struct snapshot_source *source;
	struct route_load *load;
	pthread_t id;
	pthread_mutex_t lock;         /* over the next three */
	pthread_cond_t changed;
	uint64_t filled, taken;       /* batches; the reader's and the writer's */
	bool is_read;                 /* `filled` is final */
	struct batch *ring;           /* owned; BATCHES of them */
	struct snapshot_reader reader;        /* the reader's, like the rest until is_read */
	uint64_t foreign;
	int rc;
	struct reason reason;
};

/* --- reading --- */

/* A lifetime is what this configuration makes of it.  False: it is of another shard. */
static bool admit(struct loading *l, struct route_load_entry *e)
{
	const struct registrar_settings *settings = l->source->settings;
	uint32_t most = (uint32_t)(settings->droplet_stale_threshold_ms / 1000);

	if (!registry_is_in_shard(settings, route_image_segment(&e->image))) {
		l->foreign++;
		return false;
	}
	route_image_limit_stale(&e->image, most);
	route_load_prepare(l->load, e);
	return true;
}

static int fill(struct loading *l, struct batch *batch)
{
	int rc = 0;

	batch->count = 0;
	while (batch->count < BATCH && rc == 0) {
		struct route_load_entry *e = &batch->of[batch->count];

		rc = snapshot_reader_next(&l->reader, &e->image, &l->reason);
		if (rc == 0)
			batch->count += admit(l, e);
	}
	return rc;
}

static struct batch *wait_for_room(struct loading *l)
{
	pthread_mutex_lock(&l->lock);
	while (l->filled - l->taken == BATCHES)
		pthread_cond_wait(&l->changed, &l->lock);
	pthread_mutex_unlock(&l->lock);
	return &l->ring[l->filled % BATCHES];
}

static void *read_all(void *context)
{
	struct loading *l = context;
	int rc;

	do {
		rc = fill(l, wait_for_room(l));
		pthread_mutex_lock(&l->lock);
		l->filled++;
		l->rc = rc;
		l->is_read = rc != 0;
		pthread_cond_signal(&l->changed);
		pthread_mutex_unlock(&l->lock);
	} while (rc == 0);
	return NULL;
}

/* --- putting in --- */

/* NULL: that was the last. */
static const struct batch *wait_for_batch(struct loading *l)
{
	bool is_there;

	pthread_mutex_lock(&l->lock);
	while (l->filled == l->taken && !l->is_read)
		pthread_cond_wait(&l->changed, &l->lock);
	is_there = l->filled != l->taken;
	pthread_mutex_unlock(&l->lock);
	return is_there ? &l->ring[l->taken % BATCHES] : NULL;
}

static void give_back(struct loading *l)
{
	pthread_mutex_lock(&l->lock);
	l->taken++;
	pthread_cond_signal(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

static void put_all(struct loading *l, struct board *board, uint32_t tick)
{
	const struct batch *batch;

	while ((batch = wait_for_batch(l))) {
		route_load_put(l->load, batch->of, batch->count, tick);
		give_back(l);
		if (l->taken % BEAT_BATCHES == 0)
			board_slot_beat(board, SLOT_REGISTRAR, clock_ms());
	}
}

static void *run_ahead(void *context)
{
	struct loading *l = context;

	route_load_run_ahead(l->load);
	return NULL;
}

/* The third thread is for large tables only: it is always a little too far ahead. */
static void put_quickly(struct loading *l, struct board *board, uint32_t tick)
{
	bool is_large = l->source->head->entries >= LARGE;
	pthread_t ahead;

	if (is_large)
		must(pthread_create(&ahead, NULL, run_ahead, l) == 0);
	put_all(l, board, tick);
	route_load_stop_ahead(l->load);
	if (is_large)
		pthread_join(ahead, NULL);
}

static void run(struct loading *l, struct board *board, uint32_t tick)
{
	l->ring = mem_alloc(BATCHES * sizeof(*l->ring));
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->changed, NULL);
	must(pthread_create(&l->id, NULL, read_all, l) == 0);
	put_quickly(l, board, tick);
	pthread_join(l->id, NULL);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l->ring);
}

static const char *why_not(int error)
{
	return error == -EEXIST ? "the table is not empty"
	     : error == -EBUSY ? "readers still use what the writer before left behind"
			       : "no memory for the route table";
}

int snapshot_load_image(const struct snapshot_source *source, struct route_writer *writer,
			struct board *board, uint32_t tick, struct snapshot_loaded *loaded,
			struct reason *reason)
{
	struct loading l = { .source = source };
	int rc = snapshot_reader_begin(&l.reader, source->image, source->head, reason);

	if (rc)
		return rc;
	rc = route_load_begin(writer, source->head->entries, &l.load);
	if (rc)
		return reason_set(reason, rc == -EINVAL ? -EIO : rc, "%s", why_not(rc));
	run(&l, board, tick);
	if (l.rc != -ENODATA) {
		route_load_abandon(l.load);
		*reason = l.reason;
		return l.rc;
	}
	*loaded = (struct snapshot_loaded){ route_load_commit(l.load), l.foreign };
	return 0;
}
