/*
 * shm/board.c - slots and facts on the board.  A slot's lock is a lock on one
 * byte of the board object, byte N for slot N.
 */
#include "board.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "board_layout.h"

unsigned board_slot_count(const struct board *board)
{
	return board->slots;
}

bool board_slot_is_held(const struct board *board, unsigned slot)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1 };

	return fcntl(board->fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

void board_slot_view(const struct board *board, unsigned slot, struct slot_view *out)
{
	const struct board_slot *s;

	must(slot < board->slots);
	s = board_slot(board, slot);
	*out = (struct slot_view){
		.state = __atomic_load_n(&s->state, __ATOMIC_RELAXED),
		.pid = __atomic_load_n(&s->pid, __ATOMIC_RELAXED),
		.generation = __atomic_load_n(&s->generation, __ATOMIC_RELAXED),
		.started_ms = __atomic_load_n(&s->started_ms, __ATOMIC_RELAXED),
		.heartbeat_ms = __atomic_load_n(&s->heartbeat_ms, __ATOMIC_RELAXED),
		.epoch = __atomic_load_n(&s->epoch, __ATOMIC_ACQUIRE),
		.is_alive = board->claimed[slot] || board_slot_is_held(board, slot),
	};
}

/* The rings are sparse; give one memory before its worker writes to it, so that
 * a full machine is a refusal here and not a SIGBUS there. */
static int commit_ring(const struct board *board, unsigned slot, struct reason *reason)
{
	const struct log_ring *ring = &board->rings[slot - SLOT_WORKER];
	off_t at = (unsigned char *)ring->words - board->base;

	if (fallocate(board->fd, FALLOC_FL_KEEP_SIZE, at, (off_t)(BOARD_PAGE + ring->size)) < 0)
		return reason_set(reason, -errno, "no memory for the access-log ring of slot %u", slot);
	return 0;
}

int board_slot_claim(struct board *board, unsigned slot, struct reason *reason)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1 };
	int rc;

	if (slot >= board->slots)
		return reason_set(reason, -EINVAL, "the board has no slot %u", slot);
	if (fcntl(board->fd, F_SETLK, &lock) < 0)
		return reason_set(reason, errno == EACCES || errno == EAGAIN ? -EBUSY : -errno,
				  "slot %u belongs to a living process", slot);
	rc = slot >= SLOT_WORKER ? commit_ring(board, slot, reason) : 0;
	if (rc) {
		lock.l_type = F_UNLCK;
		fcntl(board->fd, F_SETLK, &lock);
		return rc;
	}
	board->claimed[slot] = 1;
	__atomic_store_n(&board_slot(board, slot)->pid, (uint32_t)getpid(), __ATOMIC_RELAXED);
	board_slot_beat(board, slot, clock_ms());
	return 0;
}

void board_slot_beat(struct board *board, unsigned slot, uint64_t now_ms)
{
	__atomic_store_n(&board_slot(board, slot)->heartbeat_ms, now_ms, __ATOMIC_RELAXED);
}

void board_slot_assign(struct board *board, unsigned slot, uint32_t pid, uint32_t generation,
		       uint64_t now_ms)
{
	struct board_slot *s;

	must(slot < board->slots);
	s = board_slot(board, slot);
	__atomic_store_n(&s->pid, pid, __ATOMIC_RELAXED);
	__atomic_store_n(&s->generation, generation, __ATOMIC_RELAXED);
	__atomic_store_n(&s->started_ms, now_ms, __ATOMIC_RELAXED);
	__atomic_store_n(&s->heartbeat_ms, now_ms, __ATOMIC_RELAXED);
	board_slot_set_state(board, slot, SLOT_STARTING);
}

void board_slot_set_state(struct board *board, unsigned slot, enum slot_state state)
{
	must(slot < board->slots);
	__atomic_store_n(&board_slot(board, slot)->state, (uint32_t)state, __ATOMIC_RELEASE);
}

/* Only cells that are not zero are written: rows nobody used stay sparse. */
static void clear_column(struct board *board, unsigned slot)
{
	uint64_t used = __atomic_load_n(&board_head(board)->rows_used, __ATOMIC_ACQUIRE);

	for (uint64_t row = 0; row < used && row < board->rows; row++) {
		uint16_t *cell = &board_row(board, (uint32_t)row)->in_flight[slot - SLOT_WORKER];

		if (__atomic_load_n(cell, __ATOMIC_RELAXED))
			__atomic_store_n(cell, 0, __ATOMIC_RELAXED);
	}
}

