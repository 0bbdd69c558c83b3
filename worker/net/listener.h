/*
 * net/listener.h - accepts from an inherited listening socket that all workers
 * share (EPOLLEXCLUSIVE, level-triggered), several connections per wake-up.
 * Used by the worker; what becomes of a connection is its user's business.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "base/addr.h"
#include "net/loop.h"

struct listener;

/* Gets a connected, non-blocking, close-on-exec descriptor with no delay and
 * keep-alive set, and owns it. */
typedef void listener_accept_fn(void *context, struct listener *listener, int fd,
				const struct addr *peer);

/* `kind` as in struct process_listener.  NULL: the descriptor cannot be watched. */
struct listener *listener_create(struct loop *loop, int fd, const char *kind,
				 listener_accept_fn *on_accept, void *context);
const char *listener_kind(const struct listener *listener);

/* Leaves new connections in the backlog, for other workers; and takes them again. */
void listener_pause(struct listener *listener);
void listener_resume(struct listener *listener);

/* Stops accepting.  The socket stays open in the master. */
void listener_destroy(struct listener *listener);

#endif
