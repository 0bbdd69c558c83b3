/*
 * registrar/handles.c - a set-associative cache from message to handles.
 */
#include "registrar/handles.h"

#include <stdlib.h>

#include "base/mem.h"

#define WAYS 8
/* A message not found while everything known was found so often is history. */
#define HISTORY 16u

struct handles {
	struct hash_key key;
	uint64_t sets, most_sets, known;
	uint32_t clock;               /* of finds */
	struct known_message *messages;       /* owned */
};

struct handles *handles_create(unsigned messages, unsigned most)
{
	struct handles *h = mem_zalloc(sizeof(*h));

	h->key = hash_key_random();
	h->sets = messages / WAYS;
	h->most_sets = most / WAYS;
	h->messages = mem_zalloc(h->sets * WAYS * sizeof(*h->messages));
	return h;
}

void handles_destroy(struct handles *h)
{
	for (uint64_t i = 0; i < h->sets * WAYS; i++)
		free(h->messages[i].more);
	free(h->messages);
	free(h);
}

struct hash128 handles_hash(const struct handles *h, struct str payload)
{
	return hash_str_128(&h->key, payload);
}

static struct known_message *set_of(const struct handles *h, struct hash128 hash)
{
	return &h->messages[(hash.a & (h->sets - 1)) * WAYS];
}

void known_forget(struct handles *h, struct known_message *known)
{
	h->known -= known->count > 0;
	free(known->more);
	known->more = NULL;
	known->count = 0;
}

struct known_message *handles_find(struct handles *h, struct hash128 hash)
{
	struct known_message *set = set_of(h, hash);

	h->clock++;
	for (unsigned i = 0; i < WAYS; i++) {
		struct known_message *known = &set[i];

		if (known->count && known->hash.a == hash.a && known->hash.b == hash.b) {
			known->used = h->clock;
			return known;
		}
	}
	return NULL;
}

/* Free places first, then what was not found for longest. */
static bool is_older(const struct handles *h, const struct known_message *a,
		     const struct known_message *b)
{
	if (!a->count != !b->count)
		return !a->count;
	return h->clock - a->used > h->clock - b->used;
}

static struct known_message *place_for(const struct handles *h, struct hash128 hash)
{
	struct known_message *set = set_of(h, hash), *victim = set;

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].count && set[i].hash.a == hash.a && set[i].hash.b == hash.b)
			return &set[i];
		if (is_older(h, &set[i], victim))
			victim = &set[i];
	}
	return victim;
}

static void forget_history(struct handles *h)
{
	for (uint64_t i = 0; i < h->sets * WAYS; i++)
		if (h->messages[i].count &&
		    h->clock - h->messages[i].used > HISTORY * (uint32_t)h->known)
			known_forget(h, &h->messages[i]);
}

/* Each set becomes two. */
static void grow(struct handles *h)
{
	struct known_message *old = h->messages;
	uint64_t count = h->sets * WAYS;

	h->sets *= 2;
	h->messages = mem_zalloc(h->sets * WAYS * sizeof(*h->messages));
	for (uint64_t i = 0; i < count; i++)
		if (old[i].count)
			*place_for(h, old[i].hash) = old[i];
	free(old);
}

/* Sets are filled unevenly: with half of the places free next to none overflows. */
static void make_room(struct handles *h)
{
	if (2 * h->known < h->sets * WAYS || h->sets >= h->most_sets)
		return;
	forget_history(h);
	if (2 * h->known >= h->sets * WAYS)
		grow(h);
}

void handles_keep(struct handles *h, struct hash128 hash, const struct route_handle *of_message,
		  uint32_t count)
{
	struct known_message *known;

	make_room(h);
	known = place_for(h, hash);
	known_forget(h, known);
	if (count > 1) {
		known->more = mem_alloc(count * sizeof(*known->more));
		memcpy(known->more, of_message, count * sizeof(*known->more));
	}
	known->one = of_message[0];
	known->hash = hash;
	known->used = h->clock;
	known->count = count;
	h->known++;
}

uint64_t handles_known(const struct handles *h)
{
	return h->known;
}

uint64_t handles_room(const struct handles *h)
{
	return h->sets * WAYS;
}
