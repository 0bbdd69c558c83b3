/*
 * shm/route_writer.c - adding, refreshing and removing endpoints, step by step so
 * that the table is whole after every store.
 */
#include "route_writer.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "recovery.h"
#include "route_table.h"
#include "route_writer_core.h"
#include "tags.h"

#define READERS_WAIT_MS 30000
#define COMPACTION_PAUSE_MS 10000

/* --- open and close --- */

static int open_table(struct route_writer *w, struct route_recovery *recovery)
{
	int rc;

	if (w->head->root == 0)
		return recovery_begin_empty(w);
	rc = recovery_wait_for_readers(w, READERS_WAIT_MS);
	return rc ? rc : recovery_move(w, recovery);
}

int route_writer_open(struct table *table, struct board *board, struct route_writer **out,
		      struct route_recovery *recovery, struct reason *reason)
{
	struct table_head *head = table_head(table);
	struct route_writer *w;
	int rc;

	if (!table->is_writable)
		return reason_set(reason, -EACCES, "the table is mapped read-only");
	w = mem_zalloc(sizeof(*w));
	w->table = table;
	w->board = board;
	w->head = head;
	w->history = history_open(table);
	w->cause.source = HISTORY_NO_SOURCE;
	w->epoch = epoch_create(&head->epoch, board, block_free, w);
	word_publish(&head->generation, head->generation + 1);
	w->next_serial = head->generation << 40 | 1;
	w->now_tick = table_tick(table, clock_ms());
	*recovery = (struct route_recovery){ 0 };
	rc = open_table(w, recovery);
	if (rc) {
		route_writer_close(w);
		return reason_set(reason, rc, rc == -EBUSY
				  ? "readers still use what the writer before left behind"
				  : "no memory for the route table");
	}
	*out = w;
	return 0;
}

void route_writer_close(struct route_writer *w)
{
	if (!w)
		return;
	space_fini(&w->space);
	epoch_destroy(w->epoch);
	history_close(w->history);
	free(w->row_queue.rows);
	free(w->free_ids);
	free(w);
}

void route_writer_keep_empty(struct route_writer *w, uint32_t ticks)
{
	w->keep_empty_ticks = ticks;
}

/* --- history and digest --- */

void route_writer_because(struct route_writer *w, enum history_what what, unsigned source,
			  struct str why)
{
	w->cause = (struct history_cause){ what, source, why };
}

struct history *route_writer_history(struct route_writer *w)
{
	return w->history;
}

/* `host_hash`: for the history, or 0. */
static void note(struct route_writer *w, enum history_what what, struct str key,
		 const struct inst *inst, uint64_t host_hash, struct str why)
{
	struct history_change change = {
		.what = what, .source = w->cause.source, .why = why, .key = key,
		.host = inst_text(inst, INST_TEXT_host), .port = inst->port,
		.app_id = inst_text(inst, INST_TEXT_app_id), .host_hash = host_hash,
	};

	history_note(w->history, &change);
}

const struct route_digest *route_writer_digest(const struct route_writer *w)
{
	return &w->space.digest;
}

static void digest_put(struct route_writer *w, const struct route_offer *offer, ref_t old,
		       const struct inst *inst)
{
	const struct inst *before = old ? shm_get(w->table, old, sizeof(*before)) : NULL;
	struct digest_entry entry;

	if (before && str_equal(inst_text(before, INST_TEXT_app_id), inst_text(inst, INST_TEXT_app_id)))
		return;               /* the address is the same anyway */
	w->space.digest.hashes[offer->bucket] += offer->digest;
	w->space.digest.counts[offer->bucket]++;
	if (!before)
		return;
	entry = digest_entry_of(offer->key.text, before);
	route_digest_remove(&w->space.digest, &entry);
}

static void note_put(struct route_writer *w, int result, const struct route_offer *offer, ref_t old,
		     const struct inst *inst)
{
	bool is_plain = w->cause.what == HISTORY_REGISTERED;

	digest_put(w, offer, old, inst);
	note(w, !is_plain ? w->cause.what : result == WRITE_ADDED ? HISTORY_REGISTERED :
	     HISTORY_UPDATED, offer->key.text, inst, offer->history, w->cause.why);
}

