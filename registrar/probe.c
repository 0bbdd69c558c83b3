/*
 * registrar/probe.c - the probe matrix.
 */
#include "registrar/probe.h"

#include <string.h>

#define GOOD_AGAIN 2                  /* probes heard before a lost pair is called whole */

void probe_init(struct probe *p, uint64_t interval_ms, unsigned misses)
{
	*p = (struct probe){ .interval_ms = interval_ms, .misses = misses };
}

static void forget(struct probe *p, unsigned source)
{
	for (unsigned i = 0; i < SOURCES_MAX; i++)
		p->pair[i][source] = p->pair[source][i] =
			(struct probe_pair){ .verdict = PROBE_UNKNOWN };
	p->of[source].is_heard = p->of[source].is_hearing = false;
}

void probe_note_up(struct probe *p, unsigned source, bool is_up, uint64_t now_ms)
{
	forget(p, source);
	p->of[source].is_up = is_up;
	p->of[source].up_ms = now_ms;
	if (is_up)
		p->sent_ms = 0;       /* ask at once */
}

void probe_note_heard(struct probe *p, unsigned from, unsigned to, uint64_t delay_us,
		      uint64_t now_ms)
{
	struct probe_pair *pair = &p->pair[from][to];

	if (!p->of[from].is_up || !p->of[to].is_up)
		return;
	p->of[from].is_heard = p->of[to].is_hearing = true;
	pair->heard_ms = now_ms;
	pair->delay_us = delay_us;
	if (pair->verdict == PROBE_LOST && ++pair->good < GOOD_AGAIN)
		return;
	pair->verdict = PROBE_OK;
	pair->good = 0;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t patience_ms(const struct probe *p)
{
	return p->misses * p->interval_ms + p->interval_ms / 4;
}

static void judge(struct probe *p, unsigned from, unsigned to, uint64_t now_ms)
{
	struct probe_pair *pair = &p->pair[from][to];
	uint64_t since = later(pair->heard_ms, later(p->of[from].up_ms, p->of[to].up_ms));

	if (!p->of[from].is_up || !p->of[to].is_up || now_ms - since <= patience_ms(p))
		return;
	if (!probe_can_judge(p, from, to))
		return;               /* it may be forbidden to publish or to subscribe */
	pair->verdict = PROBE_LOST;
	pair->good = 0;
}

/* All at one moment, half way between two rounds: a frozen server is seen as such, and
 * not for a tick as a server that lost another. */
static void judge_all(struct probe *p, uint64_t now_ms)
{
	for (unsigned i = 0; i < SOURCES_MAX; i++)
		for (unsigned j = 0; j < SOURCES_MAX; j++)
			judge(p, i, j, now_ms);
	p->is_judged = true;
}

/* If we ourselves stood still nothing was lost: everybody gets a fresh start. */
static void excuse(struct probe *p, uint64_t now_ms)
{
	for (unsigned i = 0; i < SOURCES_MAX; i++)
		p->of[i].up_ms = now_ms;
}

bool probe_tick(struct probe *p, uint64_t now_ms)
{
	if (p->looked_ms && now_ms - p->looked_ms > p->interval_ms)
		excuse(p, now_ms);
	p->looked_ms = now_ms;
	if (!p->is_judged && now_ms - p->sent_ms >= p->interval_ms / 2)
		judge_all(p, now_ms);
	if (p->sent_ms && now_ms - p->sent_ms < p->interval_ms)
		return false;
	p->sent_ms = now_ms;
	p->is_judged = false;
	return true;
}

bool probe_can_judge(const struct probe *p, unsigned from, unsigned to)
{
	return p->of[from].is_heard && p->of[to].is_hearing;
}

bool probe_is_settled(const struct probe *p, unsigned source, uint64_t now_ms)
{
	return p->of[source].is_up && now_ms - p->of[source].up_ms > patience_ms(p);
}

void probe_note_verdict(struct probe *p, unsigned from, unsigned to, enum probe_verdict verdict,
			uint64_t heard_ms)
{
	p->pair[from][to].verdict = verdict;
	p->pair[from][to].good = 0;
	if (verdict == PROBE_LOST)
		p->pair[from][to].heard_ms = heard_ms;
}

enum probe_verdict probe_verdict(const struct probe *p, unsigned from, unsigned to)
{
	return p->pair[from][to].verdict;
}

bool probe_is_mute(const struct probe *p, unsigned source)
{
	return p->pair[source][source].verdict == PROBE_LOST;
}

bool probe_is_broken(const struct probe *p, unsigned source)
{
	if (probe_is_mute(p, source))
		return true;
	for (unsigned i = 0; i < SOURCES_MAX; i++)
		if (!probe_is_mute(p, i) && (p->pair[i][source].verdict == PROBE_LOST ||
				       p->pair[source][i].verdict == PROBE_LOST))
			return true;
	return false;
}

static void flood(const struct probe *p, unsigned from, bool seen[SOURCES_MAX])
{
	seen[from] = true;
	for (unsigned i = 0; i < SOURCES_MAX; i++)
		if (p->of[i].is_up && !seen[i] && p->pair[i][from].verdict != PROBE_LOST &&
		    p->pair[from][i].verdict != PROBE_LOST)
			flood(p, i, seen);
}

unsigned probe_islands(const struct probe *p)
{
	bool seen[SOURCES_MAX] = { false };
	unsigned islands = 0;

	for (unsigned i = 0; i < SOURCES_MAX; i++) {
		if (!p->of[i].is_up || seen[i])
			continue;
		flood(p, i, seen);
		islands++;
	}
	return islands;
}
