/*
 * shm/history_writer.c - noting changes.  No system call, no allocation; whatever
 * store the process dies after, readers find whole records only.
 */
#include "history_writer.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "history_layout.h"

#define WHY_MAX     56
#define APP_MAX     40
#define ADDRESS_MAX 40
#define HOST_SLOTS  128u               /* more than HISTORY_WAYS */

struct history {
	struct table *table;          /* borrowed */
	unsigned char *area;          /* in the table; NULL: nothing is kept */
	uint64_t sets;
	uint8_t *repeats;             /* owned: of a set, it may hold several changes of a host */
	uint64_t next_number;
	struct source_name {
		uint32_t sum;
		uint8_t server;       /* place in the head */
	} sources[HISTORY_SOURCES_MAX];
	unsigned next_server;         /* to be given up when all places are taken */
};

/* Behind all that the writers before us have noted. */
static uint64_t number_after(const struct history *h)
{
	uint64_t last = 0;

	for (uint64_t i = 0; i < h->sets; i++) {
		const struct history_set *set = history_set_at(h->area, i);

		for (unsigned way = 0; way < HISTORY_WAYS; way++)
			if (set->numbers[way] > last && !(set->numbers[way] >> 60))
				last = set->numbers[way];
	}
	return history_place_number(last) + 1;
}

struct history *history_open(struct table *table)
{
	struct history *h = mem_zalloc(sizeof(*h));

	h->table = table;
	h->area = history_area(table, &h->sets);
	h->next_number = h->area ? number_after(h) : 1;
	h->repeats = h->area ? mem_alloc(h->sets) : NULL;
	if (h->area)
		memset(h->repeats, true, h->sets);
	for (unsigned i = 0; i < HISTORY_SOURCES_MAX; i++)
		h->sources[i].server = HISTORY_NO_SERVER;
	return h;
}

void history_close(struct history *h)
{
	free(h->repeats);
	free(h);
}

static void store_words(uint64_t *to, const void *from, size_t words)
{
	for (size_t i = 0; i < words; i++) {
		uint64_t word;

		memcpy(&word, (const char *)from + 8 * i, 8);
		word_publish(&to[i], word);
	}
}

/* --- servers --- */

/* Its place, or a free one, or the next that is to be given up: records that
 * mention the old name no longer fit the sum of what is there. */
static unsigned place_of(struct history *h, const char name[HISTORY_SERVER_NAME])
{
	const struct history_head *head = (const struct history_head *)h->area;
	unsigned place = HISTORY_SERVERS;

	for (unsigned i = 0; i < HISTORY_SERVERS; i++) {
		if (!memcmp(head->servers[i], name, HISTORY_SERVER_NAME))
			return i;
		if (!head->servers[i][0] && place == HISTORY_SERVERS)
			place = i;
	}
	return place < HISTORY_SERVERS ? place : h->next_server++ % HISTORY_SERVERS;
}

void history_name_source(struct history *h, unsigned source, struct str name)
{
	char padded[HISTORY_SERVER_NAME] = "";
	struct history_head *head = (struct history_head *)h->area;
	unsigned place;

	if (!h->area || source >= HISTORY_SOURCES_MAX || str_is_empty(name))
		return;
	str_copy_z(name, padded, sizeof(padded));
	place = place_of(h, padded);
	if (memcmp(head->servers[place], padded, sizeof(padded)) != 0)
		store_words((uint64_t *)head->servers[place], padded, sizeof(padded) / 8);
	h->sources[source] = (struct source_name){ block_sum(padded, strlen(padded)), (uint8_t)place };
}

/* --- records --- */

static uint8_t put_text(struct history_record *r, unsigned at, struct str text, size_t most)
{
	size_t room = HISTORY_TEXT_MAX - at;

	text = str_sub(text, 0, most < room ? most : room);
	if (text.len)
		memcpy(r->text + at, text.p, text.len);
	return (uint8_t)(at + text.len);
}

static void describe(const struct history *h, const struct history_change *c, uint64_t host_hash,
		     struct history_record *r)
{
	*r = (struct history_record){
		.number = h->next_number, .wall_ms = clock_wall_ns() / 1000000, .clock_ms = clock_ms(),
		.host_hash = host_hash,
		.what = (uint8_t)c->what, .server = HISTORY_NO_SERVER, .port = c->port,
		.key_len = (uint16_t)c->key.len,
	};
	if (c->source < HISTORY_SOURCES_MAX) {
		r->server = h->sources[c->source].server;
		r->server_sum = h->sources[c->source].sum;
	}
	r->why_end = put_text(r, 0, c->why, WHY_MAX);
	r->app_end = put_text(r, r->why_end, c->app_id, APP_MAX);
	r->address_end = put_text(r, r->app_end, c->host, ADDRESS_MAX);
	r->key_end = put_text(r, r->address_end, c->key, HISTORY_TEXT_MAX);
	r->sum = history_record_sum(r);
}

