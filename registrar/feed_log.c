/*
 * registrar/feed_log.c - the feed in words.
 */
#include "registrar/feed_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "shm/board_sources.h"

#define MS_PER_S 1000
#define SENTENCE 400

static const char *name_of(const struct feed *f, unsigned i)
{
	struct bus_source source;

	bus_source(f->bus, i, &source);
	return source.name;
}

/* "12:01:07" UTC of a time of clock_ms(). */
static const char *wall_time(const struct feed *f, uint64_t then_ms, char out[16])
{
	uint64_t ago_ms = f->now_ms > then_ms ? f->now_ms - then_ms : 0;
	time_t then = (time_t)(clock_wall_ns() / 1000000000 - ago_ms / MS_PER_S);
	struct tm tm;

	gmtime_r(&then, &tm);
	strftime(out, 16, "%H:%M:%S", &tm);
	return out;
}

static unsigned lost_pairs(const struct feed *f, unsigned i)
{
	unsigned lost = 0;

	for (unsigned j = 0; j < f->sources.count; j++)
		lost += (probe_verdict(&f->probe, i, j) == PROBE_LOST) +
			(probe_verdict(&f->probe, j, i) == PROBE_LOST);
	return lost;
}

/* The server with most broken pairs; of two with as many the one that is not heard. */
static unsigned suspect(const struct feed *f, unsigned from, unsigned to)
{
	return lost_pairs(f, to) > lost_pairs(f, from) ? to : from;
}

static void format_only_via(const struct feed *f, unsigned source, char out[SENTENCE])
{
	out[0] = '\0';
	if (f->count_only_via)
		snprintf(out, SENTENCE, "%" PRIu64 " endpoints known only via %s; ",
			 f->count_only_via(f->context, source), name_of(f, source));
}

static void log_mute(const struct feed *f, unsigned i, const char *since)
{
	const char *name = name_of(f, i);
	char text[SENTENCE];

	snprintf(text, sizeof(text), "%s returns nothing of what is published to it since %s; "
		 "restart nats-server on %s", name, since, name);
	log_at(LOG_LEVEL_ERROR, "nats", "nats-server-mute", "server=%s text=%s", name, text);
}

void feed_log_lost(const struct feed *f, unsigned from, unsigned to)
{
	const struct probe_pair *pair = &f->probe.pair[from][to];
	char since[16], only[SENTENCE], text[3 * SENTENCE];

	wall_time(f, pair->heard_ms ? pair->heard_ms : f->probe.of[from].up_ms, since);
	if (from == to) {
		log_mute(f, from, since);
		return;
	}
	format_only_via(f, to, only);
	snprintf(text, sizeof(text), "%s -> %s lost since %s; %srestart nats-server on %s",
		 name_of(f, from), name_of(f, to), since, only, name_of(f, suspect(f, from, to)));
	log_at(LOG_LEVEL_ERROR, "nats", "nats-pair-lost", "from=%s to=%s islands=%u text=%s",
	       name_of(f, from), name_of(f, to), probe_islands(&f->probe), text);
}

void feed_log_restored(const struct feed *f, unsigned from, unsigned to)
{
	char text[SENTENCE];

	snprintf(text, sizeof(text), "%s -> %s works again", name_of(f, from), name_of(f, to));
	log_at(LOG_LEVEL_INFO, "nats", "nats-pair-restored", "from=%s to=%s islands=%u text=%s",
	       name_of(f, from), name_of(f, to), probe_islands(&f->probe), text);
}

/* The first server that it lost, or that lost it; a mute one has lost its own clients. */
static const char *lost_partner(const struct feed *f, unsigned i)
{
	for (unsigned j = 0; j < f->sources.count; j++)
		if (j != i && (probe_verdict(&f->probe, i, j) == PROBE_LOST ||
			       probe_verdict(&f->probe, j, i) == PROBE_LOST))
			return name_of(f, j);
	return "its clients";
}

