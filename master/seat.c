/*
 * master/seat.c - fill, vacate.
 */
#include "master/seat.h"

#include <errno.h>

void seat_init(struct seat *seat, const struct master_config *config)
{
	*seat = (struct seat){ .child = { .status_fd = -1 } };
	throttle_init(&seat->throttle, config->restart_delay_min_ms, config->restart_delay_max_ms);
}

bool seat_is_empty(const struct seat *seat)
{
	return seat->child.state == CHILD_NONE;
}

static int take_slot(struct slots *slots, enum child_kind kind)
{
	if (kind == CHILD_WORKER)
		return slots_take_worker(slots);
	return slots_take_registrar(slots) ? SLOT_REGISTRAR : -1;
}

void seat_fill(struct seat *seat, struct handover *handover, const struct child_spec *spec,
	       uint64_t now_ms)
{
	bool is_worker = spec->kind == CHILD_WORKER;
	struct child_spec full = *spec;
	int slot, rc;

	if (!seat_is_empty(seat) || now_ms < seat->start_at_ms)
		return;
	slot = take_slot(&handover->slots, spec->kind);
	if (slot < 0)
		return;               /* an older process still lives there */
	full.slot = (unsigned)slot;
	full.now_ms = now_ms;
	full.table = is_worker ? handover->objects.table_ro : handover->objects.table_rw;
	full.board = handover->objects.board;
	full.events = handover->events[is_worker];
	full.ticket_keys = is_worker ? handover->ticket_keys_fd : -1;
	full.access_log = is_worker ? handover->logs.access_log : -1;
	board_slot_assign(handover->board, full.slot, 0, spec->generation, now_ms);
	rc = child_spawn(&full, &seat->child);
	if (rc < 0) {
		log_error("child-not-started", "kind=%s error=%s", child_kind_name(spec->kind),
			  strerror(-rc));
		slots_bury(&handover->slots, full.slot, -1);
		seat->start_at_ms = now_ms + throttle_next_ms(&seat->throttle, 0);
		return;
	}
	log_info("child-started", "kind=%s pid=%d slot=%u generation=%u",
		 child_kind_name(spec->kind), (int)seat->child.pid, full.slot, spec->generation);
}

void seat_vacate(struct seat *seat, struct handover *handover, bool was_asked, uint64_t now_ms)
{
	uint64_t lived_ms = now_ms - seat->child.started_ms;

	slots_bury(&handover->slots, seat->child.slot, handover->logs.access_log);
	child_gone(&seat->child);
	seat->start_at_ms = now_ms;
	if (!was_asked)
		seat->start_at_ms += throttle_next_ms(&seat->throttle, lived_ms);
}
