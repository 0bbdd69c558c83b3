/*
 * shm/recovery.h - moving what is live into the other arena and flipping the root:
 * what a new writer does with the table it finds, and what compacts a table whose
 * free memory is in the wrong pieces.  The writer only.
 *
 * The head's `spare` word says what the arena is that the root does not point
 * into; it is stored before each step that depends on it, so that a writer may die
 * anywhere (model: tests/torture/model).
 */
#ifndef SHM_RECOVERY_H
#define SHM_RECOVERY_H

#include "route_writer.h"

/* A table without a root: begins with an empty arena 0.  0 or -ENOSPC. */
int recovery_begin_empty(struct route_writer *writer);

/* Waits, if the writer before us died right after a flip, for readers that may
 * still be in the spare arena.  0, or -EBUSY after `limit_ms`. */
int recovery_wait_for_readers(struct route_writer *writer, uint64_t limit_ms);

/* Copies and flips.  0, or -ENOSPC with the table as it was. */
int recovery_move(struct route_writer *writer, struct route_recovery *found);

/* Gives the old arena back once no reader can be in it. */
void recovery_tick(struct route_writer *writer, uint64_t now_ms);

#endif
