/*
 * registrar/read_ahead.c - batches in, readings beside their messages.
 */
#include "registrar/read_ahead.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/mem.h"

struct read_ahead {
	struct inbox work;            /* its feed only */
	pthread_t thread;
	atomic_bool must_stop;
};

static bool is_begun(const struct batch *batch)
{
	return atomic_load_explicit(&batch->is_begun, memory_order_relaxed);
}

static void read_batch(struct batch *batch)
{
	for (unsigned i = 0; i < batch->count && !is_begun(batch); i++) {
		struct bus_message *m = &batch->items[i];
		struct reading *reading;

		if (m->subject != BUS_REGISTER)
			continue;
		reading = reading_make(batch->rules, m->payload, &batch->readings);
		reading_add_offer(batch->rules, reading, &batch->readings);
		atomic_store_explicit(&m->reading, reading, memory_order_release);
	}
}

static void *run(void *argument)
{
	struct read_ahead *ahead = argument;
	struct pollfd ready = { .fd = ahead->work.event, .events = POLLIN };

	while (!atomic_load(&ahead->must_stop)) {
		struct batch *batch;
		eventfd_t ignored;

		if (poll(&ready, 1, -1) < 0)
			continue;
		eventfd_read(ahead->work.event, &ignored);
		while (!atomic_load(&ahead->must_stop) && (batch = inbox_take(&ahead->work.feed))) {
			read_batch(batch);
			batch_release(batch);
		}
	}
	return NULL;
}

struct read_ahead *read_ahead_create(void)
{
	struct read_ahead *ahead = mem_zalloc(sizeof(*ahead));

	if (inbox_init(&ahead->work) < 0) {
		free(ahead);
		return NULL;
	}
	if (pthread_create(&ahead->thread, NULL, run, ahead) == 0)
		return ahead;
	inbox_fini(&ahead->work);
	free(ahead);
	return NULL;
}

void read_ahead_destroy(struct read_ahead *ahead)
{
	struct batch *batch;

	if (!ahead)
		return;
	atomic_store(&ahead->must_stop, true);
	inbox_ring(&ahead->work);
	pthread_join(ahead->thread, NULL);
	while ((batch = inbox_take(&ahead->work.feed)))
		batch_release(batch);
	inbox_fini(&ahead->work);
	free(ahead);
}

void read_ahead_give(struct read_ahead *ahead, struct batch *batch,
		     const struct reading_rules *rules)
{
	batch->rules = rules;
	atomic_fetch_add_explicit(&batch->holders, 1, memory_order_relaxed);
	inbox_put(&ahead->work, &ahead->work.feed, batch);
}
