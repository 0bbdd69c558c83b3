/*
 * registrar/snapshot_format.h - the last-known-good table as bytes: a head of fixed
 * size, then one record an entry of the table, each with its length first.  Numbers
 * are in the byte order of the machine; the file never leaves it.  Parses and formats
 * only: no files, no table.  snapshot.c is the only user.
 *
 * An image is good as a whole or not at all: two checksums, the exact size, and
 * every record within its bounds.  Whatever is added to a record is a new version.
 */
#ifndef REGISTRAR_SNAPSHOT_FORMAT_H
#define REGISTRAR_SNAPSHOT_FORMAT_H

#include "base/reason.h"
#include "shm/endpoint.h"
#include "shm/route_key.h"

#define SNAPSHOT_VERSION 1
#define SNAPSHOT_INSTANCE_MAX 64

struct snapshot_head {
	char magic[8];
	uint32_t version, byte_order;
	uint64_t sequence;            /* one more than that of the file before */
	uint64_t saved_wall_ms;
	uint64_t confirmed_wall_ms;   /* when a trusted server stood behind the table last */
	uint64_t entries, body_bytes;
	uint32_t body_crc;            /* CRC-32 of all records */
	uint32_t head_crc;            /* of this head, with this word 0 */
	char instance[SNAPSHOT_INSTANCE_MAX + 8];
};
_Static_assert(sizeof(struct snapshot_head) == 136, "a change of the head is a new version");

/* One entry of the table; texts point into the image, the key into `buffer`. */
struct snapshot_entry {
	struct route_key key;
	uint32_t age_s;               /* since it was last seen, when it was saved */
	struct endpoint endpoint;
	char buffer[ROUTE_KEY_MAX];
};

/* Records on their way to the file. */
struct snapshot_buffer {
	char *bytes;                  /* owned */
	size_t used, room;
};

/* Appends a record. */
void snapshot_put(struct snapshot_buffer *buffer, struct str key, uint32_t age_s,
		  const struct endpoint *endpoint);
void snapshot_buffer_fini(struct snapshot_buffer *buffer);

/* Continues a CRC-32 that began with 0. */
uint32_t snapshot_crc(uint32_t crc, const void *bytes, size_t len);

/* Fills in what does not depend on the table, and the head's own checksum last. */
void snapshot_seal(struct snapshot_head *head, const char *instance);

/* Reads the head of an image.  0; -ENODATA: empty, nothing was ever completed in it;
 * -EINVAL with a reason: not ours. */
int snapshot_read_head(struct str image, const char *instance, struct snapshot_head *out,
		       struct reason *reason);

/* Checks everything behind a head that was read well.  0, or -EINVAL with a reason. */
int snapshot_check(struct str image, const struct snapshot_head *head, struct reason *reason);

/* Takes the next record off `records`, which begin behind the head.  0; -ENODATA: that
 * was all; -EINVAL: it is none. */
int snapshot_next(struct str *records, struct snapshot_entry *out);

#endif
