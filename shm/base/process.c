/*
 * base/process.c - the child's side of the contract with the master.
 */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

bool process_has_fd(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int read_number(const char *name, unsigned *out, struct reason *reason)
{
	const char *text = getenv(name);
	uint64_t value;

	if (!text || !str_parse_u64(str_of(text), &value) || value > UINT32_MAX)
		return reason_set(reason, -EINVAL, "%s is not set to a number; this program is started by wye",
				  name);
	*out = (unsigned)value;
	return 0;
}

static int read_listener(struct str item, struct process_listener *out, struct reason *reason)
{
	ssize_t equals = str_find_char(item, '=');
	uint64_t fd;

	if (equals <= 0 || !str_parse_u64(str_sub(item, (size_t)equals + 1, STR_REST), &fd) ||
	    !str_copy_z(str_sub(item, 0, (size_t)equals), out->kind, sizeof(out->kind)) ||
	    fd > 65535 || !process_has_fd((int)fd))
		return reason_set(reason, -EINVAL, "WYE_LISTENERS has a bad entry \"%.*s\"",
				  STR_ARG(item));
	out->fd = (int)fd;
	return 0;
}

static int read_listeners(struct process *process, struct reason *reason)
{
	const char *text = getenv("WYE_LISTENERS");
	struct str rest = str_of(text ? text : ""), item;

	while (str_next_item(&rest, ',', &item)) {
		int rc;

		if (process->listener_count == PROCESS_LISTENERS_MAX)
			return reason_set(reason, -EINVAL, "more than %d listeners",
					  PROCESS_LISTENERS_MAX);
		rc = read_listener(item, &process->listeners[process->listener_count], reason);
		if (rc < 0)
			return rc;
		process->listener_count++;
	}
	return 0;
}

static int read_user(struct process *process, struct reason *reason)
{
	const char *text = getenv("WYE_USER");
	struct str rest = str_of(text ? text : ""), uid, gid;
	uint64_t u, g;

	if (!text)
		return 0;
	if (!str_next_item(&rest, ':', &uid) || !str_next_item(&rest, ':', &gid) ||
	    !str_parse_u64(uid, &u) || !str_parse_u64(gid, &g) || u >= UINT32_MAX || g >= UINT32_MAX)
		return reason_set(reason, -EINVAL, "WYE_USER is not uid:gid");
	process->has_user = true;
	process->uid = (uid_t)u;
	process->gid = (gid_t)g;
	return 0;
}

int process_attach(struct process *process, struct reason *reason)
{
	int rc;

	memset(process, 0, sizeof(*process));
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	if (!process_has_fd(PROCESS_FD_STATUS))
		return reason_set(reason, -EINVAL,
				  "descriptor %d is not open; this program is started by wye",
				  PROCESS_FD_STATUS);
	if ((rc = read_number("WYE_SLOT", &process->slot, reason)) < 0 ||
	    (rc = read_number("WYE_GENERATION", &process->generation, reason)) < 0 ||
	    (rc = read_listeners(process, reason)) < 0 ||
	    (rc = read_user(process, reason)) < 0)
		return rc;
	fcntl(PROCESS_FD_STATUS, F_SETFL, O_NONBLOCK);
	return 0;
}

int process_drop_privileges(const struct process *process, struct reason *reason)
{
	if (process->has_user && geteuid() == 0) {
		if (setgroups(0, NULL) < 0 || setgid(process->gid) < 0 || setuid(process->uid) < 0)
			return reason_set(reason, -errno, "cannot become uid %u gid %u: %s",
					  (unsigned)process->uid, (unsigned)process->gid,
					  strerror(errno));
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return 0;
}

void process_notify(const struct process *process, enum process_notice notice)
{
	struct process_message message = {
		.notice = notice, .generation = process->generation, .pid = (uint32_t)getpid(),
	};

	while (send(PROCESS_FD_STATUS, &message, sizeof(message), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

/* Puts the attached descriptors where the contract has them. */
static void take_descriptors(struct msghdr *header, uint32_t descriptors)
{
	static const int places[] = { STDOUT_FILENO, PROCESS_FD_ACCESS_LOG };
	struct cmsghdr *control = CMSG_FIRSTHDR(header);
	unsigned next = 0, count;
	int fds[ARRAY_SIZE(places)];

	if (!control || control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
		return;
	count = (unsigned)((control->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	if (count > ARRAY_SIZE(fds))
		count = ARRAY_SIZE(fds);
	memcpy(fds, CMSG_DATA(control), count * sizeof(int));
	for (unsigned i = 0; i < ARRAY_SIZE(places) && next < count; i++)
		if (descriptors & 1u << i)
			dup2(fds[next++], places[i]);
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
}

enum process_order process_next_order(const struct process *process)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct process_message message;
	struct iovec part = { &message, sizeof(message) };
	struct msghdr header = {
		.msg_iov = &part, .msg_iovlen = 1,
		.msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	(void)process;
	do
		n = recvmsg(PROCESS_FD_STATUS, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		return PROCESS_ORDER_MASTER_GONE;
	if (n < 0)
		return PROCESS_ORDER_NONE;
	if (n != sizeof(message) || message.notice != PROCESS_REOPEN)
		return process_next_order(process);
	take_descriptors(&header, message.descriptors);
	return PROCESS_ORDER_REOPENED;
}
