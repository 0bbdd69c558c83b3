/*
 * shm/route_writer_offer.h - an endpoint under a route as the table will hold it, made before
 * the table is looked at: the key's hashes, the endpoint's block, its packed tags, and what
 * the writer's maps, the digest and the history know both by.  Depends on nothing but the
 * description and the table's seed, so any thread may make it; only taking it is the writer's.
 */
#ifndef SHM_ROUTE_WRITER_OFFER_H
#define SHM_ROUTE_WRITER_OFFER_H

#include "base/mem.h"
#include "route_hash.h"
#include "route_writer.h"

struct inst;

struct route_offer {
	struct route_key key;         /* with its hashes */
	const struct inst *inst;      /* good from its `bytes` on */
	struct str tags;              /* packed */
	uint64_t fingerprint, address;
	uint64_t digest, history;
	uint32_t bucket;
};

/* The seed of the writer's table: as long as the table lives, it is the same. */
struct route_hash_seed route_writer_seed(const struct route_writer *writer);

/* Fills in the hashes of the key, for all calls that it will be given to. */
void route_key_add_hashes(const struct route_hash_seed *seed, struct route_key *key);

/* The texts of `key` are borrowed; those of `endpoint`, but its tags, are changed to the copies
 * in the block, which lies in the arena.  False: it is too large for the table. */
bool route_offer_make(const struct route_hash_seed *seed, const struct route_key *key,
		      struct endpoint *endpoint, struct arena *arena, struct route_offer *out);

/* As route_writer_add() with the description that the offer was made of. */
int route_writer_add_offer(struct route_writer *writer, const struct route_offer *offer,
			   uint32_t tick, struct route_handle *handle, bool *is_new_route);

/* As route_writer_fetch_key(), and whatever else route_writer_add_offer() will look at. */
void route_writer_fetch_offer(const struct route_writer *writer, const struct route_offer *offer);

#endif
