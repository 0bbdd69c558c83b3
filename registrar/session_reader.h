/*
 * registrar/session_reader.h - the thread that reads one connection, and what it shares
 * with session.c, which gives it birth and end.  Included by these two only.
 */
#ifndef REGISTRAR_SESSION_READER_H
#define REGISTRAR_SESSION_READER_H

#include <nats/nats.h>
#include <pthread.h>

#include "registrar/session.h"
#include "registrar/sieve.h"
#include "registrar/wire.h"

struct session {
	struct session_shared *shared;
	natsConnection *nc;
	natsSubscription *subs[LINK_SUBJECTS];
	pthread_t reader;
	pthread_mutex_t lock;         /* guards `socket` */
	int socket;                   /* of the library; -1: it is about to close it */
	int wake;
	atomic_bool wants_write, is_over, must_end;
	bool has_reader;
	/* The reader's: */
	struct wire wire;
	struct sieve sieve;
	struct batch *batch;          /* being filled, or NULL */
	uint64_t fed_bytes;           /* of registrations, in this round */
	bool had_burst;
};

/* While it lives, only it makes the library close the socket: the library's own closing from
 * another thread would race with the read. */
void *session_read_all(void *session);

natsStatus session_subscribe(struct session *session, enum link_subject which);

#endif
