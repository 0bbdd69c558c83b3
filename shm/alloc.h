/*
 * shm/alloc.h - blocks inside one arena of the table.  The writer only; all its
 * state is private heap, so there is nothing to repair after a crash: the next
 * writer copies what is reachable into the other arena.
 *
 * Routes, endpoints and tags have areas of their own, so that a lookup walks memory
 * with nothing else in it: what lookups touch grows from the bottom in chunks of
 * one kind, tags from the top.  Freed blocks are
 * kept by size class; nothing is merged (recovery.h compacts).  Memory is committed
 * before use, so a full machine is a refusal and never a SIGBUS.
 */
#ifndef SHM_ALLOC_H
#define SHM_ALLOC_H

#include "ref.h"

struct alloc;

enum alloc_area { ALLOC_ROUTES, ALLOC_ENDPOINTS, ALLOC_TAGS, ALLOC_AREAS };

/* An empty arena (0 or 1); gives back all memory it had. */
struct alloc *alloc_create(const struct table *table, unsigned arena);
void alloc_destroy(struct alloc *alloc);

/* A block of at least `bytes`, or REF_NONE: the arena is full. */
ref_t alloc_block(struct alloc *alloc, uint32_t bytes, enum alloc_area area);
void alloc_free(struct alloc *alloc, ref_t ref, uint32_t bytes, enum alloc_area area);

/* Between the two, a thread of the caller's in ahead_run() gets memory before it is asked for; it
 * has ended when the second is called. */
struct ahead;
void alloc_begin_ahead(struct alloc *alloc);
struct ahead *alloc_ahead(const struct alloc *alloc);
void alloc_end_ahead(struct alloc *alloc);

/* What a block of `bytes` takes. */
uint32_t alloc_size(uint32_t bytes);

/* Bytes in blocks (in use or retired), and bytes waiting in free lists. */
uint64_t alloc_used(const struct alloc *alloc);
uint64_t alloc_free_listed(const struct alloc *alloc);

/* Gives the memory of an arena back to the machine. */
void arena_punch(const struct table *table, unsigned arena);

/* Which arena a reference points into. */
unsigned arena_of(const struct table *table, ref_t ref);

/* For tests: freed blocks are filled with 0xDB; commits fail while it is set; the nth block
 * from now on is refused. */
extern bool alloc_poisons, alloc_commit_fails;
extern unsigned alloc_refuses_at;

#endif
