/*
 * shm/route_table.c - finding routes: the read side of the table.
 *
 * For each form of the host - exact, then *.suffix from the longest - the host's
 * own record is probed; its depths word says at which depths below it paths are
 * registered, and only those are probed, deepest first.
 */
#include "route_table.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "board_layout.h"
#include "epoch.h"
#include "route_layout.h"

/* Round-robin positions, by route id, in chunks that are made when touched. */
#define CURSOR_CHUNK 4096u
#define CURSOR_CHUNKS (ROUTE_ID_MAX / CURSOR_CHUNK)

struct route_reader {
	const struct table *table;    /* borrowed */
	struct epoch_reader epoch;
	bool has_slot;
	struct route_hash_seed seed;  /* copies: the head is not touched by a lookup */
	uint32_t **cursors;           /* owned: CURSOR_CHUNKS pointers, sparse */
	uint32_t stray_cursor;        /* for an id that only damage can make */
	const uint64_t *expected_word;        /* in the index; NULL: nothing is expected */
	uint32_t expected_tag;
	/* Scratch of one lookup. */
	uint64_t suffix[ROUTE_LABELS_MAX];
	uint16_t label_start[ROUTE_LABELS_MAX];
	uint64_t path_state[ROUTE_KEY_MAX + 1];
	uint16_t path_end[ROUTE_KEY_MAX + 1];
};

struct route_reader *route_reader_create(const struct table *table, struct board *board, int slot)
{
	struct route_reader *reader = mem_zalloc(sizeof(*reader));

	reader->table = table;
	reader->seed = table_head(table)->seed;
	reader->has_slot = slot >= 0;
	if (reader->has_slot) {
		reader->epoch.slot_word = &board_slot(board, (unsigned)slot)->epoch;
		reader->epoch.counter = &table_head(table)->epoch;
	}
	reader->cursors = mem_zalloc(CURSOR_CHUNKS * sizeof(*reader->cursors));
	random_bytes(&reader->stray_cursor, sizeof(reader->stray_cursor));
	return reader;
}

void route_reader_destroy(struct route_reader *reader)
{
	if (!reader)
		return;
	for (unsigned i = 0; i < CURSOR_CHUNKS; i++)
		free(reader->cursors[i]);
	free(reader->cursors);
	free(reader);
}

void route_read_begin(struct route_reader *reader)
{
	if (reader->has_slot)
		epoch_enter(&reader->epoch);
}

void route_read_end(struct route_reader *reader)
{
	if (reader->has_slot)
		epoch_leave(&reader->epoch);
}

const struct table *route_reader_table(const struct route_reader *reader)
{
	return reader->table;
}

/* --- one probe of the index --- */

struct index {
	const uint64_t *words;
	unsigned bits;
};

static bool index_open(const struct route_reader *reader, struct index *index)
{
	index->words = index_at(reader->table, word_get(&table_head(reader->table)->root), &index->bits);
	return index->words != NULL;
}

/* A key as it is compared: a literal "*" or nothing, the rest of the host, and
 * the path so far. */
struct wanted {
	bool is_wildcard;
	struct str host, path;        /* of a wildcard: the suffix after "*." */
};

static bool key_matches(const struct route *route, const struct wanted *wanted)
{
	const char *key = route_key_bytes(route);
	size_t star = wanted->is_wildcard ? 2 : 0;

	if (route->key_len != star + wanted->host.len + wanted->path.len)
		return false;
	if (star && (key[0] != '*' || key[1] != '.'))
		return false;
	key += star;
	return memcmp(key, wanted->host.p, wanted->host.len) == 0 &&
	       (wanted->path.len == 0 ||
		memcmp(key + wanted->host.len, wanted->path.p, wanted->path.len) == 0);
}

static const struct route *probe(const struct route_reader *reader, const struct index *index,
				 uint64_t hash, const struct wanted *wanted)
{
	uint64_t mask = (1ull << index->bits) - 1;
	uint32_t tag = (uint32_t)(hash >> 32);
	uint64_t at = index_home(tag, index->bits);

	for (uint64_t i = 0; i <= mask; i++, at = (at + 1) & mask) {
		uint64_t word = word_get(&index->words[at]);
		const struct route *route;

		if (word == 0)
			return NULL;
		if (index_tag(word) != tag || word == REF_TOMBSTONE)
			continue;
		__builtin_prefetch(reader->table->base + ref_offset(index_ref(word)) + 64);
		route = route_at(reader->table, index_ref(word));
		if (route && route->hash == hash && key_matches(route, wanted))
			return route;
	}
	return NULL;
}

