/*
 * shm/route_writer_load.h - an empty table filled at once from records
 * (route_image.h), with the result that registering every one of them would have had.
 * The table is made aside, in the spare arena, with all maps sized beforehand, and
 * published by one store: readers find all of it or nothing.  The registrar only.
 *
 * The work is cut in two: what can be known of an entry by itself is computed by
 * route_load_prepare() in any thread; putting it in is the writer's.  The entries of a
 * pool follow each other.
 */
#ifndef SHM_ROUTE_WRITER_LOAD_H
#define SHM_ROUTE_WRITER_LOAD_H

#include "route_image.h"
#include "route_writer.h"

struct route_load_entry {
	struct route_image image;
	uint64_t host_hash, key_hash;
	uint64_t fingerprint, address;
};

struct route_load_counts {
	uint64_t entries;             /* put in */
	uint64_t full;                /* found no room */
	uint64_t doubles;             /* of a pool or an address that was there */
};

/* Nothing may change the writer until the load ends.  `entries`: how many will come at
 * most; only sizes things.  0, or -errno with the table as it was: -EEXIST: it is not
 * empty; -ENOSPC; -EBUSY: readers still use the spare arena. */
struct route_load;
int route_load_begin(struct route_writer *writer, uint64_t entries, struct route_load **out);

/* Fills in all but the image, whose block is as it shall be.  Reads nothing that
 * changes, so it may run in another thread than the rest. */
void route_load_prepare(const struct route_load *load, struct route_load_entry *entry);

/* Their images must stay where they are until the load ends.  `tick` becomes their last-seen. */
void route_load_put(struct route_load *load, const struct route_load_entry *entries,
		    unsigned count, uint32_t tick);

/* For a thread of its own that ends before the load does: gets the table's memory ahead of
 * route_load_put(), until the second is called. */
void route_load_run_ahead(struct route_load *load);
void route_load_stop_ahead(struct route_load *load);

/* Ends the load: readers find what was put; or the table stays as it was. */
struct route_load_counts route_load_commit(struct route_load *load);
void route_load_abandon(struct route_load *load);

#endif
