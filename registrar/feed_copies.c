/*
 * registrar/feed_copies.c - from copies to the verdicts that probes cannot give.
 */
#include "registrar/feed_copies.h"

#include "registrar/feed_log.h"

#define TICK_MS 100

static bool is_unjudged(const struct feed *f, unsigned from, unsigned to)
{
	return from != to && probe_is_settled(&f->probe, from, f->now_ms) &&
	       probe_is_settled(&f->probe, to, f->now_ms) &&
	       !probe_can_judge(&f->probe, from, to);
}

/* True if there are pairs that probes do not judge.  Each server that is the reason is
 * told of once. */
static bool note_unjudged(struct feed *f)
{
	bool is_any = false;

	for (unsigned i = 0; i < f->sources.count; i++)
		for (unsigned j = 0; j < f->sources.count; j++) {
			unsigned reason = f->probe.of[i].is_heard ? j : i;

			if (!is_unjudged(f, i, j))
				continue;
			is_any = true;
			if (!f->of[reason].is_compared)
				feed_log_compared(f, reason);
			f->of[reason].is_compared = true;
		}
	return is_any;
}

/* All that is registered comes through it, and without delay. */
static bool is_hearing(const struct feed *f, unsigned i)
{
	const struct source *source = &f->sources.of[i];

	return source->is_connected && !source->is_mirror && source->state != SOURCE_SLOW &&
	       f->of[i].lag_ms < SEEN_LATE * TICK_MS;
}

static uint64_t ms_of(const struct feed *f, uint32_t then, uint32_t tick)
{
	uint64_t ago_ms = (uint64_t)(tick - then) * TICK_MS;

	return then && f->now_ms > ago_ms ? f->now_ms - ago_ms : 0;
}

static void take_verdict(struct feed *f, unsigned from, unsigned to, uint32_t tick)
{
	const struct copies_pair *pair = &f->copies.pair[from][to];
	bool was_lost = probe_verdict(&f->probe, from, to) == PROBE_LOST;

	if (pair->is_lost && !was_lost)
		probe_note_verdict(&f->probe, from, to, PROBE_LOST, ms_of(f, pair->heard, tick));
	else if (!pair->is_lost && was_lost)
		probe_note_verdict(&f->probe, from, to, PROBE_OK, 0);
}

void feed_compare_copies(struct feed *f, uint32_t tick)
{
	f->must_compare = note_unjudged(f);
	for (unsigned i = 0; i < f->sources.count; i++)
		copies_note_hearing(&f->copies, i, is_hearing(f, i), tick);
	if (!f->must_compare || !copies_look(&f->copies, &f->probe, tick))
		return;
	for (unsigned i = 0; i < f->sources.count; i++)
		for (unsigned j = 0; j < f->sources.count; j++)
			if (is_unjudged(f, i, j))
				take_verdict(f, i, j, tick);
}

void feed_note_start(struct feed *f, const struct bus_message *m)
{
	struct str greeting = str_of(f->greeting);
	size_t from = m->payload.len - greeting.len;

	if (!str_has_prefix(m->payload, greeting) || from >= f->sources.count || from == m->source)
		return;
	if (f->probe.of[from].is_up && f->probe.of[m->source].is_up &&
	    probe_verdict(&f->probe, (unsigned)from, m->source) == PROBE_UNKNOWN)
		probe_note_verdict(&f->probe, (unsigned)from, m->source, PROBE_OK, 0);
}
