/*
 * proxy/sticky.h - sticky sessions: a client with a session goes to the instance
 * that has it, and learns which one that is from the cookie __VCAP_ID__ (spec
 * proxy 13, spec control 3.2, with weakness 19.21 mended: a cookie names an
 * instance, never an address).  The step that reads the request's cookies is
 * declared in steps.h.
 */
#ifndef PROXY_STICKY_H
#define PROXY_STICKY_H

#include "proxy/exchange.h"

/* After every balancer_pick() of the exchange. */
void sticky_note_pick(struct exchange *x);

/* Adds __VCAP_ID__ to an answer that begins or moves a session.  It names the
 * endpoint that gave this answer, whoever was tried before. */
void sticky_set_cookie(struct exchange *x);

#endif
