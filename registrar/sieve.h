/*
 * registrar/sieve.h - what a NATS server sends, told apart before the client library sees
 * it: registrations, which are nearly all of it, are taken where they lie; every other
 * byte goes to the library, in order, as if it had read it itself.  Follows the
 * protocol's frames and nothing else: whatever it does not understand is the
 * library's.  Pure: no socket, no memory.  Used by session_reader.c.
 */
#ifndef REGISTRAR_SIEVE_H
#define REGISTRAR_SIEVE_H

#include "base/str.h"
#include "registrar/bus_message.h"

#define SIEVE_FRAME_MOST (128u << 10) /* a frame that is longer is the library's */

enum sieve_kind {
	SIEVE_MORE,                   /* begins with a frame that is not complete */
	SIEVE_TAKE,                   /* a registration, or the end of one */
	SIEVE_PASS,                   /* for the library */
};

struct sieve_piece {
	enum sieve_kind kind;
	enum bus_subject subject;     /* of SIEVE_TAKE: BUS_REGISTER or BUS_UNREGISTER */
	struct str bytes;             /* the payload, or what is to be passed on */
};

struct sieve {
	struct sieve_prefix {
		enum bus_subject subject;
		unsigned len;
		char text[48];        /* "MSG router.register SID " */
	} prefixes[2];
	uint64_t passing;             /* so much of the frame at hand is still to pass */
	bool is_in_line;              /* the line at hand passes, up to its end */
	bool is_lost;                 /* frames cannot be told any more: all passes */
};

void sieve_init(struct sieve *sieve);

/* Takes the messages of this subscription from now on; 0: of none. */
void sieve_follow(struct sieve *sieve, uint64_t subscription);

/* The first piece of what came, and how long it is: those bytes are done with.  0, with
 * SIEVE_MORE: to be called again with these and more, up to SIEVE_FRAME_MOST at most. */
size_t sieve_next(struct sieve *sieve, struct str came, struct sieve_piece *piece);

#endif
