/*
 * master/daemon.c - fork, new session, report.
 */
#include "master/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int daemon_begin(struct daemon *daemon)
{
	char byte;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) == 1 ? 0 : 1);
	}
	close(ends[0]);
	setsid();
	daemon->fd = ends[1];
	return 0;
}

void daemon_ready(struct daemon *daemon)
{
	if (daemon->fd < 0)
		return;
	if (write(daemon->fd, "1", 1) == 1 || errno == EPIPE)
		close(daemon->fd);
	daemon->fd = -1;
}
