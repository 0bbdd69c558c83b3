/*
 * shm/endpoint_live.c - requests in flight and failure marks, on the board.
 * Each cell has one writer, so a plain load, add and store is exact.
 */
#include "endpoint_live.h"

#include "board_layout.h"

static uint16_t *cell_of(struct board *board, uint32_t row, unsigned worker_slot)
{
	struct live_row *live = board_row(board, row);
	unsigned column = worker_slot - SLOT_WORKER;

	return live && column < board->worker_slots ? &live->in_flight[column] : NULL;
}

bool live_begin(struct board *board, uint32_t row, unsigned worker_slot)
{
	uint16_t *cell = cell_of(board, row, worker_slot);
	uint16_t n;

	if (!cell)
		return false;
	n = __atomic_load_n(cell, __ATOMIC_RELAXED);
	if (n == UINT16_MAX)
		return false;
	__atomic_store_n(cell, (uint16_t)(n + 1), __ATOMIC_RELAXED);
	return true;
}

void live_end(struct board *board, uint32_t row, unsigned worker_slot)
{
	uint16_t *cell = cell_of(board, row, worker_slot);
	uint16_t n = cell ? __atomic_load_n(cell, __ATOMIC_RELAXED) : 0;

	if (n)
		__atomic_store_n(cell, (uint16_t)(n - 1), __ATOMIC_RELAXED);
}

unsigned live_in_flight(const struct board *board, uint32_t row)
{
	const struct live_row *live = board_row(board, row);
	unsigned sum = 0;

	for (unsigned i = 0; live && i < board->worker_slots; i++)
		sum += __atomic_load_n(&live->in_flight[i], __ATOMIC_RELAXED);
	return sum;
}

bool live_row_is_idle(const struct board *board, uint32_t row)
{
	return live_in_flight(board, row) == 0;
}

void live_mark_failed(struct board *board, uint32_t row, uint32_t tick)
{
	struct live_row *live = board_row(board, row);

	if (live)
		__atomic_store_n(&live->failed_at, tick, __ATOMIC_RELAXED);
}

void live_clear_failed(struct board *board, uint32_t row)
{
	if (live_failed_at(board, row))
		live_mark_failed(board, row, 0);
}

uint32_t live_failed_at(const struct board *board, uint32_t row)
{
	const struct live_row *live = board_row(board, row);

	return live ? __atomic_load_n(&live->failed_at, __ATOMIC_RELAXED) : 0;
}
