/*
 * registrar/greets.h - which requests were answered: with a union of servers each greet
 * arrives once a server, and is to be answered once.  Pure logic.
 */
#ifndef REGISTRAR_GREETS_H
#define REGISTRAR_GREETS_H

#include "base/hash.h"

#define GREETS_REMEMBERED 1024
#define GREETS_WINDOW_MS  5000

struct greets {
	struct hash_key key;          /* clients choose reply subjects */
	struct {
		uint64_t hash, at_ms;
		uint32_t sources;     /* bits: who brought it */
	} of[GREETS_REMEMBERED];
};

/* True if the request with this reply subject is to be answered: it is not a copy, through
 * another server, of one that was answered just now.  The same server twice means
 * that somebody asks again. */
bool greets_is_new(struct greets *greets, struct str reply, unsigned source, uint64_t now_ms);

#endif
