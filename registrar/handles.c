/*
 * registrar/handles.c - a cache from message to handles.  Each message has two sets
 * of eight places to choose from, so that sets fill evenly; a line of tags tells
 * which places of a set are worth a look.
 */
#include "registrar/handles.h"

#include <stdlib.h>

#include "base/mem.h"

#define WAYS 8
/* A message not found while everything known was found so often is history. */
#define HISTORY 16u

struct handles {
	uint64_t sets, most_sets, known;
	uint32_t clock;               /* of finds */
	struct known_message *messages;       /* owned */
	uint32_t *tags;               /* owned: of each place, 0: it is free */
};

static void make_places(struct handles *h)
{
	h->messages = mem_zalloc_table(h->sets * WAYS * sizeof(*h->messages));
	h->tags = mem_zalloc_table(h->sets * WAYS * sizeof(*h->tags));
}

struct handles *handles_create(unsigned messages, unsigned most)
{
	struct handles *h = mem_zalloc(sizeof(*h));

	h->sets = messages / WAYS;
	h->most_sets = most / WAYS;
	make_places(h);
	return h;
}

void handles_destroy(struct handles *h)
{
	for (uint64_t i = 0; i < h->sets * WAYS; i++)
		free(h->messages[i].more);
	free(h->messages);
	free(h->tags);
	free(h);
}

static uint32_t tag_of(struct hash128 hash)
{
	return (uint32_t)(hash.a >> 32) | 1;
}

/* The first place of one of the two sets. */
static uint64_t set_of(const struct handles *h, struct hash128 hash, bool is_second)
{
	return ((is_second ? hash.b : hash.a) & (h->sets - 1)) * WAYS;
}

void known_forget(struct handles *h, struct known_message *known)
{
	h->known -= known->count > 0;
	free(known->more);
	known->more = NULL;
	known->count = 0;
	h->tags[known - h->messages] = 0;
}

static struct known_message *find(const struct handles *h, struct hash128 hash)
{
	uint32_t tag = tag_of(hash);

	for (unsigned second = 0; second < 2; second++) {
		uint64_t set = set_of(h, hash, second);

		for (uint64_t at = set; at < set + WAYS; at++)
			if (h->tags[at] == tag && h->messages[at].hash.a == hash.a &&
			    h->messages[at].hash.b == hash.b)
				return &h->messages[at];
	}
	return NULL;
}

void handles_fetch_tags(const struct handles *h, struct hash128 hash)
{
	__builtin_prefetch(&h->tags[set_of(h, hash, false)]);
	__builtin_prefetch(&h->tags[set_of(h, hash, true)]);
}

void handles_fetch_message(const struct handles *h, struct hash128 hash)
{
	uint32_t tag = tag_of(hash);

	for (unsigned second = 0; second < 2; second++) {
		uint64_t set = set_of(h, hash, second);

		for (uint64_t at = set; at < set + WAYS; at++)
			if (h->tags[at] == tag)
				__builtin_prefetch(&h->messages[at], 1);
	}
}

struct known_message *handles_peek(const struct handles *h, struct hash128 hash)
{
	return find(h, hash);
}

static struct known_message *note_found(struct handles *h, struct known_message *known)
{
	h->clock++;
	if (known)
		known->used = h->clock;
	return known;
}

struct known_message *handles_find(struct handles *h, struct hash128 hash)
{
	return note_found(h, find(h, hash));
}

/* Places move when the cache grows. */
static bool is_place(const struct handles *h, const struct known_message *place)
{
	return place >= h->messages && place < h->messages + h->sets * WAYS;
}

struct known_message *handles_find_again(struct handles *h, struct known_message *peeked,
					 struct hash128 hash)
{
	if (!is_place(h, peeked) || !peeked->count || peeked->hash.a != hash.a ||
	    peeked->hash.b != hash.b)
		return handles_find(h, hash);
	return note_found(h, peeked);
}

static unsigned count_free(const struct handles *h, uint64_t set)
{
	unsigned n = 0;

	for (unsigned i = 0; i < WAYS; i++)
		n += !h->tags[set + i];
	return n;
}

static struct known_message *free_place(const struct handles *h, uint64_t set)
{
	while (h->tags[set])
		set++;
	return &h->messages[set];
}

/* In the emptier set; if both are full, that of the message not found for longest. */
static struct known_message *place_for(const struct handles *h, struct hash128 hash)
{
	uint64_t sets[2] = { set_of(h, hash, false), set_of(h, hash, true) };
	unsigned room[2] = { count_free(h, sets[0]), count_free(h, sets[1]) };
	struct known_message *victim = &h->messages[sets[0]];

	if (room[0] || room[1])
		return free_place(h, sets[room[1] > room[0]]);
	for (unsigned i = 0; i < 2 * WAYS; i++) {
		struct known_message *known = &h->messages[sets[i / WAYS] + i % WAYS];

		if (h->clock - known->used > h->clock - victim->used)
			victim = known;
	}
	return victim;
}

static void put(struct handles *h, const struct known_message *message)
{
	struct known_message *place = place_for(h, message->hash);

	known_forget(h, place);
	*place = *message;
	h->tags[place - h->messages] = tag_of(message->hash);
	h->known++;
}

static void forget_history(struct handles *h)
{
	for (uint64_t i = 0; i < h->sets * WAYS; i++)
		if (h->messages[i].count &&
		    h->clock - h->messages[i].used > HISTORY * (uint32_t)h->known)
			known_forget(h, &h->messages[i]);
}

/* Each set falls apart into two, so all of it fits; memory is gone through in order. */
static void grow(struct handles *h)
{
	struct known_message *old = h->messages;
	uint64_t old_sets = h->sets;

	free(h->tags);
	h->sets *= 2;
	make_places(h);
	for (uint64_t i = 0; i < old_sets * WAYS; i++) {
		bool is_second = (old[i].hash.a & (old_sets - 1)) != i / WAYS;
		struct known_message *place;

		if (!old[i].count)
			continue;
		place = free_place(h, set_of(h, old[i].hash, is_second));
		*place = old[i];
		h->tags[place - h->messages] = tag_of(old[i].hash);
	}
	free(old);
}

static bool is_crowded(const struct handles *h)
{
	return 4 * h->known >= 3 * h->sets * WAYS;
}

static void make_room(struct handles *h)
{
	if (!is_crowded(h) || h->sets >= h->most_sets)
		return;
	forget_history(h);
	if (is_crowded(h))
		grow(h);
}

void handles_keep(struct handles *h, struct hash128 hash, const struct route_handle *of_message,
		  uint32_t count)
{
	struct known_message message = { .hash = hash, .count = count, .one = of_message[0] };
	struct known_message *known = find(h, hash);

	if (known)
		known_forget(h, known);
	if (count > 1) {
		message.more = mem_alloc(count * sizeof(*message.more));
		memcpy(message.more, of_message, count * sizeof(*message.more));
	}
	make_room(h);
	message.used = h->clock;
	put(h, &message);
}

uint64_t handles_known(const struct handles *h)
{
	return h->known;
}

uint64_t handles_room(const struct handles *h)
{
	return h->sets * WAYS;
}
