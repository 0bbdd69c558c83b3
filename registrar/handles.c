/*
 * registrar/handles.c - a direct-mapped cache from message to handles.
 */
#include "registrar/handles.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"

struct handles {
	struct hash_key keys[2];
	unsigned mask;
	struct known_message slots[];
};

struct handles *handles_create(unsigned slots)
{
	struct handles *h = mem_zalloc(sizeof(*h) + slots * sizeof(h->slots[0]));

	h->keys[0] = hash_key_random();
	h->keys[1] = hash_key_random();
	h->mask = slots - 1;
	return h;
}

void handles_destroy(struct handles *handles)
{
	free(handles);
}

struct known_message *handles_find(struct handles *h, struct str payload)
{
	uint64_t a = hash_str(&h->keys[0], payload), b = hash_str(&h->keys[1], payload);
	struct known_message *known = &h->slots[a & h->mask];

	if (known->hash[0] != a || known->hash[1] != b)
		*known = (struct known_message){ .hash = { a, b } };
	return known;
}
