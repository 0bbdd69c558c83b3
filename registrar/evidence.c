/*
 * registrar/evidence.c - who may testify that an endpoint fell silent.
 */
#include "registrar/evidence.h"

static bool is_brought_now(const struct sources *sources, const struct seen *seen,
			   const struct silence *s)
{
	for (unsigned i = 0; i < sources->count; i++) {
		uint32_t tick = seen_tick(seen, s->row, i);

		if (tick && s->now - tick <= s->cycle && source_vouches(sources, i, s->since))
			return true;
	}
	return false;
}

/* It came with the last heartbeat, give or take a cycle, and so had no time to bring one. */
static bool was_too_young(const struct source *source, uint32_t newest, uint32_t cycle)
{
	uint32_t came = source->trusted_tick;

	return came && (came > newest ? came - newest : newest - came) < cycle;
}

/* A server that went at the same time as the endpoint may be the reason why it is
 * not heard: all that brought the last heartbeats, or would have, must have stayed. */
static bool have_last_stayed(const struct sources *sources, const struct seen *seen,
			     const struct silence *s, uint32_t newest)
{
	for (unsigned i = 0; i < sources->count; i++) {
		uint32_t tick = seen_tick(seen, s->row, i);

		if (((tick && newest - tick <= s->cycle) ||
		     was_too_young(&sources->of[i], newest, s->cycle)) &&
		    !source_vouches(sources, i, s->since))
			return false;
	}
	return true;
}

enum live_held evidence_missing(const struct sources *sources, const struct seen *seen,
				const struct silence *s)
{
	uint32_t newest = s->is_known ? seen_newest(seen, s->row) : 0;

	if (!newest)
		return sources_all_vouch(sources, s->since) ? LIVE_NOT_HELD
							    : LIVE_HELD_UNCONFIRMED;
	if (is_brought_now(sources, seen, s) || have_last_stayed(sources, seen, s, newest))
		return LIVE_NOT_HELD;
	return LIVE_HELD_SOURCE;
}
