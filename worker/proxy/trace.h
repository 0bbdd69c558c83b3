/*
 * proxy/trace.h - to which trace a request belongs: Zipkin's B3 fields, W3C's
 * trace context, and the X-Vcap-Request-Id that follows from them (spec proxy
 * 5.2 to 5.4).  The step is declared in steps.h.
 */
#ifndef PROXY_TRACE_H
#define PROXY_TRACE_H

#include "proxy/exchange.h"

/* Terminated; for "trace-id" and "span-id" of log lines about a request. */
struct trace_ids {
	char trace[33], span[17];
};

/* Without trace fields the ids are made of the request id: its 32 digits, and
 * the last 16 of them.  After the step only. */
void trace_ids(const struct exchange *x, struct trace_ids *out);

#endif
