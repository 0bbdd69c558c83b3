/*
 * net/task.h - the unit of work of a worker: a function that runs when somebody
 * woke it or when its deadline passed.  Calls go down, wakes go up: a lower
 * layer never calls an upper one, it wakes the task of its owner, which runs
 * later in the same turn of the loop, once, however often it was woken.
 *
 * A task is embedded in its object and found with caa_container_of().
 */
#ifndef NET_TASK_H
#define NET_TASK_H

#include <stdbool.h>
#include <stdint.h>
#include <urcu/list.h>

struct loop;
struct task;

typedef void task_run_fn(struct task *task);

struct task {
	struct cds_list_head in_queue;        /* run queue; points to itself when idle */
	struct cds_list_head in_wheel;        /* timer wheel; points to itself when idle */
	task_run_fn *run;
	uint64_t deadline_ms;                 /* absolute, as loop_now_ms(); 0 none */
};

void task_init(struct task *task, task_run_fn *run);

/* Runs the task later this turn, also when it is running now. */
void task_wake(struct loop *loop, struct task *task);

/* Wakes the task at this moment or up to 16 ms later; 0 clears.  A deadline
 * that moves away costs one store: the wheel looks again when the old one
 * comes round.  The task finds out with task_is_due(). */
void task_set_deadline(struct loop *loop, struct task *task, uint64_t deadline_ms);
bool task_is_due(const struct loop *loop, const struct task *task);

/* Forgets it everywhere; before its memory goes. */
void task_fini(struct loop *loop, struct task *task);

#endif
