/*
 * proxy/downstream.h - one client connection: it waits for requests, hands each
 * to an exchange, and closes so that the last answer arrives.
 */
#ifndef PROXY_DOWNSTREAM_H
#define PROXY_DOWNSTREAM_H

#include "http/mux.h"
#include "net/listener.h"

struct proxy;
struct exchange;
struct downstream;

/* The port that it was accepted on. */
enum downstream_kind { DOWNSTREAM_HTTP, DOWNSTREAM_HTTPS, DOWNSTREAM_STATUS };

/* Owns the descriptor. */
void downstream_create(struct proxy *proxy, int fd, const struct addr *peer,
		       enum downstream_kind kind);

/* No request after the one that is being answered; an idle connection may still
 * bring one for a while (settings.drain_idle_ms). */
void downstream_drain(struct downstream *downstream);

/* Closes at once, with what it carries. */
void downstream_cut(struct downstream *downstream);

/* The client's address; valid as long as the downstream. */
const struct addr *downstream_peer(const struct downstream *downstream);
bool downstream_is_status(const struct downstream *downstream);

/* Its connection, for what TLS knows of the client. */
const struct conn *downstream_conn(const struct downstream *downstream);

/* Called by the exchange of its stream as the last thing, before stream_close(). */
void downstream_release(struct downstream *downstream);

/* For lists of them: the next after `at` (NULL: the first), or NULL. */
struct downstream *downstream_next(struct proxy *proxy, struct downstream *at);

#endif
