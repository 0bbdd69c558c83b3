/*
 * worker/config.h - the `worker` section: fills the settings structs that
 * upstream and proxy declare.  Used by main.c and worker.c.
 */
#ifndef WORKER_CONFIG_H
#define WORKER_CONFIG_H

#include "base/config.h"
#include "proxy/proxy.h"
#include "worker/tls_config.h"

struct worker_config {
	struct instance instance;
	uint64_t orphan_timeout_ms;   /* the master died: how long requests may go on */
	struct proxy_settings proxy;
	struct upstream_settings upstream;
	struct balancer_settings balancer;
	struct tls_config tls;
	struct access_settings access_log;
};

/* 0, or -errno with a reason and nothing to free. */
int worker_config_read(const char *path, struct worker_config *out, struct reason *reason);
void worker_config_free(struct worker_config *config);

#endif