void route_expect(struct route_reader *reader, const struct route_key *key)
{
	struct index index;
	unsigned labels;
	uint64_t hash;

	reader->expected_word = NULL;
	if (!index_open(reader, &index))
		return;
	labels = route_hash_host(&reader->seed, str_sub(key->text, 0, key->host_len),
				 reader->suffix, reader->label_start);
	hash = reader->suffix[labels - 1];
	reader->expected_tag = (uint32_t)(hash >> 32);
	reader->expected_word = index.words + index_home(reader->expected_tag, index.bits);
	__builtin_prefetch(reader->expected_word);
}

/* The word may be anything by now: the table stays mapped, and a prefetch of a
 * wrong address harms nobody. */
void route_expect_more(struct route_reader *reader)
{
	uint64_t word = reader->expected_word ? word_get(reader->expected_word) : 0;
	const unsigned char *route = reader->table->base + ref_offset(index_ref(word));

	if (index_tag(word) != reader->expected_tag || index_ref(word) <= REF_TOMBSTONE)
		return;
	__builtin_prefetch(route);
	__builtin_prefetch(route + 64);
}

static bool has_live_entry(const struct route *route)
{
	for (unsigned i = 0; i < route->capacity; i++)
		if (word_get(&route->entries[i]))
			return true;
	return false;
}

static enum route_match match_of(const struct route *route)
{
	if (!route)
		return ROUTE_NONE;
	if (has_live_entry(route))
		return ROUTE_FOUND;
	return state_empty_since(word_get(&route->state)) ? ROUTE_EMPTY : ROUTE_NONE;
}

/* --- a lookup --- */

struct lookup {
	struct route_reader *reader;
	struct index index;
	struct str path;
	unsigned segments;            /* counted once the path is hashed */
	bool path_is_hashed;
	const struct route *empty;    /* first empty pool met under the current form */
	route_tried_fn *tried;        /* NULL outside route_explain() */
	void *context;
};

static void hash_path(struct lookup *l)
{
	if (l->path_is_hashed)
		return;
	l->segments = route_hash_path(&l->reader->seed, l->path, l->reader->path_state,
				      l->reader->path_end);
	l->path_is_hashed = true;
}

static void tell(const struct lookup *l, const struct wanted *wanted, enum route_match result)
{
	char key[ROUTE_HOST_MAX + ROUTE_KEY_MAX + 2];
	size_t len = 0;

	if (wanted->is_wildcard) {
		memcpy(key, "*.", 2);
		len = 2;
	}
	memcpy(key + len, wanted->host.p, wanted->host.len);
	len += wanted->host.len;
	if (wanted->path.len)
		memcpy(key + len, wanted->path.p, wanted->path.len);
	l->tried(l->context, (struct str){ key, len + wanted->path.len }, result);
}

/* Looks at one pool: found, or remembered if it is the first empty one. */
static bool take(struct lookup *l, const struct route *route, const struct wanted *wanted)
{
	enum route_match match = match_of(route);

	if (l->tried)
		tell(l, wanted, match);
	if (match == ROUTE_EMPTY && !l->empty)
		l->empty = route;
	return match == ROUTE_FOUND;
}

/* The pools with paths below one host, deepest first. */
static const struct route *find_below(struct lookup *l, uint64_t host_hash, uint64_t depths,
				      struct wanted wanted)
{
	const struct route_reader *reader = l->reader;

	hash_path(l);
	for (unsigned d = l->segments; d >= 1; d--) {
		const struct route *route;

		if (!(depths & depth_bit(d)))
			continue;
		wanted.path = str_sub(l->path, 0, reader->path_end[d - 1]);
		route = probe(reader, &l->index,
			      route_hash_join(&reader->seed, host_hash, reader->path_state[d - 1]),
			      &wanted);
		if (take(l, route, &wanted))
			return route;
	}
	return NULL;
}

