/*
 * registrar/tombstones.h - what was unregistered a moment ago, so that a copy of
 * its registration which comes late through another server does not bring it back
 * (spec registrar 3.2, rule 4).  Of fixed size: the oldest makes room.
 */
#ifndef REGISTRAR_TOMBSTONES_H
#define REGISTRAR_TOMBSTONES_H

#include <stdbool.h>
#include <stdint.h>

struct tombstone_times {              /* ticks */
	uint32_t stands;              /* how long; copies are late by an emit cycle at most */
	uint32_t burst;               /* copies within that are one */
};

struct tombstones;
struct tombstones *tombstones_create(const struct tombstone_times *times);
void tombstones_destroy(struct tombstones *tombstones);

/* `hash` (identity_under()) was unregistered through `source`. */
void tombstones_add(struct tombstones *tombstones, uint64_t hash, unsigned source, uint32_t tick);

/* True: a registration of it through `source` is a late copy.  Not if the unregister
 * came the same way before it, and not the second time. */
bool tombstones_cover(struct tombstones *tombstones, uint64_t hash, unsigned source,
		      uint32_t tick);

#endif
