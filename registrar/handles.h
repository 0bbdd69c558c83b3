/*
 * registrar/handles.h - where the endpoint of a raw message was put, by a keyed
 * hash of the message: a heartbeat that repeats it needs no parsing.  A cache of
 * fixed size in sets of eight; the message of a set that was not repeated for
 * longest makes room, and is parsed again should it come.  Used by the registry
 * only.
 */
#ifndef REGISTRAR_HANDLES_H
#define REGISTRAR_HANDLES_H

#include "shm/route_writer.h"

struct known_message {
	uint64_t hash[2];             /* 128 bits, keyed: never mistaken for another */
	uint32_t count;               /* handles; 0: not known */
	uint32_t used;                /* when it was found last, for the choice of a victim */
	struct route_handle one;      /* the usual message has one URI */
	struct route_handle *more;    /* owned: count handles, if there are more than one */
};

struct handles;
struct handles *handles_create(unsigned messages);    /* a power of two, at least 8 */
void handles_destroy(struct handles *handles);

/* The place of a message.  It holds the message iff count > 0 on return;
 * otherwise it is cleared for it, ready to be filled.  Good until the next call. */
struct known_message *handles_find(struct handles *handles, struct str payload);

/* The handles of a known message. */
static inline struct route_handle *known_handles(struct known_message *known)
{
	return known->more ? known->more : &known->one;
}

/* Room for `count` handles; the caller fills them and then sets known->count. */
struct route_handle *known_reserve(struct known_message *known, uint32_t count);

/* The message must be parsed again. */
void known_forget(struct known_message *known);

#endif
