/*
 * net/timer.c - the timer wheel.
 */
#include "net/timer.h"

#define LOOK_AHEAD_SLOTS 64           /* a look at the wheel a second is cheaper than a long search */

static unsigned slot_of(uint64_t ms)
{
	return (unsigned)(ms / TIMER_SLOT_MS % TIMER_SLOTS);
}

void timer_init(struct timer_wheel *wheel, uint64_t now_ms)
{
	for (unsigned i = 0; i < TIMER_SLOTS; i++)
		CDS_INIT_LIST_HEAD(&wheel->slots[i]);
	wheel->turned_ms = now_ms - now_ms % TIMER_SLOT_MS;
	wheel->armed = 0;
}

void timer_add(struct timer_wheel *wheel, struct task *task)
{
	uint64_t at = task->deadline_ms > wheel->turned_ms ? task->deadline_ms : wheel->turned_ms;

	cds_list_add_tail(&task->in_wheel, &wheel->slots[slot_of(at)]);
	wheel->armed++;
}

void timer_remove(struct timer_wheel *wheel, struct task *task)
{
	if (cds_list_empty(&task->in_wheel))
		return;
	cds_list_del_init(&task->in_wheel);
	wheel->armed--;
}

/* A task in a slot may be due, may belong to a later round, or may have been
 * put off or called off since. */
static void look_at_slot(struct timer_wheel *wheel, struct cds_list_head *slot, uint64_t now_ms,
			 struct cds_list_head *due)
{
	struct cds_list_head found, *at, *next;

	CDS_INIT_LIST_HEAD(&found);
	cds_list_splice(slot, &found);
	CDS_INIT_LIST_HEAD(slot);
	cds_list_for_each_safe(at, next, &found) {
		struct task *task = caa_container_of(at, struct task, in_wheel);

		cds_list_del_init(at);
		wheel->armed--;
		if (!task->deadline_ms)
			continue;
		if (task->deadline_ms <= now_ms)
			cds_list_add_tail(at, due);
		else
			timer_add(wheel, task);
	}
}

void timer_turn(struct timer_wheel *wheel, uint64_t now_ms, struct cds_list_head *due)
{
	uint64_t until = now_ms - now_ms % TIMER_SLOT_MS;
	unsigned looked_at = 0;

	while (wheel->turned_ms < until && looked_at++ < TIMER_SLOTS) {
		unsigned slot = slot_of(wheel->turned_ms);

		wheel->turned_ms += TIMER_SLOT_MS;
		if (!cds_list_empty(&wheel->slots[slot]))
			look_at_slot(wheel, &wheel->slots[slot], now_ms, due);
	}
	wheel->turned_ms = until > wheel->turned_ms ? until : wheel->turned_ms;
}

int timer_sleep_ms(struct timer_wheel *wheel, uint64_t now_ms)
{
	if (!wheel->armed)
		return -1;
	for (unsigned i = 0; i < LOOK_AHEAD_SLOTS; i++) {
		uint64_t end_ms = wheel->turned_ms + (uint64_t)(i + 1) * TIMER_SLOT_MS;

		if (!cds_list_empty(&wheel->slots[slot_of(end_ms - TIMER_SLOT_MS)]))
			return end_ms > now_ms ? (int)(end_ms - now_ms) : 0;
	}
	return LOOK_AHEAD_SLOTS * TIMER_SLOT_MS;
}
