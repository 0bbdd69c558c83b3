/*
 * registrar/snapshot_format.h - the last-known-good table as bytes: a head of fixed
 * size, then one record an entry of the table (shm/route_image.h), those of a route one
 * behind the other.  Numbers are in the byte order of the machine; the file never leaves
 * it.  Parses and formats only: no files, no table.  The snapshot's files are the only
 * users.
 *
 * An image is good as a whole or not at all: two checksums, the exact size, and
 * every record within its bounds.  Whoever takes records before the last one was read
 * must be able to give them back.  Whatever is changed in the head or in records is a
 * new version.
 */
#ifndef REGISTRAR_SNAPSHOT_FORMAT_H
#define REGISTRAR_SNAPSHOT_FORMAT_H

#include "base/reason.h"
#include "shm/route_image.h"

#define SNAPSHOT_VERSION 4
#define SNAPSHOT_INSTANCE_MAX 64

struct snapshot_head {
	char magic[8];
	uint32_t version, byte_order;
	uint64_t sequence;            /* one more than that of the file before */
	uint64_t saved_wall_ms;
	uint64_t confirmed_wall_ms;   /* when a trusted server stood behind the table last */
	uint64_t entries, body_bytes;
	uint32_t body_sum;            /* snapshot_sum of all records */
	uint32_t head_crc;            /* CRC-32 of this head, with this word 0 */
	char instance[SNAPSHOT_INSTANCE_MAX + 8];
};
_Static_assert(sizeof(struct snapshot_head) == 136, "a change of the head is a new version");
_Static_assert(sizeof(struct snapshot_head) % ROUTE_IMAGE_UNIT == 0, "records are aligned");

/* Records on their way to the file. */
struct snapshot_buffer {
	char *bytes;                  /* owned */
	size_t used, room;
};

/* Room for one more record of so many bytes, which count as used. */
char *snapshot_append(struct snapshot_buffer *buffer, size_t bytes);
void snapshot_buffer_fini(struct snapshot_buffer *buffer);

/* A checksum of records, however they are cut into parts: the sum of a product of each word with
 * its place.  Three times as fast as CRC-32, and the whole file passes through it while clients
 * wait.  Begins as zeros; all parts but the last one are a multiple of 8 long. */
struct snapshot_sum {
	uint64_t total, words;
};
void snapshot_sum_add(struct snapshot_sum *sum, const void *bytes, size_t len);
uint32_t snapshot_sum_of(const struct snapshot_sum *sum);

/* Fills in what does not depend on the table, and the head's own checksum last. */
void snapshot_seal(struct snapshot_head *head, const char *instance);

/* Reads the head of an image.  0; -ENODATA: empty, nothing was ever completed in it;
 * -EINVAL with a reason: not ours. */
int snapshot_read_head(struct str image, const char *instance, struct snapshot_head *out,
		       struct reason *reason);

/* A walk over the records behind a head that was read well; the checksum is computed on
 * the way, always before the records that it covers are handed out. */
struct snapshot_reader {
	const struct snapshot_head *head;     /* borrowed, like the image */
	struct str records;           /* that are left */
	struct str unsummed;          /* of them, not in the checksum yet */
	struct snapshot_sum sum;
	uint64_t entries;             /* handed out */
};

/* The image begins at a multiple of 8.  0, or -EINVAL with a reason. */
int snapshot_reader_begin(struct snapshot_reader *reader, struct str image,
			  const struct snapshot_head *head, struct reason *reason);

/* 0 and the next entry; -ENODATA: that was the last, and all of it is good; -EINVAL with a
 * reason: nothing of it is. */
int snapshot_reader_next(struct snapshot_reader *reader, struct route_image *out,
			 struct reason *reason);

#endif
