/*
 * shm/route_writer_load.c - a table from records: one pool after the other, each made
 * once with all of its entries.
 *
 * Up to LOADED_NOTED entries are noted in the history; more would only push out one
 * another.
 */
#include "route_writer_load.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "recovery.h"
#include "route_writer_ahead.h"
#include "route_writer_core.h"

#define READERS_WAIT_MS 10000
#define RUN 16u                       /* entries whose memory is asked for at once */
#define LOADED_NOTED 10000u

/* The pool that the last entries belonged to. */
struct pool {
	struct str key;
	struct placing where;
	uint64_t *words;              /* owned, like ports */
	uint16_t *ports;
	unsigned count, room;
	uint32_t balancing;
	bool is_double;
};

struct route_load {
	struct route_writer *writer;
	struct space old;
	struct route_load_counts counts;
	struct pool pool;
	uint32_t *free_ids;           /* owned: those of before, should nothing come of this */
	uint32_t free_id_count, next_id;
};

int route_load_begin(struct route_writer *w, uint64_t entries, struct route_load **out)
{
	struct route_load *load;
	int rc = w->space.entries ? -EEXIST : recovery_wait_for_readers(w, READERS_WAIT_MS);

	if (rc)
		return rc;
	w->is_draining = false;
	load = mem_zalloc(sizeof(*load));
	load->writer = w;
	rc = recovery_begin(w, entries, entries, &load->old);
	if (rc) {
		free(load);
		return rc;
	}
	alloc_begin_ahead(w->space.alloc);
	load->next_id = w->next_id;
	load->free_id_count = w->free_id_count;
	load->free_ids = mem_alloc(w->free_id_count * sizeof(*load->free_ids));
	if (w->free_id_count)
		memcpy(load->free_ids, w->free_ids, w->free_id_count * sizeof(*load->free_ids));
	*out = load;
	return 0;
}

static void load_free(struct route_load *load)
{
	free(load->pool.words);
	free(load->pool.ports);
	free(load->free_ids);
	free(load);
}

void route_load_prepare(const struct route_load *load, struct route_load_entry *e)
{
	const struct route_writer *w = load->writer;
	const struct route_image *image = &e->image;
	struct inst_hashes hashes = inst_hash(&w->head->seed, image->inst, image->tags);
	struct str text = image->key.text;
	struct key_hash key = route_key_hash(&w->head->seed, str_sub(text, 0, image->key.host_len),
					     str_sub(text, image->key.host_len, STR_REST));

	e->host_hash = key.host;
	e->key_hash = key.whole;
	e->fingerprint = hashes.fingerprint;
	e->address = hashes.address;
}

void route_load_run_ahead(struct route_load *load)
{
	ahead_run(alloc_ahead(load->writer->space.alloc));
}

void route_load_stop_ahead(struct route_load *load)
{
	ahead_stop(alloc_ahead(load->writer->space.alloc));
}

/* --- pools --- */

/* No room for the pool: nor is it for its entries. */
static void pool_discard(struct route_load *load)
{
	struct route_writer *w = load->writer;
	struct pool *pool = &load->pool;

	for (unsigned i = 0; i < pool->count; i++)
		inst_detach(w, entry_ref(pool->words[i]));
	load->counts.full += pool->count;
	w->was_full = true;
}

static bool pool_put(struct route_load *load)
{
	struct route_writer *w = load->writer;
	struct pool *pool = &load->pool;
	uint32_t id = route_id_acquire(w);
	ref_t block = route_block_create(w, pool->where.hash.whole, pool->key,
					 (unsigned)pool->where.host.len, pool->count, id);
	struct route *route = block ? shm_get(w->table, block, sizeof(*route)) : NULL;

	if (route) {
		route->state = pool->balancing;
		memcpy(route->entries, pool->words, pool->count * sizeof(*pool->words));
		if (recovery_place(w, &pool->where, block) == 0)
			return true;
		route_block_retire(w, route);
	}
	route_id_release(w, id);
	return false;
}

static void pool_close(struct route_load *load)
{
	struct route_writer *w = load->writer;
	struct pool *pool = &load->pool;

	if (!pool->count)
		return;
	if (pool_put(load)) {
		w->space.routes++;
		w->space.entries += pool->count;
		load->counts.entries += pool->count;
	} else {
		pool_discard(load);
	}
	pool->count = 0;
}

static void pool_begin(struct route_load *load, const struct route_load_entry *e)
{
	struct pool *pool = &load->pool;
	const struct route *route;
	uint64_t at;

	pool_close(load);
	pool->key = e->image.key.text;
	pool->balancing = BALANCE_DEFAULT;
	pool->where = (struct placing){
		.hash = { .host = e->host_hash, .whole = e->key_hash },
		.host = str_sub(pool->key, 0, e->image.key.host_len), .segments = e->image.key.segments,
	};
	route = index_find(load->writer, e->key_hash, &pool->key, &at);
	pool->is_double = route && route_live_entries(route);
}

static bool is_of_pool(const struct pool *pool, const struct route_load_entry *e)
{
	return pool->where.hash.whole == e->key_hash && str_equal(pool->key, e->image.key.text);
}

