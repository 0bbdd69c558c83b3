/*
 * registrar/sources.h - what each NATS server is worth as a witness: its state, and
 * since when it could be trusted without a break (spec registrar 3.4).  Only
 * whoever heard everything may testify that an endpoint fell silent.  Pure
 * bookkeeping over facts that others report: no NATS, no table; private to one
 * registrar, rebuilt by listening.
 */
#ifndef REGISTRAR_SOURCES_H
#define REGISTRAR_SOURCES_H

#include <stdbool.h>
#include <stdint.h>

#define SOURCES_MAX 8

/* Numbered by the order of the configuration; a source keeps its number. */
struct sources {
	unsigned count;
	struct source {
		bool is_connected;    /* and its subscriptions are confirmed */
		uint32_t trusted_tick;        /* trusted since then, if it is now */
	} of[SOURCES_MAX];
};

/* None is connected yet. */
void sources_init(struct sources *sources, unsigned count);

/* Facts.  Ticks are the table's (100 ms). */
void source_note_connected(struct sources *sources, unsigned i, bool is_connected, uint32_t tick);

/* Messages through it were lost: its trust begins anew. */
void source_note_gap(struct sources *sources, unsigned i, uint32_t tick);

/* True if it heard everything since `since` at the latest. */
bool source_vouches(const struct sources *sources, unsigned i, uint32_t since);

/* All do, or any does. */
bool sources_all_vouch(const struct sources *sources, uint32_t since);
bool sources_any_trusted(const struct sources *sources);

/* False while two connected servers do not hear one another: copies of a message
 * may come late through one of them. */
bool sources_are_whole(const struct sources *sources);

#endif
