/*
 * master/seat.h - a place for one child that is filled again when the child
 * dies, after the delay that the throttle wants.  Owned by a generation
 * (workers) or by the master (the registrar).
 */
#ifndef MASTER_SEAT_H
#define MASTER_SEAT_H

#include "master/child.h"
#include "master/handover.h"
#include "master/throttle.h"

struct seat {
	struct child child;
	struct throttle throttle;
	uint64_t start_at_ms;         /* not before; only while the seat is empty */
};

void seat_init(struct seat *seat, const struct master_config *config);
bool seat_is_empty(const struct seat *seat);

/* Starts a child if the seat is empty, due, and has a board slot to live in.  A
 * start that fails is logged and tried again later. */
void seat_fill(struct seat *seat, struct handover *handover, const struct child_spec *spec,
	       uint64_t now_ms);

/* After waitpid(): buries the child and sets when the next may start.
 * `was_asked`: it did what we wanted, so no delay. */
void seat_vacate(struct seat *seat, struct handover *handover, bool was_asked, uint64_t now_ms);

#endif
