/*
 * registrar/inbox.h - where the threads of all NATS connections put what they read,
 * and whence the registrar's loop takes it: two queues, so that probes and digests
 * overtake registrations, and one eventfd, rung only when a queue was empty.
 * Messages travel in batches, in the library's own memory: nothing is copied, and
 * batches go back to the thread that made them, which frees them in crowds.  Many
 * producers, one consumer; used by link.c, session.c and bus.c only.
 */
#ifndef REGISTRAR_INBOX_H
#define REGISTRAR_INBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <urcu/wfcqueue.h>

#include "base/mem.h"
#include "registrar/bus_message.h"

#define BATCH_MOST 256

/* Where batches come from, and return to. */
struct batch_home {
	atomic_uint_least64_t pending_bytes;  /* of registrations, on their way */
	atomic_uint_least64_t returned_bytes; /* of those that came back and are not freed */
	struct batch *_Atomic returned;       /* the last one; the others behind it */
};

/* Messages of one connection in the order of arrival. */
struct batch {
	struct cds_wfcq_node queued;
	struct batch *next_returned;
	struct batch_home *home;
	unsigned count, next;         /* next: of the consumer */
	uint64_t bytes;               /* counted as pending */
	struct batch *next_waiting;   /* of the consumer's */
	const struct reading_rules *rules;    /* its messages are read by, if they are */
	struct arena readings;        /* of whoever reads them */
	atomic_uint holders;          /* the last one returns it */
	atomic_bool is_begun;         /* by the consumer: to read more of it is in vain */
	struct bus_message items[BATCH_MOST]; /* memory: natsMsg, owned */
};

struct inbox {
	int event;
	struct hash_text_key key;     /* of the messages' hashes */
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

/* What its maker knows of a batch of no messages yet: home, and nothing else.  One holds it. */
void batch_init(struct batch *batch, struct batch_home *home);

/* A holder is done with it: after the last one, it returns. */
void batch_release(struct batch *batch);

/* Frees all that returned; in the thread that made them, or when none is left. */
void batch_home_init(struct batch_home *home);
void batch_home_clear(struct batch_home *home);

/* Frees the messages too, all at once: for each the library wakes its collector thread
 * unless that is awake. */
void batch_free(struct batch *batch);

#endif
