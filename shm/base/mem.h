/*
 * base/mem.h - memory that does not fail, and arenas that are freed at once.
 * Small allocations stop the process when the machine has no memory left; what
 * a peer can make grow must come from a bounded pool instead.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/str.h"

/* malloc, calloc and realloc that abort instead of returning NULL.  Free with free(). */
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_resize(void *old, size_t size) __attribute__((returns_nonnull));

/* The same, zeroed, for a table that is looked up at random: a large one lies in huge
 * pages if the kernel has some, so that a look-up misses the cache only. */
void *mem_zalloc_table(size_t size) __attribute__((malloc, returns_nonnull));

/* A terminated copy; the caller frees it. */
char *mem_strdup(struct str s) __attribute__((malloc, returns_nonnull));

/*
 * An arena hands out memory that is freed all at once.  It begins in a block
 * that its owner lends it (may be NULL/0), so a typical request allocates
 * nothing, and goes on in chunks from the heap.
 */
struct arena_chunk;
struct arena {
	char *next, *end;             /* free part of the current block */
	struct arena_chunk *chunks;   /* owned: chunks taken from the heap, newest first */
	size_t taken_bytes;           /* heap bytes so far, for the owner's limits */
};

void arena_init(struct arena *arena, void *block, size_t size);
void arena_fini(struct arena *arena);

/* Aligned for any type; never fails, never zeroed. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((returns_nonnull));

/* A copy of the text that lives as long as the arena. */
struct str arena_copy(struct arena *arena, struct str s);

/* printf into the arena. */
struct str arena_format(struct arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
