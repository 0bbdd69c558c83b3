/*
 * registrar/survey.c - counting.
 */
#include "registrar/survey.h"

#include "registrar/evidence.h"
#include "shm/route_table.h"

uint32_t silence_allowed(const struct registrar_settings *settings,
			 const struct entry_view *entry)
{
	uint64_t ticks = entry->flags & ENDPOINT_TLS ? settings->tls_stale_threshold_ms / TICK_MS
						     : (uint64_t)entry->stale_s * 1000 / TICK_MS;

	return ticks < UINT32_MAX / 2 ? (uint32_t)ticks : UINT32_MAX / 2;
}

enum live_held silence_evidence(struct trust *t, const struct entry_view *entry,
				uint32_t allowed, uint32_t tick)
{
	const struct silence silence = {
		.row = entry->row, .is_known = trust_row(t, entry->row)->tag != 0,
		.since = tick - allowed, .now = tick, .cycle = t->cycle,
	};

	/* Who asks for no evidence gets none: age alone decides, as it did in Gorouter. */
	if (!t->settings->suspend_pruning_if_nats_unavailable)
		return LIVE_NOT_HELD;
	if (tick < allowed)
		return LIVE_HELD_UNCONFIRMED;
	return evidence_missing(t->sources, t->seen, &silence);
}

/* In a table that was taken over are endpoints that nobody has introduced yet. */
static void learn(struct trust *t, const struct entry_view *entry)
{
	struct endpoint endpoint;
	struct identity id;

	if (!inst_copy(entry->inst, &endpoint))
		return;
	id = identity_of(&t->key, &endpoint);
	trust_claim(t, entry->row, &id);
	owners_learn(t->owners, &id, entry->row, endpoint.updated_at_ns);
}

static bool will_expire(const struct survey *s, const struct entry_view *entry, uint32_t tick)
{
	uint32_t allowed = silence_allowed(s->trust->settings, entry);
	uint32_t age = tick > entry->last_seen ? tick - entry->last_seen : 0;

	return allowed && (uint64_t)age + s->ahead > allowed &&
	       !silence_evidence(s->trust, entry, allowed, tick);
}

/* Those that are held for long do not count against others; those that were held a
 * moment ago are the first of the same mass. */
static bool is_of_now(const struct survey *s, const struct row_note *note, uint32_t tick)
{
	return !note->brake_tick || tick - note->brake_tick <= 2 * s->ahead;
}

struct visit {
	struct survey *survey;
	uint32_t tick;
};

/* An endpoint counts once, however many routes lead to it; it expires if one does. */
static enum entry_verdict count(void *context, const struct entry_view *entry)
{
	struct visit *visit = context;
	struct survey *s = visit->survey;
	struct trust *t = s->trust;
	struct row_note *note = trust_row(t, entry->row);
	struct cell *cell;

	if (!note->tag)
		learn(t, entry);
	note = trust_row(t, entry->row);
	cell = cells_get(t->cells, note->host ? note->host : 1);
	if (note->round != t->round) {
		note->round = t->round;
		note->routes_next = 0;
		note->marks &= (uint8_t)~ROW_EXPIRING;
		cell->endpoints++;
		s->endpoints++;
	}
	note->routes_next++;
	cell->routes_next++;
	if (!(note->marks & (ROW_EXPIRING | ROW_DISOWNED)) && will_expire(s, entry, visit->tick)) {
		note->marks |= ROW_EXPIRING;
		cell->expiring++;
		s->expiring += is_of_now(s, note, visit->tick);
	}
	return ENTRY_KEEP;
}

void survey_slice(struct survey *s, unsigned slice, uint32_t tick)
{
	struct visit visit = { s, tick };

	if (slice == 0) {
		s->trust->round++;
		s->trust->surveyed = 0;
		s->endpoints = s->expiring = 0;
		cells_begin_survey(s->trust->cells);
	}
	route_writer_sweep(s->writer, slice, tick, count, &visit);
	s->trust->surveyed = slice + 1;
}

/* Rows that no route leads to any more have none. */
static void settle_routes(struct trust *t)
{
	for (uint32_t row = 0; row < seen_rows(t->seen); row++) {
		struct row_note *note = trust_row(t, row);

		note->routes = note->round == t->round ? note->routes_next : 0;
	}
}

void survey_end(struct survey *s, struct brake *brake)
{
	settle_routes(s->trust);
	cells_end_survey(s->trust->cells);
	brake->endpoints = s->endpoints;
	brake->expiring = s->expiring;
}
