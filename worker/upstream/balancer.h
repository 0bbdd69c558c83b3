/*
 * upstream/balancer.h - chooses an endpoint of a route for one attempt: round
 * robin or least connection (spec control section 3), passing over endpoints
 * that failed lately, are at their limit, or were tried by this exchange; or the
 * one that the request asks for.  The whole read section is inside; only copies
 * leave it.  An endpoint that is asked for is searched from the pool's begin to
 * its end: as dear as one choice by least connection.
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

/* Which endpoints of a route a request is for (spec control 3.6), and which of
 * them served it before (3.2).  Zeroed: any, none.  Texts are borrowed. */
enum wish_scope { SCOPE_ROUTE, SCOPE_APP_INSTANCE, SCOPE_PROCESS };
struct wish {
	enum wish_scope scope;
	struct str guid;              /* of the app or the process */
	struct str index;             /* of the instance, compared as text; empty: any */
	struct str sticky_id;         /* instance id; never an address (spec proxy 19.21) */
	bool must_stick;              /* to that one, on every attempt; else on the first */
};

enum stuck { STUCK_NOT_ASKED, STUCK_FOUND, STUCK_MISSING, STUCK_OVERLOADED };

struct balancer {                     /* everything borrowed; one per worker */
	struct route_reader *routes;
	const struct table *table;
	struct board *board;
	unsigned slot;
	uint64_t *counters;
	const struct balancer_settings *settings;
	uint32_t route;               /* route_id() of the last PICK_OK */
	uint16_t path_len;            /* of the path that its route is registered with */
	enum stuck stuck;             /* what became of the wish in the last pick */
};

enum pick {
	PICK_OK,                      /* *out is a copy, counted as one more in flight */
	PICK_NO_ROUTE,                /* or it has none of the endpoints that are asked for */
	PICK_NO_ENDPOINT,             /* the route has none */
	PICK_OVERLOADED,              /* all are at max_conns */
	PICK_EXHAUSTED,               /* all were tried, or the one that must be is not there */
};

/* A pick for this key comes soon: memory is asked for beforehand.  The second call
 * belongs some work later than the first and before the pick. */
void balancer_expect(struct balancer *balancer, const struct route_key *key);
void balancer_expect_more(struct balancer *balancer);

/* `attempt` counts from 1.  A failure of lately is not held against an endpoint
 * that is asked for.  Among several of one app and index the one that was
 * confirmed last is chosen. */
enum pick balancer_pick(struct balancer *balancer, const struct route_key *key,
			const struct wish *wish, const struct tried *tried, unsigned attempt,
			uint64_t now_ms, struct endpoint *out);

/* True if the route has an endpoint besides `serial` that the wish allows, that was
 * not tried and has not failed lately. */
bool balancer_has_other(struct balancer *balancer, const struct route_key *key,
			const struct wish *wish, const struct tried *tried, uint64_t serial,
			uint64_t now_ms);

/* The attempt is over: one less in flight.  Once for every PICK_OK. */
void balancer_release(struct balancer *balancer, const struct endpoint *endpoint);

/* Holds a failure against the endpoint, here and in all workers, and tells the
 * registrar, with `code` for its log.  is_unfit: it may be removed, if it is one with
 * TLS (spec control 3.5).  `error`: errno, or 0. */
void balancer_mark_failed(struct balancer *balancer, const struct endpoint *endpoint,
			  enum failure failure, const char *code, bool is_unfit, int error,
			  uint64_t now_ms);

#endif
