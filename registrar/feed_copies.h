/*
 * registrar/feed_copies.h - what the feed does about servers that let no probe pass:
 * copies of registrations tell instead which of them lost one another.  Used by
 * feed.c only.
 */
#ifndef REGISTRAR_FEED_COPIES_H
#define REGISTRAR_FEED_COPIES_H

#include "registrar/feed.h"

/* Every tick, before the pairs' verdicts are looked at. */
void feed_compare_copies(struct feed *feed, uint32_t tick);

/* A router.start came.  If it is ours, the source that it was published through reaches the
 * one that brought it. */
void feed_note_start(struct feed *feed, const struct bus_message *message);

#endif
