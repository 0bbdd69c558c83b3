/*
 * registrar/survey.h - the table counted before anything is removed from it: who
 * is there, how many routes each host has, and how many endpoints would expire.
 * The first half of each round of pruning; changes nothing in the table.
 */
#ifndef REGISTRAR_SURVEY_H
#define REGISTRAR_SURVEY_H

#include "registrar/brake.h"
#include "registrar/trust.h"

struct survey {
	struct trust *trust;          /* borrowed */
	struct route_writer *writer;
	uint32_t ahead;               /* ticks: silence that is about to be too long counts */
	uint64_t endpoints, expiring; /* so far */
};

/* The slices in order, 0 to ROUTE_WRITER_SLICES - 1; the first begins a round. */
void survey_slice(struct survey *survey, unsigned slice, uint32_t tick);

/* After the last: the numbers hold, and the brake decides by them. */
void survey_end(struct survey *survey, struct brake *brake);

/* --- also for the sweep */

/* How long the endpoint may be silent, in ticks; 0: for ever. */
uint32_t silence_allowed(const struct registrar_settings *settings,
			 const struct entry_view *entry);

/* Whether there is a witness that it was silent for so long; or why it is held. */
enum live_held silence_evidence(struct trust *trust, const struct entry_view *entry,
				uint32_t allowed, uint32_t tick);

#endif
