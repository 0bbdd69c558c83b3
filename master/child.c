/*
 * master/child.c - the master's side of base/process.h.
 */
#include "master/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"

extern char **environ;

#define FD_END (PROCESS_FD_LISTENER + PROCESS_LISTENERS_MAX)

/* Everything a child needs, made before fork(): between fork and exec only
 * async-signal-safe calls are allowed. */
struct launch {
	char program[4096];
	char *argv[4];
	char *environment[512];
	char slot[32], generation[40], user[48];
	char listeners[64 + PROCESS_LISTENERS_MAX * 28];
	int sources[FD_END];          /* descriptor N of the child is our sources[N]; -1: none */
	int fd_count;
	int death_signal;
};

const char *child_kind_name(enum child_kind kind)
{
	return kind == CHILD_WORKER ? "worker" : "registrar";
}

static void build_listeners(struct launch *launch, const struct listeners *set)
{
	size_t n = (size_t)snprintf(launch->listeners, sizeof(launch->listeners), "WYE_LISTENERS=");

	for (unsigned i = 0; set && i < set->count; i++) {
		launch->sources[launch->fd_count] = set->items[i].fd;
		n += (size_t)snprintf(launch->listeners + n, sizeof(launch->listeners) - n, "%s%s=%d",
				      i ? "," : "", set->items[i].kind, launch->fd_count);
		launch->fd_count++;
	}
}

static void build_environment(struct launch *launch, const struct child_spec *spec)
{
	size_t n = 0;

	for (char **e = environ; *e && n < ARRAY_SIZE(launch->environment) - 5; e++)
		if (strncmp(*e, "WYE_", 4) != 0)
			launch->environment[n++] = *e;
	snprintf(launch->slot, sizeof(launch->slot), "WYE_SLOT=%u", spec->slot);
	snprintf(launch->generation, sizeof(launch->generation), "WYE_GENERATION=%u",
		 spec->generation);
	launch->environment[n++] = launch->slot;
	launch->environment[n++] = launch->generation;
	launch->environment[n++] = launch->listeners;
	if (geteuid() == 0) {
		snprintf(launch->user, sizeof(launch->user), "WYE_USER=%u:%u",
			 (unsigned)spec->config->uid, (unsigned)spec->config->gid);
		launch->environment[n++] = launch->user;
	}
	launch->environment[n] = NULL;
}

static void build_launch(struct launch *launch, const struct child_spec *spec, int status_fd)
{
	bool is_worker = spec->kind == CHILD_WORKER;

	master_config_program(spec->config, is_worker ? "wye-worker" : "wye-registrar",
			      launch->program, sizeof(launch->program));
	launch->argv[0] = launch->program;
	launch->argv[1] = "-c";
	launch->argv[2] = spec->config->path;
	launch->argv[3] = NULL;
	for (int fd = 0; fd < FD_END; fd++)
		launch->sources[fd] = fd <= STDERR_FILENO ? fd : -1;
	launch->sources[PROCESS_FD_STATUS] = status_fd;
	launch->sources[PROCESS_FD_TABLE] = spec->table;
	launch->sources[PROCESS_FD_BOARD] = spec->board;
	launch->sources[PROCESS_FD_EVENTS] = spec->events;
	launch->sources[PROCESS_FD_ACCESS_LOG] = spec->access_log;
	launch->sources[PROCESS_FD_TICKET_KEYS] = spec->ticket_keys;
	launch->fd_count = PROCESS_FD_LISTENER;
	build_listeners(launch, spec->listeners);
	build_environment(launch, spec);
	launch->death_signal = is_worker ? SIGUSR1 : SIGTERM;
}

/* Our descriptors may lie where the child's have to go, so all move out of the
 * way first.  Async-signal-safe. */
static int place_descriptors(struct launch *launch)
{
	for (int fd = PROCESS_FD_STATUS; fd < launch->fd_count; fd++) {
		if (launch->sources[fd] < 0)
			continue;
		launch->sources[fd] = fcntl(launch->sources[fd], F_DUPFD_CLOEXEC, FD_END);
		if (launch->sources[fd] < 0)
			return -1;
	}
	for (int fd = PROCESS_FD_STATUS; fd < launch->fd_count; fd++) {
		if (launch->sources[fd] < 0)
			close(fd);
		else if (dup2(launch->sources[fd], fd) < 0)
			return -1;
	}
	return close_range((unsigned)launch->fd_count, ~0u, 0);
}

