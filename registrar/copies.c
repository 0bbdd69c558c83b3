/*
 * registrar/copies.c - endpoints counted by the servers that brought them and those
 * that did not.
 *
 * A message goes from its emitter's server straight to each other server.  So an
 * endpoint that came through `heard` and not through `to` means that `to` lost one of
 * `heard`: the only one, one that lost `to` itself, or the one that brings it first, which
 * is often enough true to be a guess.
 */
#include "registrar/copies.h"

#define LOOKS_PER_CYCLE 12
#define FORGOTTEN_CYCLES 4            /* without a trace of a loss */

/* Lost: so many at once, or a few that were missed again with their next heartbeat. */
#define AT_ONCE_LEAST 3
#define AT_ONCE_SHARE 10              /* one of so many */
#define AGAIN_SHARE 100

struct count {
	uint32_t rows, again;
};

struct look {
	struct copies *copies;
	const struct probe *probe;
	uint32_t tick;
	bool is_first;                /* what was missed before is not known */
	uint32_t heard;               /* endpoints */
	struct count missed[SOURCES_MAX][1 << SOURCES_MAX];   /* [to][set of sources] */
	uint32_t first[SOURCES_MAX][SOURCES_MAX];     /* [to]: who brought those first */
	struct count blame[SOURCES_MAX][SOURCES_MAX]; /* [from][to] */
};

void copies_init(struct copies *c, struct seen *seen, uint32_t cycle, uint32_t settle)
{
	*c = (struct copies){ .seen = seen, .cycle = cycle, .settle = settle };
}

void copies_note_hearing(struct copies *c, unsigned source, bool is_hearing, uint32_t tick)
{
	if (is_hearing == c->is_hearing[source])
		return;
	c->is_hearing[source] = is_hearing;
	c->since[source] = tick + c->settle;
	for (unsigned i = 0; i < SOURCES_MAX; i++)
		c->pair[i][source] = c->pair[source][i] = (struct copies_pair){ 0 };
}

/* --- looking */

static uint32_t newest_of(const struct copies *c, uint32_t row)
{
	uint32_t newest = 0;

	for (unsigned i = 0; i < SOURCES_MAX; i++)
		if (c->is_hearing[i] && seen_tick(c->seen, row, i) > newest)
			newest = seen_tick(c->seen, row, i);
	return newest;
}

static void count_missed(struct look *l, uint32_t row, unsigned heard, unsigned to, bool is_again)
{
	const struct row_note *note = seen_row(l->copies->seen, row);
	uint32_t last = seen_tick(l->copies->seen, row, to);

	l->missed[to][heard].rows++;
	l->missed[to][heard].again += is_again;
	l->first[to][seen_first(note)]++;
	for (unsigned i = 0; i < SOURCES_MAX; i++)
		if (heard & 1u << i && last > l->copies->pair[i][to].heard)
			l->copies->pair[i][to].heard = last;
}

static void count_regained(struct look *l, unsigned heard, unsigned to)
{
	for (unsigned i = 0; i < SOURCES_MAX; i++)
		if (heard & 1u << i)
			l->copies->pair[i][to].has_regained = true;
}

/* Missed is who was missed a look ago, too: its copy had the time to come. */
static void count_row(struct look *l, uint32_t row, uint32_t newest)
{
	struct copies *c = l->copies;
	struct row_note *note = seen_row(c->seen, row);
	unsigned heard = 0, missed = 0, before = l->is_first ? 0 : note->missed;

	for (unsigned i = 0; i < SOURCES_MAX; i++) {
		uint32_t tick = seen_tick(c->seen, row, i);

		if (!c->is_hearing[i])
			continue;
		if (tick && newest - tick <= SEEN_LATE)
			heard |= 1u << i;
		else if (newest > c->since[i] && newest - c->since[i] > SEEN_LATE)
			missed |= 1u << i;
	}
	l->heard++;
	for (unsigned i = 0; i < SOURCES_MAX; i++) {
		if (missed & before & 1u << i)
			count_missed(l, row, heard, i, newest - note->missed_tick >= c->cycle / 2 &&
							       newest > note->missed_tick);
		else if (heard & before & 1u << i)
			count_regained(l, heard & ~(1u << i), i);
	}
	if (missed && !before)
		note->missed_tick = l->tick;
	note->missed = (uint8_t)missed;
}

static void count_all(struct look *l)
{
	const struct copies *c = l->copies;

	for (uint32_t row = 0; row < seen_rows(c->seen); row++) {
		struct row_note *note = seen_row(c->seen, row);
		uint32_t newest = newest_of(c, row);

		if (newest && l->tick - newest <= c->cycle && note->routes &&
		    !(note->marks & ROW_DISOWNED))
			count_row(l, row, newest);
		else
			note->missed = 0;
	}
}

/* --- blaming */