void route_writer_note(struct route_writer *w, enum history_what what,
		       const struct entry_view *entry, struct str why)
{
	w->cause = (struct history_cause){ what, HISTORY_NO_SOURCE, why };
	note(w, what, entry->key, entry->inst, 0, why);
	w->cause = (struct history_cause){ HISTORY_REGISTERED, HISTORY_NO_SOURCE, STR_NONE };
}

void route_writer_note_refused(struct route_writer *w, const struct route_key *key,
			       const struct endpoint *e, struct str why)
{
	struct history_change change = {
		.what = HISTORY_REFUSED, .source = w->cause.source, .why = why, .key = key->text,
		.host = e->host, .port = e->port, .app_id = e->app_id,
	};

	history_note(w->history, &change);
}

static void note_removed(struct route_writer *w, const struct route *route, unsigned i)
{
	const struct inst *inst = shm_get(w->table, entry_ref(route->entries[i]), sizeof(*inst));
	bool is_plain = w->cause.what == HISTORY_REGISTERED;
	struct digest_entry entry = digest_entry_of(route_text(route), inst);

	route_digest_remove(&w->space.digest, &entry);
	note(w, is_plain ? HISTORY_REMOVED : w->cause.what, route_text(route), inst, 0, w->cause.why);
}

/* --- routes in the index --- */

static struct key_hash hash_of_key(const struct route_writer *w, const struct route_key *key)
{
	if (key->hash)
		return (struct key_hash){ key->host_hash, key->hash };
	return route_key_hash(&w->head->seed, str_sub(key->text, 0, key->host_len),
			      str_sub(key->text, key->host_len, STR_REST));
}

static uint64_t depth_key(uint64_t host_hash, unsigned depth)
{
	return host_hash + (depth + 1) * 0x9e3779b97f4a7c15u;
}

static unsigned depth_of(unsigned segments)
{
	return segments < DEPTH_LAST ? segments : DEPTH_LAST;
}

/* Reuse of the count's item, or a new one. */
static void depth_count(struct route_writer *w, uint64_t host_hash, unsigned segments)
{
	uint64_t key = depth_key(host_hash, depth_of(segments));
	struct intern_item *item = intern_find_value(&w->space.depths, key, depth_of(segments));

	if (item)
		item->count++;
	else
		intern_add(&w->space.depths, key, depth_of(segments));
}

/* The host's record first, then its depth bit, then the route: a reader may look
 * for a depth in vain but never miss one. */
int route_place(struct route_writer *w, const struct placing *where, ref_t block)
{
	struct route *host = NULL;
	ref_t carrier = REF_NONE;
	uint64_t at;

	if (!index_reserve(w, 2))
		return -ENOSPC;
	if (!where->segments) {
		index_insert(w, where->hash.whole, block);
		return 0;
	}
	host = index_find(w, where->hash.host, &where->host, &at);
	if (!host) {
		uint32_t id = route_id_acquire(w);

		carrier = route_block_create(w, where->hash.host, where->host,
					     (unsigned)where->host.len, 0, id);
		if (!carrier) {
			route_id_release(w, id);
			return -ENOSPC;
		}
		host = shm_get(w->table, carrier, sizeof(*host));
		host->depths = depth_bit(where->segments);
		index_insert(w, where->hash.host, carrier);
	} else if (!(host->depths & depth_bit(where->segments))) {
		word_publish(&host->depths, host->depths | depth_bit(where->segments));
	}
	depth_count(w, where->hash.host, where->segments);
	index_insert(w, where->hash.whole, block);
	return 0;
}

static void route_erase(struct route_writer *w, struct route *route, uint64_t at)
{
	index_erase(w, at);
	route_id_release(w, route->id);
	route_block_retire(w, route);
}

static unsigned segments_of(const struct route *route)
{
	const char *key = route_key_bytes(route);
	unsigned n = 0;

	for (unsigned i = route->host_len; i < route->key_len; i++)
		n += key[i] == '/';
	return n;
}

