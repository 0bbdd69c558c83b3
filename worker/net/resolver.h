/*
 * net/resolver.h - names to addresses without waiting, for endpoints that were
 * registered by name.  Answers are kept for their time to live, between one
 * second and one minute; failures for a second.  Bounded; /etc/hosts counts.
 */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include "base/addr.h"
#include "net/conn.h"

struct resolver;

struct resolver *resolver_create(struct loop *loop);
void resolver_destroy(struct resolver *resolver);     /* NULL is allowed; nobody waits */

/* Asks these ("10.0.0.1:53,10.0.0.2:53") instead of those of /etc/resolv.conf.
 * 0, or -EINVAL. */
int resolver_use_servers(struct resolver *resolver, const char *servers);

/* IO_OK: *out is the address.  IO_AGAIN: not known yet, the task is woken when it
 * is; ask again then.  IO_ERROR: there is none, *error is ENOENT, or ETIMEDOUT
 * if nobody answered. */
enum io resolver_find(struct resolver *resolver, struct str name, uint16_t port,
		      struct task *task, struct addr *out, int *error);

/* This task waits no longer. */
void resolver_forget(struct resolver *resolver, struct task *task);

#endif
