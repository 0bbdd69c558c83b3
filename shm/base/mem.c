/*
 * base/mem.c - memory that does not fail, and arenas.
 */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/must.h"

#define ARENA_CHUNK 4096
#define ARENA_ALIGN 16
#define HUGE_PAGE ((uintptr_t)2 << 20)

struct arena_chunk {
	struct arena_chunk *older;
	char bytes[] __attribute__((aligned(ARENA_ALIGN)));
};

void *mem_alloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	must(p != NULL);
	return p;
}

void *mem_zalloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	must(p != NULL);
	return p;
}

/* A refusal of the advice changes nothing. */
void *mem_zalloc_table(size_t size)
{
	void *p = mem_zalloc(size);
	uintptr_t from = ((uintptr_t)p + HUGE_PAGE - 1) & -HUGE_PAGE;
	uintptr_t to = ((uintptr_t)p + size) & -HUGE_PAGE;

	if (from < to)
		madvise((void *)from, to - from, MADV_HUGEPAGE);
	return p;
}

void *mem_resize(void *old, size_t size)
{
	void *p = realloc(old, size ? size : 1);

	must(p != NULL);
	return p;
}

char *mem_strdup(struct str s)
{
	char *copy = mem_alloc(s.len + 1);

	if (s.len)
		memcpy(copy, s.p, s.len);
	copy[s.len] = '\0';
	return copy;
}

void arena_init(struct arena *arena, void *block, size_t size)
{
	*arena = (struct arena){ .next = block, .end = block ? (char *)block + size : NULL };
}

void arena_fini(struct arena *arena)
{
	while (arena->chunks) {
		struct arena_chunk *chunk = arena->chunks;

		arena->chunks = chunk->older;
		free(chunk);
	}
	*arena = (struct arena){ 0 };
}

static void arena_grow(struct arena *arena, size_t size)
{
	size_t room = size > ARENA_CHUNK ? size : ARENA_CHUNK;
	struct arena_chunk *chunk = mem_alloc(sizeof(*chunk) + room);

	chunk->older = arena->chunks;
	arena->chunks = chunk;
	arena->next = chunk->bytes;
	arena->end = chunk->bytes + room;
	arena->taken_bytes += room;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	size_t skip = -(uintptr_t)arena->next & (ARENA_ALIGN - 1);
	char *p;

	if (!arena->next || (size_t)(arena->end - arena->next) < skip ||
	    (size_t)(arena->end - arena->next) - skip < size) {
		arena_grow(arena, size);
		skip = 0;
	}
	p = arena->next + skip;
	arena->next = p + size;
	return p;
}

struct str arena_copy(struct arena *arena, struct str s)
{
	char *copy = arena_alloc(arena, s.len);

	if (s.len)
		memcpy(copy, s.p, s.len);
	return (struct str){ copy, s.len };
}

struct str arena_format(struct arena *arena, const char *format, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	must(len >= 0);
	text = arena_alloc(arena, (size_t)len + 1);
	va_start(args, format);
	vsnprintf(text, (size_t)len + 1, format, args);
	va_end(args);
	return (struct str){ text, (size_t)len };
}
