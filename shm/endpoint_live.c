/*
 * shm/endpoint_live.c - requests in flight and marks, on the board.
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

static void store_mark(uint16_t *mark, unsigned value)
{
	if (__atomic_load_n(mark, __ATOMIC_RELAXED) != value)
		__atomic_store_n(mark, (uint16_t)value, __ATOMIC_RELAXED);
}

void live_set_held(struct board *board, uint32_t row, enum live_held held)
{
	struct live_row *live = board_row(board, row);

	if (live)
		store_mark(&live->held, held);
}

enum live_held live_held(const struct board *board, uint32_t row)
{
	const struct live_row *live = board_row(board, row);
	unsigned held = live ? __atomic_load_n(&live->held, __ATOMIC_RELAXED) : LIVE_NOT_HELD;

	return held < LIVE_HELD_COUNT ? (enum live_held)held : LIVE_NOT_HELD;
}

const char *live_held_name(enum live_held held)
{
	static const char *const names[LIVE_HELD_COUNT] = {
		[LIVE_NOT_HELD]         = "-",
		[LIVE_HELD_UNCONFIRMED] = "unconfirmed",
		[LIVE_HELD_SOURCE]      = "source",
		[LIVE_HELD_BRAKE]       = "brake",
	};

	return held < LIVE_HELD_COUNT ? names[held] : "-";
}

void live_set_excluded(struct board *board, uint32_t row, enum live_excluded excluded)
{
	struct live_row *live = board_row(board, row);

	if (live)
		store_mark(&live->excluded, excluded);
}

enum live_excluded live_excluded(const struct board *board, uint32_t row)
{
	const struct live_row *live = board_row(board, row);

	return live ? (enum live_excluded)__atomic_load_n(&live->excluded, __ATOMIC_RELAXED)
		    : LIVE_NOT_EXCLUDED;
}

void live_clear_marks(struct board *board, uint32_t row)
{
	live_clear_failed(board, row);
	live_set_held(board, row, LIVE_NOT_HELD);
	live_set_excluded(board, row, LIVE_NOT_EXCLUDED);
}
