/*
 * registrar/read_ahead.h - a thread that reads messages while they wait for the loop, which
 * takes what was read by then and reads the rest itself: nobody waits for it, and it holds up
 * nobody.  Not done where messages come in, for greets are answered there and would wait.
 * Used by bus.c only.
 */
#ifndef REGISTRAR_READ_AHEAD_H
#define REGISTRAR_READ_AHEAD_H

#include "registrar/inbox.h"
#include "registrar/reading.h"

struct read_ahead;

/* NULL: no thread can be had.  It runs as soon as whoever creates it. */
struct read_ahead *read_ahead_create(void);

/* Waits for it; what it was given and has not read it lets go of.  NULL is allowed. */
void read_ahead_destroy(struct read_ahead *ahead);

/* To be read in this order by these rules; the batch is held until it is, or is begun. */
void read_ahead_give(struct read_ahead *ahead, struct batch *batch,
		     const struct reading_rules *rules);

#endif