/* Hosts of a set are told apart by 16 bits: of 60 that share one it is one in a
 * thousand sets that takes two for one, which costs the smaller its fairness. */
struct host_counts {
	uint16_t tags[HOST_SLOTS];
	uint8_t counts[HOST_SLOTS];
};

static uint8_t *count_of(struct host_counts *hosts, uint64_t place)
{
	uint16_t tag = history_place_tag(place);
	unsigned slot = tag % HOST_SLOTS;

	while (hosts->counts[slot] && hosts->tags[slot] != tag)
		slot = (slot + 1) % HOST_SLOTS;
	hosts->tags[slot] = tag;
	return &hosts->counts[slot];
}

/* Free places are older than anything. */
static unsigned oldest_way(const struct history_set *set)
{
	unsigned way = 0;

	for (unsigned i = 1; i < HISTORY_WAYS; i++)
		way = set->numbers[i] < set->numbers[way] ? i : way;
	return way;
}

static bool holds(const struct history_set *set, uint16_t tag)
{
	bool is_found = false;

	for (unsigned i = 0; i < HISTORY_WAYS; i++)
		is_found |= set->numbers[i] && history_place_tag(set->numbers[i]) == tag;
	return is_found;
}

/* The oldest of the host that has most; of several such, the oldest of all.  *most: how
 * many it has. */
static unsigned oldest_way_of_most(const struct history_set *set, unsigned *most)
{
	struct host_counts hosts = { .counts = { 0 } };
	uint64_t oldest = UINT64_MAX;
	unsigned way = 0;

	*most = 0;
	for (unsigned i = 0; i < HISTORY_WAYS; i++) {
		unsigned count = ++*count_of(&hosts, set->numbers[i]);

		*most = count > *most ? count : *most;
	}
	for (unsigned i = 0; i < HISTORY_WAYS; i++) {
		bool is_of_most = *count_of(&hosts, set->numbers[i]) == *most;

		if (is_of_most && set->numbers[i] < oldest) {
			way = i;
			oldest = set->numbers[i];
		}
	}
	return way;
}

/* A free place, or what oldest_way_of_most() says.  Counting is dear, and mostly of sets in
 * which each host has one change. */
static unsigned choose_way(struct history *h, uint64_t number, uint64_t host_hash)
{
	const struct history_set *set = history_set_at(h->area, number);
	unsigned way = oldest_way(set), most;
	bool is_repeated = holds(set, host_hash >> 48);

	if (!set->numbers[way] || (!h->repeats[number] && !is_repeated)) {
		h->repeats[number] |= is_repeated;
		return way;
	}
	way = oldest_way_of_most(set, &most);
	h->repeats[number] = most > 1 || is_repeated;
	return way;
}

/* A free place, or the oldest of the same host, or none: refusals can be had for
 * any number of hosts and must not push out what happened to real ones. */
static unsigned choose_way_of_refusal(const struct history_set *set, uint64_t host_hash)
{
	const size_t word = offsetof(struct history_record, host_hash) / 8;
	unsigned way = HISTORY_WAYS;

	for (unsigned i = 0; i < HISTORY_WAYS; i++) {
		if (!set->numbers[i])
			return i;
		if (set->records[i][word] == host_hash &&
		    (way == HISTORY_WAYS || set->numbers[i] < set->numbers[way]))
			way = i;
	}
	return way;
}

/* Fetched while the record is put together.  (gcc takes a function that only prefetches for
 * one without effect, unless it is inlined.) */
static inline __attribute__((always_inline)) void prefetch(const struct history_set *set)
{
	for (unsigned i = 0; i < HISTORY_WAYS; i += 8)
		__builtin_prefetch(&set->numbers[i], 1);
}

void history_fetch(const struct history *h, uint64_t host_hash)
{
	if (h->area)
		prefetch(history_set_at(h->area, host_hash % h->sets));
}

static size_t words_used(const struct history_record *r)
{
	return (offsetof(struct history_record, text) + r->key_end + 7) / 8;
}

void history_note(struct history *h, const struct history_change *change)
{
	struct history_record record;
	uint64_t hash;
	struct history_set *set;
	uint64_t number;
	unsigned way;

	if (!h->area)
		return;
	hash = change->host_hash;
	if (!hash)
		hash = history_host_hash(&table_head(h->table)->seed, host_of_key(change->key));
	number = hash % h->sets;
	set = history_set_at(h->area, number);
	prefetch(set);
	describe(h, change, hash, &record);
	way = change->what == HISTORY_REFUSED ? choose_way_of_refusal(set, hash) :
						   choose_way(h, number, hash);
	if (way == HISTORY_WAYS)
		return;
	word_publish(&set->numbers[way], 0);
	store_words(set->records[way], &record, words_used(&record));
	word_publish(&set->numbers[way], history_place(h->next_number++, hash));
}
