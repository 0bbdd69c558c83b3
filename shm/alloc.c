/*
 * shm/alloc.c - blocks inside one arena of the table.
 *
 * Size classes: every 16 bytes up to 1 KiB, then four per doubling.  The size of a
 * block is known from what is in it, so blocks have no header.
 */
#include "alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "base/must.h"
#include "route_layout.h"
#include "route_writer_ahead.h"

#define SMALL_MAX 1024u
#define SMALL_CLASSES (SMALL_MAX / REF_UNIT)
#define CLASSES (SMALL_CLASSES + 4 * 24)
#define PAGE 4096u
#define CHUNK (64u << 10)
#define COMMIT_STEP (2u << 20)

bool alloc_poisons, alloc_commit_fails;
unsigned alloc_refuses_at;

struct free_list {
	ref_t *refs;
	uint32_t count, room;
};

struct alloc {
	const struct table *table;
	uint64_t start, end;          /* of the arena, as offsets */
	uint64_t low, high;           /* free space between the two */
	struct chunk {
		uint64_t next, end;
	} chunks[ALLOC_TAGS];         /* what is left of the newest chunk of each kind */
	uint64_t low_committed, high_committed;
	uint64_t free_bytes;
	struct ahead *ahead;          /* owned; NULL: nobody runs ahead */
	struct free_list lists[ALLOC_AREAS][CLASSES];
};

/* The class of a size and the size of that class. */
static unsigned class_of(uint32_t bytes, uint32_t *size)
{
	unsigned top, quarter;

	if (bytes <= SMALL_MAX) {
		*size = bytes ? (bytes + REF_UNIT - 1) / REF_UNIT * REF_UNIT : REF_UNIT;
		return *size / REF_UNIT - 1;
	}
	top = 31 - (unsigned)__builtin_clz(bytes - 1);        /* 2^top < bytes <= 2^(top+1) */
	quarter = (bytes - 1 - (1u << top)) >> (top - 2);     /* 0 to 3 */
	*size = (1u << top) + ((quarter + 1) << (top - 2));
	return SMALL_CLASSES + 4 * (top - 10) + quarter;
}

uint32_t alloc_size(uint32_t bytes)
{
	uint32_t size;

	class_of(bytes, &size);
	return size;
}

static uint64_t arena_start(const struct table *table, unsigned arena)
{
	return TABLE_HEAD_SPAN + arena * table_head(table)->arena_bytes;
}

unsigned arena_of(const struct table *table, ref_t ref)
{
	return ref_offset(ref) >= arena_start(table, 1);
}

static void punch(const struct table *table, uint64_t from, uint64_t to)
{
	from = (from + PAGE - 1) / PAGE * PAGE;
	to = to / PAGE * PAGE;
	if (from < to)
		must(fallocate(table->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
			       (off_t)(to - from)) == 0);
}

void arena_punch(const struct table *table, unsigned arena)
{
	punch(table, arena_start(table, arena), arena_start(table, arena + 1));
}

/* Memory is there and mapped in one go: a fault for each page costs three times as much.  A
 * kernel before 5.14 maps it page by page. */
static bool commit(const struct alloc *alloc, uint64_t from, uint64_t to)
{
	if (alloc_commit_fails)
		return false;
	if (madvise(alloc->table->base + from, to - from, MADV_POPULATE_WRITE) == 0)
		return true;
	return errno == EINVAL && fallocate(alloc->table->fd, FALLOC_FL_KEEP_SIZE, (off_t)from,
					    (off_t)(to - from)) == 0;
}

struct alloc *alloc_create(const struct table *table, unsigned arena)
{
	struct alloc *alloc = mem_zalloc(sizeof(*alloc));

	arena_punch(table, arena);
	alloc->table = table;
	alloc->start = alloc->low = alloc->low_committed = arena_start(table, arena);
	alloc->end = alloc->high = alloc->high_committed = arena_start(table, arena + 1);
	return alloc;
}

void alloc_destroy(struct alloc *alloc)
{
	if (!alloc)
		return;
	alloc_end_ahead(alloc);
	for (unsigned area = 0; area < ALLOC_AREAS; area++)
		for (unsigned i = 0; i < CLASSES; i++)
			free(alloc->lists[area][i].refs);
	free(alloc);
}

void alloc_begin_ahead(struct alloc *alloc)
{
	alloc->ahead = mem_alloc(sizeof(*alloc->ahead));
	ahead_init(alloc->ahead, alloc->table->base, alloc->low_committed, alloc->high_committed);
}

struct ahead *alloc_ahead(const struct alloc *alloc)
{
	return alloc->ahead;
}

