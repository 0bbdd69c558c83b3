/*
 * master/slots.h - which board slots are in use, and the last services for a
 * dead process: its log lines are saved, its counters folded, its slot cleared.
 * Clearing is only ever done for a process that is known to be dead.
 */
#ifndef MASTER_SLOTS_H
#define MASTER_SLOTS_H

#include "board.h"

#define SLOTS_MAX 128

struct slots {
	struct board *board;          /* borrowed */
	bool taken[SLOTS_MAX];        /* a child of ours is there, or was and is not buried */
};

/* Takes the registrar's slot; false while an older registrar still lives there. */
bool slots_take_registrar(struct slots *slots);

/* Takes a free worker slot: its number, or -1. */
int slots_take_worker(struct slots *slots);

/* Free worker slots now. */
unsigned slots_free_workers(const struct slots *slots);

/* At start: saves the lines of workers that died together with their master. */
void slots_adopt(struct slots *slots, int access_log);

/* After waitpid() only.  Lines left in a worker's ring go to access_log (-1:
 * they are dropped). */
void slots_bury(struct slots *slots, unsigned slot, int access_log);

/* Buries whoever a previous master left behind and has died since; returns how
 * many.  Their slots stay untouched as long as they live. */
unsigned slots_sweep(struct slots *slots, int access_log);

#endif
