/*
 * net/listener.c - accepting.
 */
#include "net/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"

#define ACCEPTS_PER_WAKE 16           /* then the other workers get their chance */
#define REST_MS          100

struct listener {
	struct watch watch;
	struct task task;
	struct loop *loop;            /* borrowed */
	listener_accept_fn *on_accept;
	void *context;                /* borrowed */
	int kind;
};

static void on_event(struct watch *watch, uint32_t events)
{
	struct listener *listener = caa_container_of(watch, struct listener, watch);

	(void)events;
	if (!listener->task.deadline_ms)
		task_wake(listener->loop, &listener->task);
}

static int watch_arrivals(struct listener *listener)
{
	return loop_watch(listener->loop, &listener->watch, EPOLLIN | EPOLLEXCLUSIVE);
}

/* Unwatched while it rests: the level-triggered arrival would spin. */
static void rest_after(struct listener *listener, int error)
{
	log_warn("accept failed", "errno=%d rest_ms=%d", error, REST_MS);
	loop_unwatch(listener->loop, &listener->watch);
	task_set_deadline(listener->loop, &listener->task, loop_now_ms(listener->loop) + REST_MS);
}

static void listener_run(struct task *task)
{
	struct listener *listener = caa_container_of(task, struct listener, task);

	if (task->deadline_ms) {
		if (!task_is_due(listener->loop, task))
			return;
		task_set_deadline(listener->loop, task, 0);
		if (watch_arrivals(listener) < 0) {
			task_set_deadline(listener->loop, task,
					  loop_now_ms(listener->loop) + REST_MS);
			return;
		}
	}
	for (int i = 0; i < ACCEPTS_PER_WAKE; i++) {
		int fd = accept4(listener->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			listener->on_accept(listener->context, listener->kind, fd);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			rest_after(listener, errno);
		return;
	}
}

struct listener *listener_create(struct loop *loop, int fd, int kind,
				 listener_accept_fn *on_accept, void *context)
{
	struct listener *listener = mem_zalloc(sizeof(*listener));
	int status;

	listener->watch = (struct watch){ on_event, fd };
	listener->loop = loop;
	listener->on_accept = on_accept;
	listener->context = context;
	listener->kind = kind;
	task_init(&listener->task, listener_run);
	status = watch_arrivals(listener);
	if (status < 0) {
		free(listener);
		errno = -status;
		return NULL;
	}
	return listener;
}

void listener_destroy(struct listener *listener)
{
	if (!listener)
		return;
	loop_unwatch(listener->loop, &listener->watch);
	task_fini(listener->loop, &listener->task);
	loop_defer_free(listener->loop, listener);
}