/* One path route less below its host; the last takes the depth bit with it, and
 * the record too if that was all it was for. */
static void leave_host(struct route_writer *w, struct str host_name, unsigned segments)
{
	uint64_t hash = route_key_hash(&w->head->seed, host_name, STR_NONE).host;
	uint64_t key = depth_key(hash, depth_of(segments)), at;
	struct intern_item *item = intern_find_value(&w->space.depths, key, depth_of(segments));
	struct route *host;

	if (!item || intern_drop(&w->space.depths, item))
		return;
	host = index_find(w, hash, &host_name, &at);
	if (!host)
		return;
	if (host->depths == depth_bit(segments) && !route_live_entries(host) &&
	    !state_empty_since(host->state))
		route_erase(w, host, at);
	else
		word_publish(&host->depths, host->depths & ~depth_bit(segments));
}

/* A pool ends: its word goes, or, if routes with paths lie below it, only its
 * endpoints go. */
void pool_drop(struct route_writer *w, struct route *route, uint64_t at)
{
	char host[ROUTE_HOST_MAX];
	unsigned segments = segments_of(route), host_len = route->host_len;

	w->space.routes--;
	if (!segments && route->depths) {
		for (unsigned i = 0; i < route->capacity; i++)
			if (route->entries[i])
				word_publish(&route->entries[i], 0);
		word_publish(&route->state, 0);
		return;
	}
	memcpy(host, route_key_bytes(route), host_len);
	route_erase(w, route, at);
	if (segments)
		leave_host(w, (struct str){ host, host_len }, segments);
}

bool entry_remove(struct route_writer *w, struct route *route, uint64_t at, unsigned i)
{
	ref_t inst = entry_ref(route->entries[i]);
	uint64_t since = w->now_tick ? w->now_tick : 1;
	bool is_last = route_live_entries(route) == 1;

	note_removed(w, route, i);
	w->space.entries--;
	w->changes++;
	if (is_last && !w->keep_empty_ticks) {
		pool_drop(w, route, at);
	} else {
		if (is_last)
			word_publish(&route->state, since << 32 | (uint32_t)route->state);
		word_publish(&route->entries[i], 0);
	}
	inst_detach(w, inst);
	return is_last && !w->keep_empty_ticks;
}

/* --- add --- */

/* The entry that holds this very block, or else this address, or -1. */
static int entry_of_block(const struct route *route, ref_t inst)
{
	for (unsigned i = 0; i < route->capacity; i++)
		if (route->entries[i] && entry_ref(route->entries[i]) == inst)
			return (int)i;
	return -1;
}

static int entry_of_address(const struct route_writer *w, const struct route *route,
			    struct str host, uint16_t port)
{
	for (unsigned i = 0; i < route->capacity; i++) {
		const struct inst *inst;

		if (!route->entries[i])
			continue;
		inst = shm_get(w->table, entry_ref(route->entries[i]), sizeof(*inst));
		if (inst->port == port && str_equal(inst_text(inst, INST_TEXT_host), host))
			return (int)i;
	}
	return -1;
}

static int free_entry(const struct route *route)
{
	for (unsigned i = 0; i < route->capacity; i++)
		if (!route->entries[i])
			return (int)i;
	return -1;
}

static unsigned next_capacity(unsigned capacity)
{
	unsigned next = capacity < 4 ? capacity + 1 : capacity + capacity / 2;

	return next < ROUTE_CAPACITY_MAX ? next : ROUTE_CAPACITY_MAX;
}

/* A copy with more room, with the new entry in it, takes the route's place. */
static int pool_grow(struct route_writer *w, struct route *route, uint64_t at, uint64_t entry)
{
	unsigned capacity = next_capacity(route->capacity);
	struct route *larger;
	ref_t block;

	if (capacity == route->capacity)
		return -ENOSPC;
	block = route_block_create(w, route->hash, route_text(route), route->host_len, capacity,
				   route->id);
	if (!block)
		return -ENOSPC;
	larger = shm_get(w->table, block, sizeof(*larger));
	larger->depths = route->depths;
	larger->state = (uint32_t)route->state;
	memcpy(larger->entries, route->entries, 8 * route->capacity);
	larger->entries[route->capacity] = entry;
	index_replace(w, at, block);
	route_block_retire(w, route);
	return 0;
}

