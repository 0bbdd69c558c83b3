/*
 * shm/board_layout.h - the board as it lies in memory.  Used by shm/ only.
 * Everybody can write it, so nobody takes a size or an offset from it after
 * board_map() has checked them: struct board keeps private copies.
 *
 *   head (1 page) | slots (1 page each) | access-log rings | endpoint rows
 */
#ifndef SHM_BOARD_LAYOUT_H
#define SHM_BOARD_LAYOUT_H

#include "board.h"
#include "board_sources.h"
#include "counters.h"
#include "log_ring.h"

#define BOARD_MAGIC  0x6472616f62657957u      /* "Wyeboard" */
#define BOARD_LAYOUT 10u
#define BOARD_PAGE   4096u
#define BOARD_SLOTS_MAX 1024u
#define BOARD_LINE   128u

struct board_head {
	uint64_t magic, layout, size, arena_bytes;
	uint32_t slots, log_ring_bytes;
	uint32_t row_stride, unused;
	uint64_t rows;
	uint64_t slots_at, rings_at, rows_at;
	uint64_t unused_line[6];
	uint64_t rows_used;           /* registrar: rows at and above were never handed out */
	uint64_t facts[FACT_COUNT];
	uint64_t sources;             /* how many of what follows are filled in */
	struct board_source source[BOARD_SOURCES_MAX];
};
_Static_assert(sizeof(struct board_head) <= BOARD_PAGE, "the head is a page");
_Static_assert(offsetof(struct board_head, rows_used) == 128, "board head");

struct board_slot {
	uint64_t epoch;               /* 0: outside a read section; alone on its lines */
	uint64_t unused_line[15];
	uint64_t heartbeat_ms, started_ms;
	uint32_t state, pid, generation, unused;
	uint64_t unused_line1[12];
	uint64_t counters[COUNTER_COUNT];
};
_Static_assert(offsetof(struct board_slot, heartbeat_ms) == 128, "board slot");
_Static_assert(offsetof(struct board_slot, counters) == 256, "board slot");
_Static_assert(sizeof(struct board_slot) <= BOARD_PAGE, "a slot is a page");

/* An access-log ring as it lies in memory: positions only ever grow. */
struct ring_words {
	uint64_t head;                /* producer */
	uint64_t unused_line[15];
	uint64_t tail;                /* consumer */
	uint64_t unused_line1[15];
	uint64_t unused_page[(BOARD_PAGE - 256) / 8];
	char bytes[];
};
_Static_assert(sizeof(struct ring_words) == BOARD_PAGE, "ring");

/* What this process knows of a ring: its place and checked size. */
struct log_ring {
	struct ring_words *words;
	uint64_t size;
};

/* An endpoint's row: the marks, then one cell a worker slot. */
struct live_row {
	uint32_t failed_at;
	uint16_t held, excluded;      /* enum live_held, enum live_excluded */
	uint16_t in_flight[];
};
_Static_assert(sizeof(struct live_row) == 8, "row");

/* A mapped board.  Private memory of the process that mapped it. */
struct board {
	unsigned char *base;
	uint64_t size;
	int fd;                       /* locks live on it; borrowed unless owns_fd */
	bool owns_fd, is_writable;
	unsigned slots, worker_slots;
	uint32_t row_stride;
	uint64_t rows;
	unsigned char *first_slot, *first_row;
	struct log_ring *rings;       /* owned: one a worker slot */
	uint8_t claimed[BOARD_SLOTS_MAX];     /* slots whose lock this process took */
};

static inline struct board_head *board_head(const struct board *board)
{
	return (struct board_head *)board->base;
}

static inline struct board_slot *board_slot(const struct board *board, unsigned slot)
{
	return (struct board_slot *)(board->first_slot + (uint64_t)slot * BOARD_PAGE);
}

/* The row, or NULL if there is none of that number. */
static inline struct live_row *board_row(const struct board *board, uint32_t row)
{
	if (row >= board->rows)
		return NULL;
	return (struct live_row *)(board->first_row + (uint64_t)row * board->row_stride);
}

/* Fills in the sizes and offsets of a board. */
void board_plan(struct board_head *head, uint64_t arena_bytes, unsigned worker_slots,
		uint32_t log_ring_bytes);

/* True if a living process other than this one holds the lock of the slot. */
bool board_slot_is_held(const struct board *board, unsigned slot);

/* Registrar: makes sure that rows below `rows` have memory, and tells the master
 * how far to look when a worker died.  0 or -errno. */
int board_rows_use(struct board *board, uint64_t rows);

/* Registrar: true if no worker has a request in flight on the row. */
bool live_row_is_idle(const struct board *board, uint32_t row);

#endif
