/*
 * net/buf.c - the buffer pool.
 */
#include "net/buf.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* The two usual sizes, and how many of each stay with us when they are free. */
enum { PLAIN, LARGE, SHELVES };
static const size_t shelf_size[SHELVES] = { [PLAIN] = BUF_SIZE, [LARGE] = BUF_LARGE };
static const unsigned shelf_room[SHELVES] = { [PLAIN] = 256, [LARGE] = 64 };

struct shelf {
	struct buf *first;            /* owned; newest first */
	unsigned count;
};

struct buf_pool {
	struct shelf shelves[SHELVES];
	uint64_t used_bytes, limit_bytes;
};

struct buf_pool *buf_pool_create(uint64_t limit_bytes)
{
	struct buf_pool *pool = mem_zalloc(sizeof(*pool));

	pool->limit_bytes = limit_bytes;
	return pool;
}

void buf_pool_destroy(struct buf_pool *pool)
{
	if (!pool)
		return;
	for (int i = 0; i < SHELVES; i++)
		while (pool->shelves[i].first) {
			struct buf *buf = pool->shelves[i].first;

			pool->shelves[i].first = buf->next_free;
			free(buf);
		}
	free(pool);
}

uint64_t buf_pool_used(const struct buf_pool *pool)
{
	return pool->used_bytes;
}

/* Where buffers of this capacity are kept, or NULL. */
static struct shelf *shelf_of(struct buf_pool *pool, size_t capacity, unsigned *room)
{
	for (int i = 0; i < SHELVES; i++)
		if (capacity == shelf_size[i]) {
			*room = shelf_room[i];
			return &pool->shelves[i];
		}
	return NULL;
}

static struct buf *take_free(struct buf_pool *pool, size_t capacity)
{
	unsigned room;
	struct shelf *shelf = shelf_of(pool, capacity, &room);
	struct buf *buf = shelf ? shelf->first : NULL;

	if (!buf)
		return NULL;
	shelf->first = buf->next_free;
	shelf->count--;
	return buf;
}

static struct buf *acquire_up_to(struct buf_pool *pool, size_t capacity, uint64_t limit_bytes)
{
	struct buf *buf;

	if (capacity < BUF_SIZE)
		capacity = BUF_SIZE;
	if (capacity > UINT32_MAX || pool->used_bytes + capacity > limit_bytes)
		return NULL;
	buf = take_free(pool, capacity);
	if (!buf)
		buf = mem_alloc(sizeof(*buf) + capacity);
	buf->next_free = NULL;
	buf->capacity = (uint32_t)capacity;
	buf->start = buf->end = 0;
	pool->used_bytes += capacity;
	return buf;
}

struct buf *buf_acquire(struct buf_pool *pool, size_t capacity)
{
	return acquire_up_to(pool, capacity, pool->limit_bytes);
}

struct buf *buf_acquire_reserve(struct buf_pool *pool)
{
	return acquire_up_to(pool, BUF_SIZE, pool->limit_bytes + pool->limit_bytes / 16);
}

struct buf *buf_acquire_large(struct buf_pool *pool)
{
	bool is_scarce = pool->used_bytes + BUF_LARGE > pool->limit_bytes / 2;

	return buf_acquire(pool, is_scarce ? BUF_SIZE : BUF_LARGE);
}

void buf_release(struct buf_pool *pool, struct buf *buf)
{
	struct shelf *shelf;
	unsigned room;

	if (!buf)
		return;
	pool->used_bytes -= buf->capacity;
	shelf = shelf_of(pool, buf->capacity, &room);
	if (!shelf || shelf->count == room) {
		free(buf);
		return;
	}
	buf->next_free = shelf->first;
	shelf->first = buf;
	shelf->count++;
}

struct buf *buf_grow(struct buf_pool *pool, struct buf *buf, size_t most)
{
	size_t wanted = 2 * (size_t)buf->capacity;
	struct buf *larger;

	if (wanted > most)
		wanted = most;
	if (wanted <= buf->capacity)
		return NULL;
	larger = buf_acquire(pool, wanted);
	if (!larger)
		return NULL;
	larger->end = (uint32_t)buf_used(buf);
	memcpy(larger->base, buf_data(buf), buf_used(buf));
	buf_release(pool, buf);
	return larger;
}
