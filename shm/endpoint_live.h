/*
 * shm/endpoint_live.h - what workers know about an endpoint right now, on the
 * board: requests in flight (one 16-bit cell per worker, plain stores, exact
 * again after the master has cleared a dead worker's column) and the time of
 * the last failure.  Rows are named by inst_row(); a row is recycled only when
 * its endpoint is gone and all its cells are zero.
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

/* Worker to registrar, through the event pipe: fixed size, atomic, untrusted. */
enum endpoint_event_kind { EVENT_FAILED = 1, EVENT_PRUNE };
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
