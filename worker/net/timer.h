/*
 * net/timer.h - the wheel behind task deadlines: slots of 16 ms, one round of
 * about 16 seconds; what lies further away is looked at once a round.  Used by
 * loop.c and task.c only.
 */
#ifndef NET_TIMER_H
#define NET_TIMER_H

#include "net/task.h"

#define TIMER_SLOT_MS 16
#define TIMER_SLOTS   1024

struct timer_wheel {
	struct cds_list_head slots[TIMER_SLOTS];
	uint64_t turned_ms;           /* all slots before this moment were looked at */
	uint64_t armed;               /* tasks in the wheel */
};

void timer_init(struct timer_wheel *wheel, uint64_t now_ms);

/* Puts the task where its deadline will be found; it is in no slot yet. */
void timer_add(struct timer_wheel *wheel, struct task *task);
void timer_remove(struct timer_wheel *wheel, struct task *task);

/* Moves every task whose deadline has passed to `due` (linked by in_wheel). */
void timer_turn(struct timer_wheel *wheel, uint64_t now_ms, struct cds_list_head *due);

/* How long the loop may sleep: -1 without a task, else up to the next slot that
 * holds one, or about a second. */
int timer_sleep_ms(struct timer_wheel *wheel, uint64_t now_ms);

#endif
