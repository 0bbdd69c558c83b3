/*
 * registrar/reading.h - what can be known of one message by itself: a function of its bytes and
 * of rules that never change while the process lives.  The registry makes readings as it needs
 * them; of messages that are mostly new, read_ahead.c makes them before, and more of each.
 * Touches no table, counts and logs nothing.
 */
#ifndef REGISTRAR_READING_H
#define REGISTRAR_READING_H

#include "registrar/config.h"
#include "registrar/identity.h"
#include "registrar/message.h"
#include "shm/route_writer_offer.h"

struct reading_rules {
	const struct registrar_settings *settings;    /* borrowed */
	struct hash_key key;          /* of identities */
	struct route_hash_seed seed;  /* of the table */
};

struct reading {
	int result;                   /* of message_parse() */
	bool is_in_shard;             /* for this router; the rest is only good if so */
	bool has_key;                 /* the first URI is one: */
	struct route_key key;         /* with its hashes */
	uint64_t under;               /* identity_under() it */
	struct identity id;
	const struct route_offer *offer;      /* of the first URI; NULL: not made */
	const struct reason *reason;  /* why it was refused; NULL unless result is -EINVAL */
	struct registration registration;     /* its lifetime clamped; last, for its room for
					       * texts is not there */
};

/* Reads a message.  All of it lies in the arena and in the payload. */
struct reading *reading_make(const struct reading_rules *rules, struct str payload,
			     struct arena *arena);

/* Adds what the table will hold, if that will be asked for: worth it only in another thread, for
 * the writer describes what it is given just as well. */
void reading_add_offer(const struct reading_rules *rules, struct reading *reading,
		       struct arena *arena);

/* Of a usual reading: what it points to lies behind it. */
#define READING_FETCHED 1280u

/* Fetches the memory of a reading that another thread has made. */
static inline __attribute__((always_inline)) void reading_fetch(const struct reading *reading)
{
	for (unsigned at = 0; at < READING_FETCHED; at += 64)
		__builtin_prefetch((const char *)reading + at);
}

#endif
