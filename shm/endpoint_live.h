/*
 * shm/endpoint_live.h - what workers know about an endpoint right now, on the
 * board: requests in flight (one 16-bit cell per worker, plain stores, exact
 * again after the master has cleared a dead worker's column), the time of the
 * last failure, and marks that registrar and workers show one another.  Rows are
 * named by inst_row(); a row is recycled only when its endpoint is gone and all
 * its cells are zero.
 */
#ifndef SHM_ENDPOINT_LIVE_H
#define SHM_ENDPOINT_LIVE_H

#include "board.h"

/* One request more or less by this worker.  begin must be called inside the
 * read section that chose the endpoint; false: this worker's cell is at its
 * limit of 65,535, treat the endpoint as full. */
bool live_begin(struct board *board, uint32_t row, unsigned worker_slot);
void live_end(struct board *board, uint32_t row, unsigned worker_slot);

/* Sum over all workers; a moment's estimate. */
unsigned live_in_flight(const struct board *board, uint32_t row);

/* Failure mark: table tick of the last failure, 0 none.  Anybody writes, last
 * one wins. */
void live_mark_failed(struct board *board, uint32_t row, uint32_t tick);
void live_clear_failed(struct board *board, uint32_t row);
uint32_t live_failed_at(const struct board *board, uint32_t row);

/* Registrar: why the endpoint is still here although it fell silent. */
enum live_held {
	LIVE_NOT_HELD,
	LIVE_HELD_UNCONFIRMED,        /* in a table taken over: nobody has confirmed it yet */
	LIVE_HELD_SOURCE,             /* who brought it cannot be trusted, or is not there */
	LIVE_HELD_BRAKE,              /* too many would go at once */
	LIVE_HELD_COUNT
};
void live_set_held(struct board *board, uint32_t row, enum live_held held);
enum live_held live_held(const struct board *board, uint32_t row);
const char *live_held_name(enum live_held held);

/* Not to be chosen at all, until it is registered again.  A worker sets WRONG_ID,
 * the registrar sets DISOWNED and clears both. */
enum live_excluded {
	LIVE_NOT_EXCLUDED,
	LIVE_EXCLUDED_WRONG_ID,       /* somebody else's certificate was there */
	LIVE_EXCLUDED_DISOWNED,       /* another app registered its address */
};
void live_set_excluded(struct board *board, uint32_t row, enum live_excluded excluded);
enum live_excluded live_excluded(const struct board *board, uint32_t row);

/* Registrar: a row for another endpoint. */
void live_clear_marks(struct board *board, uint32_t row);

/* Worker to registrar, through the event pipe: fixed size, atomic, untrusted. */
enum endpoint_event_kind {
	EVENT_FAILED = 1,
	EVENT_PRUNE,                  /* it may be removed, unless it is confirmed */
	EVENT_WRONG_ID,               /* the same; and it is excluded already */
};
#define EVENT_CODE_SIZE 40
struct endpoint_event {
	uint32_t kind;
	uint32_t row;
	uint64_t serial;
	uint32_t failure;             /* the worker's number of its class */
	uint32_t error;               /* errno */
	char code[EVENT_CODE_SIZE];   /* the class in words, for the log; "" or cut: not ended by NUL */
};
_Static_assert(sizeof(struct endpoint_event) == 64, "one atomic pipe record");

#endif
