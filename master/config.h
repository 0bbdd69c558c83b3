/*
 * master/config.h - what the master reads from the configuration file: the
 * sections instance, log, access_log, table and master.  Each generation owns
 * the configuration that it was started from.  It opens nothing but the file.
 */
#ifndef MASTER_CONFIG_H
#define MASTER_CONFIG_H

#include <sys/types.h>

#include "base/addr.h"
#include "base/config.h"
#include "base/process.h"
#include "region.h"

struct listener_setting {
	char kind[16];                /* what the worker knows it as: "http", "status" */
	struct addr addr;
	unsigned backlog;
	char where[512];              /* FILE:LINE, for faults found when binding */
};

struct master_config {
	char *path;                   /* the file, absolute: children read it too */
	struct instance instance;

	uint64_t arena_bytes, worker_slots, log_ring_bytes, history_bytes;
	bool keep_table;

	char *user, *group, *pid_file, *programs;
	uint64_t workers, open_files;
	bool daemonize;
	uint64_t drain_wait_ms, drain_timeout_ms, stop_timeout_ms, start_timeout_ms, start_delay_ms;
	uint64_t stuck_timeout_ms, restart_delay_min_ms, restart_delay_max_ms;
	uint64_t ticket_key_ms;

	struct listener_setting listeners[PROCESS_LISTENERS_MAX];
	unsigned listener_count;
	uid_t uid;                    /* of `user` and `group` */
	gid_t gid;
};

/* Reads and checks everything that can be checked without acting.  On success
 * the caller owns *out; 0, or -errno with a reason that begins FILE:LINE. */
int master_config_load(const char *path, struct master_config **out, struct reason *reason);
void master_config_free(struct master_config *config);

/* A reload cannot change the shared objects or who we are.  0, or -EINVAL with
 * a reason that names the setting. */
int master_config_can_replace(const struct master_config *old, const struct master_config *new,
			      struct reason *reason);

/* The form that region_open() wants. */
struct region_spec master_config_region(const struct master_config *config);

/* The path of a program of ours, such as "wye-worker". */
void master_config_program(const struct master_config *config, const char *name, char *out,
			   size_t cap);

#endif
