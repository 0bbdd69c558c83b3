/*
 * net/listener.c - accepts from a shared listening socket.
 */
#include "net/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

#define ACCEPTS_PER_RUN 16            /* leave some to the other workers */
#define KEEP_ALIVE_S    15
#define BACK_OFF_MS     50            /* after a fault of this machine: no descriptor, no memory */

struct listener {
	struct task task;
	struct watch watch;
	struct loop *loop;            /* borrowed */
	const char *kind;             /* borrowed */
	listener_accept_fn *on_accept;
	void *context;
	struct log_limit limit;
	bool is_watched;
};

static void listener_on_event(struct watch *watch, uint32_t events)
{
	struct listener *l = caa_container_of(watch, struct listener, watch);

	(void)events;
	task_wake(l->loop, &l->task);
}

/* What is accepted inherits them (tcp(7), socket(7)). */
static void set_options(int fd)
{
	int on = 1, seconds = KEEP_ALIVE_S;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof(seconds));
}

static bool is_about_the_peer(int error)
{
	return error == ECONNABORTED || error == EINTR || error == EPROTO || error == ENETDOWN ||
	       error == EHOSTUNREACH || error == ENETUNREACH;
}

static void back_off(struct listener *l, int error)
{
	uint64_t suppressed;

	if (log_limit_allows(&l->limit, &suppressed))
		log_warn("accept-failed", "listener=%s error=%s suppressed=%llu", l->kind,
			 strerror(error), (unsigned long long)suppressed);
	listener_pause(l);
	task_set_deadline(l->loop, &l->task, loop_now_ms(l->loop) + BACK_OFF_MS);
}

static void listener_run(struct task *task)
{
	struct listener *l = caa_container_of(task, struct listener, task);

	if (task_is_due(l->loop, task))
		listener_resume(l);
	for (int i = 0; i < ACCEPTS_PER_RUN && l->is_watched; i++) {
		struct addr peer = { .len = sizeof(peer.in6) };
		int fd = accept4(l->watch.fd, &peer.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			l->on_accept(l->context, l, fd, &peer);
		} else if (errno == EAGAIN) {
			return;
		} else if (!is_about_the_peer(errno)) {
			back_off(l, errno);
			return;
		}
	}
}

struct listener *listener_create(struct loop *loop, int fd, const char *kind,
				 listener_accept_fn *on_accept, void *context)
{
	struct listener *l = mem_zalloc(sizeof(*l));

	*l = (struct listener){
		.watch = { listener_on_event, fd }, .loop = loop, .kind = kind,
		.on_accept = on_accept, .context = context, .limit = { .per_second = 1 },
	};
	task_init(&l->task, listener_run);
	set_options(fd);
	listener_resume(l);
	if (l->is_watched)
		return l;
	free(l);
	return NULL;
}

const char *listener_kind(const struct listener *listener)
{
	return listener->kind;
}

void listener_pause(struct listener *listener)
{
	if (!listener->is_watched)
		return;
	loop_unwatch(listener->loop, &listener->watch);
	listener->is_watched = false;
}

void listener_resume(struct listener *listener)
{
	task_set_deadline(listener->loop, &listener->task, 0);
	if (!listener->is_watched)
		listener->is_watched = loop_watch(listener->loop, &listener->watch,
						  EPOLLIN | EPOLLEXCLUSIVE) == 0;
}

void listener_destroy(struct listener *listener)
{
	if (!listener)
		return;
	listener_pause(listener);
	task_fini(listener->loop, &listener->task);
	close(listener->watch.fd);
	loop_defer_free(listener->loop, listener);
}
