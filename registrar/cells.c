/*
 * registrar/cells.c - a map of hosts.
 */
#include "registrar/cells.h"

#include <stdlib.h>

#include "base/mem.h"

#define ROOM_MIN 256u

struct cells {
	struct cell *of;              /* owned */
	uint32_t used, room;
};

struct cells *cells_create(void)
{
	struct cells *cells = mem_zalloc(sizeof(*cells));

	cells->room = ROOM_MIN;
	cells->of = mem_zalloc_table(cells->room * sizeof(*cells->of));
	return cells;
}

void cells_destroy(struct cells *cells)
{
	if (!cells)
		return;
	free(cells->of);
	free(cells);
}

static uint32_t home_of(const struct cells *cells, uint32_t host)
{
	return host * 0x9e3779b9u & (cells->room - 1);
}

void cells_fetch(const struct cells *cells, uint32_t host)
{
	__builtin_prefetch(&cells->of[home_of(cells, host)], 1);
}

static struct cell *place_of(const struct cells *cells, uint32_t host)
{
	uint32_t at = home_of(cells, host);

	while (cells->of[at].host && cells->of[at].host != host)
		at = (at + 1) & (cells->room - 1);
	return &cells->of[at];
}

/* Into so many places; those without routes are left behind if `only_live`. */
static void rebuild(struct cells *cells, uint32_t room, bool only_live)
{
	struct cell *old = cells->of;
	uint32_t old_room = cells->room;

	cells->of = mem_zalloc_table(room * sizeof(*cells->of));
	cells->room = room;
	cells->used = 0;
	for (uint32_t i = 0; i < old_room; i++)
		if (old[i].host && (old[i].routes || !only_live)) {
			*place_of(cells, old[i].host) = old[i];
			cells->used++;
		}
	free(old);
}

struct cell *cells_get(struct cells *cells, uint32_t host)
{
	struct cell *cell = place_of(cells, host);

	if (cell->host)
		return cell;
	if (3 * (cells->used + 1) > 2 * cells->room) {
		rebuild(cells, 2 * cells->room, false);
		cell = place_of(cells, host);
	}
	cells->used++;
	*cell = (struct cell){ .host = host };
	return cell;
}

struct cell *cells_find(const struct cells *cells, uint32_t host)
{
	struct cell *cell = place_of(cells, host);

	return cell->host ? cell : NULL;
}

void cells_begin_survey(struct cells *cells)
{
	for (uint32_t i = 0; i < cells->room; i++)
		cells->of[i].endpoints = cells->of[i].expiring = cells->of[i].routes_next = 0;
}

void cells_end_survey(struct cells *cells)
{
	uint32_t live = 0;

	for (uint32_t i = 0; i < cells->room; i++) {
		cells->of[i].routes = cells->of[i].routes_next;
		live += cells->of[i].routes > 0;
	}
	if (cells->room > ROOM_MIN && live < cells->used / 2)
		rebuild(cells, cells->room, true);
}
