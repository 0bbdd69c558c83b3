/*
 * master/pid_file.c - lock, write, remove.
 */
#include "master/pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static long pid_in(int fd)
{
	char text[32] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		return 0;
	return strtol(text, NULL, 10);
}

/* The previous owner may have removed the name between our open and our lock. */
static bool is_still_named(int fd, const char *path)
{
	struct stat ours, named;

	return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_ino == named.st_ino &&
	       ours.st_dev == named.st_dev;
}

int pid_file_open(struct pid_file *file, const char *path, struct reason *reason)
{
	*file = (struct pid_file){ .path = NULL, .fd = -1 };
	if (!*path)
		return 0;
	for (;;) {
		int rc, fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

		if (fd < 0)
			return reason_set(reason, -errno, "pid file %s cannot be opened: %s", path,
					  strerror(errno));
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
			reason_set(reason, rc, "pid file %s is held by a running master, pid %ld", path,
				   pid_in(fd));
			close(fd);
			return rc;
		}
		if (is_still_named(fd, path)) {
			*file = (struct pid_file){ .path = mem_strdup(str_of(path)), .fd = fd };
			return 0;
		}
		close(fd);
	}
}

int pid_file_write(struct pid_file *file)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (file->fd < 0)
		return 0;
	if (ftruncate(file->fd, 0) < 0 || pwrite(file->fd, text, (size_t)n, 0) != n)
		return -errno;
	return 0;
}

void pid_file_remove(struct pid_file *file)
{
	if (file->fd < 0)
		return;
	unlink(file->path);
	close(file->fd);
	free(file->path);
	file->path = NULL;
	file->fd = -1;
}
