/*
 * shm/counters.c - numbered metric counters on the board.
 */
#include "counters.h"

#include "base/must.h"
#include "board_layout.h"

uint64_t *counters_row(struct board *board, unsigned slot)
{
	must(slot < board->slots);
	return board_slot(board, slot)->counters;
}

uint64_t counter_of_slot(const struct board *board, unsigned slot, enum counter counter)
{
	must(slot < board->slots);
	return __atomic_load_n(&board_slot(board, slot)->counters[counter], __ATOMIC_RELAXED);
}

uint64_t counter_sum(const struct board *board, enum counter counter)
{
	uint64_t sum = 0;

	for (unsigned slot = 0; slot < board->slots; slot++)
		sum += counter_of_slot(board, slot, counter);
	return sum;
}

const char *counter_name(enum counter counter)
{
	static const char *const names[COUNTER_COUNT] = {
#define X(name) [COUNTER_##name] = #name,
		COUNTERS(X)
#undef X
	};

	return (unsigned)counter < COUNTER_COUNT ? names[counter] : "unknown";
}

static bool is_gauge(enum counter counter)
{
	return counter == COUNTER_connections_open || counter == COUNTER_upstream_idle;
}

void counters_fold(struct board *board, unsigned dead_slot)
{
	uint64_t *mine = counters_row(board, SLOT_MASTER);
	uint64_t *dead = counters_row(board, dead_slot);

	if (dead_slot == SLOT_MASTER)
		return;
	for (int i = 0; i < COUNTER_COUNT; i++) {
		uint64_t n = __atomic_load_n(&dead[i], __ATOMIC_RELAXED);

		/* Added before it is taken away: a reader may see a sum too large for a
		 * moment, and so may a master that dies in between; never one too small. */
		if (!is_gauge((enum counter)i))
			counter_add(mine, (enum counter)i, n);
		__atomic_store_n(&dead[i], 0, __ATOMIC_RELEASE);
	}
}
