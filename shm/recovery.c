/*
 * shm/recovery.c - copy what is live into the other arena, flip the root.
 */
#include "recovery.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "route_writer_core.h"

int recovery_begin_empty(struct route_writer *w)
{
	space_init(w, &w->space, 0, 0);
	if (!index_rebuild(w, 0)) {
		space_fini(&w->space);
		return -ENOSPC;
	}
	word_publish(&w->head->spare, SPARE_CLEAN);
	w->space.is_published = true;
	word_publish(&w->head->root, w->space.root);
	return 0;
}

int recovery_wait_for_readers(struct route_writer *w, uint64_t limit_ms)
{
	static const struct timespec pause = { 0, 1000000 };
	uint64_t tag, until = clock_ms() + limit_ms;

	if (w->head->spare != SPARE_DRAINING)
		return 0;
	tag = epoch_begin_grace(w->epoch);
	while (!epoch_has_passed(w->epoch, tag, clock_ms())) {
		if (clock_ms() > until)
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* --- the copy --- */

struct copy {
	struct route_writer *writer;
	const struct table *table;
	struct route_recovery *found;
	uint8_t *id_is_used;          /* by route id, up to max_id */
	uint32_t max_id;
};

/* The block and its tags, if bounds and checksums say that they are whole. */
static const struct inst *sound_inst(const struct table *table, ref_t ref, struct str *tags)
{
	const struct inst *inst = inst_at(table, ref);

	return inst && inst_is_whole(table, inst, tags) ? inst : NULL;
}

static bool is_sound_route(const struct route_writer *w, const struct route *route,
			   struct key_hash *hash)
{
	struct str key;

	if (!route || !route->host_len || route->host_len > route->key_len ||
	    route->host_len > ROUTE_HOST_MAX || route->key_len > ROUTE_KEY_MAX)
		return false;
	key = route_text(route);
	if (block_sum(key.p, key.len) != route->key_sum)
		return false;
	*hash = route_key_hash(&w->head->seed, str_sub(key, 0, route->host_len),
			       str_sub(key, route->host_len, STR_REST));
	return hash->whole == route->hash;
}

static void copy_entries(struct copy *copy, const struct route *from, struct route *to)
{
	unsigned n = 0;

	for (unsigned i = 0; i < from->capacity; i++) {
		uint64_t entry = from->entries[i];
		struct digest_entry counted;
		const struct inst *inst;
		struct str tags;
		ref_t ref = REF_NONE;

		if (!entry)
			continue;
		inst = sound_inst(copy->table, entry_ref(entry), &tags);
		if (inst) {
			draft_copy(copy->writer, inst, tags);
			ref = inst_attach(copy->writer);
		}
		if (!ref) {
			copy->found->damaged++;
			continue;
		}
		to->entries[n++] = entry_word(entry_tick(entry), ref);
		counted = digest_entry_of(route_text(to), inst);
		route_digest_add(&copy->writer->space.digest, &counted);
	}
	copy->writer->space.entries += n;
}

static uint32_t keep_id(struct copy *copy, uint32_t id)
{
	if (id >= copy->max_id || copy->id_is_used[id])
		return route_id_acquire(copy->writer);
	copy->id_is_used[id] = 1;
	return id;
}

static unsigned count_segments(struct str path)
{
	unsigned n = 0;

	for (size_t i = 0; i < path.len; i++)
		n += path.p[i] == '/';
	return n;
}

/* The record of a host may already be here, made for a path below it. */
int recovery_place(struct route_writer *w, const struct placing *where, ref_t block)
{
	struct route *to = shm_get(w->table, block, sizeof(*to)), *carrier = NULL;
	struct str key = route_text(to);
	uint64_t at;

	if (!where->segments)
		carrier = index_find(w, to->hash, &key, &at);
	if (!carrier)
		return route_place(w, where, block);
	to->depths = carrier->depths;
	index_replace(w, at, block);
	route_id_release(w, carrier->id);
	route_block_retire(w, carrier);
	return 0;
}

/* Lets go of a copy that found no place. */
static void pool_discard(struct route_writer *w, const struct route *route)
{
	for (unsigned i = 0; i < route->capacity; i++) {
		struct digest_entry counted;
		ref_t inst = entry_ref(route->entries[i]);

		if (!route->entries[i])
			continue;
		counted = digest_entry_of(route_text(route), shm_get(w->table, inst, sizeof(struct inst)));
		route_digest_remove(&w->space.digest, &counted);
		inst_detach(w, inst);
		w->space.entries--;
	}
	route_id_release(w, route->id);
	route_block_retire(w, route);
}

/* A pool with what is live in it; a record that only carries depths is made anew
 * by the routes below it. */
static void copy_route(struct copy *copy, const struct route *from)
{
	struct route_writer *w = copy->writer;
	unsigned live = route_live_entries(from);
	struct str key = route_text(from);
	struct placing where = { .host = str_sub(key, 0, from->host_len) };
	struct route *to;
	ref_t block;

	if ((!live && !state_empty_since(from->state)) || !is_sound_route(w, from, &where.hash))
		return;
	where.segments = count_segments(str_sub(key, from->host_len, STR_REST));
	block = route_block_create(w, from->hash, key, from->host_len, live,
				   keep_id(copy, from->id));
	if (!block) {
		copy->found->damaged++;
		return;
	}
	to = shm_get(w->table, block, sizeof(*to));
	to->state = live ? (uint32_t)from->state : from->state;
	copy_entries(copy, from, to);
	if (live && !route_live_entries(to)) {
		pool_discard(w, to);
		return;
	}
	if (recovery_place(w, &where, block)) {
		copy->found->damaged++;
		pool_discard(w, to);
		return;
	}
	w->space.routes++;
	copy->found->routes++;
}

static int by_address(const void *a, const void *b)
{
	ref_t x = *(const ref_t *)a, y = *(const ref_t *)b;

	return x < y ? -1 : x > y;
}

/* Every sound route of the index that the root names, in address order. */
static void copy_routes(struct copy *copy, const uint64_t *index, unsigned bits)
{
	uint64_t count = 0, room = 1024;
	ref_t *refs = mem_alloc(room * sizeof(*refs));

	for (uint64_t i = 0; i < 1ull << bits; i++) {
		ref_t ref = index_ref(index[i]);

		if (ref <= REF_TOMBSTONE)
			continue;
		if (!route_at(copy->table, ref)) {
			copy->found->damaged++;
			continue;
		}
		if (count == room) {
			room *= 2;
			refs = mem_resize(refs, room * sizeof(*refs));
		}
		refs[count++] = ref;
	}
	qsort(refs, count, sizeof(*refs), by_address);
	for (uint64_t i = 0; i < count; i++) {
		const struct route *route = route_at(copy->table, refs[i]);
		struct key_hash hash;

		if (!is_sound_route(copy->writer, route, &hash))
			copy->found->damaged++;
		else
			copy_route(copy, route);
	}
	free(refs);
}

/* Ids that nothing in the new arena names are free again. */
static void reclaim_ids(struct copy *copy)
{
	for (uint32_t id = copy->max_id; id-- > 0;)
		if (!copy->id_is_used[id])
			route_id_release(copy->writer, id);
}

void recovery_reclaim_rows(struct route_writer *w)
{
	uint64_t rows = w->head->rows_used < w->board->rows ? w->head->rows_used : w->board->rows;

	w->row_queue.count = 0;
	for (uint64_t row = 0; row < rows; row++)
		if (row >= w->space.row_insts_room || !w->space.row_insts[row])
			row_queue_push(&w->row_queue, (uint32_t)row);
}

static uint32_t largest_id(const struct table *table, const uint64_t *index, unsigned bits)
{
	uint32_t largest = 0;

	for (uint64_t i = 0; i < 1ull << bits; i++) {
		const struct route *route = index_ref(index[i]) > REF_TOMBSTONE
			? route_at(table, index_ref(index[i])) : NULL;

		/* Dense numbers: more than that many routes there never were. */
		if (route && route->id >= largest && route->id < 16ull << bits)
			largest = route->id + 1;
	}
	return largest;
}

static void copy_all(struct route_writer *w, const uint64_t *index, unsigned bits,
		     struct route_recovery *found)
{
	struct copy copy = { .writer = w, .table = w->table, .found = found };

	w->free_id_count = w->next_id = 0;
	if (index) {
		copy.max_id = w->next_id = largest_id(w->table, index, bits);
		copy.id_is_used = mem_zalloc(copy.max_id);
		copy_routes(&copy, index, bits);
	} else {
		found->damaged = 1;   /* a root gone wrong: start over empty */
	}
	found->endpoints = w->space.entries;
	reclaim_ids(&copy);
	recovery_reclaim_rows(w);
	free(copy.id_is_used);
}

/* Counts from elsewhere only size things; a damaged one must not size too much. */
static uint64_t at_most(uint64_t n, uint64_t most)
{
	return n < most ? n : most;
}

int recovery_begin(struct route_writer *w, uint64_t routes, uint64_t entries, struct space *old)
{
	uint64_t most = w->head->arena_bytes / sizeof(struct inst);
	unsigned from = arena_of(w->table, (ref_t)(w->head->root >> 8));

	*old = w->space;
	word_publish(&w->head->spare, SPARE_FILLING);
	space_init(w, &w->space, !from, at_most(entries, most));
	if (index_rebuild(w, at_most(routes, most)))
		return 0;
	recovery_abandon(w, old);
	return -ENOSPC;
}

void recovery_abandon(struct route_writer *w, const struct space *old)
{
	space_fini(&w->space);
	w->space = *old;
	arena_punch(w->table, !arena_of(w->table, (ref_t)(w->head->root >> 8)));
	word_publish(&w->head->spare, SPARE_CLEAN);
}

/* From here on readers find the new arena; order: mutant 7 of the model. */
void recovery_flip(struct route_writer *w, struct space *old)
{
	word_publish(&w->head->spare, SPARE_DRAINING);
	w->space.is_published = true;
	word_publish(&w->head->root, w->space.root);
	epoch_forget(w->epoch);       /* what waited there goes with the old arena */
	w->drain_tag = epoch_begin_grace(w->epoch);
	w->is_draining = true;
	if (old->alloc)
		space_fini(old);
}

int recovery_move(struct route_writer *w, struct route_recovery *found)
{
	uint64_t began_ms = clock_ms();
	const uint64_t *index;
	struct space old;
	unsigned bits;

	*found = (struct route_recovery){ 0 };
	index = index_at(w->table, w->head->root, &bits);
	if (recovery_begin(w, w->head->routes, w->head->entries, &old))
		return -ENOSPC;
	copy_all(w, index, bits, found);
	recovery_flip(w, &old);
	found->took_ms = clock_ms() - began_ms;
	return 0;
}

void recovery_tick(struct route_writer *w, uint64_t now_ms)
{
	unsigned current = arena_of(w->table, (ref_t)(w->space.root >> 8));

	if (!w->is_draining || !epoch_has_passed(w->epoch, w->drain_tag, now_ms))
		return;
	arena_punch(w->table, !current);
	word_publish(&w->head->spare, SPARE_CLEAN);
	w->is_draining = false;
}
