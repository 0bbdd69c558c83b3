/*
 * worker/worker.h - one worker process: attach, serve, drain, end.
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "worker/config.h"

/* Serves until it is told to go.  0, or -errno with a reason: the contract with
 * the master, or the shared objects, are not as they must be. */
int worker_run(const struct worker_config *config, struct reason *reason);

/* Reads the files that the configuration names.  0, or -errno with a reason. */
int worker_check(const struct worker_config *config, struct reason *reason);

#endif
