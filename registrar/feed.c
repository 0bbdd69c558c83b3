/*
 * registrar/feed.c - the feed's turns and ticks.
 */
#include "registrar/feed.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "registrar/feed_copies.h"
#include "registrar/feed_log.h"
#include "shm/counters.h"

#define NS_PER_US 1000
#define TICK_MS 100
#define GATHER_MS 300
#define DENIED_ROUNDS 16              /* how seldom probes are tried that a server refuses */

int feed_open(struct feed *f, struct seen *seen, uint32_t cycle, struct reason *reason)
{
	const struct nats_settings *s = &f->config->nats;
	uint64_t id;

	random_bytes(&id, sizeof(id));
	snprintf(f->id, sizeof(f->id), "%016" PRIx64, id);
	greeting_make(&f->config->settings, f->greeting);
	greets_init(&f->greets, f->greeting);
	sources_init(&f->sources, s->servers.count);
	f->sources.limits = (struct sources_limits){
		.down_after_ms = s->down_after_ms, .quiet_ms = s->source_quiet_ms,
		.degraded_ms = s->source_degraded_ms, .slow_lag_ms = s->slow_lag_ms,
		.slow_pending_percent = (unsigned)s->slow_pending_percent,
	};
	probe_init(&f->probe, s->probe_interval_ms, (unsigned)s->probe_misses);
	copies_init(&f->copies, seen, cycle,
		    (uint32_t)(s->probe_misses * s->probe_interval_ms / TICK_MS));
	starts_init(&f->starts, s->start_interval_ms, s->start_jitter_ms);
	f->is_doubled = s->union_mode == UNION_FULL;
	return bus_open(s, f->id, &f->greets, &f->bus, reason);
}

void feed_close(struct feed *f)
{
	bus_close(f->bus);
}

/* --- what overtakes */

/* "_r.probe.ID.FROM", payload "SEQUENCE NANOSECONDS". */
static void note_probe(struct feed *f, const struct bus_message *m)
{
	struct str rest = m->payload, name = str_of(m->name), sequence, sent;
	uint64_t from, then, now = clock_ns();
	size_t at = name.len;

	while (at > 0 && name.p[at - 1] != '.')
		at--;
	if (!str_parse_u64(str_sub(name, at, STR_REST), &from) || from >= f->sources.count ||
	    !str_next_item(&rest, ' ', &sequence) || !str_next_item(&rest, ' ', &sent) ||
	    !str_parse_u64(sent, &then))
		return;
	probe_note_heard(&f->probe, (unsigned)from, m->source,
			 now > then ? (now - then) / NS_PER_US : 0, m->received_ms);
}

const struct bus_message *feed_take_urgent(struct feed *f, uint64_t now_ms)
{
	const struct bus_message *m;

	f->now_ms = now_ms;
	while ((m = bus_next_urgent(f->bus))) {
		if (m->subject == BUS_PROBE)
			note_probe(f, m);
		else if (m->subject == BUS_START)
			feed_note_start(f, m);
		else
			return m;
	}
	return NULL;
}

unsigned feed_next_run(struct feed *f, const struct bus_message **out, unsigned most)
{
	unsigned n = bus_next_run(f->bus, out, most);
	const struct bus_message *run = *out;
	struct feed_source *source;

	if (!n)
		return 0;
	source = &f->of[run->source];
	source->lag_ms = f->now_ms > run->received_ms ? f->now_ms - run->received_ms : 0;
	for (unsigned i = 0; i < n; i++) {
		if (run[i].subject != BUS_REGISTER)
			continue;
		source->messages++;
		source_note_heard(&f->sources, run[i].source, run[i].received_ms);
	}
	return n;
}

/* --- the tick */

static void want_start(struct feed *f, unsigned i, uint64_t since_ms)
{
	uint32_t random = 0;          /* an empty table cannot wait for the jitter */

	if (f->is_patient || since_ms)
		random_bytes(&random, sizeof(random));
	starts_want(&f->starts, i, since_ms, f->now_ms, random);
}

