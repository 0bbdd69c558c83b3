/*
 * net/loop.c - the event loop, and the tasks that it runs.
 */
#include "net/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "net/timer.h"

#define EVENTS_PER_TURN 256
#define TASKS_PER_TURN  4096          /* then events are looked at again */

struct loop {
	int epoll_fd;
	bool is_stopping;
	uint64_t now_ns;
	uint64_t wall_offset_ns, offset_of_s;         /* wall clock minus ours, and when we looked */
	struct cds_list_head queue;           /* tasks to run this turn */
	struct timer_wheel wheel;
	struct epoll_event events[EVENTS_PER_TURN];
	int event_count, event_next;          /* collected; the next to deliver */
	void **garbage;                       /* owned: objects for the end of the turn */
	size_t garbage_count, garbage_room;
	void (*hook)(void *context);
	void *hook_context;
};

void task_init(struct task *task, task_run_fn *run)
{
	CDS_INIT_LIST_HEAD(&task->in_queue);
	CDS_INIT_LIST_HEAD(&task->in_wheel);
	task->run = run;
	task->deadline_ms = 0;
}

void task_wake(struct loop *loop, struct task *task)
{
	if (cds_list_empty(&task->in_queue))
		cds_list_add_tail(&task->in_queue, &loop->queue);
}

void task_set_deadline(struct loop *loop, struct task *task, uint64_t deadline_ms)
{
	bool is_sooner = deadline_ms && (deadline_ms < task->deadline_ms || !task->deadline_ms);

	task->deadline_ms = deadline_ms;
	if (is_sooner)
		timer_remove(&loop->wheel, task);
	if (deadline_ms && cds_list_empty(&task->in_wheel))
		timer_add(&loop->wheel, task);
}

bool task_is_due(const struct loop *loop, const struct task *task)
{
	return task->deadline_ms && task->deadline_ms <= loop_now_ms(loop);
}

void task_fini(struct loop *loop, struct task *task)
{
	cds_list_del_init(&task->in_queue);
	timer_remove(&loop->wheel, task);
	task->deadline_ms = 0;
}

struct loop *loop_create(void)
{
	struct loop *loop = mem_zalloc(sizeof(*loop));

	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	must(loop->epoll_fd >= 0);
	loop->now_ns = clock_ns();
	CDS_INIT_LIST_HEAD(&loop->queue);
	timer_init(&loop->wheel, loop_now_ms(loop));
	return loop;
}

static void free_garbage(struct loop *loop)
{
	for (size_t i = 0; i < loop->garbage_count; i++)
		free(loop->garbage[i]);
	loop->garbage_count = 0;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	free_garbage(loop);
	free(loop->garbage);
	close(loop->epoll_fd);
	free(loop);
}

uint64_t loop_now_ns(const struct loop *loop)
{
	return loop->now_ns;
}

uint64_t loop_now_ms(const struct loop *loop)
{
	return loop->now_ns / 1000000u;
}

uint64_t loop_wall_ns(struct loop *loop)
{
	uint64_t now_s = loop->now_ns / 1000000000u;

	if (now_s != loop->offset_of_s) {
		loop->wall_offset_ns = clock_wall_ns() - clock_ns();
		loop->offset_of_s = now_s;
	}
	return loop->now_ns + loop->wall_offset_ns;
}

int loop_watch(struct loop *loop, struct watch *watch, uint32_t epoll_events)
{
	struct epoll_event event = { .events = epoll_events, .data.ptr = watch };

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) < 0 ? -errno : 0;
}

static void drop_events(struct loop *loop, const struct watch *watch)
{
	for (int i = loop->event_next; i < loop->event_count; i++)
		if (loop->events[i].data.ptr == watch)
			loop->events[i].data.ptr = NULL;
}

void loop_unwatch(struct loop *loop, struct watch *watch)
{
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	drop_events(loop, watch);
}

void loop_close(struct loop *loop, struct watch *watch)
{
	close(watch->fd);             /* the last one of its file, which epoll forgets then */
	watch->fd = -1;
	drop_events(loop, watch);
}

void loop_defer_free(struct loop *loop, void *object)
{
	if (loop->garbage_count == loop->garbage_room) {
		loop->garbage_room = loop->garbage_room ? 2 * loop->garbage_room : 64;
		loop->garbage = mem_resize(loop->garbage,
					   loop->garbage_room * sizeof(*loop->garbage));
	}
	loop->garbage[loop->garbage_count++] = object;
}

void loop_set_turn_hook(struct loop *loop, void (*hook)(void *context), void *context)
{
	loop->hook = hook;
	loop->hook_context = context;
}

static void collect_events(struct loop *loop, int wait_ms)
{
	int sleep_ms;

	if (!cds_list_empty(&loop->queue))
		wait_ms = 0;
	sleep_ms = wait_ms ? timer_sleep_ms(&loop->wheel, loop_now_ms(loop)) : -1;
	if (sleep_ms >= 0 && (wait_ms < 0 || sleep_ms < wait_ms))
		wait_ms = sleep_ms;
	loop->event_count = epoll_wait(loop->epoll_fd, loop->events, EVENTS_PER_TURN, wait_ms);
	must(loop->event_count >= 0 || errno == EINTR);
	loop->now_ns = clock_ns();
	for (loop->event_next = 0; loop->event_next < loop->event_count;) {
		struct epoll_event *event = &loop->events[loop->event_next++];
		struct watch *watch = event->data.ptr;

		if (watch)
			watch->on_event(watch, event->events);
	}
}

static void wake_due(struct loop *loop)
{
	struct cds_list_head due, *at, *next;

	CDS_INIT_LIST_HEAD(&due);
	timer_turn(&loop->wheel, loop_now_ms(loop), &due);
	cds_list_for_each_safe(at, next, &due) {
		cds_list_del_init(at);
		task_wake(loop, caa_container_of(at, struct task, in_wheel));
	}
}

static void run_queue(struct loop *loop)
{
	for (int n = 0; n < TASKS_PER_TURN && !cds_list_empty(&loop->queue); n++) {
		struct task *task = cds_list_first_entry(&loop->queue, struct task, in_queue);

		cds_list_del_init(&task->in_queue);
		task->run(task);
	}
}

void loop_turn(struct loop *loop, int wait_ms)
{
	collect_events(loop, wait_ms);
	wake_due(loop);
	run_queue(loop);
	if (loop->hook)
		loop->hook(loop->hook_context);
	free_garbage(loop);
}

void loop_run(struct loop *loop)
{
	loop->is_stopping = false;
	while (!loop->is_stopping)
		loop_turn(loop, -1);
}

void loop_stop(struct loop *loop)
{
	loop->is_stopping = true;
}
