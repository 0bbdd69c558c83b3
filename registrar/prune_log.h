/*
 * registrar/prune_log.h - what pruning says.  prune.c only.
 */
#ifndef REGISTRAR_PRUNE_LOG_H
#define REGISTRAR_PRUNE_LOG_H

#include "shm/endpoint_live.h"
#include "shm/route_writer.h"

void log_pruned(const struct entry_view *entry, uint32_t age_s);

/* An event about one endpoint, tags included: prune-failed-endpoint and the like. */
void log_failure(const char *event, const struct endpoint *endpoint, struct str code,
		 unsigned error);

#endif
