/*
 * proxy/proxy.h - what all exchanges of a worker share.  Filled by the worker,
 * borrowed by every downstream and exchange, outlives them all.
 */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include "counters.h"
#include "proxy/access_log.h"
#include "proxy/header_settings.h"
#include "proxy/retry_policy.h"
#include "upstream/balancer.h"
#include "upstream/upstream.h"

struct proxy_settings {
	uint64_t header_timeout_ms;   /* for a whole request head, from its first wait */
	uint64_t idle_timeout_ms;     /* between requests of a connection */
	uint64_t response_timeout_ms; /* for a response head, each attempt; 0 for ever */
	uint64_t body_timeout_ms;     /* without a body byte in either direction; 0 for ever */
	uint64_t endpoint_timeout_ms; /* from an attempt's begin to its body's end; 0 for ever */
	uint64_t drain_idle_ms;       /* how long a draining worker waits for a last request */
	uint64_t replay_limit_bytes;  /* of a request body, kept for another attempt */
	uint64_t max_connections;     /* of clients, in this worker */
	uint64_t buffer_limit_bytes;  /* of this worker, all connections together */
	uint64_t max_request_header_bytes, max_request_headers, max_response_headers;
	bool empty_pool_response_code_503;
	bool proxy_status, short_router_errors, gateway_timeout_504;
	struct retry_settings retry;
	bool force_forwarded_proto_https, sanitize_forwarded_proto;
	char *healthcheck_user_agent;
	struct mux_settings mux;      /* limits of request heads */
	struct header_settings headers;
};

struct exchange;

struct proxy {
	struct loop *loop;            /* borrowed, like the next five */
	struct buf_pool *bufs;
	struct board *board;
	struct upstream *upstream;
	struct access_log *access_log;        /* NULL: none */
	const struct proxy_settings *settings;
	uint64_t connect_timeout_ms, handshake_timeout_ms;    /* to endpoints */
	struct tls_server *tls;       /* for clients; NULL: no certificates */
	uint64_t *counters;           /* this worker's row */
	struct balancer balancer;
	struct retry_budget budget;
	struct cds_list_head downstreams;     /* every client connection */
	unsigned downstream_count;
	bool is_draining;
	struct exchange *spare;       /* owned: exchanges to use again */
	unsigned spare_count;
	uint64_t dated_s;             /* the second that `date` shows */
	char date[30];                /* "Sat, 21 Nov 2026 10:00:00 GMT" */
};

/* The fields above must be set; the rest begins empty. */
void proxy_init(struct proxy *proxy);

/* Frees what is spare; every downstream is gone. */
void proxy_fini(struct proxy *proxy);

/* For the Date field: text that is good until the next call. */
struct str proxy_date(struct proxy *proxy);

/* True if load balancers should send requests here (spec control 6.2). */
bool proxy_is_healthy(const struct proxy *proxy);

#endif
