/*
 * registrar/snapshot_load.h - from the bytes of a file to the table.  A thread of its own
 * reads: checksum, records, and what can be computed of each by itself; the calling
 * thread, which is the table's, puts them in.  The table is made aside and published
 * when the last byte was found good, so a file that is not leaves no trace.
 */
#ifndef REGISTRAR_SNAPSHOT_LOAD_H
#define REGISTRAR_SNAPSHOT_LOAD_H

#include "registrar/config.h"
#include "registrar/snapshot_format.h"
#include "shm/route_writer_load.h"

struct snapshot_source {
	const struct registrar_settings *settings;    /* borrowed, like all of it */
	struct str image;             /* may be written to, in private */
	const struct snapshot_head *head;
};

struct snapshot_loaded {
	struct route_load_counts counts;
	uint64_t foreign;             /* of segments that are not ours */
};

/* Fills the empty table; every entry gets `tick` as last-seen.  0; -EINVAL with a reason: the
 * file is not good; other errors with a reason: the table cannot be filled.  Then it is
 * as it was. */
int snapshot_load_image(const struct snapshot_source *source, struct route_writer *writer,
			struct board *board, uint32_t tick, struct snapshot_loaded *loaded,
			struct reason *reason);

#endif
