/*
 * registrar/batch.h - messages on their way from the thread that reads a server to the
 * registrar's loop, without a copy: they lie where they were read, in a slab, or in the
 * client library's own memory.  Batches return to the thread that made them, which alone
 * frees them and their slabs.  Used by inbox.c, bus.c, link.c and session_reader.c only.
 */
#ifndef REGISTRAR_BATCH_H
#define REGISTRAR_BATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <urcu/wfcqueue.h>

#include "base/mem.h"
#include "registrar/bus_message.h"

#define BATCH_MOST 256
#define SLAB_BYTES (256u << 10)

/* What was read at once and shortly after.  Reader's. */
struct slab {
	struct slab *next_spare;
	unsigned holders;             /* batches, and the home while it is filled */
	size_t taken, filled;         /* done with; read */
	char bytes[SLAB_BYTES];
};

/* Where the batches of one server come from, and return to. */
struct batch_home {
	atomic_uint_least64_t pending_bytes;  /* of registrations, on their way */
	atomic_uint_least64_t returned_bytes; /* of those that came back and are not freed */
	struct batch *_Atomic returned;       /* the last one; the others behind it */
	struct slab *slab;            /* reader's: the one that is filled, or NULL */
	struct slab *spare;           /* reader's: free ones, kept */
	unsigned spares;
};

/* Messages of one connection in the order of arrival.  Of each, `memory` is the natsMsg, owned,
 * or NULL: it lies in the slab. */
struct batch {
	struct cds_wfcq_node queued;
	struct batch *next_returned;
	struct batch_home *home;
	struct slab *slab;            /* held, or NULL */
	unsigned count, next;         /* next: of the consumer */
	uint64_t bytes;               /* counted as pending */
	struct batch *next_waiting;   /* of the consumer's */
	const struct reading_rules *rules;    /* its messages are read by, if they are */
	struct arena readings;        /* of whoever reads them */
	atomic_uint holders;          /* the last one returns it */
	atomic_bool is_begun;         /* by the consumer: to read more of it is in vain */
	struct bus_message items[BATCH_MOST];
};

void batch_home_init(struct batch_home *home);
void batch_home_fini(struct batch_home *home);        /* frees the slabs; no batch is left */

/* Frees all that returned; in the thread that made them, or when none is left. */
void batch_home_clear(struct batch_home *home);

/* The slab to read into; room for a good part of SLAB_BYTES is left in it, and what was not
 * taken of the one before is at its begin. */
struct slab *batch_home_slab(struct batch_home *home);

/* What was read and not taken is of no use: the connection is another one. */
void batch_home_restart(struct batch_home *home);

/* Spare slabs go back to the machine. */
void batch_home_trim(struct batch_home *home);

/* An empty one with room for so many messages, at most BATCH_MOST; it holds the slab unless
 * that is NULL.  One holds the batch. */
struct batch *batch_create(struct batch_home *home, struct slab *slab, unsigned most);

/* A holder is done with it: after the last one, it returns. */
void batch_release(struct batch *batch);

/* Frees the messages too, all at once: for each of its own the library wakes its collector
 * thread unless that is awake. */
void batch_free(struct batch *batch);

#endif
