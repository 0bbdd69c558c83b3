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
#include "history_writer.h"
#include "region.h"
#include "route_digest.h"
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
	uint32_t row;                 /* the endpoint's, on the board */
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

/* Copies the endpoint host:port of the pool, tags left out, and its handle; false:
 * there is none. */
bool route_writer_find(const struct route_writer *writer, const struct route_key *key,
		       struct str host, uint16_t port, struct endpoint *out,
		       struct route_handle *handle);

/* A heartbeat that changes nothing: one store.  0, or -ENOENT: the handle is
 * outdated, register in full. */
int route_writer_refresh(struct route_writer *writer, const struct route_handle *handle,
			 uint32_t tick);

/* For refreshes of many: fetch for all, then the route for all, then refresh; waits for memory
 * overlap then.  These change nothing. */
void route_writer_fetch(const struct route_writer *writer, const struct route_handle *handle);
void route_writer_fetch_route(const struct route_writer *writer, const struct route_handle *handle);

/* The same for what will be looked for by its key. */
void route_writer_fetch_key(const struct route_writer *writer, const struct route_key *key);

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
enum entry_verdict { ENTRY_KEEP, ENTRY_REMOVE };
struct entry_view {
	struct str key;               /* in the table's memory */
	uint32_t last_seen;           /* ticks */
	uint32_t stale_s;
	uint32_t flags, row;
	uint64_t serial;
	struct route_handle handle;
	const struct inst *inst;      /* for inst_copy() */
	struct str packed_tags;       /* in the table's memory, for tags_unpack() */
	bool is_last;                 /* the only one that its pool has now */
};
typedef enum entry_verdict entry_visit_fn(void *context, const struct entry_view *entry);
unsigned route_writer_sweep(struct route_writer *writer, unsigned slice, uint32_t now_tick,
			    entry_visit_fn *visit, void *context);

/* The same for one of 1 << part_bits parts, 1 to 20 bits. */
unsigned route_writer_sweep_part(struct route_writer *writer, unsigned part, unsigned part_bits,
				 uint32_t now_tick, entry_visit_fn *visit, void *context);

/* Copies the endpoint that a worker's event names, the text of its tags to `tags`.
 * False: there is none (any more).  Row and serial are not trusted. */
bool route_writer_endpoint(const struct route_writer *writer, uint32_t row, uint64_t serial,
			   struct endpoint *out, char tags[ENDPOINT_TAGS_MAX]);

/* What the history is to say of the changes that follow, until it is called again:
 * which server brought them and why.  `what` is how a change is called that is not
 * simply a registration: HISTORY_LOADED for an added endpoint, HISTORY_UNREGISTERED
 * and so on for one that goes; HISTORY_REGISTERED otherwise.  What a sweep removes
 * is HISTORY_EXPIRED unless its visitor says otherwise.  `why` is borrowed. */
void route_writer_because(struct route_writer *writer, enum history_what what, unsigned source,
			  struct str why);

/* For what happens to an endpoint without a change of the table; for a registration
 * that the caller refuses. */
void route_writer_note(struct route_writer *writer, enum history_what what,
		       const struct entry_view *entry, struct str why);
void route_writer_note_refused(struct route_writer *writer, const struct route_key *key,
			       const struct endpoint *endpoint, struct str why);

struct history *route_writer_history(struct route_writer *writer);

/* The digest of what the table holds now; stays at its place. */
const struct route_digest *route_writer_digest(const struct route_writer *writer);

/* Housekeeping after each batch of messages: grace periods, row recycling,
 * compaction when worthwhile, facts on the board. */
void route_writer_tick(struct route_writer *writer, uint64_t now_ms);

/* How often endpoints were added, removed or given other attributes: two equal
 * answers mean that nothing has changed but heartbeats. */
uint64_t route_writer_changes(const struct route_writer *writer);

/* A slot that blocks reclamation for more than `ms`, or -1. */
int route_writer_stuck_slot(const struct route_writer *writer, uint64_t now_ms, uint64_t ms);

struct table_usage {
	uint64_t used_bytes, capacity_bytes, free_list_bytes, deferred_bytes;
	uint64_t routes, entries, endpoints, endpoints_most;
};
void route_writer_usage(const struct route_writer *writer, struct table_usage *out);

#endif
