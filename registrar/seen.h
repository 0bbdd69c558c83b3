/*
 * registrar/seen.h - through which servers each endpoint was heard, and when; and
 * what else the registrar knows of an endpoint, by its row on the board.  Private
 * to one registrar: a new one begins with nothing and learns by listening.  Four
 * bytes a row and server, and one note a row.
 */
#ifndef REGISTRAR_SEEN_H
#define REGISTRAR_SEEN_H

#include "registrar/sources.h"

enum row_mark {
	ROW_HELD      = 1 << 0,       /* silent, and kept */
	ROW_SUSPENDED = 1 << 1,       /* failed in a way that may cost its place */
	ROW_DISOWNED  = 1 << 2,       /* another app has its address: on its way out */
	ROW_EXPIRING  = 1 << 3,       /* counted as such by the survey of this round */
};

struct row_note {
	uint32_t tag;                 /* whose row it is (identity.h); 0: not known yet */
	uint32_t host;                /* identity.h */
	uint32_t routes, routes_next; /* that lead to it: by the last survey, and by this one */
	uint32_t round;               /* of the last survey that saw it */
	uint32_t held_sweep;          /* of the last sweep that held it */
	uint32_t brake_tick;          /* since when the brake holds it; 0: it does not */
	uint32_t failed_tick;         /* the last failure that a worker reported; 0: none */
	uint32_t suspended_tick;
	uint32_t before, before_tag;  /* the row and tag of the instance that it replaced */
	uint8_t marks;                /* enum row_mark */
	uint8_t failure;              /* that it is suspended for */
	uint8_t first;                /* the source that brings heartbeats first, see seen_first() */
	uint8_t missed;               /* copies.c: sources that did not bring it, by the last look */
	uint32_t missed_tick;         /* since when some did not */
};

struct seen;
struct seen *seen_create(unsigned sources);
void seen_destroy(struct seen *seen);

/* The note of a row.  Good until the next call for a row that is new. */
struct row_note *seen_row(struct seen *seen, uint32_t row);

/* The row belongs to `tag` now; if it belonged to another, all of that is
 * forgotten (ROW_HELD must be dealt with before).  True: it was forgotten. */
bool seen_claim(struct seen *seen, uint32_t row, uint32_t tag);

/* Copies of a message that come within so many ticks are of the same one. */
#define SEEN_LATE 10u

/* The source that brings its heartbeats before the others do, most of the time. */
static inline unsigned seen_first(const struct row_note *note)
{
	return note->first & 0xf;
}

/* Fetches the memory that seen_note() will look at. */
void seen_fetch(const struct seen *seen, uint32_t row);

/* A message about the endpoint came through `source`. */
void seen_note(struct seen *seen, uint32_t row, unsigned source, uint32_t tick);

/* The last one through that source, or through any; 0: none. */
uint32_t seen_tick(const struct seen *seen, uint32_t row, unsigned source);
uint32_t seen_newest(const struct seen *seen, uint32_t row);

/* Rows that were noted so far are below. */
uint32_t seen_rows(const struct seen *seen);

/* Endpoints that were heard since `since`, through how many servers altogether, and
 * how many of them only through that one. */
struct seen_census {
	uint64_t heard, copies;
	uint64_t only_via[SOURCES_MAX];
};
void seen_census(const struct seen *seen, uint32_t since, struct seen_census *out);

#endif
