/*
 * master/daemon.h - going to the background: the program that the operator
 * started waits until the master is up and passes on how that went.
 */
#ifndef MASTER_DAEMON_H
#define MASTER_DAEMON_H

struct daemon {
	int fd;                       /* to the waiting parent; -1: none */
};

#define DAEMON_NONE ((struct daemon){ .fd = -1 })

/* Forks into a new session.  Returns in the child only; the parent exits 0
 * after daemon_ready(), 1 if the child ends before that.  -errno: no fork. */
int daemon_begin(struct daemon *daemon);

/* Lets the parent go; nothing if there is none. */
void daemon_ready(struct daemon *daemon);

#endif
