/*
 * registrar/readiness.h - two questions about the table as a whole: has it caught up
 * with the world since the start, and since when does nobody vouch for it?  Pure
 * bookkeeping; what comes of it are FACT_CONVERGED_MS, by which the master becomes
 * healthy, and FACT_FEED_LOST_MS with FACT_FEED_VOUCHED_MS, by which workers no longer
 * call a host unknown.
 *
 * Converged: the table was there at the start (taken over, or last-known-good); or,
 * with a trusted server, it has stopped to grow: in a quarter of the interval in which
 * everybody repeats (5 s of 20 s) by at most a hundredth; or a full interval went by,
 * in which everybody who is there has spoken.
 */
#ifndef REGISTRAR_READINESS_H
#define REGISTRAR_READINESS_H

#include <stdbool.h>
#include <stdint.h>

/* Of FACT_FEED_LOST_MS: nobody was ever heard, and there is no table from before. */
#define FEED_LOST_EVER 1

struct readiness {
	uint64_t interval_ms;         /* minimum_register_interval */
	uint64_t trusted_ms;          /* since then without a break; 0: not now */
	uint64_t sampled_ms, sampled_entries; /* the begin of the window */
	uint64_t converged_ms;        /* 0: not yet */
	uint64_t lost_ms;             /* 0: a server is trusted */
	uint64_t vouched_ms;          /* when one was, the last time; 0: never */
};

/* What the registrar before us left on the board; zeroes if there was none. */
struct readiness_legacy {
	uint64_t converged_ms, lost_ms, vouched_ms;
	bool was_there;
};

/* `entries`: the table at the start. */
void readiness_init(struct readiness *readiness, uint64_t interval_ms, uint64_t entries,
		    const struct readiness_legacy *legacy, uint64_t now_ms);

/* Each 100 ms. */
void readiness_tick(struct readiness *readiness, bool is_trusted, uint64_t entries,
		    uint64_t now_ms);

#endif
