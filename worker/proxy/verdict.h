/*
 * proxy/verdict.h - what each failure means: for the client, for another
 * attempt, for the endpoint, for the log.  One table, no code elsewhere
 * (spec proxy sections 8.3 and 9, with 19.2 to 19.4 mended).
 */
#ifndef PROXY_VERDICT_H
#define PROXY_VERDICT_H

#include "base/addr.h"
#include "base/mem.h"
#include "failure.h"

enum verdict_retry {
	RETRY_NEVER,
	RETRY_IF_REPLAYABLE,          /* the request may have been acted upon */
	RETRY_ALWAYS,                 /* it cannot have been */
};

enum verdict_mark { MARK_NONE, MARK_FAILED };

struct verdict {
	const char *name;             /* in our own logs; never varies */
	uint16_t status;              /* for the client */
	uint8_t retry;                /* enum verdict_retry */
	uint8_t mark;                 /* enum verdict_mark: what the endpoint gets */
	const char *body;             /* for the client, without its line end */
	int counter;                  /* enum counter, or -1 */
};

const struct verdict *verdict_of(enum failure failure);
bool verdict_allows_retry(enum failure failure, bool is_replayable);

/* What is known when a failure is described; absent: 0, NULL or empty. */
struct failure_facts {
	int error;                    /* errno */
	const char *backend;          /* "host:port" as registered */
	const struct addr *local, *remote;    /* of the connection; len 0: none */
	const char *detail;           /* the mux's words */
	struct str host_name;         /* that was resolved */
};

/* The text that operators know from X-Cf-RouterError: endpoint_failure (TEXT),
 * in Gorouter's words, printable ASCII and at most 256 bytes (19.15). */
struct str verdict_describe(struct arena *arena, enum failure failure,
			    const struct failure_facts *facts);

#endif
