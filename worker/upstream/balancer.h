/*
 * upstream/balancer.h - chooses an endpoint of a route for one attempt: round
 * robin or least connection (spec control section 3), passing over endpoints
 * that failed lately, are at their limit, or were tried by this exchange.
 * The whole read section is inside; only copies leave it.
 */
#ifndef UPSTREAM_BALANCER_H
#define UPSTREAM_BALANCER_H

#include "endpoint_live.h"
#include "failure.h"
#include "route_table.h"

struct balancer_settings {
	int algorithm;                /* 0 round robin, 1 least connection; routes may differ */
	uint64_t max_conns;           /* requests in flight to one endpoint; 0: any number */
	uint64_t failed_ms;           /* how long a failure is held against an endpoint */
	char *zone;                   /* ours */
	int zone_preference;          /* 0 none, 1 own zone on the first attempt */
};

struct balancer {                     /* everything borrowed; one per worker */
	struct route_reader *routes;
	const struct table *table;
	struct board *board;
	unsigned slot;
	uint64_t *counters;
	const struct balancer_settings *settings;
	uint32_t route;               /* route_id() of the last PICK_OK */
};

enum pick {
	PICK_OK,                      /* *out is a copy, counted as one more in flight */
	PICK_NO_ROUTE,
	PICK_NO_ENDPOINT,             /* the route has none */
	PICK_OVERLOADED,              /* all are at max_conns */
	PICK_EXHAUSTED,               /* all were tried */
};

/* `attempt` counts from 1. */
enum pick balancer_pick(struct balancer *balancer, const struct route_key *key,
			const struct tried *tried, unsigned attempt, uint64_t now_ms,
			struct endpoint *out);

/* True if the route has an endpoint besides `serial` that was not tried and has
 * not failed lately. */
bool balancer_has_other(struct balancer *balancer, const struct route_key *key,
			const struct tried *tried, uint64_t serial, uint64_t now_ms);

/* The attempt is over: one less in flight.  Once for every PICK_OK. */
void balancer_release(struct balancer *balancer, const struct endpoint *endpoint);

/* Holds a failure against the endpoint, here and in all workers, and tells the
 * registrar.  is_unfit: it may be removed, if it is one with TLS (spec control 3.5).
 * One that showed somebody else's certificate is not chosen again until it is
 * registered anew.
 * `error`: errno, or 0. */
void balancer_mark_failed(struct balancer *balancer, const struct endpoint *endpoint,
			  enum failure failure, bool is_unfit, int error, uint64_t now_ms);

#endif
