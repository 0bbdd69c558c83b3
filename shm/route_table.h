/*
 * shm/route_table.h - the read side of the table, for workers and shm-dump.
 * Everything between route_read_begin() and route_read_end() is one read
 * section: short, no system calls, no return to the loop, and only copies leave
 * it.  Pointers to struct route and struct inst die at route_read_end().
 */
#ifndef SHM_ROUTE_TABLE_H
#define SHM_ROUTE_TABLE_H

#include "board.h"
#include "endpoint.h"
#include "region.h"
#include "route_key.h"

struct route_reader;                  /* one per reading process or thread */
struct route;                         /* a route pool, in the table */
struct inst;                          /* an endpoint's attributes, in the table */

/* `slot` is the caller's, already claimed.  A reader without a slot (-1) may
 * only look at a table that has no living writer. */
struct route_reader *route_reader_create(const struct table *table, struct board *board, int slot);
void route_reader_destroy(struct route_reader *reader);

void route_read_begin(struct route_reader *reader);
void route_read_end(struct route_reader *reader);

/* Finds the pool for a request (spec control 2.2 and section 14): longest path
 * first under the exact host, then under *.suffix from most to least specific.
 * Within one form of the host the deepest pool with endpoints wins; if none has
 * any, the deepest empty pool ends the search (an app without instances answers
 * 503 for itself and never falls through to a wildcard).  Both are the deepest
 * *registered* prefixes; Gorouter looks at the last trie node, which differs only
 * when an unregistered node below an empty pool is an ancestor of another route.
 * A bare "*" matches nothing. */
enum route_match { ROUTE_NONE, ROUTE_EMPTY, ROUTE_FOUND };
enum route_match route_find(struct route_reader *reader, const struct route_key *key,
			    const struct route **route);

/* A lookup among many routes waits for memory more than for anything else.  These
 * two ask for what route_find() will touch first, so that it comes while other work
 * is done: call the first as soon as the host is known, the second a little later.
 * They follow nothing and need no read section. */
void route_expect(struct route_reader *reader, const struct route_key *key);
void route_expect_more(struct route_reader *reader);

/* The pool registered under exactly this key (no wildcard, no prefix), or NULL. */
const struct route *route_find_exact(struct route_reader *reader, const struct route_key *key);

/* For shm-dump --explain: called for every key that route_find() tries. */
typedef void route_tried_fn(void *context, struct str key, enum route_match result);
void route_explain(struct route_reader *reader, const struct route_key *key,
		   route_tried_fn *tried, void *context);

/* About a pool.  The key is in the table's memory: copy it to keep it. */
struct str route_name(const struct route *route);
unsigned route_host_length(const struct route *route);
uint32_t route_id(const struct route *route);             /* dense, stable while it exists */
enum endpoint_balancing route_balancing(const struct route *route);   /* pool-wide option */
unsigned route_capacity(const struct route *route);       /* entries, free ones included */

/* Entry `i`, or NULL if it is free.  *last_seen is in table ticks (100 ms). */
const struct inst *route_entry(const struct route_reader *reader, const struct route *route,
			       unsigned i, uint32_t *last_seen);

/* About an endpoint, without copying its text: what a balancer compares. */
uint64_t inst_serial(const struct inst *inst);
uint32_t inst_row(const struct inst *inst);
uint32_t inst_flags(const struct inst *inst);
struct str inst_zone(const struct inst *inst);
struct str inst_instance_id(const struct inst *inst);
struct str inst_instance_index(const struct inst *inst);
struct str inst_app_id(const struct inst *inst);
struct str inst_process_id(const struct inst *inst);

/* Copies the endpoint out, texts included, tags not.  False: the block is
 * damaged; treat the entry as free. */
bool inst_copy(const struct inst *inst, struct endpoint *out);

/* The tags as they lie in the table's memory, for tags_unpack(); empty if none. */
struct str inst_packed_tags(const struct route_reader *reader, const struct inst *inst);

/* This worker's round-robin position of the pool: private memory, starts at a
 * random number. */
uint32_t *route_cursor(struct route_reader *reader, const struct route *route);

/* Visits every pool in the table, in index order; false from `visit` stops.
 * Leaves and re-enters its read section as it goes, so it may be long. */
typedef bool route_visit_fn(void *context, struct route_reader *reader, const struct route *route);
void route_each(struct route_reader *reader, route_visit_fn *visit, void *context);

/* The table's own clock: 100 ms ticks since it was created (monotonic).  Never 0, which stands
 * for "never" wherever a tick is noted. */
uint32_t table_tick(const struct table *table, uint64_t now_ms);
uint64_t table_tick_ms(const struct table *table, uint32_t tick);   /* back to clock_ms() */
uint64_t table_route_count(const struct table *table);

/* Walks everything with bounds and checksums.  Returns the number of faults;
 * each is described through `report`. */
typedef void table_fault_fn(void *context, const char *fault);
uint64_t table_check(struct route_reader *reader, table_fault_fn *report, void *context);

#endif
