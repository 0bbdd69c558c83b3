/*
 * upstream/idle_limits.h - how long endpoints keep an idle connection, learned from
 * watching them close.  Used by pool.c, so that a request does not meet a close on
 * its way.  A bounded table: addresses that share a cell push each other out.
 */
#ifndef UPSTREAM_IDLE_LIMITS_H
#define UPSTREAM_IDLE_LIMITS_H

#include "base/addr.h"
#include "base/hash.h"

#define IDLE_LIMITS_CELLS 1024

struct idle_limits {
	struct hash_key key;          /* set by the owner; the rest begins zeroed */
	bool has_any;                 /* something was learned, ever */
	struct idle_limit {
		uint64_t address;             /* its hash */
		uint64_t until_ms;            /* what was learned is forgotten then */
		uint32_t seen_ms;             /* the last connection was closed at this age */
		uint32_t limit_ms;            /* 0: not known */
	} cells[IDLE_LIMITS_CELLS];
};

/* The endpoint closed a connection that was idle for so long.  Two in a row of about
 * the same age are its limit; one may be a restart.  Of several limits the shortest holds. */
void idle_limits_note(struct idle_limits *limits, const struct addr *addr, uint64_t idle_ms,
		      uint64_t now_ms);

/* How long to keep a connection to it, some margin before its limit; UINT64_MAX:
 * nothing is known. */
uint64_t idle_limits_find(const struct idle_limits *limits, const struct addr *addr,
			  uint64_t now_ms);

#endif
