/*
 * proxy/attempt_log.h - what the component log says about attempts, in Gorouter's
 * names, levels and data (spec proxy section 15), with what we add to it: `code` of
 * the row, `host`, `not-retried`, and `suppressed`, because of each kind there are at
 * most 100 lines a second.  Used by exchange.c and retry.c.  Decides nothing.
 */
#ifndef PROXY_ATTEMPT_LOG_H
#define PROXY_ATTEMPT_LOG_H

#include "proxy/exchange.h"

/* An endpoint was chosen.  Debug lines. */
void attempt_log_begin(struct exchange *x);

/* The attempt failed, before it is dropped; x->failure_text says how.  `obstacle`: why
 * it is not made again, NULL: it is. */
void attempt_log_failure(struct exchange *x, enum failure failure, const char *obstacle);

/* No endpoint was there to be chosen; or all are at max_conns. */
void attempt_log_none_selected(const struct exchange *x, const char *error);
void attempt_log_limit_reached(const struct exchange *x);

#endif
