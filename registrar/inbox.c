/*
 * registrar/inbox.c - batches of messages from thread to thread.
 */
#include "registrar/inbox.h"

#include <errno.h>
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
