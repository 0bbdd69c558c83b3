/*
 * registrar/starts.c - one router.start an island.
 *
 * At start nobody waits for the matrix, which needs seconds to prove a loss: the
 * first source that is connected asks, once the others had a moment to connect too
 * (feed.c).  Each further one waits for one round of probes: a probe that came from a
 * source that asked proves that the question came too, and so does the question
 * itself where probes are forbidden.  If none comes within a round and a half the
 * source asks for itself; if that was too much, its island is asked twice, which
 * costs a burst and no route.
 */
#include "registrar/starts.h"

void starts_init(struct starts *s, uint64_t interval_ms, uint64_t jitter_ms)
{
	*s = (struct starts){ .interval_ms = interval_ms, .jitter_ms = jitter_ms };
}

void starts_want(struct starts *s, unsigned source, uint64_t since_ms, uint64_t now_ms,
		 uint32_t random)
{
	if (s->of[source].is_wanted)
		return;
	s->of[source].is_wanted = true;
	s->of[source].since_ms = since_ms;
	s->of[source].due_ms = now_ms + (s->jitter_ms ? random % (s->jitter_ms + 1) : 0);
}

enum answer { ASK, WAIT, DONE };

static bool was_asked_since(const struct starts *s, unsigned source, uint64_t since_ms)
{
	return s->of[source].last_ms && s->of[source].last_ms >= since_ms;
}

static enum answer consider(const struct starts *s, const struct probe *probe, unsigned source,
			    uint64_t now_ms)
{
	uint64_t patience = probe->interval_ms + probe->interval_ms / 2;
	enum answer answer = ASK;

	for (unsigned i = 0; i < SOURCES_MAX; i++) {
		uint64_t up_ms = probe->of[source].up_ms, last_ms = s->of[i].last_ms;
		bool is_young = now_ms - (last_ms > up_ms ? last_ms : up_ms) < patience;
		bool is_reached = i == source || probe_verdict(probe, i, source) == PROBE_OK;

		if (!was_asked_since(s, i, s->of[source].since_ms)) {
			/* An earlier one reached this island: not again so soon. */
			if (is_reached && s->of[i].last_ms &&
			    now_ms - s->of[i].last_ms < s->interval_ms)
				answer = WAIT;
			continue;
		}
		if (is_reached)
			return DONE;
		if (probe_verdict(probe, i, source) == PROBE_UNKNOWN && is_young)
			answer = WAIT;
	}
	return answer;
}

int starts_next(struct starts *s, const struct probe *probe, uint64_t now_ms)
{
	for (unsigned i = 0; i < SOURCES_MAX; i++) {
		if (!s->of[i].is_wanted || now_ms < s->of[i].due_ms)
			continue;
		if (!probe->of[i].is_up) {
			s->of[i].is_wanted = false;   /* wanted again when it is back */
			continue;
		}
		switch (consider(s, probe, i, now_ms)) {
		case WAIT:
			continue;
		case DONE:
			s->of[i].is_wanted = false;
			continue;
		case ASK:
			s->of[i].is_wanted = false;
			s->of[i].last_ms = now_ms;
			return (int)i;
		}
	}
	return -1;
}
