/*
 * shm/region.h - the two shared objects of an instance: the table /NAME.table
 * (routes; one writer) and the board /NAME.board (what readers must write).
 * The master opens or creates them and hands out descriptors; everybody else
 * maps what it was handed, or, as a tool, opens by name.
 *
 * Both objects begin with a magic number, a layout version and their sizes; an
 * object that does not match is refused with a reason, never half used.
 */
#ifndef SHM_REGION_H
#define SHM_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"

struct region_spec {
	const char *instance;         /* names the objects: /INSTANCE.table, /INSTANCE.board */
	uint64_t arena_bytes;         /* one of the two arenas; a multiple of 2 MiB */
	unsigned worker_slots;        /* most workers alive at once, all generations together */
	uint32_t log_ring_bytes;      /* per worker, a power of two; access-log lines in flight */
	uint64_t history_bytes;       /* last changes (history.h), whole pages of 4096; 0: none */
};

/* Descriptors of the master; it never maps the table. */
struct region_objects {
	int table_rw, table_ro, board;
	bool is_fresh;                /* created now; false: taken over with its routes */
};

/* Opens the instance's objects, creating what is missing.  Existing ones of the
 * same layout and spec are kept with everything in them; of another layout or
 * size they are replaced if no living process uses them (board locks), else
 * refused.  -EBUSY: another master runs this instance.  0, or -errno with a
 * reason and nothing left open.  Holds the master's lock until region_release(). */
int region_open(const struct region_spec *spec, struct region_objects *out, struct reason *reason);

/* Gives the lock up and closes; with `remove`, unlinks the names as well. */
void region_release(const char *instance, struct region_objects *objects, bool remove);

struct table;                         /* a mapped table */
struct board;                         /* a mapped board; see board.h */

/* Maps an inherited descriptor.  A writer must own the table exclusively
 * (-EBUSY: another process does).  The caller may close the descriptor of a
 * read-only table afterwards; a writer keeps it open: it carries the lock. */
int table_map(int fd, bool writable, struct table **out, struct reason *reason);
void table_unmap(struct table *table);
int board_map(int fd, struct board **out, struct reason *reason);
void board_unmap(struct board *board);

/* For tools: opens by instance name, read-only table; `board_writable` lets a
 * tool use a reader slot.  -ENOENT: no such instance. */
int table_open_by_name(const char *instance, struct table **out, struct reason *reason);
int board_open_by_name(const char *instance, bool board_writable, struct board **out,
		       struct reason *reason);

#endif
