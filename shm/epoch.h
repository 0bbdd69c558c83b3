/*
 * shm/epoch.h - the grace period across processes (design/shm-rcu.md section 6):
 * readers post the epoch they entered in, in their slot on the board; the
 * writer frees a retired block once every slot is empty or has passed it.
 * The writer never waits.  Used by shm/ only, and by the tests that torture it.
 */
#ifndef SHM_EPOCH_H
#define SHM_EPOCH_H

#include <stdint.h>

#include "board.h"

/* Reader: the epoch word of a slot, and the counter it copies.  Enter stores
 * with a full fence after it, leave stores 0 with release.  Not nested. */
struct epoch_reader {
	uint64_t *slot_word;
	const uint64_t *counter;
};
void epoch_enter(struct epoch_reader *reader);
void epoch_leave(struct epoch_reader *reader);

struct epoch;                         /* the writer's side; private memory */

/* `free_block` is called for each block that no reader can still see. */
typedef void epoch_free_fn(void *context, uint32_t ref, uint32_t size);
struct epoch *epoch_create(uint64_t *counter, struct board *board, epoch_free_fn *free_block,
			   void *context);
void epoch_destroy(struct epoch *epoch);

/* After the store that unlinked the block. */
void epoch_retire(struct epoch *epoch, uint32_t ref, uint32_t size);

/* Advances the counter if something was retired since, then frees what all
 * readers have passed.  Never blocks.  Returns the bytes still deferred. */
uint64_t epoch_tick(struct epoch *epoch, uint64_t now_ms);

/* For moving the whole table: begins a grace period and returns its tag; true
 * once all readers have passed it; drops what is retired without freeing it. */
uint64_t epoch_begin_grace(struct epoch *epoch);
bool epoch_has_passed(struct epoch *epoch, uint64_t tag, uint64_t now_ms);
void epoch_forget(struct epoch *epoch);

uint64_t epoch_deferred(const struct epoch *epoch);   /* bytes */

/* The slot that has held reclamation up for longer than `ms`, or -1. */
int epoch_stuck_slot(const struct epoch *epoch, uint64_t now_ms, uint64_t ms);

#endif
