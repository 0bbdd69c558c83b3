/*
 * net/buf.h - input and output buffers from a bounded pool.  Idle connections
 * hold none.  The pool refuses when its limit is reached; a refused connection
 * waits or is closed, the worker lives.  Freed buffers are reused newest first,
 * so that a busy worker keeps few of them warm.
 */
#ifndef NET_BUF_H
#define NET_BUF_H

#include <stddef.h>
#include <stdint.h>

#define BUF_SIZE  16384               /* capacity of a plain buffer */
#define BUF_LARGE 262144              /* for bodies that fill plain ones */

struct buf_pool;

struct buf {
	struct buf *next_free;        /* in the pool's free list only */
	uint32_t capacity;
	uint32_t start, end;          /* used part: [start, end) of base */
	char base[];
};

struct buf_pool *buf_pool_create(uint64_t limit_bytes);
void buf_pool_destroy(struct buf_pool *pool);         /* all buffers are back */
uint64_t buf_pool_used(const struct buf_pool *pool);  /* bytes handed out */

/* An empty buffer with room for at least `capacity` bytes, or NULL at the limit. */
struct buf *buf_acquire(struct buf_pool *pool, size_t capacity);

/* One of BUF_LARGE; or of BUF_SIZE where that would leave less than half of the
 * limit, which is kept for those who need little; or NULL. */
struct buf *buf_acquire_large(struct buf_pool *pool);
void buf_release(struct buf_pool *pool, struct buf *buf);     /* NULL is allowed */

/* One of BUF_SIZE for what must be said even at the limit: up to a sixteenth of the
 * limit more, or NULL. */
struct buf *buf_acquire_reserve(struct buf_pool *pool);

/* The same content in a buffer twice as large and at most `most` bytes, the old
 * one released; or NULL with the old one kept: it is that large already, or the
 * pool is at its limit. */
struct buf *buf_grow(struct buf_pool *pool, struct buf *buf, size_t most);

static inline size_t buf_used(const struct buf *buf)
{
	return buf->end - buf->start;
}

static inline size_t buf_room(const struct buf *buf)
{
	return buf->capacity - buf->end;
}

static inline char *buf_data(struct buf *buf)
{
	return buf->base + buf->start;
}

static inline char *buf_tail(struct buf *buf)
{
	return buf->base + buf->end;
}

static inline void buf_consume(struct buf *buf, size_t n)
{
	buf->start += (uint32_t)n;
	if (buf->start == buf->end)
		buf->start = buf->end = 0;
}

#endif
