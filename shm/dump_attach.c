/*
 * shm/dump_attach.c - attaching to an instance by name, and copying its pools
 * out of the table, one short read section at a time.
 */
#include "dump.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "endpoint_live.h"
#include "tags.h"

/* Entries in a pool that grew while we made room for it. */
#define COPY_ATTEMPTS 8

static bool writer_lives(const struct board *board)
{
	struct slot_view view;

	board_slot_view(board, SLOT_REGISTRAR, &view);
	return view.is_alive;
}

/* A tool slot; none is needed (-1) where no writer lives. */
static int take_slot(struct dump *dump, struct reason *reason)
{
	int slot = board_tool_slot(dump->board, reason);

	return slot < 0 && !dump->has_writer ? -1 : slot;
}

static int refuse(struct dump *dump, int rc, const struct reason *why, struct reason *reason)
{
	dump_close(dump);
	if (rc == -ENOENT)
		return reason_set(reason, rc, "there is no instance \"%s\"", dump->instance);
	return reason_set(reason, rc, "instance \"%s\": %s", dump->instance, why->text);
}

int dump_open(struct dump *dump, const char *instance, FILE *out, struct reason *reason)
{
	struct reason why = { "" };
	int rc, slot;

	*dump = (struct dump){ .instance = instance, .out = out };
	rc = table_open_by_name(instance, &dump->table, &why);
	if (rc < 0)
		return refuse(dump, rc, &why, reason);
	rc = board_open_by_name(instance, true, &dump->board, &why);
	if (rc < 0)
		return refuse(dump, rc == -ENOENT ? -EINVAL : rc, &why, reason);
	dump->has_writer = writer_lives(dump->board);
	slot = take_slot(dump, &why);
	if (slot < -1)
		return refuse(dump, slot, &why, reason);
	dump->reader = route_reader_create(dump->table, dump->board, slot);
	return 0;
}

/* The slot's lock goes with the board's descriptor, at the latest with us. */
void dump_close(struct dump *dump)
{
	route_reader_destroy(dump->reader);
	board_unmap(dump->board);
	table_unmap(dump->table);
	dump->reader = NULL;
	dump->board = NULL;
	dump->table = NULL;
}

uint64_t dump_age_ms(const struct dump *dump, uint32_t tick)
{
	uint64_t now = clock_ms(), then = table_tick_ms(dump->table, tick);

	return now > then ? now - then : 0;
}

/* --- keys */

struct key_list {
	struct arena *arena;
	struct str *items;            /* owned until they move to the arena */
	size_t count, capacity;
};

static bool collect_key(void *context, struct route_reader *reader, const struct route *route)
{
	struct key_list *keys = context;

	(void)reader;
	if (keys->count == keys->capacity) {
		keys->capacity = keys->capacity ? 2 * keys->capacity : 256;
		keys->items = mem_resize(keys->items, keys->capacity * sizeof(*keys->items));
	}
	keys->items[keys->count++] = arena_copy(keys->arena, route_name(route));
	return true;
}

static int compare_keys(const void *a, const void *b)
{
	const struct str *x = a, *y = b;
	size_t shorter = x->len < y->len ? x->len : y->len;
	int order = shorter ? memcmp(x->p, y->p, shorter) : 0;

	return order ? order : x->len < y->len ? -1 : x->len > y->len;
}

/* A key may be met twice while the index is rebuilt under us. */
static size_t drop_repeated(struct str *items, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (kept == 0 || !str_equal(items[kept - 1], items[i]))
			items[kept++] = items[i];
	return kept;
}

void dump_keys_collect(const struct dump *dump, struct arena *arena, struct dump_keys *out)
{
	struct key_list keys = { .arena = arena };

	route_each(dump->reader, collect_key, &keys);
	if (keys.count)
		qsort(keys.items, keys.count, sizeof(*keys.items), compare_keys);
	out->count = drop_repeated(keys.items, keys.count);
	out->items = arena_alloc(arena, out->count * sizeof(*out->items));
	if (out->count)
		memcpy(out->items, keys.items, out->count * sizeof(*out->items));
	free(keys.items);
}

/* --- pools */

void dump_pool_fini(struct dump_pool *pool)
{
	free(pool->entries);
	arena_fini(&pool->text);
	*pool = (struct dump_pool){ 0 };
}

static struct route_key key_of(struct str text)
{
	ssize_t slash = str_find_char(text, '/');
	struct route_key key = { .text = text };

	key.host_len = (uint16_t)(slash < 0 ? (ssize_t)text.len : slash);
	for (size_t i = key.host_len; i < text.len; i++)
		key.segments = (uint16_t)(key.segments + (text.p[i] == '/'));
	return key;
}

/* Inside the read section. */
static void copy_entry(const struct dump *dump, const struct inst *inst, struct dump_pool *pool,
		       struct dump_entry *entry)
{
	char tags[ENDPOINT_TAGS_MAX];
	struct str text;

	entry->is_damaged = !inst_copy(inst, &entry->endpoint);
	entry->tags = STR_NONE;
	entry->in_flight = 0;
	entry->failed_at = 0;
	if (entry->is_damaged)
		return;
	entry->is_damaged = !tags_unpack(inst, inst_packed_tags(dump->reader, inst), tags, &text);
	entry->tags = arena_copy(&pool->text, text);
	entry->in_flight = live_in_flight(dump->board, entry->endpoint.row);
	entry->failed_at = live_failed_at(dump->board, entry->endpoint.row);
}

/* Copies if the pool fits; else only says in *needed how large it is. */
static bool copy_if_fits(const struct dump *dump, const struct route_key *key,
			 struct dump_pool *pool, unsigned *needed)
{
	const struct route *route;

	route_read_begin(dump->reader);
	route = route_find_exact(dump->reader, key);
	*needed = route ? route_capacity(route) : 0;
	pool->count = 0;
	if (route && *needed <= pool->capacity) {
		pool->balancing = route_balancing(route);
		for (unsigned i = 0; i < *needed; i++) {
			struct dump_entry *entry = &pool->entries[pool->count];
			const struct inst *inst = route_entry(dump->reader, route, i, &entry->last_seen);

			if (!inst)
				continue;
			copy_entry(dump, inst, pool, entry);
			pool->count++;
		}
	}
	route_read_end(dump->reader);
	return route != NULL;
}

bool dump_pool_copy(const struct dump *dump, struct str text, struct dump_pool *pool)
{
	struct route_key key = key_of(text);
	unsigned needed = 0;

	for (unsigned attempt = 0; attempt < COPY_ATTEMPTS; attempt++) {
		arena_fini(&pool->text);
		arena_init(&pool->text, NULL, 0);
		if (!copy_if_fits(dump, &key, pool, &needed))
			return false;
		if (needed <= pool->capacity)
			return true;
		free(pool->entries);
		pool->capacity = needed + 4;
		pool->entries = mem_alloc(pool->capacity * sizeof(*pool->entries));
	}
	return false;
}
