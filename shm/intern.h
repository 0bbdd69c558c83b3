/*
 * shm/intern.h - a private map from 64-bit hashes to counted values.  The writer
 * keeps three: endpoint blocks by fingerprint (so that all routes of an instance
 * share one), rows by address, and path routes by host and depth.  Several values
 * may have the same key.
 */
#ifndef SHM_INTERN_H
#define SHM_INTERN_H

#include <stddef.h>
#include <stdint.h>

struct intern_item {
	uint64_t key;
	uint32_t value;
	uint32_t count;               /* 0: the place is free */
};

struct intern {
	struct intern_item *items;    /* owned */
	uint64_t used, room;          /* room is a power of two, or 0 */
};

/* Room for so many items at once; a zeroed struct is an empty map too. */
void intern_init(struct intern *map, uint64_t items);
void intern_fini(struct intern *map);

/* Fetches the memory that a question about the key needs. */
void intern_fetch(const struct intern *map, uint64_t key);

/* The first item of that key, or the next one after `after`; NULL: no more. */
struct intern_item *intern_find(const struct intern *map, uint64_t key,
				const struct intern_item *after);

/* The item of that key and value, or NULL. */
struct intern_item *intern_find_value(const struct intern *map, uint64_t key, uint32_t value);

/* Adds an item that is not there, with count 1.  Moves the others. */
struct intern_item *intern_add(struct intern *map, uint64_t key, uint32_t value);

/* Takes one off the count; at 0 the item goes (and others move).  Returns what is left. */
uint32_t intern_drop(struct intern *map, struct intern_item *item);

#endif
