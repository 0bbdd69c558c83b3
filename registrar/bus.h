/*
 * registrar/bus.h - the NATS connection.  A thread of its own connects and
 * reconnects for ever; what arrives is queued, bounded in bytes, and read by the
 * registrar's loop when bus_fd() is readable.  Knows nothing of the table.
 */
#ifndef REGISTRAR_BUS_H
#define REGISTRAR_BUS_H

#include "registrar/config.h"

struct bus;

enum bus_subject { BUS_REGISTER, BUS_UNREGISTER, BUS_GREET, BUS_SUBJECTS };

struct bus_message {
	enum bus_subject subject;
	unsigned source;              /* which server brought it */
	struct str payload, reply;
};

/* `greeting` is published as router.start once the subscriptions are confirmed,
 * after every reconnect too; borrowed until bus_close(). */
int bus_open(const struct nats_settings *settings, const char *greeting, struct bus **out,
	     struct reason *reason);
void bus_close(struct bus *bus);

int bus_fd(const struct bus *bus);
bool bus_is_connected(const struct bus *bus);

/* Clears the readiness of bus_fd(); call before bus_next(). */
void bus_acknowledge(struct bus *bus);

/* The next message, in order of arrival, or NULL.  Freed with bus_free(). */
struct bus_message *bus_next(struct bus *bus);
void bus_free(struct bus *bus, struct bus_message *message);

/* Answers a greet. */
void bus_greet(struct bus *bus, struct str reply);

/* Totals since bus_open(). */
uint64_t bus_dropped(const struct bus *bus);
uint64_t bus_reconnects(const struct bus *bus);

#endif
