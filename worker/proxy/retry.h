/*
 * proxy/retry.h - one place decides what becomes of an exchange whose attempt
 * failed: another endpoint, an answer of our own, or a cut connection.  What a
 * failure means stands in verdict.c.
 */
#ifndef PROXY_RETRY_H
#define PROXY_RETRY_H

#include "proxy/exchange.h"

/* Back to X_PICK if the verdict, the attempts left and the request body allow;
 * otherwise retry_give_up(). */
enum step retry_or_fail(struct exchange *x, enum failure failure);

/* No further attempt: answers with the failure, or cuts the connection if an
 * answer is on its way already. */
enum step retry_give_up(struct exchange *x, enum failure failure);

/* The client cannot be told any more: what it has must not look whole. */
enum step retry_cut(struct exchange *x);

/* An answer that the configuration wants to be tried elsewhere, and that can be:
 * nothing of it was sent, and the request can be sent again. */
bool retry_wants_other_answer(const struct exchange *x);

/* Drops that answer, back to X_PICK; false: there are enough retries, pass it on. */
bool retry_answer(struct exchange *x);

/* With its first endpoint an exchange begins to count for the budget of its route;
 * harmless when repeated. */
void retry_begin(struct exchange *x);
void retry_end(struct exchange *x);

/* Before a body goes to the attempt's stream: how much of it is to be kept. */
void retry_prepare_record(struct exchange *x);

/* True if acting on the request twice does no harm (spec proxy 8.2). */
bool retry_is_idempotent(const struct exchange *x);

/* The only place where the attempt loses its stream: its connection goes back to
 * the pool if the stream ended well, and is closed otherwise. */
void retry_drop_upstream(struct exchange *x);

#endif
