/*
 * shm/intern.c - a private map from 64-bit hashes to counted values: linear
 * probing, at most two thirds full.
 */
#include "intern.h"

#include <stdlib.h>

#include "base/mem.h"

#define ROOM_MIN 64u

/* Keys are hashes already, but joined ones may share their low bits. */
static uint64_t home_of(const struct intern *map, uint64_t key)
{
	return (key * 0x9e3779b97f4a7c15u >> 32) & (map->room - 1);
}

void intern_fetch(const struct intern *map, uint64_t key)
{
	if (map->room)
		__builtin_prefetch(&map->items[home_of(map, key)], 1);
}

void intern_init(struct intern *map, uint64_t items)
{
	*map = (struct intern){ .room = ROOM_MIN };
	while (map->room < items + items / 2 + 1)
		map->room *= 2;
	map->items = mem_zalloc_table(map->room * sizeof(*map->items));
}

void intern_fini(struct intern *map)
{
	free(map->items);
	*map = (struct intern){ 0 };
}

static struct intern_item *scan(const struct intern *map, uint64_t key, uint64_t at)
{
	for (;; at = (at + 1) & (map->room - 1)) {
		struct intern_item *item = &map->items[at];

		if (!item->count)
			return NULL;
		if (item->key == key)
			return item;
	}
}

struct intern_item *intern_find(const struct intern *map, uint64_t key,
				const struct intern_item *after)
{
	uint64_t at;

	if (!map->room)
		return NULL;
	at = after ? (uint64_t)(after - map->items) + 1 : home_of(map, key);
	return scan(map, key, at & (map->room - 1));
}

struct intern_item *intern_find_value(const struct intern *map, uint64_t key, uint32_t value)
{
	struct intern_item *item = intern_find(map, key, NULL);

	while (item && item->value != value)
		item = intern_find(map, key, item);
	return item;
}

static struct intern_item *put(struct intern *map, struct intern_item new)
{
	uint64_t at = home_of(map, new.key);

	while (map->items[at].count)
		at = (at + 1) & (map->room - 1);
	map->items[at] = new;
	return &map->items[at];
}

static void grow(struct intern *map)
{
	struct intern old = *map;

	map->room = old.room ? 2 * old.room : ROOM_MIN;
	map->items = mem_zalloc_table(map->room * sizeof(*map->items));
	for (uint64_t i = 0; i < old.room; i++)
		if (old.items[i].count)
			put(map, old.items[i]);
	free(old.items);
}

struct intern_item *intern_add(struct intern *map, uint64_t key, uint32_t value)
{
	if (3 * (map->used + 1) > 2 * map->room)
		grow(map);
	map->used++;
	return put(map, (struct intern_item){ key, value, 1 });
}

/* Closes the gap, so that no tombstones are needed. */
static void erase(struct intern *map, uint64_t gap)
{
	uint64_t mask = map->room - 1;

	for (uint64_t at = (gap + 1) & mask; map->items[at].count; at = (at + 1) & mask) {
		uint64_t home = home_of(map, map->items[at].key);

		if (((at - home) & mask) < ((at - gap) & mask))
			continue;     /* it would move to before its home */
		map->items[gap] = map->items[at];
		gap = at;
	}
	map->items[gap].count = 0;
	map->used--;
}

uint32_t intern_drop(struct intern *map, struct intern_item *item)
{
	if (--item->count)
		return item->count;
	item->count = 1;              /* erase() looks for the end of the run */
	erase(map, (uint64_t)(item - map->items));
	return 0;
}
