/*
 * shm/route_writer.h - the write side of the table.  The registrar only: one
 * process, one thread.  Every call leaves a complete table behind, whatever
 * instruction the process is killed at.
 *
 * A pool is made by its first endpoint and dies with its last (or is kept empty
 * for a while, route_writer_keep_empty).  Refresh and remove never allocate.
 */
#ifndef SHM_ROUTE_WRITER_H
#define SHM_ROUTE_WRITER_H

#include "board.h"
#include "endpoint.h"
#include "region.h"
#include "route_key.h"

struct route_writer;

struct route_recovery {
	uint64_t routes, endpoints;   /* taken over */
	uint64_t damaged;             /* blocks refused by bounds or checksum; they come back */
	uint64_t took_ms;
};

/* `table` is mapped writable.  An existing table is recovered (copied into the
 * other arena and flipped) before this returns; *recovery tells what was found. */
int route_writer_open(struct table *table, struct board *board, struct route_writer **out,
		      struct route_recovery *recovery, struct reason *reason);
void route_writer_close(struct route_writer *writer);

/* Where an endpoint was put, for the fast path of its heartbeats.  Opaque; stays
 * safe to use for ever: a refresh through an outdated one says so. */
struct route_handle {
	uint64_t route_hash;
	uint64_t serial;
	uint32_t inst;
	uint32_t reserved;
};

enum write_result { WRITE_ADDED = 1, WRITE_UPDATED, WRITE_UNMODIFIED };

/* Registers `endpoint` under `key` (spec control 2.3, identity host:port).
 * `tick` becomes its last-seen.  WRITE_ADDED: new here.  WRITE_UPDATED: known;
 * attributes replaced if they differ (in-flight counts survive: the row is
 * kept).  *handle is set.  *is_new_route: the pool did not exist.
 * -ENOSPC: the table is full; nothing changed, the entry of before stays. */
int route_writer_add(struct route_writer *writer, const struct route_key *key,
		     const struct endpoint *endpoint, uint32_t tick,
		     struct route_handle *handle, bool *is_new_route);

/* A heartbeat that changes nothing: one store.  0, or -ENOENT: the handle is
 * outdated, register in full. */
int route_writer_refresh(struct route_writer *writer, const struct route_handle *handle,
			 uint32_t tick);

/* Removes host:port from the pool.  With a non-empty instance_id on both sides
 * they must be equal (W12).  0; -ENOENT no such pool; -ESRCH no such endpoint in
 * it; -EEXIST another instance lives there now.  *is_route_gone: the pool went
 * with it. */
int route_writer_remove(struct route_writer *writer, const struct route_key *key,
			struct str host, uint16_t port, struct str instance_id,
			bool *is_route_gone);

/* Empty pools are kept for this long (answers 503 instead of 404); 0: not at all. */
void route_writer_keep_empty(struct route_writer *writer, uint32_t ticks);

/* Sweep: visits the pools in slice `slice` of ROUTE_WRITER_SLICES and asks about
 * every endpoint; what says ENTRY_REMOVE goes.  Empty pools past their time go
 * too.  Returns how many endpoints were removed. */
#define ROUTE_WRITER_SLICES 64
enum entry_verdict { ENTRY_KEEP, ENTRY_REMOVE, ENTRY_TOUCH };   /* TOUCH: last-seen := now */
struct entry_view {
	struct str key;               /* in the table's memory */
	uint32_t last_seen;           /* ticks */
	uint32_t stale_s;
	uint32_t flags, row;
	uint64_t serial;
	struct route_handle handle;
	const struct inst *inst;      /* for inst_copy() */
};
typedef enum entry_verdict entry_visit_fn(void *context, const struct entry_view *entry);
unsigned route_writer_sweep(struct route_writer *writer, unsigned slice, uint32_t now_tick,
			    entry_visit_fn *visit, void *context);

/* Copies the endpoint that a worker's event names, the text of its tags to `tags`.
 * False: there is none (any more).  Row and serial are not trusted. */
bool route_writer_endpoint(const struct route_writer *writer, uint32_t row, uint64_t serial,
			   struct endpoint *out, char tags[ENDPOINT_TAGS_MAX]);

/* Removes every entry of an endpoint (by serial) from all pools that hold it, as
 * prune-on-failure does; returns how many entries went.  `keep_last` leaves an
 * entry that is the only one of its pool. */
unsigned route_writer_remove_serial(struct route_writer *writer, uint32_t row, uint64_t serial,
				    bool keep_last);

/* Housekeeping after each batch of messages: grace periods, row recycling,
 * compaction when worthwhile, facts on the board. */
void route_writer_tick(struct route_writer *writer, uint64_t now_ms);

/* A slot that blocks reclamation for more than `ms`, or -1. */
int route_writer_stuck_slot(const struct route_writer *writer, uint64_t now_ms, uint64_t ms);

struct table_usage {
	uint64_t used_bytes, capacity_bytes, free_list_bytes, deferred_bytes;
	uint64_t routes, entries, endpoints;
};
void route_writer_usage(const struct route_writer *writer, struct table_usage *out);

#endif
