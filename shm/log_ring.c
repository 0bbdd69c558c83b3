/*
 * shm/log_ring.c - access-log lines in flight.  The producer moves the head when
 * a whole line is in place, so a producer that dies leaves whole lines only.
 */
#include "log_ring.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/must.h"
#include "board_layout.h"

struct log_ring *log_ring_of(struct board *board, unsigned worker_slot)
{
	must(worker_slot >= SLOT_WORKER && worker_slot - SLOT_WORKER < board->worker_slots);
	return &board->rings[worker_slot - SLOT_WORKER];
}

struct log_ring *log_ring_create(uint64_t bytes)
{
	struct log_ring *ring = mem_zalloc(sizeof(*ring));

	must(bytes && !(bytes & (bytes - 1)));
	ring->words = mem_alloc(sizeof(*ring->words) + bytes);
	ring->words->head = ring->words->tail = 0;
	ring->size = bytes;
	return ring;
}

void log_ring_destroy(struct log_ring *ring)
{
	if (ring)
		free(ring->words);
	free(ring);
}

bool log_ring_append(struct log_ring *ring, struct str line)
{
	struct ring_words *words = ring->words;
	uint64_t head = __atomic_load_n(&words->head, __ATOMIC_RELAXED);
	uint64_t tail = __atomic_load_n(&words->tail, __ATOMIC_ACQUIRE);
	uint64_t at = head & (ring->size - 1), first = ring->size - at;

	if (head - tail > ring->size || line.len > ring->size - (head - tail))
		return false;
	if (line.len <= first) {
		memcpy(words->bytes + at, line.p, line.len);
	} else {
		memcpy(words->bytes + at, line.p, first);
		memcpy(words->bytes, line.p + first, line.len - first);
	}
	__atomic_store_n(&words->head, head + line.len, __ATOMIC_RELEASE);
	return true;
}

char *log_ring_room(const struct log_ring *ring, size_t most)
{
	uint64_t head = __atomic_load_n(&ring->words->head, __ATOMIC_RELAXED);
	uint64_t tail = __atomic_load_n(&ring->words->tail, __ATOMIC_ACQUIRE);
	uint64_t at = head & (ring->size - 1), used = head - tail;

	if (used > ring->size || most > ring->size - used || most > ring->size - at)
		return NULL;
	return ring->words->bytes + at;
}

void log_ring_advance(struct log_ring *ring, size_t len)
{
	uint64_t head = __atomic_load_n(&ring->words->head, __ATOMIC_RELAXED);

	__atomic_store_n(&ring->words->head, head + len, __ATOMIC_RELEASE);
}

size_t log_ring_peek(const struct log_ring *ring, const char **bytes)
{
	uint64_t head = __atomic_load_n(&ring->words->head, __ATOMIC_ACQUIRE);
	uint64_t tail = __atomic_load_n(&ring->words->tail, __ATOMIC_RELAXED);
	uint64_t at = tail & (ring->size - 1), used = head - tail;

	if (used > ring->size)
		return 0;             /* damaged by a worker gone wrong */
	*bytes = ring->words->bytes + at;
	return used < ring->size - at ? used : ring->size - at;
}

int log_ring_peek_all(const struct log_ring *ring, struct iovec parts[2])
{
	uint64_t head = __atomic_load_n(&ring->words->head, __ATOMIC_ACQUIRE);
	uint64_t tail = __atomic_load_n(&ring->words->tail, __ATOMIC_RELAXED);
	uint64_t at = tail & (ring->size - 1), used = head - tail, first = ring->size - at;

	if (!used || used > ring->size)
		return 0;
	parts[0] = (struct iovec){ ring->words->bytes + at, used < first ? used : first };
	parts[1] = (struct iovec){ ring->words->bytes, used < first ? 0 : used - first };
	return parts[1].iov_len ? 2 : 1;
}

void log_ring_consume(struct log_ring *ring, size_t n)
{
	uint64_t tail = __atomic_load_n(&ring->words->tail, __ATOMIC_RELAXED);

	__atomic_store_n(&ring->words->tail, tail + n, __ATOMIC_RELEASE);
}

bool log_ring_is_half_full(const struct log_ring *ring)
{
	uint64_t head = __atomic_load_n(&ring->words->head, __ATOMIC_RELAXED);
	uint64_t tail = __atomic_load_n(&ring->words->tail, __ATOMIC_RELAXED);

	return head - tail > ring->size / 2;
}
