/*
 * registrar/brake.h - too many endpoints that would expire at once are more likely
 * a fault of the feed than so many deaths (spec registrar 3.2, rule 7).  Decides
 * from counts; touches nothing.
 */
#ifndef REGISTRAR_BRAKE_H
#define REGISTRAR_BRAKE_H

#include "registrar/cells.h"

struct brake_limits {
	uint64_t percent;             /* of all endpoints; 0: no brake at all */
	uint64_t endpoints;           /* but always as many; smaller tables have no brake */
	uint64_t cell_percent;        /* of one cell's endpoints; 0: not looked at */
};

/* Fewer endpoints of a cell than that may go without it. */
#define BRAKE_CELL_MIN 10

struct brake {
	struct brake_limits limits;
	uint64_t endpoints, expiring; /* of the last survey */
};

/* True: nothing may expire now. */
bool brake_is_on(const struct brake *brake);

/* True: nothing of this cell may (NULL: it is not known). */
bool brake_holds_cell(const struct brake *brake, const struct cell *cell);

#endif
