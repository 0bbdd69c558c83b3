/*
 * registrar/sources.c - since when each server could be trusted.
 */
#include "registrar/sources.h"

void sources_init(struct sources *s, unsigned count)
{
	*s = (struct sources){ .count = count };
}

void source_note_connected(struct sources *s, unsigned i, bool is_connected, uint32_t tick)
{
	if (is_connected && !s->of[i].is_connected)
		s->of[i].trusted_tick = tick;
	s->of[i].is_connected = is_connected;
}

void source_note_gap(struct sources *s, unsigned i, uint32_t tick)
{
	s->of[i].trusted_tick = tick;
}

bool source_vouches(const struct sources *s, unsigned i, uint32_t since)
{
	return s->of[i].is_connected && (int32_t)(since - s->of[i].trusted_tick) >= 0;
}

bool sources_all_vouch(const struct sources *s, uint32_t since)
{
	for (unsigned i = 0; i < s->count; i++)
		if (!source_vouches(s, i, since))
			return false;
	return s->count > 0;
}

bool sources_any_trusted(const struct sources *s)
{
	for (unsigned i = 0; i < s->count; i++)
		if (s->of[i].is_connected)
			return true;
	return false;
}

bool sources_are_whole(const struct sources *s)
{
	(void)s;
	return true;
}