void feed_log_state(const struct feed *f, unsigned i)
{
	static const char *const sentences[SOURCE_STATES] = {
		[SOURCE_DOWN] = "is not connected; its endpoints are kept; look at nats-server there "
				"and at the network",
		[SOURCE_UP] = "is connected; it is trusted from now on",
		[SOURCE_QUIET] = "is connected but brings no registrations; nothing expires by its "
				 "word; look at its clients and its routes to other servers",
		[SOURCE_ISLAND] = "do not hear one another; registrations are taken from both, nothing "
				  "expires by their word",
		[SOURCE_SLOW] = "sends more than is taken in time, or messages of it were lost; all "
				"clients are asked again when the rest is done",
		[SOURCE_LAME] = "is about to shut down; another one is connected when it is gone",
	};
	const struct source *source = &f->sources.of[i];
	char text[2 * SENTENCE + 256];

	snprintf(text, sizeof(text), "%s%s%s %s", name_of(f, i),
		 source->state == SOURCE_ISLAND ? " and " : "",
		 source->state == SOURCE_ISLAND ? lost_partner(f, i) : "", sentences[source->state]);
	log_at(source->state == SOURCE_UP ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "nats",
	       "nats-source-state", "server=%s state=%s was=%s text=%s", name_of(f, i),
	       source_state_name(source->state), source_state_name(source->was), text);
}

void feed_log_refused(const struct feed *f, unsigned i)
{
	char text[SENTENCE + 256];

	snprintf(text, sizeof(text), "%s does not permit all of router.*, router.start, _r.probe.* and "
		 "_r.digest to this user; lost servers are noticed later without probes, and "
		 "differing routers not at all without digests", name_of(f, i));
	log_at(LOG_LEVEL_WARN, "nats", "nats-not-permitted", "server=%s text=%s", name_of(f, i), text);
}

void feed_log_compared(const struct feed *f, unsigned i)
{
	char text[SENTENCE + 256];

	snprintf(text, sizeof(text), "%s lets no probe pass; whether it and other servers hear one "
		 "another is told by copies of registrations, one interval of them later", name_of(f, i));
	log_at(LOG_LEVEL_WARN, "nats", "nats-copies-compared", "server=%s text=%s", name_of(f, i),
	       text);
}

void feed_log_start(const struct feed *f, unsigned i)
{
	log_at(LOG_LEVEL_INFO, "subscriber", "router-start-published", "server=%s islands=%u",
	       name_of(f, i), probe_islands(&f->probe));
}

static void show_source(const struct feed *f, unsigned i, const struct bus_source *state)
{
	const struct source *source = &f->sources.of[i];
	bool is_trusted = source->is_connected && source->state == SOURCE_UP;
	struct board_source row = {
		.last_message_ms = source->heard_ms,
		.trusted_since_ms = is_trusted ? source->trusted_ms : 0,
		.messages = f->of[i].messages, .dropped = state->dropped,
		.connects = state->connects, .is_connected = state->is_connected,
		.delay_us = f->probe.pair[i][i].delay_us,
	};

	snprintf(row.name, sizeof(row.name), "%s", state->name);
	snprintf(row.state, sizeof(row.state), "%s", source_state_name(source->state));
	for (unsigned j = 0; j < f->sources.count; j++)
		row.probe[j] = (uint8_t)probe_verdict(&f->probe, i, j);
	board_set_source(f->board, i, &row);
}

void feed_show(struct feed *f, const struct bus_source *state)
{
	unsigned connected = 0, configured = 0;

	for (unsigned i = 0; i < f->sources.count; i++) {
		show_source(f, i, &state[i]);
		connected += state[i].is_connected;
		configured += !state[i].is_stray;
	}
	board_set_source_count(f->board, f->sources.count);
	board_set_fact(f->board, FACT_NATS_CONNECTED, connected);
	board_set_fact(f->board, FACT_NATS_CONFIGURED, configured);
	board_set_fact(f->board, FACT_NATS_ISLANDS, probe_islands(&f->probe));
}
