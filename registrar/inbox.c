/*
 * registrar/inbox.c - batches of messages from thread to thread.
 */
#include "registrar/inbox.h"

#include <errno.h>
#include <nats/nats.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The thread sanitizer does not see the order that liburcu keeps, which is in assembler. */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#else
#define __tsan_release(address) ((void)(address))
#define __tsan_acquire(address) ((void)(address))
#endif

int inbox_init(struct inbox *inbox)
{
	hash_text_key_random(&inbox->key);
	cds_wfcq_init(&inbox->urgent.head, &inbox->urgent.tail);
	cds_wfcq_init(&inbox->feed.head, &inbox->feed.tail);
	inbox->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return inbox->event < 0 ? -errno : 0;
}

static void empty(struct inbox_queue *queue)
{
	struct batch *batch;

	while ((batch = inbox_take(queue)))
		batch_free(batch);
	cds_wfcq_destroy(&queue->head, &queue->tail);
}

void inbox_fini(struct inbox *inbox)
{
	empty(&inbox->urgent);
	empty(&inbox->feed);
	close(inbox->event);
}

void inbox_ring(struct inbox *inbox)
{
	if (eventfd_write(inbox->event, 1) < 0)
		return;               /* the counter is full: awake already */
}

/* The consumer empties both queues before it sleeps, so one ring is enough. */
void inbox_put(struct inbox *inbox, struct inbox_queue *queue, struct batch *batch)
{
	cds_wfcq_node_init(&batch->queued);
	__tsan_release(batch);
	if (!cds_wfcq_enqueue(&queue->head, &queue->tail, &batch->queued))
		inbox_ring(inbox);
}

struct batch *inbox_take(struct inbox_queue *queue)
{
	struct cds_wfcq_node *node = __cds_wfcq_dequeue_blocking(&queue->head, &queue->tail);

	struct batch *batch = node ? caa_container_of(node, struct batch, queued) : NULL;

	__tsan_acquire(batch);
	return batch;
}

void batch_init(struct batch *batch, struct batch_home *home)
{
	batch->home = home;
	batch->count = batch->next = 0;
	batch->bytes = 0;
	arena_init(&batch->readings, NULL, 0);
	atomic_init(&batch->holders, 1);
	atomic_init(&batch->is_begun, false);
}

static void give_back(struct batch *batch)
{
	struct batch_home *home = batch->home;

	atomic_fetch_sub_explicit(&home->pending_bytes, batch->bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&home->returned_bytes, batch->bytes, memory_order_relaxed);
	batch->next_returned = atomic_load_explicit(&home->returned, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&home->returned, &batch->next_returned, batch,
						      memory_order_release, memory_order_relaxed))
		;
}

void batch_release(struct batch *batch)
{
	if (atomic_fetch_sub_explicit(&batch->holders, 1, memory_order_acq_rel) == 1)
		give_back(batch);
}

void batch_home_init(struct batch_home *home)
{
	atomic_init(&home->pending_bytes, 0);
	atomic_init(&home->returned_bytes, 0);
	atomic_init(&home->returned, NULL);
}

/* All of them are taken at once, so none can return meanwhile and be taken for another. */
void batch_home_clear(struct batch_home *home)
{
	struct batch *batch = atomic_exchange_explicit(&home->returned, NULL, memory_order_acquire);

	while (batch) {
		struct batch *next = batch->next_returned;

		atomic_fetch_sub_explicit(&home->returned_bytes, batch->bytes, memory_order_relaxed);
		batch_free(batch);
		batch = next;
	}
}

void batch_free(struct batch *batch)
{
	for (unsigned i = 0; i < batch->count; i++)
		natsMsg_Destroy(batch->items[i].memory);
	arena_fini(&batch->readings);
	free(batch);
}
