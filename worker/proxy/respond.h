/*
 * proxy/respond.h - answers of our own (spec proxy section 16).  Each prepares
 * x->response and x->local_body and moves the exchange to X_RESPOND; nothing
 * must have been answered yet.
 */
#ifndef PROXY_RESPOND_H
#define PROXY_RESPOND_H

#include "proxy/exchange.h"

/* Gorouter's error writer: "404 Not Found: MESSAGE\n".  router_error goes into
 * X-Cf-RouterError, empty: none. */
enum step respond_error(struct exchange *x, unsigned status, struct str router_error,
			struct str message);

/* The same shape with a body that stands already (section 9). */
enum step respond_failure(struct exchange *x, unsigned status, struct str router_error,
			  struct str body);

/* Any other body; empty: Content-Length 0. */
enum step respond_text(struct exchange *x, unsigned status, struct str body);

/* A request that was refused before it became one (section 2): the words follow
 * status line and body after a colon; the connection ends. */
enum step respond_refusal(struct exchange *x, unsigned status, struct str words);

/* Adds a field to the prepared answer. */
void respond_add(struct exchange *x, struct str name, struct str value);

#endif