void board_slot_clear(struct board *board, unsigned slot)
{
	struct board_slot *s;

	must(slot < board->slots);
	s = board_slot(board, slot);
	__atomic_store_n(&s->epoch, 0, __ATOMIC_RELEASE);
	if (slot >= SLOT_WORKER)
		clear_column(board, slot);
	__atomic_store_n(&s->pid, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&s->heartbeat_ms, 0, __ATOMIC_RELAXED);
	board_slot_set_state(board, slot, SLOT_FREE);
}

int board_tool_slot(struct board *board, struct reason *reason)
{
	for (unsigned slot = SLOT_TOOL; slot < SLOT_TOOL + SLOT_TOOLS; slot++) {
		if (board->claimed[slot] || board_slot_claim(board, slot, reason))
			continue;
		/* Whoever had it before is dead: its lock was free. */
		__atomic_store_n(&board_slot(board, slot)->epoch, 0, __ATOMIC_RELEASE);
		return (int)slot;
	}
	return reason_set(reason, -EBUSY, "both tool slots are in use");
}

int board_rows_use(struct board *board, uint64_t rows)
{
	struct board_head *head = board_head(board);
	uint64_t used = __atomic_load_n(&head->rows_used, __ATOMIC_RELAXED);
	off_t at = board->first_row - board->base + (off_t)(used * board->row_stride);

	must(rows <= board->rows);
	if (rows <= used)
		return 0;
	if (fallocate(board->fd, FALLOC_FL_KEEP_SIZE, at, (off_t)((rows - used) * board->row_stride)) < 0)
		return -errno;
	__atomic_store_n(&head->rows_used, rows, __ATOMIC_RELEASE);
	return 0;
}

uint64_t board_fact(const struct board *board, enum fact fact)
{
	return __atomic_load_n(&board_head(board)->facts[fact], __ATOMIC_RELAXED);
}

void board_set_fact(struct board *board, enum fact fact, uint64_t value)
{
	__atomic_store_n(&board_head(board)->facts[fact], value, __ATOMIC_RELAXED);
}

uint64_t board_feed_lost_ms(const struct board *board, uint64_t now_ms)
{
	uint64_t lost_ms = board_fact(board, FACT_FEED_LOST_MS);
	uint64_t vouched_ms = board_fact(board, FACT_FEED_VOUCHED_MS);

	if (lost_ms || !vouched_ms || now_ms < vouched_ms + FEED_SILENT_MS)
		return lost_ms;
	return vouched_ms;
}

const char *fact_name(enum fact fact)
{
	static const char *const names[FACT_COUNT] = {
		[FACT_HEALTH]               = "health",
		[FACT_GENERATION]           = "generation",
		[FACT_STARTED_WALL_MS]      = "started_wall_ms",
		[FACT_LAST_UPDATE_MS]       = "last_update_ms",
		[FACT_NATS_CONNECTED]       = "nats_connected",
		[FACT_NATS_CONFIGURED]      = "nats_configured",
		[FACT_ROUTES]               = "routes",
		[FACT_ENDPOINTS]            = "endpoints",
		[FACT_TABLE_USED_BYTES]     = "table_used_bytes",
		[FACT_TABLE_CAPACITY_BYTES] = "table_capacity_bytes",
		[FACT_DEFERRED_BYTES]       = "deferred_bytes",
		[FACT_PRUNE_SUSPENDED]      = "prune_suspended",
		[FACT_FEED_LOST_MS]         = "feed_lost_ms",
		[FACT_DIGEST_ROUTERS]       = "digest_routers",
		[FACT_ROUTERS_DIVERGING]    = "routers_diverging",
		[FACT_TABLE_DIVERGENCE]     = "table_divergence",
		[FACT_TABLE_DIVERGENCE_PPM] = "table_divergence_ppm",
		[FACT_CONVERGED_MS]         = "converged_ms",
		[FACT_SNAPSHOT_WALL_MS]     = "snapshot_wall_ms",
		[FACT_ENDPOINTS_HELD]       = "endpoints_held",
		[FACT_REGISTRY_COPIES_RATIO] = "registry_copies_ratio",
		[FACT_NATS_ISLANDS]         = "nats_islands",
		[FACT_FEED_VOUCHED_MS]      = "feed_vouched_ms",
		[FACT_SNAPSHOT_BEGUN_0]     = "snapshot_begun_0",
		[FACT_SNAPSHOT_BEGUN_1]     = "snapshot_begun_1",
	};

	return (unsigned)fact < FACT_COUNT ? names[fact] : "unknown";
}
