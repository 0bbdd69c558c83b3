/*
 * upstream/pool.h - open upstream connections that can take another stream.
 * One pool per worker with one bound over all targets: when it is reached, the
 * connection that was idle longest goes (Gorouter's pool per endpoint had no
 * common bound and ran out of descriptors).  Idle connections are watched: one
 * that closes, or speaks unasked, is gone before it can be picked.
 *
 * The pool owns every mux that it holds.  It never connects by itself.
 */
#ifndef UPSTREAM_POOL_H
#define UPSTREAM_POOL_H

#include "http/mux.h"
#include "upstream/target.h"

struct pool;

/* Holds at most idle_max connections, at least one.  `counters` is the worker's row. */
struct pool *pool_create(struct loop *loop, uint64_t *counters, unsigned idle_max);

/* Closes all connections and frees the pool.  NULL is allowed. */
void pool_destroy(struct pool *pool);

/* The connection to `target` that was used last, taken out of the pool, or NULL. */
struct mux *pool_take(struct pool *pool, const struct target *target);

/* Takes ownership of a quiet mux, for at most idle_ms; less if the endpoint was seen
 * to close such connections sooner. */
void pool_add(struct pool *pool, const struct target *target, struct mux *mux, uint64_t idle_ms);

unsigned pool_count(const struct pool *pool);

#endif
