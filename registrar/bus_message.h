/*
 * registrar/bus_message.h - a message as a reader's thread hands it to the loop: told
 * apart by its subject, and hashed while its bytes are still warm, so that of a message
 * that is known the loop touches nothing else.
 */
#ifndef REGISTRAR_BUS_MESSAGE_H
#define REGISTRAR_BUS_MESSAGE_H

#include <stdatomic.h>

#include "base/hash.h"

enum bus_subject {
	BUS_REGISTER, BUS_UNREGISTER,         /* bus_next_run() */
	BUS_PROBE, BUS_DIGEST, BUS_START,     /* bus_next_urgent() */
	BUS_OTHER,
};

struct reading;

struct bus_message {
	enum bus_subject subject;
	unsigned source;              /* which server brought it: 0 to bus_sources() - 1 */
	uint64_t received_ms;
	struct hash128 hash;          /* of the payload, under a key of this process; only of
				       * BUS_REGISTER */
	struct str payload;
	struct reading *_Atomic reading;      /* of a BUS_REGISTER (reading.h), for the loop; NULL:
				       * none yet */
	const char *name;             /* the full subject */
	void *memory;                 /* where the texts lie: the bus's */
};

#endif
