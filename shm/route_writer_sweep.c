/*
 * shm/route_writer_sweep.c - all entries of a part of the table, one after another, for whoever
 * decides which ones go.
 */
#include "route_writer_core.h"

#define SLICE_BITS 6
_Static_assert(ROUTE_WRITER_SLICES == 1 << SLICE_BITS, "slices");

struct sweep {
	entry_visit_fn *visit;
	void *context;
	uint32_t now_tick;
	unsigned removed;
};

static void view_entry(const struct route_writer *w, const struct route *route, unsigned i,
		       struct entry_view *view)
{
	ref_t ref = entry_ref(route->entries[i]);
	const struct inst *inst = shm_get(w->table, ref, sizeof(*inst));

	*view = (struct entry_view){
		.key = route_text(route), .last_seen = entry_tick(route->entries[i]),
		.stale_s = inst->stale_s, .flags = inst->flags, .row = inst->row,
		.serial = inst->serial, .inst = inst, .packed_tags = packed_tags_of(w, inst),
		.handle = handle_of(w, route->hash, ref),
	};
}

/* True: the pool went with it.  Silence is why, unless the visitor said otherwise. */
static bool sweep_out(struct route_writer *w, const struct sweep *sweep, struct route *route,
		      uint64_t at, unsigned i)
{
	uint32_t seen = entry_tick(route->entries[i]);
	char why[40] = "silent for ";
	size_t len = strlen(why);
	bool is_gone;

	if (w->cause.what == HISTORY_REGISTERED) {
		len += u64_format((sweep->now_tick > seen ? sweep->now_tick - seen : 0) / 10, why + len);
		why[len++] = ' ';
		why[len++] = 's';
		route_writer_because(w, HISTORY_EXPIRED, HISTORY_NO_SOURCE, (struct str){ why, len });
	}
	is_gone = entry_remove(w, route, at, i);
	w->cause.why = STR_NONE;
	return is_gone;
}

static void sweep_pool(struct route_writer *w, struct sweep *sweep, struct route *route, uint64_t at)
{
	uint32_t since = state_empty_since(route->state);
	unsigned live = route_live_entries(route);

	if (since && !live) {
		if (!w->keep_empty_ticks || sweep->now_tick - since >= w->keep_empty_ticks)
			pool_drop(w, route, at);
		return;
	}
	for (unsigned i = 0, capacity = route->capacity; i < capacity; i++) {
		struct entry_view view;

		if (!route->entries[i])
			continue;
		view_entry(w, route, i, &view);
		view.is_last = live == 1;
		route_writer_because(w, HISTORY_REGISTERED, HISTORY_NO_SOURCE, STR_NONE);
		if (sweep->visit(sweep->context, &view) == ENTRY_KEEP)
			continue;
		sweep->removed++;
		live--;
		if (sweep_out(w, sweep, route, at, i))
			return;
	}
}

/* A slice is a range of tags; its words begin at the home of the first and end at
 * the first gap after the home of the last. */
unsigned route_writer_sweep_part(struct route_writer *w, unsigned part, unsigned part_bits,
				 uint32_t now_tick, entry_visit_fn *visit, void *context)
{
	struct sweep sweep = { visit, context, now_tick, 0 };
	const struct space *space = &w->space;
	unsigned shift = 32 - part_bits;
	uint64_t mask = (1ull << space->bits) - 1;
	uint64_t at = index_home(part << shift, space->bits);
	uint64_t stop = index_home(part << shift | ((1u << shift) - 1), space->bits);

	if (part >= 1u << part_bits)
		return 0;
	w->now_tick = now_tick;
	for (uint64_t i = 0; i <= mask; i++, at++) {
		uint64_t word = space->index[at & mask];

		if (word == 0 && at >= stop)
			break;
		index_fetch_ahead(w, at, mask);
		if (index_ref(word) > REF_TOMBSTONE && index_tag(word) >> shift == part)
			sweep_pool(w, &sweep, shm_get(w->table, index_ref(word), sizeof(struct route)),
				   at & mask);
	}
	return sweep.removed;
}

unsigned route_writer_sweep(struct route_writer *w, unsigned slice, uint32_t now_tick,
			    entry_visit_fn *visit, void *context)
{
	return route_writer_sweep_part(w, slice, SLICE_BITS, now_tick, visit, context);
}