/* Each new connection has missed something, however short the gap was. */
static void note_connection(struct feed *f, unsigned i, const struct bus_source *state,
			    uint32_t tick)
{
	struct feed_source *source = &f->of[i];
	bool is_new = state->connects != source->connects;

	if (is_new && f->sources.of[i].is_connected)
		source_note_connected(&f->sources, i, false, tick);
	if (is_new || state->is_connected != f->probe.of[i].is_up)
		probe_note_up(&f->probe, i, state->is_connected, f->now_ms);
	source_note_connected(&f->sources, i, state->is_connected, tick);
	if (is_new && state->is_connected)
		want_start(f, i, state->connects == 1 ? 0 : f->now_ms);
	source->connects = state->connects;
	source->is_denied = source->is_denied && !is_new;
}

/* Told once a connection; the server refuses every single message. */
static void note_refusals(struct feed *f, unsigned i, const struct bus_source *state)
{
	struct feed_source *source = &f->of[i];

	if (state->refused == source->refused)
		return;
	source->refused = state->refused;
	if (!source->is_denied)
		feed_log_refused(f, i);
	source->is_denied = true;
}

/* A server that permits no probes writes a line into its log for each. */
static bool is_probed(const struct feed *f, unsigned i)
{
	return f->probe.of[i].is_heard || !f->of[i].is_denied ||
	       f->probe_sequence % DENIED_ROUNDS == 0;
}

static void send_probes(struct feed *f)
{
	char subject[64], payload[64];

	f->probe_sequence++;
	for (unsigned i = 0; i < f->sources.count; i++) {
		int len;

		if (!is_probed(f, i))
			continue;
		len = snprintf(payload, sizeof(payload), "%" PRIu64 " %" PRIu64, f->probe_sequence,
			       clock_ns());
		snprintf(subject, sizeof(subject), "_r.probe.%s.%u", f->id, i);
		bus_publish(f->bus, i, subject, (struct str){ payload, (size_t)len });
	}
}

/* A pair is whole again: both sides are asked, each island once; what was asked since
 * the later of both returned will do. */
static void want_start_of_healed(struct feed *f, unsigned from, unsigned to)
{
	uint64_t since = f->now_ms, lost = f->of[from].lost_ms[to];

	for (unsigned i = 0; i < 2; i++) {
		uint64_t up = f->probe.of[i ? from : to].up_ms;

		since = up > lost && (since == f->now_ms || up > since) ? up : since;
	}
	want_start(f, from, since);
	want_start(f, to, since);
}

/* A pair is broken: both sides are asked, unless they never heard one another and so
 * were asked for themselves.  A server that is mute is asked when it returns. */
static void want_start_of_lost(struct feed *f, unsigned from, unsigned to, bool was_whole)
{
	if (probe_is_mute(&f->probe, from) || probe_is_mute(&f->probe, to))
		return;
	want_start(f, from, was_whole ? f->now_ms : f->probe.of[from].up_ms);
	want_start(f, to, was_whole ? f->now_ms : f->probe.of[to].up_ms);
}

static void note_verdict(struct feed *f, unsigned from, unsigned to)
{
	enum probe_verdict now = probe_verdict(&f->probe, from, to);
	enum probe_verdict *shown = &f->of[from].shown[to];
	bool is_lost = now == PROBE_LOST && *shown != PROBE_LOST;
	bool is_back = now == PROBE_OK && *shown == PROBE_LOST;

	if (is_lost) {
		f->of[from].lost_ms[to] = f->now_ms;
		if (from == to || (!probe_is_mute(&f->probe, from) && !probe_is_mute(&f->probe, to)))
			feed_log_lost(f, from, to);
		want_start_of_lost(f, from, to, *shown == PROBE_OK);
	} else if (is_back) {
		feed_log_restored(f, from, to);
		want_start_of_healed(f, from, to);
	}
	/* What is unknown since a new connection is not better yet. */
	if (now != PROBE_UNKNOWN || *shown != PROBE_LOST)
		*shown = now;
}

static void judge_pairs(struct feed *f)
{
	f->sources.is_split = false;
	for (unsigned i = 0; i < f->sources.count; i++)
		for (unsigned j = 0; j < f->sources.count; j++) {
			note_verdict(f, i, j);
			f->sources.is_split |= i != j &&
					       probe_verdict(&f->probe, i, j) == PROBE_LOST;
		}
}

static void assess(struct feed *f, unsigned i, const struct bus_source *state, uint32_t tick)
{
	struct source *source = &f->sources.of[i];
	struct source_facts facts = {
		.is_lame = state->is_lame, .is_stray = state->is_stray, .dropped = state->dropped,
		.is_broken = probe_is_broken(&f->probe, i),
		.pending_percent = (unsigned)(state->pending_bytes * 100 / state->pending_limit),
		.lag_ms = state->pending_bytes ? f->of[i].lag_ms : 0,
	};

	if (!source_assess(&f->sources, i, &facts, f->now_ms, tick))
		return;
	feed_log_state(f, i);
	if (source->was == SOURCE_SLOW)
		want_start(f, i, f->now_ms);  /* what was lost comes again */
}

