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

/* Our own router.start came through `to`: whoever it was published through reaches it. */
void feed_note_own_start(struct feed *feed, unsigned to);

#endif
