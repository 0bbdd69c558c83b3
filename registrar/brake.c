/*
 * registrar/brake.c - how many are too many.
 */
#include "registrar/brake.h"

#include <stddef.h>

static bool is_used(const struct brake *b)
{
	return b->limits.percent && b->endpoints > b->limits.endpoints;
}

bool brake_is_on(const struct brake *b)
{
	return is_used(b) && b->expiring > b->limits.endpoints &&
	       b->expiring * 100 > b->endpoints * b->limits.percent;
}

bool brake_holds_cell(const struct brake *b, const struct cell *cell)
{
	return is_used(b) && b->limits.cell_percent && cell && cell->expiring >= BRAKE_CELL_MIN &&
	       (uint64_t)cell->expiring * 100 > (uint64_t)cell->endpoints * b->limits.cell_percent;
}