/* One form of the host: longest path first. */
static const struct route *find_form(struct lookup *l, uint64_t host_hash, struct wanted wanted)
{
	const struct route *host = probe(l->reader, &l->index, host_hash, &wanted);
	const struct route *below;
	uint64_t depths;

	if (!host) {
		if (l->tried)
			tell(l, &wanted, ROUTE_NONE);
		return NULL;
	}
	depths = word_get(&host->depths);
	if (depths && l->path.len) {
		below = find_below(l, host_hash, depths, wanted);
		if (below)
			return below;
	}
	return take(l, host, &wanted) ? host : NULL;
}

static const struct route *find_wildcard(struct lookup *l, struct str host, unsigned labels)
{
	const struct route_reader *reader = l->reader;

	for (unsigned i = labels - 1; i-- > 0 && !l->empty;) {
		struct wanted wanted = { true, str_sub(host, reader->label_start[i], STR_REST), STR_NONE };
		uint64_t hash = route_hash_wildcard(&reader->seed, reader->suffix[i]);
		const struct route *route = find_form(l, hash, wanted);

		if (route)
			return route;
	}
	return NULL;
}

static enum route_match find(struct lookup *l, const struct route_key *key,
			     const struct route **out)
{
	struct str host = str_sub(key->text, 0, key->host_len);
	struct wanted wanted = { false, host, STR_NONE };
	const struct route *route;
	unsigned labels;

	*out = NULL;
	if (host.len > ROUTE_HOST_MAX || key->text.len > ROUTE_KEY_MAX ||
	    !index_open(l->reader, &l->index))
		return ROUTE_NONE;
	l->path = str_sub(key->text, key->host_len, STR_REST);
	labels = route_hash_host(&l->reader->seed, host, l->reader->suffix, l->reader->label_start);
	route = find_form(l, l->reader->suffix[labels - 1], wanted);
	if (!route && !l->empty)
		route = find_wildcard(l, host, labels);
	*out = route ? route : l->empty;
	return route ? ROUTE_FOUND : l->empty ? ROUTE_EMPTY : ROUTE_NONE;
}

enum route_match route_find(struct route_reader *reader, const struct route_key *key,
			    const struct route **route)
{
	struct lookup lookup = { .reader = reader };

	return find(&lookup, key, route);
}

void route_explain(struct route_reader *reader, const struct route_key *key,
		   route_tried_fn *tried, void *context)
{
	struct lookup lookup = { .reader = reader, .tried = tried, .context = context };
	const struct route *route;

	find(&lookup, key, &route);
}

struct key_hash route_key_hash(const struct route_hash_seed *seed, struct str host, struct str path)
{
	uint64_t suffix[ROUTE_LABELS_MAX], state[ROUTE_KEY_MAX + 1];
	uint16_t start[ROUTE_LABELS_MAX], end[ROUTE_KEY_MAX + 1];
	unsigned labels = route_hash_host(seed, host, suffix, start);
	struct key_hash hash = { suffix[labels - 1], suffix[labels - 1] };

	if (path.len) {
		unsigned segments = route_hash_path(seed, path, state, end);

		hash.whole = route_hash_join(seed, hash.host, state[segments - 1]);
	}
	return hash;
}

const struct route *route_find_exact(struct route_reader *reader, const struct route_key *key)
{
	struct wanted wanted = {
		false, str_sub(key->text, 0, key->host_len), str_sub(key->text, key->host_len, STR_REST),
	};
	const struct route *route;
	struct index index;

	if (wanted.host.len > ROUTE_HOST_MAX || key->text.len > ROUTE_KEY_MAX ||
	    !index_open(reader, &index))
		return NULL;
	route = probe(reader, &index,
		      route_key_hash(&reader->seed, wanted.host, wanted.path).whole, &wanted);
	return match_of(route) == ROUTE_NONE ? NULL : route;
}

/* --- about a pool --- */

struct str route_name(const struct route *route)
{
	return (struct str){ route_key_bytes(route), route->key_len };
}

unsigned route_host_length(const struct route *route)
{
	return route->host_len < route->key_len ? route->host_len : route->key_len;
}

