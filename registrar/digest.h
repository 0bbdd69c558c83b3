/*
 * registrar/digest.h - compares this router's table with those of other routers.
 * Every digest_interval each publishes the digest of its table (route_digest.h)
 * with its name and what it is meant to hold; who hears it compares it with its own
 * table of that moment.  A difference that stays is said in one sentence that names
 * the other router, and so is its end.  Knows nothing of NATS and of the table; what
 * comes from the bus is not trusted.
 */
#ifndef REGISTRAR_DIGEST_H
#define REGISTRAR_DIGEST_H

#include "registrar/config.h"
#include "shm/board.h"
#include "shm/route_digest.h"

#define DIGEST_SUBJECT "_r.digest"
#define DIGEST_MESSAGE_BYTES (108u + 12u * DIGEST_BUCKETS)
#define DIGEST_NAME_SIZE 64

struct digest;

/* `own` is the living digest of this router's table; all borrowed. */
struct digest *digest_create(const struct registrar_settings *settings, const char *instance,
			     struct board *board, const struct route_digest *own);
void digest_destroy(struct digest *digest);

/* Time passed.  True: publish the message of DIGEST_MESSAGE_BYTES in `out` now. */
bool digest_tick(struct digest *digest, uint64_t now_ms, unsigned char *out);

/* A message came.  Copies of one (by sender and sequence), this router's own, and
 * what is no such message change nothing. */
void digest_receive(struct digest *digest, struct str payload, uint64_t now_ms);

/* About the other routers, for tests and facts. */
struct digest_state {
	unsigned routers;             /* heard of lately, meant to hold the same routes */
	unsigned diverging;           /* of them: above the limits for long enough */
	uint64_t routes;              /* by which the most different one differs, about */
	uint64_t ppm;                 /* the same in millionths of the larger table */
};
void digest_state(const struct digest *digest, struct digest_state *out);

/* What a message says.  False: it is none. */
struct digest_message {
	unsigned char id[16];         /* of the sending process */
	uint64_t sequence;            /* ascending */
	uint64_t shard;               /* what the router is meant to hold */
	uint64_t interval_ms;         /* until the next */
	char name[DIGEST_NAME_SIZE];  /* printable, terminated */
	struct route_digest table;
};
bool digest_message_parse(struct str payload, struct digest_message *out);
void digest_message_format(const struct digest_message *message, unsigned char *out);

#endif
