/*
 * registrar/prune.h - endpoints that fell silent or failed their identity check
 * leave the table (spec control 2.5).  The registrar's loop only.
 */
#ifndef REGISTRAR_PRUNE_H
#define REGISTRAR_PRUNE_H

#include "registrar/alarm.h"
#include "registrar/config.h"
#include "registrar/sources.h"
#include "shm/endpoint_live.h"
#include "shm/route_writer.h"

/* Endpoints that wait to be removed: a moment, in which an alarm may be raised. */
#define PRUNE_PENDING_MAX 256
#define PRUNE_PENDING_TICKS 20

struct prune {
	const struct registrar_settings *settings;
	const struct sources *sources;
	struct route_writer *writer;
	struct board *board;
	uint64_t *counters;
	uint64_t credit;              /* milliseconds of sweep owed, times slices */
	unsigned slice;
	struct log_limit failed_limit;        /* a failing endpoint can be reported at will */
	struct alarm alarm;
	struct prune_pending {
		struct endpoint_event event;
		uint32_t due_tick;
	} pending[PRUNE_PENDING_MAX]; /* a ring, oldest first */
	unsigned pending_first, pending_count;
	uint32_t tick;                /* of the last prune_tick() */
	bool is_suspended;            /* true at start: a table that was taken over is old news */
};

/* 100 ms passed: sweeps so that a whole round takes prune_interval. */
void prune_tick(struct prune *prune, uint32_t tick);

/* Messages were lost: whoever may have spoken gets a full lifetime more. */
void prune_feed_gap(struct prune *prune, uint32_t tick);

/* What a worker says about an endpoint; untrusted.  Workers avoid it already. */
void prune_event(struct prune *prune, const struct endpoint_event *event);

#endif
