/*
 * registrar/probe.h - which NATS server hears which: a probe is published through each
 * source every interval and expected through all of them.  Finds the pair of servers
 * that lost one another, and the direction, which no connection status tells.
 * Pure logic: no NATS, no clock; feed.c sends and receives.
 */
#ifndef REGISTRAR_PROBE_H
#define REGISTRAR_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "registrar/sources.h"

/* Of what was published through one source and expected through another.  UNKNOWN: not
 * heard yet, and too early or no right to judge (a server that lets no probe pass). */
enum probe_verdict { PROBE_UNKNOWN, PROBE_OK, PROBE_LOST };

struct probe {
	uint64_t interval_ms;
	unsigned misses;
	uint64_t sent_ms, looked_ms;
	bool is_judged;               /* the last round was */
	struct {
		bool is_up;
		bool is_heard;        /* since it is up, some probe of it came back: it may publish */
		bool is_hearing;      /* some probe came through it: it may subscribe */
		uint64_t up_ms;
	} of[SOURCES_MAX];
	struct probe_pair {
		enum probe_verdict verdict;
		unsigned good;        /* heard since it is lost */
		uint64_t heard_ms;    /* 0: never */
		uint64_t delay_us;    /* of the last one */
	} pair[SOURCES_MAX][SOURCES_MAX];     /* [from][to] */
};

void probe_init(struct probe *probe, uint64_t interval_ms, unsigned misses);

/* A source was connected, or is no more; nothing is known of it then. */
void probe_note_up(struct probe *probe, unsigned source, bool is_up, uint64_t now_ms);

/* The probe of `from` came through `to`, delay_us after it was sent. */
void probe_note_heard(struct probe *probe, unsigned from, unsigned to, uint64_t delay_us,
		      uint64_t now_ms);

/* Judges; to be called often.  True if it is time to publish a round of probes. */
bool probe_tick(struct probe *probe, uint64_t now_ms);

/* True if the one may publish probes and the other may subscribe to them, as some came. */
bool probe_can_judge(const struct probe *probe, unsigned from, unsigned to);

/* True if the source is up for long enough to be judged. */
bool probe_is_settled(const struct probe *probe, unsigned source, uint64_t now_ms);

/* What is known otherwise of a pair that probes cannot judge.  heard_ms: for PROBE_LOST, when
 * the last message went that way; 0: not known. */
void probe_note_verdict(struct probe *probe, unsigned from, unsigned to,
			enum probe_verdict verdict, uint64_t heard_ms);

enum probe_verdict probe_verdict(const struct probe *probe, unsigned from, unsigned to);

/* True if the source is to blame for a lost pair: it does not hear even itself, or it and
 * another one that does hear itself lost one another. */
bool probe_is_broken(const struct probe *probe, unsigned source);

/* True if what is published through it does not even come back through it. */
bool probe_is_mute(const struct probe *probe, unsigned source);

/* Groups of connected sources that hear one another both ways, directly or through others of
 * the group.  1 in health, 0 with none connected. */
unsigned probe_islands(const struct probe *probe);

#endif
