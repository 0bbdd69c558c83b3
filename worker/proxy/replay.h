/*
 * proxy/replay.h - the start of a request body, kept while another attempt may
 * need it.  Bounded: a body that outgrows it cannot be sent again, and the
 * record is dropped.  Used by relay.c and exchange.c.
 */
#ifndef PROXY_REPLAY_H
#define PROXY_REPLAY_H

#include "base/str.h"

struct replay {
	char *bytes;                  /* owned */
	size_t len, room, limit;
	size_t sent;                  /* of the record, in this attempt */
	bool is_lost;                 /* bytes went past that are not in it */
};

/* limit 0: nothing is kept; bytes that pass make it lost. */
void replay_init(struct replay *replay, size_t limit);
void replay_fini(struct replay *replay);

/* These bytes were taken from the client. */
void replay_record(struct replay *replay, struct str bytes);

/* Something was taken from the client that no record can hold. */
void replay_lose(struct replay *replay);

/* What this attempt must send before anything new. */
static inline struct str replay_unsent(const struct replay *replay)
{
	return (struct str){ replay->bytes + replay->sent, replay->len - replay->sent };
}

#endif