/* What was got for nothing is used later. */
void alloc_end_ahead(struct alloc *alloc)
{
	uint64_t low, high;

	if (!alloc->ahead)
		return;
	low = ahead_reached(alloc->ahead, AHEAD_LOW);
	high = ahead_reached(alloc->ahead, AHEAD_HIGH);
	if (low > alloc->low_committed)
		alloc->low_committed = low;
	if (high < alloc->high_committed)
		alloc->high_committed = high;
	ahead_fini(alloc->ahead);
	free(alloc->ahead);
	alloc->ahead = NULL;
}

static bool commit_low(struct alloc *alloc, uint64_t upto)
{
	uint64_t goal = (upto + COMMIT_STEP - 1) / COMMIT_STEP * COMMIT_STEP;

	if (upto <= alloc->low_committed)
		return true;
	if (goal > alloc->end)
		goal = alloc->end;
	if (!(alloc->ahead && ahead_wait(alloc->ahead, AHEAD_LOW, goal)) &&
	    !commit(alloc, alloc->low_committed, goal))
		return false;
	alloc->low_committed = goal;
	return true;
}

static bool commit_high(struct alloc *alloc, uint64_t downto)
{
	uint64_t goal = downto / COMMIT_STEP * COMMIT_STEP;

	if (downto >= alloc->high_committed)
		return true;
	if (goal < alloc->start)
		goal = alloc->start;
	if (!(alloc->ahead && ahead_wait(alloc->ahead, AHEAD_HIGH, goal)) &&
	    !commit(alloc, goal, alloc->high_committed))
		return false;
	alloc->high_committed = goal;
	return true;
}

/* Blocks of a page and more begin on a page, so that they can be punched out. */
static ref_t bump_low(struct alloc *alloc, uint32_t size)
{
	uint64_t at = size >= PAGE ? (alloc->low + PAGE - 1) / PAGE * PAGE : alloc->low;

	if (at > alloc->high || alloc->high - at < size || !commit_low(alloc, at + size))
		return REF_NONE;
	alloc->low = at + size;
	return (ref_t)(at / REF_UNIT);
}

/* From the newest chunk of its kind; large blocks and the last ones before the
 * arena is full come without a chunk. */
static ref_t bump_chunk(struct alloc *alloc, uint32_t size, enum alloc_area area)
{
	struct chunk *chunk = &alloc->chunks[area];
	ref_t ref;

	if (size >= PAGE)
		return bump_low(alloc, size);
	if (chunk->end - chunk->next < size) {
		ref = bump_low(alloc, CHUNK);
		if (!ref)
			return bump_low(alloc, size);
		chunk->next = ref_offset(ref);
		chunk->end = chunk->next + CHUNK;
	}
	ref = (ref_t)(chunk->next / REF_UNIT);
	chunk->next += size;
	return ref;
}

static ref_t bump_high(struct alloc *alloc, uint32_t size)
{
	uint64_t at;

	if (alloc->high - alloc->low < size)
		return REF_NONE;
	at = alloc->high - size;
	if (size >= PAGE)
		at = at / PAGE * PAGE;
	if (at < alloc->low || !commit_high(alloc, at))
		return REF_NONE;
	alloc->high = at;
	return (ref_t)(at / REF_UNIT);
}

ref_t alloc_block(struct alloc *alloc, uint32_t bytes, enum alloc_area area)
{
	uint32_t size;
	struct free_list *list = &alloc->lists[area][class_of(bytes, &size)];
	ref_t ref;

	if (alloc_refuses_at && --alloc_refuses_at == 0)
		return REF_NONE;
	if (!list->count)
		return area == ALLOC_TAGS ? bump_high(alloc, size) : bump_chunk(alloc, size, area);
	ref = list->refs[list->count - 1];
	if (size >= PAGE && !commit(alloc, ref_offset(ref), ref_offset(ref) + size))
		return REF_NONE;      /* it was punched when it was freed */
	list->count--;
	alloc->free_bytes -= size;
	return ref;
}

void alloc_free(struct alloc *alloc, ref_t ref, uint32_t bytes, enum alloc_area area)
{
	uint32_t size;
	struct free_list *list = &alloc->lists[area][class_of(bytes, &size)];

	if (alloc_poisons)
		memset(alloc->table->base + ref_offset(ref), 0xdb, size);
	else if (size >= PAGE)
		punch(alloc->table, ref_offset(ref), ref_offset(ref) + size);
	if (list->count == list->room) {
		list->room = list->room ? 2 * list->room : 64;
		list->refs = mem_resize(list->refs, list->room * sizeof(*list->refs));
	}
	list->refs[list->count++] = ref;
	alloc->free_bytes += size;
}

uint64_t alloc_used(const struct alloc *alloc)
{
	return alloc->low - alloc->start + (alloc->end - alloc->high) - alloc->free_bytes;
}

uint64_t alloc_free_listed(const struct alloc *alloc)
{
	return alloc->free_bytes;
}