uint32_t route_id(const struct route *route)
{
	return route->id;
}

enum endpoint_balancing route_balancing(const struct route *route)
{
	uint32_t balancing = (uint32_t)word_get(&route->state);

	return balancing <= BALANCE_LEAST_CONNECTION ? (enum endpoint_balancing)balancing
						     : BALANCE_DEFAULT;
}

unsigned route_capacity(const struct route *route)
{
	return route->capacity;
}

const struct inst *route_entry(const struct route_reader *reader, const struct route *route,
			       unsigned i, uint32_t *last_seen)
{
	uint64_t word = i < route->capacity ? word_get(&route->entries[i]) : 0;

	if (!word)
		return NULL;
	if (last_seen)
		*last_seen = entry_tick(word);
	return inst_at(reader->table, entry_ref(word));
}

static uint32_t *cursor_chunk_create(void)
{
	uint32_t *chunk = mem_alloc(CURSOR_CHUNK * sizeof(*chunk));

	random_bytes(chunk, CURSOR_CHUNK * sizeof(*chunk));
	return chunk;
}

uint32_t *route_cursor(struct route_reader *reader, const struct route *route)
{
	uint32_t id = route->id;
	uint32_t **chunk;

	if (id >= ROUTE_ID_MAX)
		return &reader->stray_cursor;
	chunk = &reader->cursors[id / CURSOR_CHUNK];
	if (!*chunk)
		*chunk = cursor_chunk_create();
	return &(*chunk)[id % CURSOR_CHUNK];
}

struct str inst_packed_tags(const struct route_reader *reader, const struct inst *inst)
{
	const char *tags = inst->tags_bytes ? shm_get(reader->table, inst->tags, inst->tags_bytes)
					    : NULL;

	return tags ? (struct str){ tags, inst->tags_bytes } : STR_NONE;
}

/* --- all pools --- */

/* Visits the pools whose tags lie in [from, last]; the order of the index is the
 * order of tags but for displaced words, which lie further on before a gap. */
static bool visit_range(struct route_reader *reader, uint32_t from, uint32_t last,
			route_visit_fn *visit, void *context)
{
	struct index index;
	uint64_t mask, at, stop;

	if (!index_open(reader, &index))
		return true;
	mask = (1ull << index.bits) - 1;
	at = index_home(from, index.bits);
	stop = index_home(last, index.bits);
	for (uint64_t i = 0; i <= mask; i++, at++) {
		uint64_t word = word_get(&index.words[at & mask]);
		const struct route *route;

		if (word == 0 && at >= stop)
			return true;
		if (index_ref(word) <= REF_TOMBSTONE || index_tag(word) < from || index_tag(word) > last)
			continue;
		route = route_at(reader->table, index_ref(word));
		if (match_of(route) != ROUTE_NONE && !visit(context, reader, route))
			return false;
	}
	return true;
}

/* The tags are cut into ranges of about 64 index words, one section each; what a
 * range holds does not depend on an index that is rebuilt between two of them. */
void route_each(struct route_reader *reader, route_visit_fn *visit, void *context)
{
	struct index index;
	unsigned range_bits;
	bool more = true;

	route_read_begin(reader);
	range_bits = index_open(reader, &index) ? 32 + 6 - index.bits : 32;
	route_read_end(reader);
	for (uint64_t from = 0; more && from < 1ull << 32; from += 1ull << range_bits) {
		route_read_begin(reader);
		more = visit_range(reader, (uint32_t)from, (uint32_t)(from + (1ull << range_bits) - 1),
				   visit, context);
		route_read_end(reader);
	}
}

/* --- the table as a whole --- */

#define TICK_MS 100

uint32_t table_tick(const struct table *table, uint64_t now_ms)
{
	uint64_t created = table_head(table)->created_ms, age = now_ms > created ? now_ms - created : 0;

	return age > TICK_MS ? (uint32_t)(age / TICK_MS) : 1;
}

uint64_t table_tick_ms(const struct table *table, uint32_t tick)
{
	return table_head(table)->created_ms + (uint64_t)tick * TICK_MS;
}

uint64_t table_route_count(const struct table *table)
{
	return word_get(&table_head(table)->routes);
}
