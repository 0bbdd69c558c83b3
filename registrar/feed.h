/*
 * registrar/feed.h - the route feed: takes what the bus brings, answers greets, probes
 * the servers, keeps their states, asks clients to announce themselves, and
 * says on the board and in the log what is wrong, in one sentence.  Used by the
 * registrar's loop; registrations pass through to it untouched.
 */
#ifndef REGISTRAR_FEED_H
#define REGISTRAR_FEED_H

#include "registrar/bus.h"
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
	struct starts starts;
	struct greets greets;
	char id[FEED_ID_SIZE];        /* of this registrar, in probe subjects */
	char greeting[GREETING_SIZE];
	bool is_patient;              /* the table has routes: the first question can wait a bit */
	bool is_doubled;              /* union "standby": all sources are subscribed now */
	uint64_t whole_ms;            /* standby: since when all is well */
	uint64_t probe_sequence, reconnects;
	uint64_t now_ms;              /* of this turn */
	struct feed_source {
		uint64_t connects, refused, dropped, messages, lag_ms;
		uint64_t refused_connect;     /* the connection that was told of last */
		enum probe_verdict shown[SOURCES_MAX];        /* what the log was told */
		uint64_t lost_ms[SOURCES_MAX];
	} of[SOURCES_MAX];
	/* How many endpoints only this source vouches for, for the log; NULL: not known. */
	uint64_t (*count_only_via)(void *context, unsigned source);
	void *context;
};

/* Everything is zeroed but config, board, counters and is_patient. */
int feed_open(struct feed *feed, struct reason *reason);
void feed_close(struct feed *feed);

/* Call at each turn of the loop, and between long batches: greets do not wait.
 * Returns the next message of another kind (digests), or NULL when all were taken. */
const struct bus_message *feed_take_urgent(struct feed *feed, uint64_t now_ms);

/* The next registrations and unregistrations, up to `most`; good until the next call. */
unsigned feed_next_run(struct feed *feed, struct bus_message *out, unsigned most);

/* Every 100 ms. */
void feed_tick(struct feed *feed, uint64_t now_ms, uint32_t tick);

#endif
