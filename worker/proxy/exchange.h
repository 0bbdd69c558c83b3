/*
 * proxy/exchange.h - one client request and everything done to answer it.  It
 * joins two streams and knows no HTTP version.  One task; both streams and its
 * deadline wake it; one function moves it forward (exchange.c).
 */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include "proxy/downstream.h"
#include "proxy/proxy.h"
#include "proxy/relay.h"
#include "proxy/request_id.h"
#include "route_key.h"

enum exchange_state {
	X_ADMIT,                      /* the request: head, policy */
	X_PICK,                       /* an endpoint for the next attempt */
	X_CONNECT,                    /* to it, and send the head */
	X_AWAIT_HEAD,                 /* its answer, while the request body goes out */
	X_RELAY,                      /* the bodies, both ways */
	X_RESPOND,                    /* an answer of our own */
	X_SETTLE,                     /* what is left of the request body is read and dropped */
	X_FINISH,
	X_STATES,
};

enum step {
	ADVANCE,                      /* x->state says what comes now */
	WAIT,                         /* a stream or the deadline will wake us */
	OVER,                         /* the exchange is gone */
};

struct exchange {
	struct task task;             /* woken by both streams and by the deadline */
	struct proxy *proxy;          /* borrowed */
	struct downstream *downstream;        /* borrowed: lives until after x_finish() */
	struct stream *down;          /* owned until x_finish() */
	struct attempt attempt;       /* its stream is owned; NULL outside CONNECT..RELAY */
	enum exchange_state state;
	enum exchange_state timed_state;      /* the one that the deadline belongs to */
	struct exchange *next_spare;

	struct http_head request, response;
	struct relay upload, download;        /* the bodies, one direction each */
	struct replay replay;
	struct str local_body;        /* of an answer of our own */
	bool is_response_begun;       /* a final head went to the client */
	bool is_picked;               /* `endpoint` counts one more in flight */
	bool has_endpoint;            /* `endpoint` is of the last attempt */
	bool is_too_large;            /* the head; said once its route is known */
	bool is_monitor;              /* asked on a status port: not logged, not counted */
	bool expects_continue;        /* the client waits for a 100 before its body */
	bool was_cut;                 /* the client did not get a whole answer */
	bool is_recorded;             /* in counters and access log */
	bool was_answered;            /* an endpoint sent a response head */
	uint8_t interim_count;
	uint32_t dropped_bytes;       /* of the request body, after the answer */
	unsigned attempts;            /* begun; a replaced connection is none */
	uint64_t try_ends_ms, attempt_ends_ms;        /* of this attempt; 0: never */
	struct route_key key;         /* of the request, in the arena; empty: no route can match */
	struct wish wish;             /* of the request: which endpoints, if not any */
	uint16_t path_len;            /* of its route: the begin of exchange_path() */
	uint32_t route;               /* whose retry budget it is in */
	bool is_in_budget, is_retrying;       /* counted there, and as a retry */
	bool wants_fresh;             /* a kept connection failed: no other one */
	enum failure failure;         /* of the last attempt, or what ended it all */
	struct tried tried;           /* endpoints of this exchange that failed */
	struct str failure_text;      /* what happened, in Gorouter's words */
	struct str peer, peer_ip;     /* of the client, "ip:port" and "ip", in the arena */
	bool is_tls;                  /* the client's connection */
	const struct conn *client_conn;       /* borrowed: while `down` is open */
	struct str trace_id, span_id; /* lower-case hex, or empty: see trace_ids() */

	uint64_t began_ns, began_wall_ns;     /* head complete */
	uint64_t app_began_ns, app_ended_ns;  /* first attempt; end of the last; 0: never */
	unsigned failed_attempts;
	uint64_t last_failed_ns;      /* end of the last that failed; 0: none did */
	struct attempt_times times;   /* of the attempt that was answered */
	struct str local_address;     /* its connection's, if the access log wants it */
	char request_id[REQUEST_ID_SIZE];
	struct endpoint endpoint;     /* our copy; the table may have moved on */
	struct arena arena;           /* owns all text of both heads */
	char block[6144];             /* where the arena begins */
};

/* Takes the stream over.  The exchange owns itself and ends by itself; with
 * downstream_release() its downstream may accept the next. */
struct exchange *exchange_create(struct proxy *proxy, struct downstream *downstream,
				 struct stream *stream);

/* The path of the request as it was sent, without its query; empty: it has none. */
struct str exchange_path(const struct exchange *exchange);

/* The drain is over: answers if that can be done at once, or cuts it off. */
void exchange_cut(struct exchange *exchange);

void exchange_free_spare(struct proxy *proxy);

#endif
