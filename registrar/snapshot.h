/*
 * registrar/snapshot.h - the last-known-good table outlives the machine: written to a
 * file when it has changed, read at a start that finds an empty table (spec
 * registrar 3.2 rule 10).  What was read counts as seen just now and by no server:
 * it is served until servers confirm it, or have been silent about it for a full
 * lifetime.
 *
 * The loop copies a part of the table at a time (route_writer_sweep_part), each entry
 * whole; a thread of its own does the checksum and all waiting for the disk.  The
 * thread touches nothing but the bytes it was handed.
 */
#ifndef REGISTRAR_SNAPSHOT_H
#define REGISTRAR_SNAPSHOT_H

#include "registrar/config.h"
#include "shm/route_writer.h"

struct snapshot;

/* Before privileges are dropped.  NULL: switched off, or, which is said in the log,
 * the directory cannot be used.  Borrows what it is given. */
struct snapshot *snapshot_open(const struct registrar_config *config,
			       struct route_writer *writer, struct board *board,
			       uint64_t *counters);

/* Fills the empty table from the newest good file; the caller must know that it is
 * empty.  A file that a registrar before us did not survive is not read again: a page that
 * the disk cannot give kills whoever looks at it.  Every entry gets `tick` as last-seen.
 * Returns how many there are now. */
uint64_t snapshot_load(struct snapshot *snapshot, uint32_t tick);

/* Each 100 ms; `tick` is the table's.  `is_trusted`: a server that can be trusted stands
 * behind the table now, and registrations have converged; only such a table replaces
 * the last one, and an empty one never does. */
void snapshot_tick(struct snapshot *snapshot, uint64_t now_ms, uint32_t tick,
		   bool is_trusted);

/* Orderly exit: writes what has changed, waits for the disk, frees.  NULL is allowed. */
void snapshot_close(struct snapshot *snapshot);

#endif
