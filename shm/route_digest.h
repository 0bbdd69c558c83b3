/*
 * shm/route_digest.h - what a table holds, in 256 numbers: two routers with equal
 * digests hold the same routes, and a bucket that differs says where to look.  An
 * entry is (key, address, app); all endpoints of a route are in one bucket.  Kept
 * by the route writer as it changes the table, computed by shm-dump from reading.
 *
 * The hash is the same in all routers, so it has no key; the sums of a bucket do not
 * depend on the order of changes.
 */
#ifndef SHM_ROUTE_DIGEST_H
#define SHM_ROUTE_DIGEST_H

#include <stdint.h>

#include "base/str.h"

#define DIGEST_BUCKETS 256u

struct route_digest {
	uint64_t counts[DIGEST_BUCKETS];      /* entries */
	uint64_t hashes[DIGEST_BUCKETS];      /* sums of their hashes */
};

struct digest_entry {
	struct str key, host, app_id;
	uint16_t port;
};

unsigned digest_bucket(struct str key);
/* What an entry adds to its bucket. */
uint64_t route_digest_hash(const struct digest_entry *entry, unsigned *bucket);
void route_digest_add(struct route_digest *digest, const struct digest_entry *entry);
void route_digest_remove(struct route_digest *digest, const struct digest_entry *entry);
uint64_t route_digest_total(const struct route_digest *digest);

struct digest_difference {
	unsigned buckets;             /* that differ */
	uint64_t routes;              /* about so many entries are in one table only */
	uint8_t is_different[DIGEST_BUCKETS];
};
void route_digest_compare(const struct route_digest *a, const struct route_digest *b,
			  struct digest_difference *out);

#endif
