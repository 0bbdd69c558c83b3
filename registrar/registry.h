/*
 * registrar/registry.h - what registrations do to the table: sharding, lifetimes,
 * adding, removing, and heartbeats that repeat a known message byte by byte,
 * which are never parsed.  Counts and logs every outcome.
 */
#ifndef REGISTRAR_REGISTRY_H
#define REGISTRAR_REGISTRY_H

#include "registrar/bus_message.h"
#include "registrar/reading.h"
#include "registrar/trust.h"

struct registry;

/* Everything is borrowed. */
struct registry *registry_create(struct trust *trust, struct route_writer *writer,
				 uint64_t *counters);
void registry_destroy(struct registry *registry);

/* True if endpoints of this isolation segment are for this router. */
bool registry_is_in_shard(const struct registrar_settings *settings, struct str segment);

/* Rules, good as long as the registry, if most of what this server brought last had to be
 * read: then what waits is better read meanwhile.  NULL: most repeats what is known, and its
 * bytes are not looked at. */
const struct reading_rules *registry_read_ahead(const struct registry *registry, unsigned source);

/* Messages of one server in the order in which they came: registrations, with their
 * hashes and perhaps their readings, and unregistrations. */
void registry_take(struct registry *registry, const struct bus_message *run, unsigned count,
		   uint32_t tick);

#endif
