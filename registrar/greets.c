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

static bool note(struct greets *greets, uint64_t hash, unsigned source, uint64_t now_ms)
{
	uint32_t bit = UINT32_C(1) << source;
	unsigned i = hash % GREETS_REMEMBERED;

	if (greets->of[i].hash == hash && now_ms - greets->of[i].at_ms < GREETS_WINDOW_MS &&
	    !(greets->of[i].sources & bit)) {
		greets->of[i].sources |= bit;
		return false;
	}
	greets->of[i].hash = hash;
	greets->of[i].at_ms = now_ms;
	greets->of[i].sources = bit;
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
