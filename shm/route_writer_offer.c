/*
 * shm/route_writer_offer.c - making offers, and adding what was not offered.
 */
#include "route_writer_offer.h"

#include <errno.h>

#include "history_layout.h"
#include "route_writer_core.h"

struct route_hash_seed route_writer_seed(const struct route_writer *w)
{
	return w->head->seed;
}

void route_key_add_hashes(const struct route_hash_seed *seed, struct route_key *key)
{
	struct key_hash hash = route_key_hash(seed, str_sub(key->text, 0, key->host_len),
					      str_sub(key->text, key->host_len, STR_REST));

	key->host_hash = hash.host;
	key->hash = hash.whole;
}

void offer_finish(const struct route_hash_seed *seed, struct route_offer *offer)
{
	struct digest_entry counted = digest_entry_of(offer->key.text, offer->inst);
	struct inst_hashes hashes = inst_hash(seed, offer->inst, offer->tags);

	if (!offer->key.hash)
		route_key_add_hashes(seed, &offer->key);
	offer->fingerprint = hashes.fingerprint;
	offer->address = hashes.address;
	offer->digest = route_digest_hash(&counted, &offer->bucket);
	offer->history = history_host_hash(seed, host_of_key(offer->key.text));
}

static size_t block_bytes(const struct endpoint *endpoint)
{
	size_t sum = sizeof(struct inst);

#define X(name) sum += endpoint->name.len;
	ENDPOINT_TEXTS(X)
#undef X
	return sum;
}

/* Whoever asks for them next finds them beside everything else. */
static void point_into(struct endpoint *endpoint, const struct inst *inst)
{
#define X(name) endpoint->name = inst_text(inst, INST_TEXT_##name);
	ENDPOINT_TEXTS(X)
#undef X
}

bool route_offer_make(const struct route_hash_seed *seed, const struct route_key *key,
		      struct endpoint *endpoint, struct arena *arena, struct route_offer *out)
{
	char packed[TAGS_PACKED_MAX];
	struct inst *inst = arena_alloc(arena, block_bytes(endpoint));
	struct str tags;

	if (!inst_describe(inst, endpoint, packed, &tags))
		return false;
	*out = (struct route_offer){ .key = *key, .inst = inst, .tags = arena_copy(arena, tags) };
	point_into(endpoint, inst);
	offer_finish(seed, out);
	return true;
}

void route_writer_fetch_offer(const struct route_writer *w, const struct route_offer *offer)
{
	route_writer_fetch_key(w, &offer->key);
	intern_fetch(&w->space.insts, offer->fingerprint);
	intern_fetch(&w->space.rows, offer->address);
	history_fetch(w->history, offer->history);
}

int route_writer_add(struct route_writer *w, const struct route_key *key,
		     const struct endpoint *endpoint, uint32_t tick,
		     struct route_handle *handle, bool *is_new_route)
{
	struct route_offer offer = { .key = *key, .inst = &w->draft.inst };

	*is_new_route = false;
	if (!inst_describe(&w->draft.inst, endpoint, w->draft.packed, &offer.tags)) {
		route_writer_note_refused(w, key, endpoint, STR("too large for the table"));
		return -EMSGSIZE;
	}
	offer_finish(&w->head->seed, &offer);
	route_writer_fetch_offer(w, &offer);
	return route_writer_add_offer(w, &offer, tick, handle, is_new_route);
}