/* In the child, between fork and exec. */
static void become_program(struct launch *launch, pid_t master)
{
	static const char fault[] = "wye: a child cannot be started: exec failed\n";
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, number == SIGINT || number == SIGHUP ? SIG_IGN : SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, launch->death_signal, 0, 0, 0);
	if (getppid() == master && place_descriptors(launch) == 0)
		execve(launch->program, launch->argv, launch->environment);
	if (write(STDERR_FILENO, fault, sizeof(fault) - 1) < 0)
		_exit(126);
	_exit(127);
}

int child_spawn(const struct child_spec *spec, struct child *out)
{
	struct launch *launch = mem_alloc(sizeof(*launch));
	pid_t pid, master = getpid();
	int pair[2], rc = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		rc = -errno;
		goto out;
	}
	build_launch(launch, spec, pair[1]);
	pid = fork();
	if (pid == 0)
		become_program(launch, master);
	rc = pid < 0 ? -errno : 0;
	close(pair[1]);
	if (rc < 0) {
		close(pair[0]);
		goto out;
	}
	*out = (struct child){
		.kind = spec->kind, .state = CHILD_STARTING, .pid = pid, .status_fd = pair[0],
		.slot = spec->slot, .generation = spec->generation, .started_ms = spec->now_ms,
	};
out:
	free(launch);
	return rc;
}

static bool take_notice(struct child *child, enum process_notice notice)
{
	if (notice == PROCESS_READY && child->state == CHILD_STARTING)
		child->state = CHILD_READY;
	else if (notice == PROCESS_DRAINING && child->state == CHILD_READY)
		child->state = CHILD_DRAINING;
	else
		return false;
	return true;
}

bool child_on_status(struct child *child)
{
	struct process_message message;
	bool has_changed = false;

	while (child->status_fd >= 0) {
		ssize_t n = recv(child->status_fd, &message, sizeof(message), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			close(child->status_fd);
			child->status_fd = -1;
		} else if (n == sizeof(message)) {
			has_changed |= take_notice(child, message.notice);
		}
	}
	return has_changed;
}

void child_drain(struct child *child)
{
	if (child->state == CHILD_STARTING) {
		child_stop(child);
	} else if (child->state == CHILD_READY || child->state == CHILD_DRAINING) {
		kill(child->pid, SIGUSR1);
		child->state = CHILD_DRAINING;
	}
}

void child_stop(struct child *child)
{
	if (child->state == CHILD_NONE)
		return;
	kill(child->pid, SIGTERM);
	child->state = CHILD_STOPPING;
}

void child_kill(const struct child *child)
{
	if (child->state != CHILD_NONE)
		kill(child->pid, SIGKILL);
}

int child_reopen(const struct child *child, const struct log_files *files)
{
	struct process_message message = { .notice = PROCESS_REOPEN, .generation = child->generation };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = { 0 };
	struct iovec part = { &message, sizeof(message) };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
	int fds[2];
	unsigned count = 0;

	if (files->has_log) {
		fds[count++] = STDOUT_FILENO;
		message.descriptors |= 1u;
	}
	if (files->access_log >= 0 && child->kind == CHILD_WORKER) {
		fds[count++] = files->access_log;
		message.descriptors |= 2u;
	}
	if (count == 0 || child->status_fd < 0)
		return 0;
	header.msg_control = control.bytes;
	header.msg_controllen = CMSG_SPACE(count * sizeof(int));
	control.align = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(count * sizeof(int)),
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
	};
	memcpy(CMSG_DATA(&control.align), fds, count * sizeof(int));
	return sendmsg(child->status_fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

void child_gone(struct child *child)
{
	if (child->status_fd >= 0)
		close(child->status_fd);
	*child = (struct child){ .status_fd = -1 };
}
