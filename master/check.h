/*
 * master/check.h - asks each program of ours whether it understands the
 * configuration: `wye-worker -t -c FILE`, `wye-registrar -t -c FILE`, both at
 * once.  So the master checks everything without knowing what any of it means.
 */
#ifndef MASTER_CHECK_H
#define MASTER_CHECK_H

#include "master/config.h"

/* 0 if both are content; else -errno with the first line that a program wrote
 * to its standard error as the reason.  -EINTR: SIGTERM or SIGINT is pending
 * (the caller has them blocked).  Waits 10 s at most. */
int check_programs(const struct master_config *config, struct reason *reason);

#endif
