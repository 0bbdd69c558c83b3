/*
 * proxy/retry_policy.h - what operators allow to be tried again, and how much of
 * it: `worker.retry` of the configuration, and the count of retries in flight.
 * The decision about one exchange is taken in retry.c.
 */
#ifndef PROXY_RETRY_POLICY_H
#define PROXY_RETRY_POLICY_H

#include "base/str.h"

#define RETRY_CODES_MAX 16

struct retry_settings {
	char *on_words, *code_words;  /* as written: lists with commas */
	uint64_t attempts;            /* tries of a request, the first included */
	uint64_t per_try_timeout_ms;  /* connect; response head, once the body is sent; 0: none */
	uint64_t time_budget_ms;      /* no attempt begins later than that; 0: any time */
	uint64_t budget_percent;      /* retries in flight, of a route's requests in flight */
	uint64_t min_retry_concurrency;       /* so many are always allowed */
	bool non_idempotent;          /* any method may be acted upon twice */
	unsigned on;                  /* bits of enum retry_on, from on_words */
	uint16_t codes[RETRY_CODES_MAX];      /* from code_words */
	unsigned code_count;
};

/* Reads on_words and code_words.  False: *fault is the item that nobody knows. */
bool retry_settings_parse(struct retry_settings *settings, struct str *fault);

/* Requests of this worker in flight, by route.  Routes that share a cell share
 * a budget, of all their requests. */
#define RETRY_CELLS 1024
struct retry_budget {
	struct { uint32_t active, retrying; } cells[RETRY_CELLS];
};

void retry_budget_begin(struct retry_budget *budget, uint32_t route);
void retry_budget_end(struct retry_budget *budget, uint32_t route, bool was_retrying);

/* Counts a request in flight as one that is retried, or says that there are
 * enough of them. */
bool retry_budget_take(struct retry_budget *budget, uint32_t route,
		       const struct retry_settings *settings);

#endif
