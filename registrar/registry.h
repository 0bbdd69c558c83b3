/*
 * registrar/registry.h - what registrations do to the table: sharding, lifetimes,
 * adding, removing, and heartbeats that repeat a known message byte by byte,
 * which are never parsed.  Counts and logs every outcome.
 */
#ifndef REGISTRAR_REGISTRY_H
#define REGISTRAR_REGISTRY_H

#include "registrar/bus_message.h"
#include "registrar/trust.h"

struct registry;

/* Everything is borrowed. */
struct registry *registry_create(struct trust *trust, struct route_writer *writer,
				 uint64_t *counters);
void registry_destroy(struct registry *registry);

/* True if endpoints of this isolation segment are for this router. */
bool registry_is_in_shard(const struct registrar_settings *settings, struct str segment);

/* A message that came at `tick`, its hash included. */
void registry_register(struct registry *registry, const struct bus_message *message, uint32_t tick);
void registry_unregister(struct registry *registry, const struct bus_message *message,
			 uint32_t tick);

/* Before a row of them: fetches the memory that they need, so that waits for it overlap. */
void registry_fetch(const struct registry *registry, const struct bus_message *run,
		    unsigned count);

#endif
