/*
 * net/loop.h - one event loop per worker: epoll, run queue, timer wheel,
 * deferred frees.  A turn: collect events (which only set bits and wake tasks),
 * run tasks until the queue is empty, free what was given to
 * loop_defer_free(), sleep until the next event or deadline.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "net/task.h"

struct loop;

struct loop *loop_create(void);
void loop_destroy(struct loop *loop);

/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* One turn that waits at most `wait_ms` (-1: until something happens). */
void loop_turn(struct loop *loop, int wait_ms);

/* The time of this turn: read once, after waiting. */
uint64_t loop_now_ms(const struct loop *loop);
uint64_t loop_now_ns(const struct loop *loop);

/* The same moment by the wall clock; its drift is followed once a second. */
uint64_t loop_wall_ns(struct loop *loop);

/* A watched descriptor; embedded in its user.  on_event runs while events are
 * collected: it may note bits and wake tasks, nothing else. */
struct watch;
typedef void watch_fn(struct watch *watch, uint32_t epoll_events);
struct watch {
	watch_fn *on_event;
	int fd;
};

/* Flags are epoll's.  0 or -errno. */
int loop_watch(struct loop *loop, struct watch *watch, uint32_t epoll_events);

/* Before the descriptor is closed; no event of it is delivered afterwards, not
 * even one that was already collected. */
void loop_unwatch(struct loop *loop, struct watch *watch);

/* The same, and closes the descriptor, of which there is no duplicate; sets it
 * to -1. */
void loop_close(struct loop *loop, struct watch *watch);

/* Calls free() at the end of the turn, when nobody on the stack or in the event
 * list can still look at the object. */
void loop_defer_free(struct loop *loop, void *object);

/* Called at the end of every turn, before sleeping. */
void loop_set_turn_hook(struct loop *loop, void (*hook)(void *context), void *context);

#endif
