/*
 * registrar/greets.c - a small memory of answered requests.
 */
#include "registrar/greets.h"

void greets_init(struct greets *greets, const char *answer)
{
	*greets = (struct greets){
		.answer = answer, .key = hash_key_random(), .lock = PTHREAD_MUTEX_INITIALIZER,
	};
}

/* That of the same request, or else the one that was answered before all others. */
static struct answered_greet *place_of(struct greets *greets, uint64_t hash)
{
	struct answered_greet *set = &greets->of[hash % GREETS_SETS * GREETS_WAYS], *oldest = set;

	for (unsigned i = 0; i < GREETS_WAYS; i++) {
		if (set[i].hash == hash)
			return &set[i];
		oldest = set[i].at_ms < oldest->at_ms ? &set[i] : oldest;
	}
	return oldest;
}

static bool note(struct greets *greets, uint64_t hash, unsigned source, uint64_t now_ms)
{
	struct answered_greet *place = place_of(greets, hash);
	uint32_t bit = UINT32_C(1) << source;

	if (place->hash == hash && now_ms - place->at_ms < GREETS_WINDOW_MS &&
	    !(place->sources & bit)) {
		place->sources |= bit;
		return false;
	}
	*place = (struct answered_greet){ hash, now_ms, bit };
	return true;
}

bool greets_is_new(struct greets *greets, struct str reply, unsigned source, uint64_t now_ms)
{
	uint64_t hash = hash_str(&greets->key, reply);
	bool is_new;

	pthread_mutex_lock(&greets->lock);
	is_new = note(greets, hash, source, now_ms);
	pthread_mutex_unlock(&greets->lock);
	return is_new;
}
