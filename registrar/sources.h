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

/* Of several that apply the first is shown, in the order DOWN, SLOW,
 * ISLAND, LAME, QUIET, UP.  Only UP is trusted. */
enum source_state {
	SOURCE_DOWN,                  /* not connected for down_after */
	SOURCE_UP,
	SOURCE_QUIET,                 /* connected, but no registration came for too long */
	SOURCE_ISLAND,                /* it and another server do not hear one another */
	SOURCE_SLOW,                  /* we lag behind it, or lost messages of it */
	SOURCE_LAME,                  /* the server said that it will go */
	SOURCE_STATES,
};

struct sources_limits {
	uint64_t down_after_ms, quiet_ms, degraded_ms, slow_lag_ms;
	unsigned slow_pending_percent;
};

/* Numbered by the order of the configuration; a source keeps its number. */
struct sources {
	unsigned count;
	bool is_split;                /* two connected servers do not hear one another */
	struct sources_limits limits;
	uint64_t heard_ms;            /* last registration through any; 0: never */
	struct source {
		bool is_connected;    /* and its subscriptions are confirmed */
		bool is_mirror;       /* union "standby": no registrations are asked of it */
		bool is_stray;        /* its name has no address for it any more */
		bool is_slow;         /* until drained */
		bool has_come;        /* back from DOWN, not assessed yet */
		enum source_state state;
		uint32_t trusted_tick;        /* trusted since then, if it is now */
		uint64_t trusted_ms, changed_ms;      /* the same; when is_connected changed */
		uint64_t heard_ms;    /* last registration; 0: never */
		uint64_t dropped, dropped_ms;
		enum source_state was;        /* before the last change of state */
	} of[SOURCES_MAX];
};

/* What is seen of a source from outside. */
struct source_facts {
	bool is_lame, is_stray;
	bool is_broken;               /* probe_is_broken() */
	uint64_t dropped;             /* in all */
	unsigned pending_percent;     /* of the limit */
	uint64_t lag_ms;              /* age of what is being worked on */
};

/* None is connected yet; limits as in etc/wye.conf until set otherwise. */
void sources_init(struct sources *sources, unsigned count);

/* Facts.  Ticks are the table's (100 ms). */
void source_note_connected(struct sources *sources, unsigned i, bool is_connected, uint32_t tick);
void source_note_heard(struct sources *sources, unsigned i, uint64_t now_ms);

/* Messages through it were lost: its trust begins anew. */
void source_note_gap(struct sources *sources, unsigned i, uint32_t tick);

/* Works out the state; every tick.  True if it changed: of[i].was is the one before. */
bool source_assess(struct sources *sources, unsigned i, const struct source_facts *facts,
		   uint64_t now_ms, uint32_t tick);

const char *source_state_name(enum source_state state);

/* True if it heard everything since `since` at the latest. */
bool source_vouches(const struct sources *sources, unsigned i, uint32_t since);

/* All do, or any does. */
bool sources_all_vouch(const struct sources *sources, uint32_t since);
bool sources_any_trusted(const struct sources *sources);

/* What registers now is heard, if only by some: an island is no witness of silence,
 * but all islands together hear everybody. */
bool sources_any_hear(const struct sources *sources);

/* False while two connected servers do not hear one another: copies of a message
 * may come late through one of them. */
bool sources_are_whole(const struct sources *sources);

#endif