static int pool_append(struct route_writer *w, struct route *route, uint64_t at, uint64_t entry,
		       bool *is_new_route)
{
	int i = free_entry(route), rc = 0;

	*is_new_route = !route_live_entries(route) && !state_empty_since(route->state);
	if (i < 0) {
		rc = pool_grow(w, route, at, entry);
	} else {
		word_publish(&route->entries[i], entry);
		if (state_empty_since(route->state))
			word_publish(&route->state, (uint32_t)route->state);
	}
	if (!rc)
		w->space.routes += *is_new_route;
	return rc;
}

static int pool_create(struct route_writer *w, const struct route_key *key,
		       const struct placing *where, uint64_t entry)
{
	uint32_t id = route_id_acquire(w);
	ref_t block = route_block_create(w, where->hash.whole, key->text, key->host_len, 1, id);
	struct route *route;
	int rc;

	if (!block) {
		route_id_release(w, id);
		return -ENOSPC;
	}
	route = shm_get(w->table, block, sizeof(*route));
	route->entries[0] = entry;
	rc = route_place(w, where, block);
	if (rc) {
		route_id_release(w, id);
		alloc_free(w->space.alloc, block, route_bytes(1, (unsigned)key->text.len),
			   ALLOC_ROUTES);
		return rc;
	}
	w->space.routes++;
	return 0;
}

static void set_balancing(struct route_writer *w, uint64_t hash, const struct route_key *key,
			  uint8_t balancing)
{
	struct route *route;
	uint64_t at;

	if (balancing == BALANCE_DEFAULT)
		return;
	route = index_find(w, hash, &key->text, &at);
	if (route && (uint32_t)route->state != balancing)
		word_publish(&route->state, (uint64_t)state_empty_since(route->state) << 32 | balancing);
}

/* The drafted block, counted once for this entry, goes where it belongs. */
static int entry_put(struct route_writer *w, const struct route_offer *offer,
		     const struct placing *where, ref_t inst, uint32_t tick, bool *is_new_route)
{
	const struct route_key *key = &offer->key;
	const struct inst *block = shm_get(w->table, inst, sizeof(*block));
	uint64_t at, word = entry_word(tick, inst);
	struct route *route = index_find(w, where->hash.whole, &key->text, &at);
	int i = route ? entry_of_block(route, inst) : -1, rc;

	if (route && i < 0)
		i = entry_of_address(w, route, inst_text(block, INST_TEXT_host), block->port);
	if (i >= 0) {
		ref_t old = entry_ref(route->entries[i]);

		w->changes += old != inst;
		word_publish(&route->entries[i], word);
		if (old != inst)
			note_put(w, WRITE_UPDATED, offer, old, block);
		inst_detach(w, old);
		return WRITE_UPDATED;
	}
	*is_new_route = !route;
	rc = route ? pool_append(w, route, at, word, is_new_route) : pool_create(w, key, where, word);
	if (rc)
		return rc;
	w->space.entries++;
	w->changes++;
	note_put(w, WRITE_ADDED, offer, REF_NONE, block);
	return WRITE_ADDED;
}

int route_writer_add_offer(struct route_writer *w, const struct route_offer *offer, uint32_t tick,
			   struct route_handle *handle, bool *is_new_route)
{
	const struct inst_hashes hashes = { offer->fingerprint, offer->address };
	const struct route_key *key = &offer->key;
	struct placing where = {
		.hash = { .host = key->host_hash, .whole = key->hash },
		.host = str_sub(key->text, 0, key->host_len), .segments = key->segments,
	};
	ref_t inst;
	int rc;

