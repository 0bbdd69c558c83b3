/*
 * registrar/handles.h - where the endpoint of a raw message was put, by a keyed
 * hash of the message: a heartbeat that repeats it needs no parsing.  A cache that
 * grows with the messages it knows, up to a limit; then, of those in its way, the
 * message not repeated for longest makes room, and is parsed again should it come.
 * What is only looked for takes no room.  Used by the registry only.
 */
#ifndef REGISTRAR_HANDLES_H
#define REGISTRAR_HANDLES_H

#include "base/hash.h"
#include "shm/route_writer.h"

struct known_message {
	struct hash128 hash;          /* keyed: never mistaken for another */
	uint32_t count;               /* handles; 0: the place is free */
	uint32_t used;                /* when it was found last, for the choice of a victim */
	struct route_handle one;      /* the usual message has one URI */
	struct route_handle *more;    /* owned: count handles, if there are more than one */
};

struct handles;

/* Room for so many messages at first, and at most; powers of two, at least 8. */
struct handles *handles_create(unsigned messages, unsigned most);
void handles_destroy(struct handles *handles);

/* For look-ups of many: fetch the tags of all, then the messages of all, then look.  These
 * change nothing; a peek is no find. */
void handles_fetch_tags(const struct handles *handles, struct hash128 hash);
void handles_fetch_message(const struct handles *handles, struct hash128 hash);
struct known_message *handles_peek(const struct handles *handles, struct hash128 hash);

/* What a peek has shown (it may be NULL), if that is still so; otherwise as handles_find(). */
struct known_message *handles_find_again(struct handles *handles, struct known_message *peeked,
					 struct hash128 hash);

/* The message of that hash, or NULL: it is not known. */
struct known_message *handles_find(struct handles *handles, struct hash128 hash);

/* The message is known from now on; the handles are copied, at least one. */
void handles_keep(struct handles *handles, struct hash128 hash,
		  const struct route_handle *handles_of_message, uint32_t count);

/* The handles of a known message. */
static inline const struct route_handle *known_handles(const struct known_message *known)
{
	return known->more ? known->more : &known->one;
}

/* The message must be parsed again. */
void known_forget(struct handles *handles, struct known_message *known);

/* Messages that are known, and for how many there is room now. */
uint64_t handles_known(const struct handles *handles);
uint64_t handles_room(const struct handles *handles);

#endif
