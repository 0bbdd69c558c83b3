/*
 * registrar/quota.c - limits of routes, and of reading.
 */
#include "registrar/quota.h"

#include "registrar/identity.h"

#define SECOND 10u                    /* ticks */

bool quota_allows(const struct quota *q, const struct row_note *note, const struct cell *cell,
		  unsigned used_percent)
{
	if (!quota_has_limits(q, used_percent))
		return true;
	if (q->per_endpoint && note && note->routes >= q->per_endpoint)
		return false;
	return !q->per_host || !cell || cell->routes < q->per_host;
}

void quota_note_refusal(struct quota *q, struct cell *cell, uint32_t tick)
{
	q->refused_tick = cell->refused_tick = tick ? tick : 1;
}

static bool is_recent(uint32_t refused_tick, uint32_t tick)
{
	return refused_tick && tick - refused_tick <= SECOND;
}

static struct str skip_blanks(struct str s)
{
	while (s.len && (*s.p == ' ' || *s.p == '\t' || *s.p == '\n' || *s.p == '\r'))
		s = str_sub(s, 1, STR_REST);
	return s;
}

/* The text after the first "host" that is followed by a colon; empty: none. */
static struct str host_of(struct str payload)
{
	ssize_t at = str_find(payload, STR("\"host\"")), end;
	struct str rest;

	if (at < 0)
		return STR_NONE;
	rest = skip_blanks(str_sub(payload, (size_t)at + 6, STR_REST));
	if (!str_has_prefix(rest, STR(":")))
		return STR_NONE;
	rest = skip_blanks(str_sub(rest, 1, STR_REST));
	if (!str_has_prefix(rest, STR("\"")))
		return STR_NONE;
	rest = str_sub(rest, 1, STR_REST);
	end = str_find_char(rest, '"');
	return end < 0 ? STR_NONE : str_sub(rest, 0, (size_t)end);
}

bool quota_may_read(const struct quota *q, struct cells *cells, const struct hash_key *key,
		    struct str payload, uint32_t tick)
{
	struct cell *cell;

	if (!is_recent(q->refused_tick, tick))
		return true;
	cell = cells_find(cells, identity_host(key, host_of(payload)));
	if (!cell || !is_recent(cell->refused_tick, tick))
		return true;
	if (tick - cell->second >= SECOND) {
		cell->second = tick;
		cell->left = QUOTA_READS_PER_SECOND;
	}
	if (!cell->left)
		return false;
	cell->left--;
	return true;
}
