/*
 * net/buf.c - the buffer pool.
 */
#include "net/buf.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define KEPT_FREE 256                 /* buffers that stay with us when they are free */

struct buf_pool {
	struct buf *free_list;        /* owned: plain buffers, newest first */
	unsigned free_count;
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
	while (pool->free_list) {
		struct buf *buf = pool->free_list;

		pool->free_list = buf->next_free;
		free(buf);
	}
	free(pool);
}

uint64_t buf_pool_used(const struct buf_pool *pool)
{
	return pool->used_bytes;
}

static struct buf *take_free(struct buf_pool *pool)
{
	struct buf *buf = pool->free_list;

	if (!buf)
		return NULL;
	pool->free_list = buf->next_free;
	pool->free_count--;
	return buf;
}

struct buf *buf_acquire(struct buf_pool *pool, size_t capacity)
{
	struct buf *buf = NULL;

	if (capacity < BUF_SIZE)
		capacity = BUF_SIZE;
	if (capacity > UINT32_MAX || pool->used_bytes + capacity > pool->limit_bytes)
		return NULL;
	if (capacity == BUF_SIZE)
		buf = take_free(pool);
	if (!buf)
		buf = mem_alloc(sizeof(*buf) + capacity);
	buf->next_free = NULL;
	buf->capacity = (uint32_t)capacity;
	buf->start = buf->end = 0;
	pool->used_bytes += capacity;
	return buf;
}

void buf_release(struct buf_pool *pool, struct buf *buf)
{
	if (!buf)
		return;
	pool->used_bytes -= buf->capacity;
	if (buf->capacity != BUF_SIZE || pool->free_count == KEPT_FREE) {
		free(buf);
		return;
	}
	buf->next_free = pool->free_list;
	pool->free_list = buf;
	pool->free_count++;
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
