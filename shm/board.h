/*
 * shm/board.h - the small shared area that every process may write: one slot a
 * process (epoch, heartbeat, who it is), facts about the whole instance, and,
 * behind their own headers, endpoint rows (endpoint_live.h), counters
 * (counters.h) and access-log rings (log_ring.h).
 *
 * A slot belongs to one living process at a time.  Its owner holds a lock on
 * it (fcntl, by process: the kernel lets go when the process dies), so anybody
 * can tell a living owner from a dead one without trusting a pid.
 */
#ifndef SHM_BOARD_H
#define SHM_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/reason.h"
#include "region.h"

/* Slot numbers. */
enum {
	SLOT_MASTER,
	SLOT_REGISTRAR,
	SLOT_TOOL,                    /* first of SLOT_TOOLS */
	SLOT_TOOLS = 2,
	SLOT_WORKER = SLOT_TOOL + SLOT_TOOLS,   /* first worker slot */
};

enum slot_state { SLOT_FREE, SLOT_STARTING, SLOT_READY, SLOT_DRAINING };

/* What anybody may read of a slot. */
struct slot_view {
	uint32_t state;               /* enum slot_state; set by the master */
	uint32_t pid, generation;
	uint64_t started_ms;          /* clock_ms() */
	uint64_t heartbeat_ms;        /* the owner's loop, at least once a second */
	uint64_t epoch;               /* 0: outside a read section */
	bool is_alive;                /* somebody holds the slot's lock */
};

unsigned board_slot_count(const struct board *board);     /* including master, registrar, tools */
void board_slot_view(const struct board *board, unsigned slot, struct slot_view *out);

/* Owner: takes the lock and writes pid and heartbeat.  -EBUSY: somebody lives there. */
int board_slot_claim(struct board *board, unsigned slot, struct reason *reason);
void board_slot_beat(struct board *board, unsigned slot, uint64_t now_ms);

/* Master: who is about to live there; its state as it changes. */
void board_slot_assign(struct board *board, unsigned slot, uint32_t pid, uint32_t generation,
		       uint64_t now_ms);
void board_slot_set_state(struct board *board, unsigned slot, enum slot_state state);

/* Master, after the process is dead and reaped, in this order: clears the
 * epoch, zeroes the worker's column of in-flight counts, frees the slot.
 * Calling it for a living process breaks readers (shm-rcu.md, mutant 3). */
void board_slot_clear(struct board *board, unsigned slot);

/* A free tool slot, claimed; or -EBUSY. */
int board_tool_slot(struct board *board, struct reason *reason);

/* Facts about the instance: single words, one writer each. */
enum fact {
	FACT_HEALTH,                  /* enum health; master */
	FACT_GENERATION,              /* newest ready generation; master */
	FACT_STARTED_WALL_MS,         /* master start, wall clock */
	FACT_LAST_UPDATE_MS,          /* clock_ms() of the last register; 0 never; registrar */
	FACT_NATS_CONNECTED,          /* servers connected now; registrar */
	FACT_NATS_CONFIGURED,         /* registrar */
	FACT_ROUTES,                  /* total_routes; registrar */
	FACT_ENDPOINTS,               /* distinct endpoints; registrar */
	FACT_TABLE_USED_BYTES,        /* registrar */
	FACT_TABLE_CAPACITY_BYTES,    /* registrar */
	FACT_DEFERRED_BYTES,          /* retired, waiting for readers; registrar */
	FACT_PRUNE_SUSPENDED,         /* 0 or 1; registrar */
	FACT_FEED_LOST_MS,            /* clock_ms() since when no NATS server can be trusted; 0:
	                                 one can; 1: there never was one, nor a table from
	                                 before; registrar */
	FACT_CONVERGED_MS,            /* clock_ms() since when the table is as good as
	                                 registrations make it; 0: not yet; registrar */
	FACT_SNAPSHOT_WALL_MS,        /* when the last-known-good table was saved; 0: never;
	                                 registrar */
	FACT_DIGEST_ROUTERS,          /* other routers whose tables are compared; registrar */
	FACT_ROUTERS_DIVERGING,       /* of them: hold other routes for too long; registrar */
	FACT_TABLE_DIVERGENCE,        /* routes by which the most different one differs; registrar */
	FACT_TABLE_DIVERGENCE_PPM,    /* the same in millionths of the table; registrar */
	FACT_ENDPOINTS_HELD,          /* silent, and served for want of evidence; registrar */
	FACT_REGISTRY_COPIES_RATIO,   /* servers that bring an endpoint's heartbeat, on average,
	                                 times 100; registrar */
	FACT_NATS_ISLANDS,            /* groups of servers that hear one another; registrar */
	FACT_FEED_VOUCHED_MS,         /* clock_ms() when the registrar last had a server that can
	                                 be trusted; 0: never; registrar */
	FACT_SNAPSHOT_BEGUN_0,        /* sequence number and checksum of what a registrar began to
	                                 read in the one file with the last-known-good table and
	                                 did not end; 0: nothing; registrar */
	FACT_SNAPSHOT_BEGUN_1,        /* of the other file */
	FACT_COUNT,
};
enum health { HEALTH_INITIALIZING, HEALTH_HEALTHY, HEALTH_DEGRADED };

uint64_t board_fact(const struct board *board, enum fact fact);
void board_set_fact(struct board *board, enum fact fact, uint64_t value);
/* Since when nobody vouches for the table: FACT_FEED_LOST_MS as the registrar says it; or, if
 * it says nothing any more, since it last did.  0: it is vouched for.  A registrar that is
 * replaced within FEED_SILENT_MS is not missed. */
#define FEED_SILENT_MS 2000
uint64_t board_feed_lost_ms(const struct board *board, uint64_t now_ms);

const char *fact_name(enum fact fact);

#endif
