/*
 * shm/route_hash.h - hashing of route keys in one pass: labels of the host from
 * right to left, so that the state after each label is the hash of that suffix,
 * then path segments from left to right.  A wildcard form costs one more step
 * per suffix, a path prefix one step per prefix.  Keyed per table: tenants choose
 * host names.  Used by shm/ only.
 */
#ifndef SHM_ROUTE_HASH_H
#define SHM_ROUTE_HASH_H

#include "base/str.h"

struct route_hash_seed {
	uint64_t a, b;
};

/* A host of ROUTE_HOST_MAX dots has one label more. */
#define ROUTE_LABELS_MAX 257

/* suffix[i] := hash of the last i + 1 labels; start[i] := where they begin.
 * Returns the number of labels; the last suffix is the whole host. */
unsigned route_hash_host(const struct route_hash_seed *seed, struct str host,
			 uint64_t suffix[ROUTE_LABELS_MAX], uint16_t start[ROUTE_LABELS_MAX]);

/* The hash of "*." before a suffix. */
uint64_t route_hash_wildcard(const struct route_hash_seed *seed, uint64_t suffix);

/* `path` is empty or begins with '/'.  state[i] := hash of the first i + 1
 * segments; end[i] := where they end.  Returns the number of segments; the
 * arrays hold one element for each byte of the path. */
unsigned route_hash_path(const struct route_hash_seed *seed, struct str path,
			 uint64_t *state, uint16_t *end);

/* Host and path prefix together. */
uint64_t route_hash_join(const struct route_hash_seed *seed, uint64_t host, uint64_t path);

/* Of any bytes. */
uint64_t block_hash(const struct route_hash_seed *seed, const void *bytes, size_t len);

/* An unkeyed checksum, against damage rather than malice. */
uint32_t block_sum(const void *bytes, size_t len);

#endif
