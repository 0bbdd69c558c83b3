/*
 * proxy/verdict.h - what each failure means: for the client, for another
 * attempt, for the endpoint, for the log.  One table, no code elsewhere
 * (spec proxy sections 8.3, 9 and 16, with 19.2 to 19.4 and 19.15 mended).
 * README.md shows the same table to operators; a test compares them.
 */
#ifndef PROXY_VERDICT_H
#define PROXY_VERDICT_H

#include "base/addr.h"
#include "base/mem.h"
#include "failure.h"

/* What operators allow to be tried again, in Istio's words: bits of a set. */
enum retry_on {
	ON_NOTHING              = 0,
	ON_CONNECT_FAILURE      = 1 << 0,
	ON_TLS_FAILURE          = 1 << 1,
	ON_RESET_BEFORE_REQUEST = 1 << 2,     /* no byte of the request has left */
	ON_RESET                = 1 << 3,
	ON_REFUSED_STREAM       = 1 << 4,
	ON_GATEWAY_ERROR        = 1 << 5,     /* answers 502, 503, 504 */
	ON_5XX                  = 1 << 6,
	ON_STATUS_CODES         = 1 << 7,     /* answers in a list */
};

/* The word of one bit, for settings and for the table; "-" of none. */
const char *retry_on_name(enum retry_on on);

/* The bit of a word, or ON_NOTHING. */
enum retry_on retry_on_find(struct str word);

enum verdict_retry {
	RETRY_NEVER,
	RETRY_IF_REPLAYABLE,          /* the request may have been acted upon */
	RETRY_ALWAYS,                 /* it cannot have been */
};

/* What the endpoint gets.  PRUNE is for endpoints with TLS, whose identity can be
 * known; plain ones are only marked.  What may be our own fault (certificates,
 * clock, descriptors) never prunes (spec control W3). */
enum verdict_mark { MARK_NONE, MARK_FAILED, MARK_PRUNE };

struct verdict {
	const char *name;             /* in our own logs; never varies */
	const char *flag;             /* Envoy's response flag */
	const char *error;            /* RFC 9209 error type */
	uint16_t status;              /* for the client */
	uint8_t on;                   /* enum retry_on: the one that allows another attempt */
	uint8_t retry;                /* enum verdict_retry */
	uint8_t mark;                 /* enum verdict_mark */
	const char *router_error;     /* X-Cf-RouterError: NULL "endpoint_failure (TEXT)", "" none */
	const char *body;             /* for the client, without its line end; NULL: by who answers */
	int counter;                  /* enum counter, or -1 */
};

const struct verdict *verdict_of(enum failure failure);

/* "UF:connect_failed": the flag, and what exactly; for ever the same.  FAIL_NONE: "". */
const char *verdict_code(enum failure failure);

/* The first row of a refusal by what X-Cf-RouterError says; FAIL_NONE: there is none. */
enum failure verdict_of_refusal(struct str router_error);

/* Whether the failure allows another attempt.  `on`: what operators allow.
 * is_untouched: no byte of the request left.  is_replayable: acting on it twice
 * does no harm. */
bool verdict_allows_retry(enum failure failure, unsigned on, bool is_untouched,
			  bool is_replayable);

/* The same for an answer of the endpoint: is its status one of those? */
bool verdict_is_retriable_status(unsigned status, unsigned on, const uint16_t *codes,
				 unsigned count);

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
