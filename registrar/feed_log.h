/*
 * registrar/feed_log.h - what the feed tells the operator: one sentence an event in the
 * log, and a row a server on the board.  Used by feed.c and feed_copies.c only; decides nothing.
 */
#ifndef REGISTRAR_FEED_LOG_H
#define REGISTRAR_FEED_LOG_H

#include "registrar/feed.h"

/* Messages of one server's clients do not reach another, or do again. */
void feed_log_lost(const struct feed *feed, unsigned from, unsigned to);
void feed_log_restored(const struct feed *feed, unsigned from, unsigned to);

/* A source's state is another than of[i].was. */
void feed_log_state(const struct feed *feed, unsigned source);
void feed_log_refused(const struct feed *feed, unsigned source);

/* Probes do not pass through it: copies of registrations are compared instead. */
void feed_log_compared(const struct feed *feed, unsigned source);
void feed_log_start(const struct feed *feed, unsigned source);

/* Everything onto the board. */
void feed_show(struct feed *feed, const struct bus_source *state);

#endif
