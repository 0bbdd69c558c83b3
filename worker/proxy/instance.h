/*
 * proxy/instance.h - requests for one instance of an app: X-Cf-App-Instance and
 * X-Cf-Process-Instance (spec proxy 5.9, spec control 3.6).  The step that reads
 * them is declared in steps.h.
 */
#ifndef PROXY_INSTANCE_H
#define PROXY_INSTANCE_H

#include "proxy/exchange.h"

/* The answer to a request for an instance that its route does not have. */
enum step instance_reject(struct exchange *x);

#endif