static bool has_one(unsigned set)
{
	return set && !(set & (set - 1));
}

/* Those of `heard` that may have lost `to`; none: a loss that probes found explains it. */
static unsigned suspects_of(const struct look *l, unsigned heard, unsigned to)
{
	unsigned suspects = heard;

	for (unsigned i = 0; i < SOURCES_MAX; i++) {
		if (!(heard & 1u << i) || !probe_can_judge(l->probe, i, to))
			continue;
		if (probe_verdict(l->probe, i, to) == PROBE_LOST)
			return 0;
		if (probe_verdict(l->probe, i, to) == PROBE_OK)
			suspects &= ~(1u << i);
	}
	return suspects;
}

static bool misses(const struct look *l, unsigned to, unsigned from)
{
	for (unsigned heard = 0; heard < 1u << SOURCES_MAX; heard++)
		if (heard & 1u << from && l->missed[to][heard].rows)
			return true;
	return false;
}

/* Of several that may be to blame: those that are known to be, those that lost it both ways;
 * failing these the one that brings it first, as a guess. */
static unsigned likeliest(const struct look *l, unsigned suspects, unsigned to, bool *is_guess)
{
	unsigned known = 0, both_ways = 0, first = 0;
	uint32_t most = 0;

	for (unsigned i = 0; i < SOURCES_MAX; i++) {
		if (!(suspects & 1u << i))
			continue;
		if (l->blame[i][to].rows || l->copies->pair[i][to].is_lost)
			known |= 1u << i;
		if (misses(l, i, to))
			both_ways |= 1u << i;
		if (!first || l->first[to][i] > most) {
			first = 1u << i;
			most = l->first[to][i];
		}
	}
	*is_guess = !known && !both_ways;
	return known ? known : both_ways ? both_ways : first;
}

/* A guess counts for those only that are missed again. */
static void blame(struct look *l, unsigned culprits, unsigned to, const struct count *count,
		  bool is_guess)
{
	for (unsigned i = 0; i < SOURCES_MAX; i++)
		if (culprits & 1u << i) {
			l->blame[i][to].rows += is_guess ? count->again : count->rows;
			l->blame[i][to].again += count->again;
		}
}

/* The clear cases first. */
static void blame_all(struct look *l, unsigned to)
{
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned heard = 1; heard < 1u << SOURCES_MAX; heard++) {
			bool is_guess = pass > 0;
			unsigned suspects;

			if (!l->missed[to][heard].rows)
				continue;
			suspects = suspects_of(l, heard, to);
			if (!suspects || has_one(suspects) != (pass == 0))
				continue;
			if (pass)
				suspects = likeliest(l, suspects, to, &is_guess);
			blame(l, suspects, to, &l->missed[to][heard], is_guess);
		}
}

static bool is_loss(const struct look *l, const struct count *count)
{
	return (count->again && (uint64_t)count->again * AGAIN_SHARE >= l->heard) ||
	       (count->rows >= AT_ONCE_LEAST && (uint64_t)count->rows * AT_ONCE_SHARE >= l->heard);
}

static void conclude(struct look *l, unsigned from, unsigned to)
{
	struct copies_pair *pair = &l->copies->pair[from][to];
	const struct count *count = &l->blame[from][to];

	if (count->rows)
		pair->clean = 0;
	else if (!pair->clean)
		pair->clean = l->tick;
	if (!pair->is_lost && is_loss(l, count)) {
		pair->is_lost = true;
		pair->has_regained = false;
	} else if (pair->clean && (pair->has_regained ||
				   l->tick - pair->clean > FORGOTTEN_CYCLES * l->copies->cycle)) {
		pair->is_lost = false;
		pair->heard = 0;
	}
}

/* If we ourselves stood still, everything comes late and nothing is lost. */
static void excuse(struct copies *c, uint32_t tick)
{
	for (unsigned i = 0; i < SOURCES_MAX; i++)
		if (c->since[i] < tick)
			c->since[i] = tick;
}

bool copies_look(struct copies *c, const struct probe *probe, uint32_t tick)
{
	uint32_t interval = c->cycle / LOOKS_PER_CYCLE > SEEN_LATE ? c->cycle / LOOKS_PER_CYCLE : SEEN_LATE;
	struct look l = { .copies = c, .probe = probe, .tick = tick };

	if (c->looked && tick - c->looked < interval)
		return false;
	l.is_first = !c->looked || tick - c->looked > 2 * interval;
	if (l.is_first)
		excuse(c, tick);
	c->looked = tick;
	count_all(&l);
	for (unsigned to = 0; to < SOURCES_MAX; to++)
		blame_all(&l, to);
	for (unsigned from = 0; from < SOURCES_MAX; from++)
		for (unsigned to = 0; to < SOURCES_MAX; to++)
			conclude(&l, from, to);
	return true;
}