	*is_new_route = false;
	draft_take(w, offer->inst, offer->tags, &hashes);
	inst = inst_attach(w);
	rc = inst ? entry_put(w, offer, &where, inst, tick, is_new_route) : -ENOSPC;
	if (rc < 0) {
		*is_new_route = false;
		w->was_full = true;
		if (inst)
			inst_detach(w, inst);
		note(w, HISTORY_REFUSED, key->text, offer->inst, offer->history,
		     STR("the table is full"));
		return rc;
	}
	set_balancing(w, where.hash.whole, key, (uint8_t)offer->inst->balancing);
	*handle = handle_of(w, where.hash.whole, inst);
	return rc;
}

/* --- refresh, remove --- */

int route_writer_refresh(struct route_writer *w, const struct route_handle *handle, uint32_t tick)
{
	const struct inst *inst = shm_get(w->table, handle->inst, sizeof(*inst));
	struct route *route;
	uint64_t at;
	int i;

	if (!inst)
		return -ENOENT;
	__builtin_prefetch(inst);
	route = index_find(w, handle->route_hash, NULL, &at);
	i = route ? entry_of_block(route, handle->inst) : -1;
	if (i < 0 || inst->serial != handle->serial)
		return -ENOENT;
	word_publish(&route->entries[i], entry_word(tick, handle->inst));
	return 0;
}

void route_writer_fetch(const struct route_writer *w, const struct route_handle *handle)
{
	__builtin_prefetch(shm_get(w->table, handle->inst, sizeof(struct inst)));
	__builtin_prefetch(&w->space.index[index_home((uint32_t)(handle->route_hash >> 32),
						      w->space.bits)]);
}

/* The first word with its tag: nearly always the right one. */
void route_writer_fetch_route(const struct route_writer *w, const struct route_handle *handle)
{
	uint32_t tag = (uint32_t)(handle->route_hash >> 32);
	uint64_t mask = (1ull << w->space.bits) - 1, word;

	for (uint64_t at = index_home(tag, w->space.bits); (word = w->space.index[at & mask]); at++)
		if (index_tag(word) == tag) {
			__builtin_prefetch(shm_get(w->table, index_ref(word), sizeof(struct route)), 1);
			return;
		}
}

void route_writer_fetch_key(const struct route_writer *w, const struct route_key *key)
{
	uint32_t tag = (uint32_t)(hash_of_key(w, key).whole >> 32);

	__builtin_prefetch(&w->space.index[index_home(tag, w->space.bits)], 1);
}

bool route_writer_find(const struct route_writer *w, const struct route_key *key, struct str host,
		       uint16_t port, struct endpoint *out, struct route_handle *handle)
{
	struct key_hash hash = hash_of_key(w, key);
	uint64_t at;
	const struct route *route = index_find(w, hash.whole, &key->text, &at);
	int i = route ? entry_of_address(w, route, host, port) : -1;

	if (i < 0)
		return false;
	*handle = handle_of(w, hash.whole, entry_ref(route->entries[i]));
	return inst_copy(shm_get(w->table, handle->inst, sizeof(struct inst)), out);
}

int route_writer_remove(struct route_writer *w, const struct route_key *key,
			struct str host, uint16_t port, struct str instance_id,
			bool *is_route_gone)
{
	struct key_hash hash = hash_of_key(w, key);
	const struct inst *inst;
	struct str id;
	uint64_t at;
	struct route *route = index_find(w, hash.whole, &key->text, &at);
	int i;

	*is_route_gone = false;
	if (!route || (!route_live_entries(route) && !state_empty_since(route->state)))
		return -ENOENT;
	i = entry_of_address(w, route, host, port);
	if (i < 0)
		return -ESRCH;
	inst = shm_get(w->table, entry_ref(route->entries[i]), sizeof(*inst));
	id = inst_text(inst, INST_TEXT_instance_id);
	if (id.len && instance_id.len && !str_equal(id, instance_id))
		return -EEXIST;
	*is_route_gone = entry_remove(w, route, at, (unsigned)i);
	return 0;
}

/* --- endpoints by row --- */

