/*
 * registrar/bus.h - the union of all NATS servers: one connection a server address, each
 * by itself, and what they bring in one place.  Registrations keep the order in
 * which each server brought them; probes and digests overtake them, and greets are
 * answered on the spot.  What cannot be queued within the limit is dropped and counted.
 * Knows nothing of the table, nor what a source is worth (feed.h).  All functions are for
 * the registrar's loop.
 */
#ifndef REGISTRAR_BUS_H
#define REGISTRAR_BUS_H

#include "registrar/bus_message.h"
#include "registrar/config.h"
#include "registrar/greets.h"
#include "registrar/reading.h"
#include "registrar/sources.h"

struct bus;

/* What a connection is like now. */
struct bus_source {
	const char *name;             /* without credentials */
	bool is_connected;            /* and its subscriptions are confirmed */
	bool is_lame;                 /* the server said that it will go */
	bool is_stray;                /* its name has no address for it any more */
	uint64_t connects;            /* how often it was connected */
	uint64_t dropped;             /* messages that were lost on our side, in all */
	uint64_t refused;             /* what the server did not permit, in all */
	uint64_t pending_bytes;       /* waiting to be read */
	uint64_t pending_limit;       /* its part of what may wait of all */
};

/* So much sooner than the loop should the bus's threads run, which inherit what
 * bus_open() is called with: a server that is not read drops us, and a greet waits
 * behind what is unread. */
#define BUS_NICE (-10)

/* Begins to connect.  `id` names this registrar in probe subjects; settings and greets are
 * borrowed. */
int bus_open(const struct nats_settings *settings, const char *id, struct greets *greets,
	     struct bus **out, struct reason *reason);
void bus_close(struct bus *bus);

/* Readable when something may have come or a connection changed; bus_acknowledge()
 * clears it, then everything must be taken. */
int bus_fd(const struct bus *bus);
void bus_acknowledge(struct bus *bus);

/* The next message or NULL.  Good until the next call. */
const struct bus_message *bus_next_urgent(struct bus *bus);

/* The next registrations and unregistrations, up to `most` of one server, as a row from
 * *out on; 0: there are none.  Good until the next call. */
unsigned bus_next_run(struct bus *bus, const struct bus_message **out, unsigned most);

/* Sources: numbers stay; more come when a name turns out to have several addresses. */
unsigned bus_sources(struct bus *bus);
void bus_source(const struct bus *bus, unsigned source, struct bus_source *out);

#define BUS_ALL (~0u)

/* Through one source or BUS_ALL.  Never blocks.  How many took it. */
unsigned bus_publish(struct bus *bus, unsigned source, const char *subject, struct str payload);

/* Whether registrations are wanted through a source; at first they are, or with union
 * "standby" through the first one. */
void bus_set_feed(struct bus *bus, unsigned source, bool is_wanted);

/* Registrations of this source that have to wait are read meanwhile, by these rules, in a
 * thread of its own; NULL, as at first: they are not.  The rules outlive the bus. */
void bus_set_rules(struct bus *bus, unsigned source, const struct reading_rules *rules);

/* Totals since bus_open(). */
uint64_t bus_dropped(const struct bus *bus);
uint64_t bus_reconnects(const struct bus *bus);

#endif
