/*
 * master/listener.h - the listening sockets.  They belong to the master and are
 * shared by all generations: a reload keeps those whose address stays, so no
 * connection in an accept queue is lost.  The master never accepts.
 */
#ifndef MASTER_LISTENER_H
#define MASTER_LISTENER_H

#include "master/config.h"

struct listener {
	char kind[16];
	struct addr addr;
	int fd;                       /* shared with every set that has this address */
};

struct listeners {
	struct listener items[PROCESS_LISTENERS_MAX];
	unsigned count;
};

/* Fills *out with a socket for each configured listener: the one that `old` has
 * at this address (NULL: none), or a new one.  0, or -errno with a reason and
 * nothing new left open. */
int listeners_open(const struct master_config *config, const struct listeners *old,
		   struct listeners *out, struct reason *reason);

/* Closes the sockets of `set` that `keep` (NULL: nothing) does not have. */
void listeners_close(struct listeners *set, const struct listeners *keep);

#endif
