/*
 * registrar/feed.h - the route feed: takes what the bus brings, probes the servers,
 * keeps their states, asks clients to announce themselves, and
 * says on the board and in the log what is wrong, in one sentence.  Used by the
 * registrar's loop; registrations pass through to it untouched.
 */
#ifndef REGISTRAR_FEED_H
#define REGISTRAR_FEED_H

#include "registrar/bus.h"
#include "registrar/copies.h"
#include "registrar/greeting.h"
#include "registrar/greets.h"
#include "registrar/probe.h"
#include "registrar/sources.h"
#include "registrar/starts.h"
#include "shm/board.h"

#define FEED_ID_SIZE 17

struct feed {
	const struct registrar_config *config;
	struct board *board;
	uint64_t *counters;
	struct bus *bus;              /* owned */
	struct sources sources;
	struct probe probe;
	struct copies copies;
	struct starts starts;
	struct greets greets;
	char id[FEED_ID_SIZE];        /* of this registrar, in probe subjects */
	char greeting[GREETING_SIZE];
	bool is_patient;              /* the table has routes: the first question can wait a bit */
	bool is_doubled;              /* union "standby": all sources are subscribed now */
	bool must_compare;            /* there are pairs that probes do not judge */
	uint64_t whole_ms;            /* standby: since when all is well */
	uint64_t probe_sequence, reconnects;
	uint64_t now_ms;              /* of this turn */
	struct feed_source {
		uint64_t connects, refused, dropped, messages, lag_ms;
		enum probe_verdict shown[SOURCES_MAX];        /* what the log was told */
		uint64_t lost_ms[SOURCES_MAX];
		bool is_denied;       /* something, on this connection */
		bool is_compared;     /* the log was told */
	} of[SOURCES_MAX];
	/* How many endpoints only this source vouches for, for the log; NULL: not known. */
	uint64_t (*count_only_via)(void *context, unsigned source);
	void *context;
};

/* Everything is zeroed but config, board, counters, is_patient and the callback.  `seen` is
 * borrowed; within `cycle` ticks everybody repeats himself. */
int feed_open(struct feed *feed, struct seen *seen, uint32_t cycle, struct reason *reason);
void feed_close(struct feed *feed);

/* Call at each turn of the loop: probes do not wait for registrations.  Returns the next
 * message of another kind (digests), or NULL when all were taken. */
const struct bus_message *feed_take_urgent(struct feed *feed, uint64_t now_ms);

/* The next registrations and unregistrations, as bus_next_run(). */
unsigned feed_next_run(struct feed *feed, const struct bus_message **out, unsigned most);

/* Every 100 ms. */
void feed_tick(struct feed *feed, uint64_t now_ms, uint32_t tick);

#endif
