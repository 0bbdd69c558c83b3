/*
 * registrar/handles.c - a set-associative cache from message to handles.
 */
#include "registrar/handles.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

#define WAYS 8

struct handles {
	struct hash_key keys[2];
	unsigned sets;
	uint32_t clock;               /* of finds */
	struct known_message messages[];
};

struct handles *handles_create(unsigned messages)
{
	struct handles *h = mem_zalloc(sizeof(*h) + messages * sizeof(h->messages[0]));

	h->keys[0] = hash_key_random();
	h->keys[1] = hash_key_random();
	h->sets = messages / WAYS;
	return h;
}

void handles_destroy(struct handles *handles)
{
	for (unsigned i = 0; i < handles->sets * WAYS; i++)
		free(handles->messages[i].more);
	free(handles);
}

void known_forget(struct known_message *known)
{
	free(known->more);
	known->more = NULL;
	known->count = 0;
}

struct route_handle *known_reserve(struct known_message *known, uint32_t count)
{
	known_forget(known);
	if (count > 1)
		known->more = mem_alloc(count * sizeof(*known->more));
	return known_handles(known);
}

/* Free places first, then what was not found for longest. */
static bool is_older(const struct handles *h, const struct known_message *a,
		     const struct known_message *b)
{
	if (!a->count != !b->count)
		return !a->count;
	return h->clock - a->used > h->clock - b->used;
}

struct known_message *handles_find(struct handles *h, struct str payload)
{
	uint64_t a = hash_str(&h->keys[0], payload), b = hash_str(&h->keys[1], payload);
	struct known_message *set = &h->messages[(a & (h->sets - 1)) * WAYS], *victim = set;

	h->clock++;
	for (unsigned i = 0; i < WAYS; i++) {
		struct known_message *known = &set[i];

		if (known->count && known->hash[0] == a && known->hash[1] == b) {
			known->used = h->clock;
			return known;
		}
		if (is_older(h, known, victim))
			victim = known;
	}
	known_forget(victim);
	victim->hash[0] = a;
	victim->hash[1] = b;
	victim->used = h->clock;
	return victim;
}
