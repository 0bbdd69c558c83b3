/*
 * registrar/greets.h - the answer to greets, and which were answered: with a union of
 * servers each greet arrives once a server, and is to be answered once.  Asked by the
 * readers of all servers, so that nobody waits for the registrar's loop, which may be
 * busy with a million registrations.
 */
#ifndef REGISTRAR_GREETS_H
#define REGISTRAR_GREETS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"

#define GREETS_SETS      256           /* as many emitters as ask at once, several times over */
#define GREETS_WAYS      8
#define GREETS_WINDOW_MS 5000

struct greets {
	const char *answer;           /* borrowed */
	atomic_uint_least64_t answered;
	struct hash_key key;          /* clients choose reply subjects */
	pthread_mutex_t lock;         /* guards what follows */
	struct answered_greet {
		uint64_t hash, at_ms;
		uint32_t sources;     /* bits: who brought it */
	} of[GREETS_SETS * GREETS_WAYS];
};

void greets_init(struct greets *greets, const char *answer);

/* True if the request with this reply subject is to be answered: it is not a copy, through
 * another server, of one that was answered just now.  The same server twice means
 * that somebody asks again.  Any thread. */
bool greets_is_new(struct greets *greets, struct str reply, unsigned source, uint64_t now_ms);

#endif
