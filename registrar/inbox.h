/*
 * registrar/inbox.h - where the threads of all NATS connections put what they read,
 * and whence the registrar's loop takes it: two queues, so that greets and probes
 * overtake registrations, and one eventfd, rung only when a queue was empty.
 * Messages travel in batches, in the library's own memory: nothing is copied.
 * Many producers, one consumer; used by link.c and bus.c only.
 */
#ifndef REGISTRAR_INBOX_H
#define REGISTRAR_INBOX_H

#include <nats/nats.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <urcu/wfcqueue.h>

#define BATCH_MOST 256

/* Messages of one connection in the order of arrival. */
struct batch {
	struct cds_wfcq_node node;
	unsigned source, count, next;         /* next: of the consumer */
	uint64_t born_ms;
	uint64_t bytes;
	atomic_uint_least64_t *pending_bytes; /* of the source; gives back when freed */
	natsMsg *items[BATCH_MOST];           /* owned */
};

struct inbox {
	int event;
	struct inbox_queue {
		struct cds_wfcq_head head;
		struct cds_wfcq_tail tail;
	} urgent, feed;
};

int inbox_init(struct inbox *inbox);  /* 0 or -errno */
void inbox_fini(struct inbox *inbox);         /* frees what is left; no producer is */

void inbox_put(struct inbox *inbox, struct inbox_queue *queue, struct batch *batch);
void inbox_ring(struct inbox *inbox);

/* The oldest batch, owned by the caller, or NULL. */
struct batch *inbox_take(struct inbox_queue *queue);

/* Frees the messages too, all at once: for each the library wakes its collector thread
 * unless that is awake. */
void batch_free(struct batch *batch);

#endif
