/*
 * shm/dump.h - what the parts of shm-dump share: an attached instance, copies
 * of its pools, and one function for each thing that can be shown.  shm-dump is
 * a reader like any other: it copies inside short read sections and prints
 * outside of them.  It never writes to the table, and to the board only the
 * epoch of its own tool slot.
 */
#ifndef SHM_DUMP_H
#define SHM_DUMP_H

#include <stdio.h>

#include "base/mem.h"
#include "endpoint_live.h"
#include "route_table.h"

enum {
	DUMP_OK,
	DUMP_REFUSED = 1,             /* no such instance, damaged, foreign, or a wrong option */
	DUMP_FAULTS = 2,              /* --check found faults, --digest-diff a difference */
};

struct dump {
	const char *instance;
	struct table *table;
	struct board *board;
	struct route_reader *reader;
	bool has_writer;              /* a registrar lives */
	bool as_json;
	FILE *out;
};

/* Attaches to a living or a dead instance.  0, or -errno with a reason and
 * nothing left open. */
int dump_open(struct dump *dump, const char *instance, FILE *out, struct reason *reason);
void dump_close(struct dump *dump);

/* One endpoint of a pool with what the board knows of it. */
struct dump_entry {
	struct endpoint endpoint;
	struct str tags;              /* owned by the pool */
	uint32_t last_seen;           /* table ticks */
	uint32_t failed_at;           /* table ticks; 0 never */
	unsigned in_flight;
	enum live_held held;
	enum live_excluded excluded;
	bool is_damaged;              /* refused by its checksum: only last_seen is valid */
};

/* A copy of one pool.  Zeroed before first use; reused from key to key. */
struct dump_pool {
	struct dump_entry *entries;   /* owned; entries do not move while in use */
	unsigned count, capacity;
	enum endpoint_balancing balancing;
	struct arena text;            /* owned: the tags */
};
void dump_pool_fini(struct dump_pool *pool);

/* Copies the pool of exactly this key; false if there is none (any more). */
bool dump_pool_copy(const struct dump *dump, struct str key, struct dump_pool *pool);

/* All keys of the table, sorted by bytes, each once.  Text and array live in the arena. */
struct dump_keys {
	struct str *items;
	size_t count;
};
void dump_keys_collect(const struct dump *dump, struct arena *arena, struct dump_keys *out);

/* Table ticks gone by since `tick`, in milliseconds; 0 for one in the future. */
uint64_t dump_age_ms(const struct dump *dump, uint32_t tick);

/* What can be shown; each returns the exit code. */
int dump_routes(const struct dump *dump);
int dump_table(const struct dump *dump);
int dump_explain(const struct dump *dump, const char *url);
int dump_processes(const struct dump *dump);
int dump_counters(const struct dump *dump);
int dump_history(const struct dump *dump, const char *host);
int dump_digest(const struct dump *dump);
int dump_digest_diff(const struct dump *dump, const char *other);
int dump_bucket(const struct dump *dump, const char *bucket);
int dump_sources(const struct dump *dump);
int dump_summary(const struct dump *dump);
int dump_check(const struct dump *dump);

struct dump_watch {
	uint64_t interval_ms;
	unsigned count;               /* refreshes; 0: until q, Ctrl-C or SIGTERM */
};
int dump_watch(const struct dump *dump, const struct dump_watch *watch);

#endif
