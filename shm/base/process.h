/*
 * base/process.h - the contract between the master and its children: which
 * descriptors a child inherits, what it is told in its environment, the
 * messages on the status socket and what each signal means.  The functions are
 * the child's side; master/child.c is the other.
 *
 * Descriptors.  A child inherits exactly these; those that it has no use for
 * are closed.  All but the listeners are fixed numbers:
 *    0 /dev/null   1 component log   2 standard error
 *    3 status socket (SOCK_SEQPACKET; end of file: the master is gone)
 *    4 table: read-write for the registrar, opened read-only for workers
 *    5 board
 *    6 event pipe: workers write, the registrar reads (endpoint_event records)
 *    7 access log, opened for appending (workers only, if one is configured)
 *    8 keys of TLS session tickets (workers only; shm/ticket_keys.h)
 *    9 and up: listeners, named in WYE_LISTENERS
 *
 * Environment:
 *    WYE_SLOT=N            the child's slot on the board
 *    WYE_GENERATION=N      its generation
 *    WYE_LISTENERS=http=9,status=10     kind=descriptor, comma separated
 *    WYE_USER=uid:gid      to become once ready; unset: stay who we are
 *
 * Arguments: -c FILE (configuration), -t (check it, print the fault, exit 0 or 1).
 *
 * Signals to a child: SIGTERM stop now, exit 0.  SIGUSR1 drain, then exit 0
 * (repeated: harmless).  SIGHUP and SIGINT are ignored: the master speaks for
 * the terminal and the operator.
 *
 * Exit codes: 0 asked to go; 1 the configuration or the contract is wrong (a
 * reason was logged); anything else is a crash.
 */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/reason.h"

enum {
	PROCESS_FD_STATUS = 3,
	PROCESS_FD_TABLE,
	PROCESS_FD_BOARD,
	PROCESS_FD_EVENTS,
	PROCESS_FD_ACCESS_LOG,
	PROCESS_FD_TICKET_KEYS,
	PROCESS_FD_LISTENER,
};

#define PROCESS_LISTENERS_MAX 32

#define EXIT_CONFIG 1

/* The one message on the status socket, both ways; fixed size. */
enum process_notice {
	PROCESS_READY = 1,            /* child: serving (or subscribed) */
	PROCESS_DRAINING,             /* child: no longer accepting */
	PROCESS_REOPEN,               /* master: new log descriptors attached (SCM_RIGHTS) */
};

struct process_message {
	uint32_t notice;              /* enum process_notice */
	uint32_t generation;
	uint32_t pid;
	uint32_t descriptors;         /* REOPEN: bit 0 component log, bit 1 access log,
	                                 attached in this order */
};

struct process_listener {
	char kind[16];                /* "http", "https", "status" */
	int fd;
};

struct process {
	unsigned slot, generation;
	struct process_listener listeners[PROCESS_LISTENERS_MAX];
	unsigned listener_count;
	bool has_user;
	uid_t uid;
	gid_t gid;
};

/* Reads environment and descriptors as above, ignores SIGPIPE, SIGHUP, SIGINT,
 * and makes the status socket non-blocking.  0, or -EINVAL with a reason. */
int process_attach(struct process *process, struct reason *reason);

/* True if the descriptor was inherited. */
bool process_has_fd(int fd);

/* Gives up root if WYE_USER says so (groups, gid, uid, no new privileges), and
 * makes the process non-dumpable.  0, or -errno with a reason. */
int process_drop_privileges(const struct process *process, struct reason *reason);

/* Tells the master.  A master that is gone is not an error here. */
void process_notify(const struct process *process, enum process_notice notice);

/* What the master said on the status socket.  Call when it is readable, until
 * PROCESS_ORDER_NONE.  REOPEN has already replaced descriptors 1 and 7. */
enum process_order { PROCESS_ORDER_NONE, PROCESS_ORDER_REOPENED, PROCESS_ORDER_MASTER_GONE };
enum process_order process_next_order(const struct process *process);

#endif
