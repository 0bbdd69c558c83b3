/*
 * worker/config_headers.h - the settings of header fields that are groups and
 * lists of their own inside `worker.proxy`: tracing and http_rewrite.  Used by
 * config.c only.
 */
#ifndef WORKER_CONFIG_HEADERS_H
#define WORKER_CONFIG_HEADERS_H

#include "base/config.h"
#include "proxy/header_settings.h"

/* 0, or -errno with a reason and nothing to free. */
int config_headers_read(const struct config *file, struct header_settings *out,
			struct reason *reason);

/* Frees what config_headers_read() has filled and nothing else. */
void config_headers_free(struct header_settings *settings);

#endif
