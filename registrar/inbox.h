/*
 * registrar/inbox.h - where the threads of all NATS connections put what they read,
 * and whence the registrar's loop takes it: two queues, so that probes and digests
 * overtake registrations, and one eventfd, rung only when a queue was empty.
 * Messages travel in batches (batch.h).  Many producers, one consumer; used by link.c,
 * session_reader.c and bus.c only.
 */
#ifndef REGISTRAR_INBOX_H
#define REGISTRAR_INBOX_H

#include "registrar/batch.h"

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

#endif
