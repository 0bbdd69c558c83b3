/*
 * master/slots.c - slots of the board, from the master's side.
 */
#include "master/slots.h"

#include <errno.h>
#include <unistd.h>

#include "counters.h"
#include "log_ring.h"

static unsigned slot_limit(const struct slots *slots)
{
	unsigned count = board_slot_count(slots->board);

	return count < SLOTS_MAX ? count : SLOTS_MAX;
}

static bool is_vacant(const struct slots *slots, unsigned slot)
{
	struct slot_view view;

	if (slots->taken[slot])
		return false;
	board_slot_view(slots->board, slot, &view);
	return view.state == SLOT_FREE && !view.is_alive;
}

bool slots_take_registrar(struct slots *slots)
{
	if (!is_vacant(slots, SLOT_REGISTRAR))
		return false;
	slots->taken[SLOT_REGISTRAR] = true;
	return true;
}

int slots_take_worker(struct slots *slots)
{
	for (unsigned slot = SLOT_WORKER; slot < slot_limit(slots); slot++) {
		if (!is_vacant(slots, slot))
			continue;
		slots->taken[slot] = true;
		return (int)slot;
	}
	return -1;
}

unsigned slots_free_workers(const struct slots *slots)
{
	unsigned count = 0;

	for (unsigned slot = SLOT_WORKER; slot < slot_limit(slots); slot++)
		count += is_vacant(slots, slot);
	return count;
}

/* Bounded: a ring damaged by its dead owner must not hold the master. */
static void save_lines(struct board *board, unsigned slot, int access_log)
{
	struct log_ring *ring = log_ring_of(board, slot);
	const char *bytes;
	size_t n;

	for (int pieces = 0; pieces < 4 && (n = log_ring_peek(ring, &bytes)) > 0; pieces++) {
		size_t done = 0;

		while (access_log >= 0 && done < n) {
			ssize_t wrote = write(access_log, bytes + done, n - done);

			if (wrote < 0 && errno == EINTR)
				continue;
			if (wrote <= 0)
				break;
			done += (size_t)wrote;
		}
		log_ring_consume(ring, n);
	}
}

void slots_adopt(struct slots *slots, int access_log)
{
	for (unsigned slot = SLOT_WORKER; slot < slot_limit(slots); slot++)
		if (is_vacant(slots, slot))
			save_lines(slots->board, slot, access_log);
}

void slots_bury(struct slots *slots, unsigned slot, int access_log)
{
	if (slot >= SLOT_WORKER)
		save_lines(slots->board, slot, access_log);
	counters_fold(slots->board, slot);
	board_slot_clear(slots->board, slot);
	slots->taken[slot] = false;
}

unsigned slots_sweep(struct slots *slots, int access_log)
{
	unsigned buried = 0;

	for (unsigned slot = SLOT_REGISTRAR; slot < slot_limit(slots); slot++) {
		struct slot_view view;
		bool is_tool = slot >= SLOT_TOOL && slot < SLOT_TOOL + SLOT_TOOLS;

		if (slots->taken[slot] || is_tool)
			continue;
		board_slot_view(slots->board, slot, &view);
		if (view.state == SLOT_FREE || view.is_alive)
			continue;
		slots_bury(slots, slot, access_log);
		buried++;
	}
	return buried;
}
