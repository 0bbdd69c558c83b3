/*
 * registrar/cells.h - how many endpoints and routes each host brings: a cell of the
 * platform is one host, with one emitter.  Counted anew by every survey of the
 * table, so no error stays.  For the brake and the quota.
 */
#ifndef REGISTRAR_CELLS_H
#define REGISTRAR_CELLS_H

#include <stdbool.h>
#include <stdint.h>

struct cell {
	uint32_t host;                /* identity.h; 0: free */
	uint32_t endpoints, expiring; /* by the last survey, or this one as far as it went */
	uint32_t routes, routes_next; /* to its endpoints; by this survey */
	uint32_t refused_tick;        /* when a route was refused last; 0: never */
	uint32_t second;              /* the tick of the begin of a second, and what of it */
	uint32_t left;                /*   may still be read */
};

struct cells;
struct cells *cells_create(void);
void cells_destroy(struct cells *cells);

/* Fetches the memory that a question about it needs. */
void cells_fetch(const struct cells *cells, uint32_t host);

/* The cell of a host, made if need be.  Good until the next call. */
struct cell *cells_get(struct cells *cells, uint32_t host);

/* The same if there is one, or NULL. */
struct cell *cells_find(const struct cells *cells, uint32_t host);

void cells_begin_survey(struct cells *cells);

/* The new numbers hold; cells without routes are forgotten. */
void cells_end_survey(struct cells *cells);

#endif
