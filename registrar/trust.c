/*
 * registrar/trust.c - marks, counts and ticks of endpoints kept in step.
 */
#include "registrar/trust.h"

static uint32_t ticks_of(uint64_t ms)
{
	return ms < TICK_MS ? 1 : (uint32_t)(ms / TICK_MS);
}

/* Emitters repeat themselves each interval and are late by a quarter at most.  What was
 * said before an unregister may come as much later through another server: twice, if
 * the instance began in that interval. */
void trust_init(struct trust *t, const struct registrar_settings *settings,
		const struct sources *sources, struct board *board)
{
	uint64_t interval_ms = settings->minimum_register_interval_ms;
	uint32_t cycle = ticks_of(interval_ms + interval_ms / 4);
	const struct tombstone_times times = { .stands = cycle, .burst = ticks_of(interval_ms) };

	*t = (struct trust){
		.settings = settings, .sources = sources, .board = board,
		.key = hash_key_random(), .seen = seen_create(sources->count),
		.cells = cells_create(), .tombstones = tombstones_create(&times),
		.quota = { .per_endpoint = settings->routes_per_endpoint,
			   .per_host = settings->routes_per_host,
			   .free_percent = QUOTA_FREE_PERCENT },
		.cycle = cycle,
		.surveyed = ROUTE_WRITER_SLICES, .round = 1,
	};
	t->owners = owners_create(t->seen);
}

void trust_fini(struct trust *t)
{
	owners_destroy(t->owners);
	tombstones_destroy(t->tombstones);
	cells_destroy(t->cells);
	seen_destroy(t->seen);
}

struct row_note *trust_row(struct trust *t, uint32_t row)
{
	return seen_row(t->seen, row);
}

/* The marks on the board follow, those that workers set included. */
static void clear_marks(struct trust *t, uint32_t row, struct row_note *note)
{
	if (note->marks & ROW_HELD) {
		t->held--;
		live_set_held(t->board, row, LIVE_NOT_HELD);
	}
	if (note->marks & (ROW_SUSPENDED | ROW_DISOWNED))
		live_set_excluded(t->board, row, LIVE_NOT_EXCLUDED);
	note->marks &= (uint8_t)~(ROW_HELD | ROW_SUSPENDED | ROW_DISOWNED);
	note->brake_tick = note->failed_tick = note->suspended_tick = 0;
}

void trust_claim(struct trust *t, uint32_t row, const struct identity *id)
{
	struct row_note *note = trust_row(t, row);

	if (note->tag && note->tag != id->tag && note->marks & ROW_HELD)
		t->held--;
	seen_claim(t->seen, row, id->tag);
	trust_row(t, row)->host = id->host;
}

void trust_heard(struct trust *t, uint32_t row, unsigned source, uint32_t tick)
{
	struct row_note *note;

	seen_note(t->seen, row, source, tick);
	note = trust_row(t, row);
	if (note->marks & (ROW_HELD | ROW_SUSPENDED | ROW_DISOWNED) || note->failed_tick)
		clear_marks(t, row, note);
}

void trust_replace(struct trust *t, uint32_t row, uint32_t before)
{
	uint32_t tag = trust_row(t, before)->tag;

	trust_row(t, row)->before = before;
	trust_row(t, row)->before_tag = tag;
}

void trust_disown(struct trust *t, uint32_t row)
{
	struct row_note *note = trust_row(t, row);
	uint32_t tag = note->tag;

	t->has_disowned = true;
	while (note->tag == tag && !(note->marks & ROW_DISOWNED)) {
		note->marks |= ROW_DISOWNED;
		live_set_excluded(t->board, row, LIVE_EXCLUDED_DISOWNED);
		if (!note->before_tag)
			return;
		tag = note->before_tag;
		row = note->before;
		note = trust_row(t, row);
	}
}

bool trust_is_disowned(struct trust *t, uint32_t row)
{
	return trust_row(t, row)->marks & ROW_DISOWNED;
}

bool trust_hold(struct trust *t, uint32_t row, enum live_held why)
{
	struct row_note *note = trust_row(t, row);
	bool is_new = !(note->marks & ROW_HELD);

	note->marks |= ROW_HELD;
	note->held_sweep = t->sweep;
	t->held += is_new;
	live_set_held(t->board, row, why);
	return is_new;
}

void trust_end_sweep(struct trust *t)
{
	for (uint32_t row = 0; t->held && row < seen_rows(t->seen); row++) {
		struct row_note *note = trust_row(t, row);

		if (note->marks & ROW_HELD && note->held_sweep != t->sweep)
			clear_marks(t, row, note);
	}
	t->sweep++;
}

/* What the survey has passed by already must be told of the change. */
static bool was_surveyed(const struct trust *t, const struct route_handle *handle)
{
	return t->surveyed < ROUTE_WRITER_SLICES && handle->route_hash >> 58 < t->surveyed;
}

static struct cell *cell_of(struct trust *t, const struct row_note *note)
{
	return cells_get(t->cells, note->host ? note->host : 1);
}

void trust_count_route(struct trust *t, const struct route_handle *handle)
{
	struct row_note *note = trust_row(t, handle->row);
	struct cell *cell = cell_of(t, note);

	note->routes++;
	cell->routes++;
	if (was_surveyed(t, handle)) {
		if (note->round != t->round)
			note->routes_next = 0;
		note->round = t->round;
		note->routes_next++;
		cell->routes_next++;
	}
}

static void take_one(uint32_t *count)
{
	if (*count)
		--*count;
}

void trust_discount_route(struct trust *t, const struct route_handle *handle)
{
	struct row_note *note = trust_row(t, handle->row);
	struct cell *cell = cell_of(t, note);

	take_one(&note->routes);
	take_one(&cell->routes);
	if (was_surveyed(t, handle)) {
		take_one(&note->routes_next);
		take_one(&cell->routes_next);
	}
}

void trust_census(const struct trust *t, uint32_t tick, struct seen_census *out)
{
	seen_census(t->seen, tick > t->cycle ? tick - t->cycle : 1, out);
}
