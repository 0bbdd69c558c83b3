/*
 * shm/history_layout.h - the history as it lies in memory: names of servers, then
 * sets of records.  Used by shm/ only.
 *
 * A record is whole while its place in `numbers` is not 0: the writer stores 0,
 * then the record, then its number.  So whoever copies it and finds the same number
 * before and after has a whole one, and a writer that dies half-way leaves a free
 * place.  Everything is stored in words; what does not add up is left out.
 */
#ifndef SHM_HISTORY_LAYOUT_H
#define SHM_HISTORY_LAYOUT_H

#include "history.h"
#include "route_layout.h"

#define HISTORY_HEAD_BYTES 4096u
#define HISTORY_SET_BYTES  16384u
#define HISTORY_SERVERS    32u
#define HISTORY_NO_SERVER  255u

struct history_head {
	char servers[HISTORY_SERVERS][HISTORY_SERVER_NAME];   /* without secrets; "": free */
};
_Static_assert(sizeof(struct history_head) <= HISTORY_HEAD_BYTES, "history head");

#define HISTORY_RECORD_WORDS (sizeof(struct history_record) / 8)

struct history_set {
	uint64_t numbers[HISTORY_WAYS];       /* number of the change << 16 | tag of its host,
	                                         for the choice of what makes room; 0: free */
	uint64_t unused[4];
	uint64_t records[HISTORY_WAYS][HISTORY_RECORD_WORDS];
};
_Static_assert(offsetof(struct history_set, records) == 512, "history set");
_Static_assert(sizeof(struct history_set) <= HISTORY_SET_BYTES, "history set");

/* Where it begins, or NULL: this table keeps none. */
static inline unsigned char *history_area(const struct table *table, uint64_t *sets)
{
	const struct table_head *head = table_head(table);
	uint64_t bytes = head->history_bytes;

	if (bytes < HISTORY_HEAD_BYTES + HISTORY_SET_BYTES || bytes > table->size ||
	    bytes % HISTORY_HEAD_BYTES)
		return NULL;
	*sets = (bytes - HISTORY_HEAD_BYTES) / HISTORY_SET_BYTES;
	return table->base + table->size - bytes;
}

static inline struct history_set *history_set_at(unsigned char *area, uint64_t i)
{
	return (struct history_set *)(area + HISTORY_HEAD_BYTES + i * HISTORY_SET_BYTES);
}

static inline uint64_t history_host_hash(const struct route_hash_seed *seed, struct str host)
{
	return block_hash(seed, host.p, host.len);
}

static inline struct str host_of_key(struct str key)
{
	ssize_t slash = str_find_char(key, '/');

	return slash < 0 ? key : str_sub(key, 0, (size_t)slash);
}

/* What a place says of its record. */
static inline uint64_t history_place(uint64_t number, uint64_t host_hash)
{
	return number << 16 | host_hash >> 48;
}

static inline uint64_t history_place_number(uint64_t place)
{
	return place >> 16;
}

static inline uint16_t history_place_tag(uint64_t place)
{
	return (uint16_t)place;
}

/* Over what is used of it; its ends are in order. */
uint32_t history_record_sum(const struct history_record *record);

#endif
