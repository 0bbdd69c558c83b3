/*
 * registrar/registry.h - what registrations do to the table: sharding, lifetimes,
 * adding, removing, and heartbeats that repeat a known message byte by byte,
 * which are never parsed.  Counts and logs every outcome.
 */
#ifndef REGISTRAR_REGISTRY_H
#define REGISTRAR_REGISTRY_H

#include "registrar/trust.h"

struct registry;

/* Everything is borrowed. */
struct registry *registry_create(struct trust *trust, struct route_writer *writer,
				 uint64_t *counters);
void registry_destroy(struct registry *registry);

/* True if endpoints of this isolation segment are for this router. */
bool registry_is_in_shard(const struct registrar_settings *settings, struct str segment);

/* One raw message, received through server `source` (sources.h) at `tick`. */
void registry_register(struct registry *registry, unsigned source, struct str payload,
		       uint32_t tick);

/* The same in steps, for many: hash them, fetch the memory that they need, so that waits for
 * it overlap, and then register each. */
struct hash128 registry_hash(const struct registry *registry, struct str payload);
void registry_fetch(const struct registry *registry, const struct hash128 *hashes, unsigned count);
void registry_register_hashed(struct registry *registry, unsigned source, struct str payload,
			      struct hash128 hash, uint32_t tick);

void registry_unregister(struct registry *registry, unsigned source, struct str payload,
			 uint32_t tick);

#endif