static bool pool_has(const struct route_load *load, const struct inst *inst)
{
	const struct pool *pool = &load->pool;
	struct str host = inst_text(inst, INST_TEXT_host);

	for (unsigned i = 0; i < pool->count; i++) {
		const struct inst *other;

		if (pool->ports[i] != inst->port)
			continue;
		other = shm_get(load->writer->table, entry_ref(pool->words[i]), sizeof(*other));
		if (str_equal(inst_text(other, INST_TEXT_host), host))
			return true;
	}
	return false;
}

static void pool_append(struct pool *pool, uint64_t word, uint16_t port)
{
	if (pool->count == pool->room) {
		pool->room = pool->room ? 2 * pool->room : 64;
		pool->words = mem_resize(pool->words, pool->room * sizeof(*pool->words));
		pool->ports = mem_resize(pool->ports, pool->room * sizeof(*pool->ports));
	}
	pool->words[pool->count] = word;
	pool->ports[pool->count++] = port;
}

static void put_entry(struct route_load *load, const struct route_load_entry *e, uint32_t tick)
{
	const struct inst_hashes hashes = { e->fingerprint, e->address };
	struct route_writer *w = load->writer;
	const struct inst *inst = e->image.inst;
	struct pool *pool = &load->pool;
	ref_t ref = REF_NONE;

	if (!is_of_pool(pool, e))
		pool_begin(load, e);
	if (pool->is_double || pool_has(load, inst)) {
		load->counts.doubles++;
		return;
	}
	if (pool->count < ROUTE_CAPACITY_MAX) {
		draft_take(w, inst, e->image.tags, &hashes);
		ref = inst_attach(w);
	}
	if (!ref) {
		load->counts.full++;
		w->was_full = true;
		return;
	}
	pool_append(pool, entry_word(tick, ref), inst->port);
	if (inst->balancing != BALANCE_DEFAULT)
		pool->balancing = inst->balancing;
}

/* What put_entry() will look up, and the record, which another CPU has read last. */
static void fetch(const struct route_writer *w, const struct route_load_entry *e)
{
	const struct space *space = &w->space;
	const char *end = e->image.key.text.p + e->image.key.text.len;

	for (const char *at = (const char *)e->image.inst; at < end; at += 64)
		__builtin_prefetch(at);
	intern_fetch(&space->insts, e->fingerprint);
	intern_fetch(&space->rows, e->address);
	__builtin_prefetch(&space->index[index_home((uint32_t)(e->key_hash >> 32), space->bits)], 1);
}

void route_load_put(struct route_load *load, const struct route_load_entry *entries,
		    unsigned count, uint32_t tick)
{
	for (unsigned from = 0; from < count; from += RUN) {
		unsigned to = count - from < RUN ? count : from + RUN;

		for (unsigned i = from; i < to; i++)
			fetch(load->writer, &entries[i]);
		for (unsigned i = from; i < to; i++)
			put_entry(load, &entries[i], tick);
	}
}

/* --- the end --- */

static void note_entry(struct route_writer *w, const struct digest_entry *entry)
{
	struct history_change change = {
		.what = HISTORY_LOADED, .source = HISTORY_NO_SOURCE, .key = entry->key,
		.host = entry->host, .port = entry->port, .app_id = entry->app_id,
	};

	history_note(w->history, &change);
}

static void account_entries(struct route_writer *w, const struct route *route, bool with_history)
{
	for (unsigned i = 0; i < route->capacity; i++) {
		struct digest_entry entry =
			digest_entry_of(route_text(route), shm_get(w->table, entry_ref(route->entries[i]),
								   sizeof(struct inst)));

		route_digest_add(&w->space.digest, &entry);
		if (with_history)
			note_entry(w, &entry);
	}
}

/* What no reader waits for. */
static void account_all(struct route_writer *w, bool with_history)
{
	uint64_t mask = (1ull << w->space.bits) - 1;

	for (uint64_t i = 0; i <= mask; i++) {
		ref_t ref = index_ref(w->space.index[i]);

		index_fetch_ahead(w, i, mask);
		if (ref > REF_TOMBSTONE)
			account_entries(w, shm_get(w->table, ref, sizeof(struct route)), with_history);
	}
}

struct route_load_counts route_load_commit(struct route_load *load)
{
	struct route_writer *w = load->writer;
	struct route_load_counts counts;

	pool_close(load);
	alloc_end_ahead(w->space.alloc);
	counts = load->counts;
	recovery_reclaim_rows(w);
	recovery_flip(w, &load->old);
	w->changes += counts.entries;
	account_all(w, counts.entries <= LOADED_NOTED);
	load_free(load);
	return counts;
}

void route_load_abandon(struct route_load *load)
{
	struct route_writer *w = load->writer;

	recovery_abandon(w, &load->old);
	recovery_reclaim_rows(w);
	w->next_id = load->next_id;
	w->free_id_count = load->free_id_count;
	if (w->free_id_count)
		memcpy(w->free_ids, load->free_ids, w->free_id_count * sizeof(*w->free_ids));
	load_free(load);
}
