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

/* A server that went at the same time as the endpoint may be the reason why it is
 * not heard: all that brought the last heartbeats must have stayed. */
static bool have_last_stayed(const struct sources *sources, const struct seen *seen,
			     const struct silence *s, uint32_t newest)
{
	for (unsigned i = 0; i < sources->count; i++) {
		uint32_t tick = seen_tick(seen, s->row, i);

		if (tick && newest - tick <= s->cycle && !source_vouches(sources, i, s->since))
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
