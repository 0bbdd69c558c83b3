/*
 * registrar/sources.c - the states of sources, and since when each could be trusted.
 */
#include "registrar/sources.h"

#define DRAINED_MS 1000               /* without a new loss */

void sources_init(struct sources *s, unsigned count)
{
	*s = (struct sources){ .count = count,
			       .limits = { .down_after_ms = 2000, .quiet_ms = 45000,
					   .degraded_ms = 60000, .slow_lag_ms = 2000,
					   .slow_pending_percent = 25 } };
}

/* A connection that is back within down_after keeps its state, but not its trust. */
void source_note_connected(struct sources *s, unsigned i, bool is_connected, uint32_t tick)
{
	struct source *source = &s->of[i];

	if (is_connected == source->is_connected)
		return;
	source->is_connected = is_connected;
	source->changed_ms = 0;       /* the next assessment knows the time */
	if (!is_connected)
		return;
	source_note_gap(s, i, tick);
	if (source->state == SOURCE_DOWN) {
		source->state = SOURCE_UP;
		source->was = SOURCE_DOWN;
		source->has_come = true;
	}
}

void source_note_heard(struct sources *s, unsigned i, uint64_t now_ms)
{
	s->of[i].heard_ms = s->heard_ms = now_ms;
}

void source_note_gap(struct sources *s, unsigned i, uint32_t tick)
{
	s->of[i].trusted_tick = tick;
	s->of[i].trusted_ms = 0;
}

/* Slow is left only when everything is read and nothing was lost for a moment. */
static void note_slowness(const struct sources *s, struct source *source,
			  const struct source_facts *facts, uint64_t now_ms)
{
	if (facts->dropped != source->dropped) {
		source->dropped = facts->dropped;
		source->dropped_ms = now_ms;
		source->is_slow = true;
	}
	if (facts->pending_percent > s->limits.slow_pending_percent ||
	    facts->lag_ms > s->limits.slow_lag_ms)
		source->is_slow = true;
	else if (facts->pending_percent * 5 <= s->limits.slow_pending_percent &&
		 facts->lag_ms * 2 <= s->limits.slow_lag_ms &&
		 now_ms - source->dropped_ms >= DRAINED_MS)
		source->is_slow = false;
}

/* History says that there should be registrations: some came, through it or another. */
static bool is_quiet(const struct sources *s, const struct source *source, uint64_t now_ms)
{
	uint64_t since = source->heard_ms > source->changed_ms ? source->heard_ms :
								 source->changed_ms;

	return s->heard_ms && !source->is_mirror && now_ms > since &&
	       now_ms - since > s->limits.quiet_ms;
}

static enum source_state decide(const struct sources *s, const struct source *source,
				const struct source_facts *facts, uint64_t now_ms)
{
	if (!source->is_connected)
		return now_ms - source->changed_ms >= s->limits.down_after_ms ? SOURCE_DOWN :
										source->state;
	if (source->is_slow)
		return SOURCE_SLOW;
	if (facts->is_broken)
		return SOURCE_ISLAND;
	if (facts->is_lame)
		return SOURCE_LAME;
	return is_quiet(s, source, now_ms) ? SOURCE_QUIET : SOURCE_UP;
}

bool source_assess(struct sources *s, unsigned i, const struct source_facts *facts,
		   uint64_t now_ms, uint32_t tick)
{
	struct source *source = &s->of[i];
	enum source_state state;
	bool has_come = source->has_come && source->is_connected;

	source->has_come = false;
	if (!source->changed_ms)
		source->changed_ms = now_ms;
	source->is_stray = facts->is_stray;
	note_slowness(s, source, facts, now_ms);
	state = decide(s, source, facts, now_ms);
	if (state == SOURCE_UP && source->state != SOURCE_UP)
		source_note_gap(s, i, tick);
	if (!source->trusted_ms)
		source->trusted_ms = now_ms;
	if (state == source->state)
		return has_come;
	if (!has_come)
		source->was = source->state;
	source->state = state;
	return true;
}

static bool is_trusted(const struct source *source)
{
	return source->is_connected && source->state == SOURCE_UP;
}

const char *source_state_name(enum source_state state)
{
	static const char *const names[SOURCE_STATES] = {
		[SOURCE_DOWN] = "DOWN", [SOURCE_UP] = "UP", [SOURCE_QUIET] = "QUIET",
		[SOURCE_ISLAND] = "ISLAND", [SOURCE_SLOW] = "SLOW", [SOURCE_LAME] = "LAME",
	};

	return names[state];
}

bool source_vouches(const struct sources *s, unsigned i, uint32_t since)
{
	return is_trusted(&s->of[i]) && !s->of[i].is_mirror &&
	       (int32_t)(since - s->of[i].trusted_tick) >= 0;
}

/* A mirror that hears the others has nothing of its own to say; a stray one has nobody. */
bool sources_all_vouch(const struct sources *s, uint32_t since)
{
	unsigned witnesses = 0;

	for (unsigned i = 0; i < s->count; i++) {
		const struct source *source = &s->of[i];

		if (source->is_stray || (source->is_mirror && is_trusted(source)))
			continue;
		if (!source_vouches(s, i, since))
			return false;
		witnesses++;
	}
	return witnesses > 0;
}

bool sources_any_trusted(const struct sources *s)
{
	for (unsigned i = 0; i < s->count; i++)
		if (is_trusted(&s->of[i]))
			return true;
	return false;
}

bool sources_any_hear(const struct sources *s)
{
	for (unsigned i = 0; i < s->count; i++)
		if (is_trusted(&s->of[i]) ||
		    (s->of[i].is_connected && s->of[i].state == SOURCE_ISLAND))
			return true;
	return false;
}

bool sources_are_whole(const struct sources *s)
{
	return !s->is_split;
}
