/*
 * worker/failure.h - the closed list of ways traffic goes wrong.  No code: what
 * each one means for client, retry and endpoint stands in proxy/verdict.c.
 * Append to a group; the numbers leave the process only in log lines.
 */
#ifndef WORKER_FAILURE_H
#define WORKER_FAILURE_H

enum failure {
	FAIL_NONE,
	/* before the request reached the endpoint */
	FAIL_CONNECT,                 /* refused, unreachable, reset while connecting */
	FAIL_CONNECT_TIMEOUT,
	FAIL_RESOLVE,                 /* the endpoint's name has no address */
	FAIL_LOCAL,                   /* our own fault: descriptors, ports, memory */
	FAIL_TLS_NOT_TLS,             /* the endpoint's first bytes are no TLS record */
	FAIL_TLS_NAME,                /* its certificate is for somebody else */
	FAIL_TLS_UNTRUSTED,           /* its certificate is signed by nobody we know */
	FAIL_TLS_EXPIRED,             /* its certificate, by our clock: not yet or no longer valid */
	FAIL_TLS_REFUSED_BY_PEER,     /* it refuses our certificate: alert 42, 48, 116 */
	FAIL_TLS_HANDSHAKE,           /* alert 40, or no common version or cipher */
	FAIL_TLS_TIMEOUT,
	FAIL_TLS_RESET,               /* closed or reset inside the handshake */
	FAIL_REFUSED_STREAM,          /* the endpoint says that it did not look at the request */
	/* after it, before a complete response head */
	FAIL_STALE,                   /* a reused connection closed before any response byte */
	FAIL_RESET_BEFORE_HEAD,       /* reset after the whole request, no response byte seen */
	FAIL_EOF_BEFORE_HEAD,         /* closed in order, no response byte seen */
	FAIL_WRITE,                   /* reset before all of the request was written */
	FAIL_TRUNCATED_HEAD,          /* closed or reset inside the response head */
	FAIL_BAD_RESPONSE,            /* malformed head; the stream has the detail */
	FAIL_RESPONSE_TOO_LARGE,      /* head over its limit */
	FAIL_TOO_MANY_FIELDS,         /* more than operators allow of an answer */
	FAIL_UPGRADE,                 /* another protocol than was asked for */
	FAIL_TRY_TIMEOUT,             /* one attempt took longer than per_try_timeout */
	FAIL_RESPONSE_TIMEOUT,
	FAIL_TOTAL_TIMEOUT,           /* all attempts and the body together; body included */
	/* inside the response body */
	FAIL_TRUNCATED_BODY,
	FAIL_BAD_BODY,                /* malformed chunk framing */
	FAIL_IDLE_TIMEOUT,            /* no byte in either direction for too long */
	/* the client's side */
	FAIL_BAD_REQUEST,             /* malformed head; the stream has status and detail */
	FAIL_BAD_REQUEST_BODY,        /* malformed chunk framing */
	FAIL_CLIENT_GONE,             /* reset, or closed inside its own body */
	FAIL_CLIENT_TIMEOUT,
	/* ours: refusals before an attempt */
	FAIL_EMPTY_HOST,
	FAIL_REQUEST_TOO_LARGE,       /* over the router's own limits of a head */
	FAIL_UNKNOWN_ROUTE,
	FAIL_BAD_APP_INSTANCE,        /* X-CF-App-Instance makes no sense */
	FAIL_BAD_PROCESS_INSTANCE,    /* X-CF-Process-Instance makes no sense */
	FAIL_NO_INSTANCE,             /* the route has none of those asked for */
	FAIL_NO_ENDPOINTS,            /* the route has none at all */
	FAIL_CONNECTION_LIMIT,        /* all of its endpoints are at max_conns */
	/* ours: later */
	FAIL_NO_ENDPOINT,             /* none left to try */
	FAIL_DRAINED,                 /* cut at the end of a drain */
	FAIL_OVERLOAD,                /* a limit of this worker */
	FAIL_COUNT
};

#endif
