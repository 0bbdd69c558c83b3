/*
 * registrar/link.h - the connection to one NATS server at one address, kept for ever
 * by two threads of its own: the keeper resolves, connects, confirms, pings and starts
 * anew; the reader reads.  So a server that hangs, be it in a TLS handshake,
 * holds up nobody else.  nats.c's own reconnecting and pinging are off: each
 * connection is a new object, and the old one is destroyed a minute later,
 * because the library may still be calling back into it.
 */
#ifndef REGISTRAR_LINK_H
#define REGISTRAR_LINK_H

#include "registrar/config.h"
#include "registrar/session.h"

struct link;

/* What all links have in common. */
struct link_common {
	const struct nats_settings *settings;
	struct names *names;
	struct inbox *inbox;
	struct greets *greets;
	const char *probe_subject;    /* "_r.probe.GUID.*" */
};

/* Starts to connect; nothing may wait until link_set_pending_limit().  What is common is
 * borrowed until link_close(). */
struct link *link_open(const struct link_common *common, unsigned server, unsigned source);

/* link_stop() asks, link_close() waits; false: the resolver still holds a thread, and the
 * process should end soon.  link_destroy() after that, when neither a batch of it is left
 * nor the library can call back. */
void link_stop(struct link *link);
bool link_close(struct link *link);
void link_destroy(struct link *link);

struct link_state {
	bool is_connected;            /* and its subscriptions are confirmed */
	bool is_lame;
	bool is_stray;                /* the name has no address left for it */
	uint64_t connects;            /* how often is_connected became true */
	uint64_t dropped, pending_bytes;
	uint64_t refused;             /* publishes or subscriptions that it did not permit */
};
void link_state(const struct link *link, struct link_state *out);

/* To be called now and then: interrupts a connecting that takes much longer than its
 * timeout (the library has none for TLS handshakes). */
void link_watch(struct link *link, uint64_t now_ms);

/* The server's name as it is shown, without credentials; good as long as the link. */
const char *link_name(const struct link *link);

/* Any thread, never blocks on the network.  False: not connected. */
bool link_publish(struct link *link, const char *subject, const void *bytes, size_t len);

/* How many bytes of its messages may wait to be read; the rest is dropped. */
void link_set_pending_limit(struct link *link, uint64_t bytes);

/* Whether registrations are wanted through it (from the start: yes). */
void link_set_feed(struct link *link, bool is_wanted);

#endif
