/*
 * shm/route_image.h - an entry of the table as bytes outside of it: a record of the
 * last-known-good file.  The endpoint's block and its packed tags are kept as they lie
 * in the table, so that nothing is packed or put together when they come back; what
 * belongs to one table only (row, serial, references, keyed hashes) is left out.
 *
 * Files outlive tables of other layouts: whatever changes in a block from its `bytes` on,
 * or in how tags are packed, is a new SNAPSHOT_VERSION as well (test_route_load has a
 * record to compare with).
 *
 * Parses and formats only: no files, no table.  The registrar writes and reads them,
 * route_load.h puts them into a table.
 */
#ifndef SHM_ROUTE_IMAGE_H
#define SHM_ROUTE_IMAGE_H

#include "endpoint.h"
#include "route_key.h"

struct inst;

/* One entry; everything points into the record. */
struct route_image {
	struct route_key key;
	uint32_t age_s;               /* since it was last seen, when it was saved */
	struct inst *inst;            /* good from its `bytes` on */
	struct str tags;              /* packed (tags.h) */
};

/* How many bytes its record has: a multiple of UNIT, at least LEAST and not more than MOST. */
#define ROUTE_IMAGE_UNIT  8u
#define ROUTE_IMAGE_LEAST 104u
#define ROUTE_IMAGE_MOST  24576u
size_t route_image_bytes(const struct inst *inst, struct str packed_tags, struct str key);

/* Writes the record of a sound block, its tags and its key; `out` has room for all. */
void route_image_write(const struct inst *inst, struct str packed_tags, struct str key,
		       uint32_t age_s, char *out);

/* Takes the next record off `records`, which begin at a multiple of 8.  0; -ENODATA: that
 * was all; -EINVAL: it is none, or an entry that no registration could have made. */
int route_image_next(struct str *records, struct route_image *out);

/* Its isolation segment. */
struct str route_image_segment(const struct route_image *image);

/* A lifetime of 0, or of more than `most_s`, becomes that: writes to the record then. */
void route_image_limit_stale(struct route_image *image, uint32_t most_s);

/* The endpoint that a record describes, the text of its tags in `tags`.  False: its tags
 * cannot be unpacked. */
bool route_image_endpoint(const struct route_image *image, struct endpoint *out,
			  char tags[ENDPOINT_TAGS_MAX]);

#endif
