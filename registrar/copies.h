/*
 * registrar/copies.h - which NATS server lost which, told by registrations alone: what came
 * through one server must come through all of them.  For servers that let no probe
 * pass (probe.h), which is quicker and needs no emitters.  Judges by the notes of seen.h;
 * no NATS, no clock.  feed_copies.c feeds it and takes its verdicts.
 */
#ifndef REGISTRAR_COPIES_H
#define REGISTRAR_COPIES_H

#include "registrar/probe.h"
#include "registrar/seen.h"

struct copies {
	struct seen *seen;            /* borrowed */
	uint32_t cycle, settle;       /* ticks */
	uint32_t looked;              /* the last look; 0: none */
	bool is_hearing[SOURCES_MAX];
	uint32_t since[SOURCES_MAX];  /* what comes since then must come through it too */
	struct copies_pair {
		bool is_lost;
		bool has_regained;    /* since it is lost: some came again */
		uint32_t clean;       /* since then nobody is missed; 0: somebody is */
		uint32_t heard;       /* the last of those that are missed; 0: none ever was */
	} pair[SOURCES_MAX][SOURCES_MAX];     /* [from][to] */
};

/* `cycle`: within it everybody repeats himself; a source that has come is given `settle`. */
void copies_init(struct copies *copies, struct seen *seen, uint32_t cycle, uint32_t settle);

/* Every tick: whether registrations are expected through the source now. */
void copies_note_hearing(struct copies *copies, unsigned source, bool is_hearing, uint32_t tick);

/* Looks through all endpoints, if it is time.  Pairs that probes judge are left to them, and
 * explain what is missed.  True: pair[][] is of now. */
bool copies_look(struct copies *copies, const struct probe *probe, uint32_t tick);

#endif
