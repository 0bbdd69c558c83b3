/*
 * registrar/tombstones.c - sets of eight, as wide as 3,000 unregisters a second
 * for one emit cycle.
 */
#include "registrar/tombstones.h"

#include <stdlib.h>

#include "base/mem.h"

#define SETS 8192u
#define WAYS 8

struct tombstone {
	uint64_t hash;                /* 0: free */
	uint32_t tick;
	uint32_t copy_tick;           /* of the first through the last that brought one */
	uint32_t number;              /* the oldest makes room */
	uint8_t told_by, copied_by;   /* sources: of the unregister, of late copies */
};

struct tombstones {
	struct tombstone_times times;
	uint32_t last;                /* number */
	bool has_any;                 /* had, at least */
	uint32_t newest;              /* the tick of the last */
	struct tombstone of[SETS * WAYS];
};

struct tombstones *tombstones_create(const struct tombstone_times *times)
{
	struct tombstones *t = mem_zalloc(sizeof(*t));

	t->times = *times;
	return t;
}

void tombstones_destroy(struct tombstones *tombstones)
{
	free(tombstones);
}

static struct tombstone *set_of(struct tombstones *t, uint64_t hash)
{
	return &t->of[(hash >> 32 & (SETS - 1)) * WAYS];
}

/* While routes are loaded, mostly none: then memory is left alone. */
static struct tombstone *find(struct tombstones *t, uint64_t hash, uint32_t tick)
{
	struct tombstone *set = set_of(t, hash);

	if (!t->has_any || tick - t->newest > t->times.stands)
		return NULL;
	for (unsigned i = 0; i < WAYS; i++)
		if (set[i].hash == hash && tick - set[i].tick <= t->times.stands)
			return &set[i];
	return NULL;
}

static struct tombstone *oldest(struct tombstones *t, uint64_t hash)
{
	struct tombstone *set = set_of(t, hash), *oldest = set;

	for (unsigned i = 0; i < WAYS; i++) {
		if (!set[i].hash || set[i].hash == hash)
			return &set[i];
		if (t->last - set[i].number > t->last - oldest->number)
			oldest = &set[i];
	}
	return oldest;
}

void tombstones_add(struct tombstones *t, uint64_t hash, unsigned source, uint32_t tick)
{
	struct tombstone *stone = find(t, hash, tick);

	if (!stone) {
		stone = oldest(t, hash);
		*stone = (struct tombstone){ .hash = hash, .number = ++t->last };
	}
	stone->tick = t->newest = tick;
	t->has_any = true;
	stone->told_by |= (uint8_t)(1u << source);
}

bool tombstones_cover(struct tombstones *t, uint64_t hash, unsigned source, uint32_t tick)
{
	struct tombstone *stone = find(t, hash, tick);
	unsigned bit = 1u << source;

	if (!stone)
		return false;
	if (stone->told_by & bit ||
	    (stone->copied_by & bit && tick - stone->copy_tick > t->times.burst)) {
		stone->hash = 0;
		return false;
	}
	if (!(stone->copied_by & bit))
		stone->copy_tick = tick;
	stone->copied_by |= (uint8_t)bit;
	return true;
}
