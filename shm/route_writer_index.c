/*
 * shm/route_writer_index.c - the writer's side of the index.  Words never move
 * while readers look: an erased word becomes a tombstone, a fuller index is built
 * aside from the words alone and takes the root's place.
 */
#include "route_writer_core.h"

#include "base/must.h"

static uint64_t mask_of(const struct space *space)
{
	return (1ull << space->bits) - 1;
}

static bool key_is(const struct route *route, const struct str *key)
{
	return !key || str_equal(route_text(route), *key);
}

struct route *index_find(const struct route_writer *w, uint64_t hash, const struct str *key,
			 uint64_t *at)
{
	const struct space *space = &w->space;
	uint64_t mask = mask_of(space);
	uint32_t tag = (uint32_t)(hash >> 32);

	for (uint64_t i = index_home(tag, space->bits);; i = (i + 1) & mask) {
		uint64_t word = space->index[i];
		struct route *route;

		if (word == 0)
			return NULL;
		if (index_tag(word) != tag || word == REF_TOMBSTONE)
			continue;
		route = shm_get(w->table, index_ref(word), sizeof(*route));
		if (route->hash == hash && key_is(route, key)) {
			*at = i;
			return route;
		}
	}
}

/* Into the first place that is free or erased. */
static uint64_t place_for(const uint64_t *index, unsigned bits, uint32_t tag)
{
	uint64_t mask = (1ull << bits) - 1, at = index_home(tag, bits);

	while (index_ref(index[at]) > REF_TOMBSTONE)
		at = (at + 1) & mask;
	return at;
}

void index_insert(struct route_writer *w, uint64_t hash, ref_t route)
{
	struct space *space = &w->space;
	uint32_t tag = (uint32_t)(hash >> 32);
	uint64_t at = place_for(space->index, space->bits, tag);

	if (space->index[at] == REF_TOMBSTONE)
		space->dead--;
	space->live++;
	word_publish(&space->index[at], (uint64_t)tag << 32 | route);
}

void index_replace(struct route_writer *w, uint64_t at, ref_t route)
{
	uint64_t *word = &w->space.index[at];

	word_publish(word, (uint64_t)index_tag(*word) << 32 | route);
}

void index_erase(struct route_writer *w, uint64_t at)
{
	struct space *space = &w->space;
	uint64_t mask = mask_of(space);

	space->live--;
	if (space->index[(at + 1) & mask] != 0) {
		space->dead++;
		word_publish(&space->index[at], REF_TOMBSTONE);
		return;
	}
	word_publish(&space->index[at], 0);
	for (at = (at - 1) & mask; space->index[at] == REF_TOMBSTONE; at = (at - 1) & mask) {
		space->dead--;
		word_publish(&space->index[at], 0);
	}
}

bool index_rebuild(struct route_writer *w, uint64_t words)
{
	struct space *space = &w->space;
	uint64_t *old = space->index, *index;
	unsigned bits = INDEX_BITS_MIN, old_bits = space->bits;
	ref_t ref;

	while (1ull << bits < 2 * words)
		bits++;
	ref = bits <= INDEX_BITS_MAX ? alloc_block(space->alloc, 8u << bits, ALLOC_ROUTES) : REF_NONE;
	if (!ref)
		return false;
	index = shm_get(w->table, ref, 8ull << bits);
	memset(index, 0, 8ull << bits);
	for (uint64_t i = 0; old && i < 1ull << old_bits; i++)
		if (index_ref(old[i]) > REF_TOMBSTONE)
			index[place_for(index, bits, index_tag(old[i]))] = old[i];
	space->index = index;
	space->bits = bits;
	space->dead = 0;
	space->root = root_word(ref, bits);
	if (space->is_published)
		word_publish(&w->head->root, space->root);
	if (old)
		block_retire(w, ref_of(w, old), 8u << old_bits, ALLOC_ROUTES);
	return true;
}

/* At most two thirds full; a full table is let fill up to seven eighths. */
bool index_reserve(struct route_writer *w, unsigned n)
{
	struct space *space = &w->space;
	uint64_t used = space->live + space->dead + n, slots = 1ull << space->bits;

	if (3 * used <= 2 * slots || index_rebuild(w, space->live + n))
		return true;
	return 8 * used <= 7 * slots;
}
