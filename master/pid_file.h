/*
 * master/pid_file.h - the file that tells init scripts who the master is.  Its
 * owner holds a lock on it, so a file left by a crash, or a pid that now belongs
 * to somebody else, is never mistaken for a running master.
 */
#ifndef MASTER_PID_FILE_H
#define MASTER_PID_FILE_H

#include "base/reason.h"

struct pid_file {
	char *path;                   /* owned; NULL: none */
	int fd;
};

/* Takes the lock on `path` ("": no pid file).  -EBUSY: a living master holds
 * it.  0, or -errno with a reason.  The pid is not in it yet. */
int pid_file_open(struct pid_file *file, const char *path, struct reason *reason);

/* Writes our pid: the instance is up.  0, or -errno. */
int pid_file_write(struct pid_file *file);

/* Removes the file and gives the lock up. */
void pid_file_remove(struct pid_file *file);

#endif
