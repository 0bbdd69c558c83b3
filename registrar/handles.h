/*
 * registrar/handles.h - where the endpoint of a raw message was put, by a keyed
 * hash of the message: a heartbeat that repeats it needs no parsing.  A cache of
 * fixed size; what it forgets is parsed again.  Used by the registry only.
 */
#ifndef REGISTRAR_HANDLES_H
#define REGISTRAR_HANDLES_H

#include "shm/route_writer.h"

#define HANDLES_PER_MESSAGE 4         /* messages with more URIs are always parsed */

struct known_message {
	uint64_t hash[2];             /* 128 bits, keyed: never mistaken for another */
	uint32_t count;
	struct route_handle handles[HANDLES_PER_MESSAGE];
};

struct handles;
struct handles *handles_create(unsigned slots);   /* a power of two */
void handles_destroy(struct handles *handles);

/* The slot of a message.  It holds the message iff count > 0 on return;
 * otherwise it is cleared for it, ready to be filled. */
struct known_message *handles_find(struct handles *handles, struct str payload);

#endif
