/*
 * worker/failure.h - the closed list of ways traffic goes wrong.  No code: what
 * each one means for client, retry and endpoint stands in proxy/verdict.c.
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
	/* after it, before a complete response head */
	FAIL_STALE,                   /* a reused connection closed before any response byte */
	FAIL_RESET_BEFORE_HEAD,       /* connection reset, no response byte seen */
	FAIL_EOF_BEFORE_HEAD,         /* closed in order, no response byte seen */
	FAIL_WRITE,                   /* the request could not be written */
	FAIL_TRUNCATED_HEAD,          /* closed or reset inside the response head */
	FAIL_BAD_RESPONSE,            /* malformed head; the stream has the detail */
	FAIL_RESPONSE_TOO_LARGE,      /* head over its limit */
	FAIL_RESPONSE_TIMEOUT,
	/* inside the response body */
	FAIL_TRUNCATED_BODY,
	FAIL_BAD_BODY,                /* malformed chunk framing */
	FAIL_IDLE_TIMEOUT,            /* no byte in either direction for too long */
	/* the client's side */
	FAIL_BAD_REQUEST,             /* malformed head; the stream has status and detail */
	FAIL_BAD_REQUEST_BODY,        /* malformed chunk framing */
	FAIL_CLIENT_GONE,             /* reset, or closed inside its own body */
	FAIL_CLIENT_TIMEOUT,
	/* ours */
	FAIL_NO_ENDPOINT,             /* none left to try */
	FAIL_DRAINED,                 /* cut at the end of a drain */
	FAIL_OVERLOAD,                /* a limit of this worker */
	FAIL_COUNT
};

#endif
