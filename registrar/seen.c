/*
 * registrar/seen.c - two arrays by row: ticks of each server, and notes.
 */
#include "registrar/seen.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/must.h"

#define ROOM_MIN 1024u

struct seen {
	unsigned sources;             /* ticks a row */
	uint32_t rows, room;
	uint32_t *ticks;              /* owned */
	struct row_note *notes;       /* owned */
};

struct seen *seen_create(unsigned sources)
{
	struct seen *seen = mem_zalloc(sizeof(*seen));

	must(sources <= SOURCES_MAX);
	seen->sources = sources ? sources : 1;
	return seen;
}

void seen_destroy(struct seen *seen)
{
	if (!seen)
		return;
	free(seen->ticks);
	free(seen->notes);
	free(seen);
}

static void *enlarged(void *old, size_t bytes, size_t room)
{
	void *larger = mem_zalloc_table(room);

	if (bytes)
		memcpy(larger, old, bytes);
	free(old);
	return larger;
}

static void grow(struct seen *seen, uint32_t row)
{
	uint32_t room = seen->room ? seen->room : ROOM_MIN;

	while (room <= row)
		room *= 2;
	seen->ticks = enlarged(seen->ticks, (size_t)seen->room * seen->sources * sizeof(uint32_t),
			       (size_t)room * seen->sources * sizeof(uint32_t));
	seen->notes = enlarged(seen->notes, (size_t)seen->room * sizeof(*seen->notes),
			       (size_t)room * sizeof(*seen->notes));
	seen->room = room;
}

/* A server more than there were at first: every row gets a place for it. */
static void widen(struct seen *seen, unsigned sources)
{
	uint32_t *ticks = mem_zalloc_table((size_t)seen->room * sources * sizeof(*ticks) + 1);

	for (uint32_t row = 0; row < seen->rows; row++)
		memcpy(ticks + (size_t)row * sources, seen->ticks + (size_t)row * seen->sources,
		       seen->sources * sizeof(*ticks));
	free(seen->ticks);
	seen->ticks = ticks;
	seen->sources = sources;
}

struct row_note *seen_row(struct seen *seen, uint32_t row)
{
	if (row >= seen->room)
		grow(seen, row);
	if (row >= seen->rows)
		seen->rows = row + 1;
	return &seen->notes[row];
}

void seen_fetch(const struct seen *seen, uint32_t row)
{
	if (row >= seen->rows)
		return;
	__builtin_prefetch(&seen->ticks[(size_t)row * seen->sources], 1);
	__builtin_prefetch(&seen->notes[row], 1);
}

bool seen_claim(struct seen *seen, uint32_t row, uint32_t tag)
{
	struct row_note *note = seen_row(seen, row);
	bool is_anew = note->tag && note->tag != tag;

	if (is_anew) {
		*note = (struct row_note){ 0 };
		memset(seen->ticks + (size_t)row * seen->sources, 0,
		       seen->sources * sizeof(uint32_t));
	}
	note->tag = tag;
	return is_anew;
}

#define SAME_HEARTBEAT 2              /* ticks between the copies of one, as a rule */
#define SURE 15                       /* turns of the same opinion, at most */

/* No other source brought anything since this one did the last time. */
static bool is_first(const struct seen *seen, const uint32_t *ticks, unsigned source)
{
	for (unsigned i = 0; i < seen->sources; i++)
		if (ticks[i] > ticks[source] + SAME_HEARTBEAT)
			return false;
	return true;
}

/* Copies overtake one another: an opinion is changed when it was wrong as often as right. */
static uint8_t opinion(uint8_t first, unsigned source)
{
	unsigned sure = first >> 4;

	if ((first & 0xf) == source)
		return (uint8_t)(source | (sure < SURE ? sure + 1 : SURE) << 4);
	return (uint8_t)(sure ? (first & 0xf) | (sure - 1) << 4 : source);
}

void seen_note(struct seen *seen, uint32_t row, unsigned source, uint32_t tick)
{
	struct row_note *note = seen_row(seen, row);
	uint32_t *ticks;

	must(source < SOURCES_MAX);
	if (source >= seen->sources)
		widen(seen, source + 1);
	ticks = seen->ticks + (size_t)row * seen->sources;
	if (is_first(seen, ticks, source))
		note->first = opinion(note->first, source);
	ticks[source] = tick ? tick : 1;
}

uint32_t seen_tick(const struct seen *seen, uint32_t row, unsigned source)
{
	if (row >= seen->rows || source >= seen->sources)
		return 0;
	return seen->ticks[(size_t)row * seen->sources + source];
}

uint32_t seen_newest(const struct seen *seen, uint32_t row)
{
	uint32_t newest = 0;

	for (unsigned i = 0; i < seen->sources; i++)
		if (seen_tick(seen, row, i) > newest)
			newest = seen_tick(seen, row, i);
	return newest;
}

uint32_t seen_rows(const struct seen *seen)
{
	return seen->rows;
}

void seen_census(const struct seen *seen, uint32_t since, struct seen_census *out)
{
	*out = (struct seen_census){ 0 };
	for (uint32_t row = 0; row < seen->rows; row++) {
		const uint32_t *ticks = seen->ticks + (size_t)row * seen->sources;
		unsigned copies = 0, last = 0;

		for (unsigned i = 0; i < seen->sources; i++)
			if (ticks[i] && ticks[i] >= since) {
				copies++;
				last = i;
			}
		out->heard += copies > 0;
		out->copies += copies;
		out->only_via[last] += copies == 1;
	}
}
