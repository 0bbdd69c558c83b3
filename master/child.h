/*
 * master/child.h - one child process: start it with exactly the descriptors and
 * environment of base/process.h, listen to its status socket, signal it.
 * Refilling a seat after a death is seat.h; what a death means is master.c.
 */
#ifndef MASTER_CHILD_H
#define MASTER_CHILD_H

#include "master/listener.h"
#include "master/log_files.h"

enum child_kind { CHILD_WORKER, CHILD_REGISTRAR };
enum child_state {
	CHILD_NONE,                   /* no process */
	CHILD_STARTING,
	CHILD_READY,
	CHILD_DRAINING,               /* it, or we, said so */
	CHILD_STOPPING,               /* told to stop now */
};

struct child {
	enum child_kind kind;
	enum child_state state;
	pid_t pid;
	int status_fd;                /* -1: the child closed it */
	unsigned slot, generation;
	uint64_t started_ms;
};

struct child_spec {
	enum child_kind kind;
	unsigned slot, generation;
	uint64_t now_ms;
	const struct master_config *config;     /* borrowed, as all below */
	const struct listeners *listeners;      /* workers only */
	int table, board, events, access_log, ticket_keys;      /* -1: none */
};

const char *child_kind_name(enum child_kind kind);

/* Forks and execs.  0, or -errno with no process and *out unchanged. */
int child_spawn(const struct child_spec *spec, struct child *out);

/* Reads the status socket; true if the child's state changed.  At end of file
 * the socket is closed. */
bool child_on_status(struct child *child);

/* SIGUSR1 to a ready child; one that is not ready yet is stopped instead. */
void child_drain(struct child *child);
void child_stop(struct child *child);
void child_kill(const struct child *child);

/* Sends the new log descriptors.  0, or -errno. */
int child_reopen(const struct child *child, const struct log_files *files);

/* After waitpid(): closes what is left and makes it CHILD_NONE. */
void child_gone(struct child *child);

#endif
