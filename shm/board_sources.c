/*
 * shm/board_sources.c - the rows of NATS servers on the board.
 */
#include "board_sources.h"

#include <string.h>

#include "base/must.h"
#include "board_layout.h"

void board_set_source(struct board *board, unsigned i, const struct board_source *source)
{
	must(i < BOARD_SOURCES_MAX);
	board_head(board)->source[i] = *source;
}

void board_set_source_count(struct board *board, unsigned count)
{
	must(count <= BOARD_SOURCES_MAX);
	__atomic_store_n(&board_head(board)->sources, count, __ATOMIC_RELEASE);
}

unsigned board_source_count(const struct board *board)
{
	uint64_t count = __atomic_load_n(&board_head(board)->sources, __ATOMIC_ACQUIRE);

	return count < BOARD_SOURCES_MAX ? (unsigned)count : BOARD_SOURCES_MAX;
}

void board_source_copy(const struct board *board, unsigned i, struct board_source *out)
{
	must(i < BOARD_SOURCES_MAX);
	memcpy(out, &board_head(board)->source[i], sizeof(*out));
	out->name[sizeof(out->name) - 1] = '\0';
	out->state[sizeof(out->state) - 1] = '\0';
}