/* Union "standby": registrations through one, until anything looks wrong with any. */
static void choose_feeds(struct feed *f, uint32_t tick)
{
	bool is_well = sources_are_whole(&f->sources) && !f->must_compare;
	unsigned chosen = SOURCES_MAX;

	if (f->config->nats.union_mode == UNION_FULL)
		return;
	for (unsigned i = 0; i < f->sources.count; i++) {
		is_well = is_well && f->sources.of[i].state == SOURCE_UP;
		if (chosen == SOURCES_MAX && f->sources.of[i].is_connected)
			chosen = i;
	}
	if (!is_well || !f->whole_ms)
		f->whole_ms = is_well ? f->now_ms : 0;
	if (is_well && f->now_ms - f->whole_ms >= f->sources.limits.degraded_ms)
		f->is_doubled = false;
	else if (!is_well)
		f->is_doubled = true;
	for (unsigned i = 0; i < f->sources.count; i++) {
		bool is_mirror = !f->is_doubled && i != chosen;

		if (f->sources.of[i].is_mirror && !is_mirror) {
			source_note_gap(&f->sources, i, tick);
			want_start(f, i, f->now_ms);
		}
		f->sources.of[i].is_mirror = is_mirror;
		bus_set_feed(f->bus, i, !is_mirror);
	}
}

/* The first question waits a little for servers that are still being connected to: where
 * probes are forbidden, to hear it is the only proof that it need not be asked again. */
static bool is_gathering(const struct feed *f)
{
	bool is_any_missing = false, is_any_waiting = false;

	for (unsigned i = 0; i < f->sources.count; i++) {
		bool is_up = f->probe.of[i].is_up;

		is_any_missing |= !f->of[i].connects;
		is_any_waiting |= is_up && f->now_ms - f->probe.of[i].up_ms >= GATHER_MS;
	}
	return is_any_missing && !is_any_waiting;
}

/* As many blanks at the end as the source's number: so it is known when it comes back. */
static void publish_start(struct feed *f)
{
	int i = is_gathering(f) ? -1 : starts_next(&f->starts, &f->probe, f->now_ms), len;
	char text[GREETING_SIZE + SOURCES_MAX];

	if (i < 0)
		return;
	len = snprintf(text, sizeof(text), "%s%*s", f->greeting, i, "");
	if (bus_publish(f->bus, (unsigned)i, "router.start", (struct str){ text, (size_t)len }))
		feed_log_start(f, (unsigned)i);
	else
		log_at(LOG_LEVEL_ERROR, "subscriber", "failed-to-send-start-message", LOG_NO_DATA);
}

/* The first tick sees the first connection at once, not the matrix. */
void feed_tick(struct feed *f, uint64_t now_ms, uint32_t tick)
{
	struct bus_source state[SOURCES_MAX];
	uint64_t lost = 0;

	f->now_ms = now_ms;
	f->sources.count = bus_sources(f->bus);
	for (unsigned i = 0; i < f->sources.count; i++) {
		bus_source(f->bus, i, &state[i]);
		note_connection(f, i, &state[i], tick);
		note_refusals(f, i, &state[i]);
		lost += state[i].dropped - f->of[i].dropped;
		f->of[i].dropped = state[i].dropped;
	}
	if (lost)
		log_error("feed-gap", "messages=%" PRIu64, lost);
	if (probe_tick(&f->probe, now_ms))
		send_probes(f);
	feed_compare_copies(f, tick);
	judge_pairs(f);
	for (unsigned i = 0; i < f->sources.count; i++)
		assess(f, i, &state[i], tick);
	choose_feeds(f, tick);
	publish_start(f);
	counter_add(f->counters, COUNTER_registry_message_dropped, lost);
	counter_add(f->counters, COUNTER_greetings_answered, atomic_exchange(&f->greets.answered, 0));
	counter_add(f->counters, COUNTER_nats_reconnects, bus_reconnects(f->bus) - f->reconnects);
	f->reconnects = bus_reconnects(f->bus);
	feed_show(f, state);
}
