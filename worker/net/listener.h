/*
 * net/listener.h - accepts from one shared listening descriptor, which the
 * master owns.  EPOLLEXCLUSIVE, so one arrival does not wake every worker.
 * Without descriptors left it rests for a moment instead of spinning.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "net/loop.h"

struct listener;

/* Takes over the accepted descriptor (non-blocking, close-on-exec). */
typedef void listener_accept_fn(void *context, int kind, int fd);

/* `fd` stays the caller's; `kind` is passed on.  NULL: errno says why. */
struct listener *listener_create(struct loop *loop, int fd, int kind,
				 listener_accept_fn *on_accept, void *context);
void listener_destroy(struct listener *listener);     /* NULL is allowed */

#endif
