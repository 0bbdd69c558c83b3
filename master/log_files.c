/*
 * master/log_files.c - open and reopen.
 */
#include "master/log_files.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int open_for_appending(const char *path, struct reason *reason)
{
	int fd;

	if (!*path)
		return -1;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	if (fd < 0)
		return reason_set(reason, -errno, "log file %s cannot be opened: %s", path,
				  strerror(errno));
	return fd;
}

int log_files_open(struct log_files *files, const struct instance *instance, struct reason *reason)
{
	bool has_log = *instance->log_file, has_access = *instance->access_log_file;
	int access = -1, log = open_for_appending(instance->log_file, reason);

	if (has_log && log < 0)
		return log;
	access = open_for_appending(instance->access_log_file, reason);
	if (has_access && access < 0) {
		if (has_log)
			close(log);
		return access;
	}
	if (has_log) {
		dup2(log, STDOUT_FILENO);
		dup2(log, STDERR_FILENO);
		close(log);
	}
	if (files->access_log >= 0)
		close(files->access_log);
	files->access_log = access;
	files->has_log = has_log;
	return 0;
}