/* The block that a worker's event means; what it says is not trusted. */
static ref_t inst_of_row(const struct route_writer *w, uint32_t row, uint64_t serial)
{
	const struct space *space = &w->space;
	ref_t ref = row < space->row_insts_room ? space->row_insts[row] : REF_NONE;
	const struct inst *inst = ref ? shm_get(w->table, ref, sizeof(*inst)) : NULL;

	if (!inst)
		return REF_NONE;
	if (inst->serial == serial)
		return ref;
	for (uint64_t i = 0; i < space->insts.room; i++) {       /* an older block of the row */
		if (!space->insts.items[i].count)
			continue;
		inst = shm_get(w->table, space->insts.items[i].value, sizeof(*inst));
		if (inst->row == row && inst->serial == serial)
			return space->insts.items[i].value;
	}
	return REF_NONE;
}

bool route_writer_endpoint(const struct route_writer *w, uint32_t row, uint64_t serial,
			   struct endpoint *out, char tags[ENDPOINT_TAGS_MAX])
{
	ref_t ref = inst_of_row(w, row, serial);
	const struct inst *inst = ref ? shm_get(w->table, ref, sizeof(*inst)) : NULL;

	if (!inst || !inst_copy(inst, out))
		return false;
	tags_unpack(inst, packed_tags_of(w, inst), tags, &out->tags);
	return true;
}

/* --- housekeeping --- */

static bool is_worth_compacting(const struct route_writer *w, uint64_t now_ms)
{
	uint64_t listed = alloc_free_listed(w->space.alloc), arena = w->head->arena_bytes;

	if (w->is_draining || now_ms - w->compacted_ms < COMPACTION_PAUSE_MS)
		return false;
	return listed > arena / 2 || (w->was_full && listed > arena / 8);
}

static void shrink_index(struct route_writer *w)
{
	if (w->space.bits > INDEX_BITS_MIN && 16 * w->space.live < 1ull << w->space.bits)
		index_rebuild(w, 2 * w->space.live);
}

static void publish_facts(struct route_writer *w, uint64_t deferred)
{
	board_set_fact(w->board, FACT_ROUTES, w->space.routes);
	board_set_fact(w->board, FACT_ENDPOINTS, w->space.rows.used);
	board_set_fact(w->board, FACT_TABLE_USED_BYTES, alloc_used(w->space.alloc));
	board_set_fact(w->board, FACT_TABLE_CAPACITY_BYTES, w->head->arena_bytes);
	board_set_fact(w->board, FACT_DEFERRED_BYTES, deferred);
	__atomic_store_n(&w->head->routes, w->space.routes, __ATOMIC_RELAXED);
	__atomic_store_n(&w->head->entries, w->space.entries, __ATOMIC_RELAXED);
}

void route_writer_tick(struct route_writer *w, uint64_t now_ms)
{
	struct route_recovery moved;
	uint64_t deferred;

	w->now_tick = table_tick(w->table, now_ms);
	recovery_tick(w, now_ms);
	shrink_index(w);
	deferred = epoch_tick(w->epoch, now_ms);
	publish_facts(w, deferred);
	if (is_worth_compacting(w, now_ms)) {
		w->compacted_ms = now_ms;
		w->was_full = false;
		recovery_move(w, &moved);
	}
}

uint64_t route_writer_changes(const struct route_writer *w)
{
	return w->changes;
}

int route_writer_stuck_slot(const struct route_writer *w, uint64_t now_ms, uint64_t ms)
{
	return epoch_stuck_slot(w->epoch, now_ms, ms);
}

void route_writer_usage(const struct route_writer *w, struct table_usage *out)
{
	*out = (struct table_usage){
		.used_bytes = alloc_used(w->space.alloc), .capacity_bytes = w->head->arena_bytes,
		.free_list_bytes = alloc_free_listed(w->space.alloc),
		.deferred_bytes = epoch_deferred(w->epoch),
		.routes = w->space.routes, .entries = w->space.entries,
		.endpoints = w->space.rows.used, .endpoints_most = w->board->rows,
	};
}
