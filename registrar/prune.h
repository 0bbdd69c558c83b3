/*
 * registrar/prune.h - endpoints that fell silent or failed their identity check
 * leave the table (spec control 2.5, registrar 3.2 rules 6 to 9), if there is
 * evidence; the others are held.  The registrar's loop only.
 *
 * A round takes prune_interval: in its first half the table is counted (survey.h),
 * in the second it is swept.
 */
#ifndef REGISTRAR_PRUNE_H
#define REGISTRAR_PRUNE_H

#include "registrar/alarm.h"
#include "registrar/survey.h"

struct prune {
	const struct registrar_settings *settings;    /* borrowed, as the next five */
	const struct sources *sources;
	struct trust *trust;
	struct route_writer *writer;
	struct board *board;
	uint64_t *counters;
	struct survey survey;
	struct brake brake;
	uint64_t credit;              /* milliseconds of the round owed, times its steps */
	unsigned step;                /* of the round: slices surveyed, then slices swept */
	unsigned disowned_slice;      /* of a sweep for disowned entries; SLICES: none */
	struct log_limit failed_limit;        /* a failing endpoint can be reported at will */
	struct alarm alarm;
	char codes[ALARM_CLASSES][EVENT_CODE_SIZE];   /* what the last failures of a class said */
	uint64_t braked;              /* newly held by the brake in this round */
	uint32_t tick;                /* of the last prune_tick() */
	bool is_suspended;            /* no server is there: said once */
	bool is_releasing;            /* the operator let go of what is held */
	bool is_begun;                /* the first survey is made at once */
};

void prune_init(struct prune *prune, struct trust *trust, struct route_writer *writer,
		uint64_t *counters);

/* 100 ms passed. */
void prune_tick(struct prune *prune, uint32_t tick);

/* What a worker says about an endpoint; untrusted.  Workers avoid it already. */
void prune_event(struct prune *prune, const struct endpoint_event *event);

/* The operator says that what the servers that are there say is the truth: what is
 * held goes now, unless one of them brought it lately. */
void prune_release(struct prune *prune);

#endif
