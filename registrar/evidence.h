/*
 * registrar/evidence.h - is there a witness that an endpoint fell silent?  (Spec
 * registrar 3.2, rule 6.)  The servers that brought its last heartbeats are; one
 * that brings it right now, under other routes, is enough by itself; and if nobody
 * has ever heard it, all of them together.  A witness must have heard everything
 * for the whole time.
 */
#ifndef REGISTRAR_EVIDENCE_H
#define REGISTRAR_EVIDENCE_H

#include "registrar/seen.h"
#include "shm/endpoint_live.h"

struct silence {
	uint32_t row;
	bool is_known;                /* the notes about the row are about this endpoint */
	uint32_t since, now;          /* ticks: nothing was heard in between */
	uint32_t cycle;               /* in which everybody repeats himself, with a margin */
};

/* LIVE_NOT_HELD: there is.  Otherwise why not. */
enum live_held evidence_missing(const struct sources *sources, const struct seen *seen,
				const struct silence *silence);

#endif
