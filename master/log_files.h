/*
 * master/log_files.h - the two log files.  Only the master opens them, with the
 * rights that it has; children get descriptors and new ones after a rotation.
 */
#ifndef MASTER_LOG_FILES_H
#define MASTER_LOG_FILES_H

#include "base/config.h"

struct log_files {
	int access_log;               /* -1: none configured */
	bool has_log;                 /* descriptor 1 is a file of ours */
};

#define LOG_FILES_NONE ((struct log_files){ .access_log = -1 })

/* Opens what `instance` names for appending (0640), then puts the component log
 * on descriptors 1 and 2 and replaces files->access_log.  0, or -errno with a
 * reason and everything as it was. */
int log_files_open(struct log_files *files, const struct instance *instance, struct reason *reason);

#endif
