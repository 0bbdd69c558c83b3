/*
 * registrar/quota.h - how many routes one endpoint and one host may have once the table
 * gets full, so that an emitter gone wild takes what is free but never the last quarter;
 * and how much of its noise is read at all then, so that it costs others no time.
 */
#ifndef REGISTRAR_QUOTA_H
#define REGISTRAR_QUOTA_H

#include "base/hash.h"
#include "registrar/cells.h"
#include "registrar/seen.h"

/* Messages a second that are read of a host that was refused a route just now. */
#define QUOTA_READS_PER_SECOND 500

/* As long as the table is not fuller than that, there are no limits. */
#define QUOTA_FREE_PERCENT 75

struct quota {
	uint64_t per_endpoint, per_host;      /* routes; 0: any number */
	unsigned free_percent;
	uint32_t refused_tick;                /* of the last refusal of all; 0: none yet */
};

/* False: the table has room enough for everybody. */
static inline bool quota_has_limits(const struct quota *quota, unsigned used_percent)
{
	return used_percent >= quota->free_percent;
}

/* True if it may have one route more.  `note`: NULL, it has none yet; `used_percent`: of the
 * table. */
bool quota_allows(const struct quota *quota, const struct row_note *note,
		  const struct cell *cell, unsigned used_percent);

void quota_note_refusal(struct quota *quota, struct cell *cell, uint32_t tick);

/* False: a message of a host that has had its share of the reader's time.  Looks at
 * the bytes only, for "host" as emitters write it; whatever it cannot see is read. */
bool quota_may_read(const struct quota *quota, struct cells *cells, const struct hash_key *key,
		    struct str payload, uint32_t tick);

#endif
