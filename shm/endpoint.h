/*
 * shm/endpoint.h - an endpoint (app instance) as it leaves the table: by value,
 * with all its text, so that nothing points back into shared memory.
 */
#ifndef SHM_ENDPOINT_H
#define SHM_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/str.h"

/* All hot text of an endpoint together; registrations beyond are refused. */
#define ENDPOINT_TEXT_MAX 3072
/* Tags as JSON text, kept apart from what requests touch. */
#define ENDPOINT_TAGS_MAX 16384

enum endpoint_flag {
	ENDPOINT_TLS          = 1 << 0,
	ENDPOINT_HTTP2        = 1 << 1,
	ENDPOINT_HOST_IS_NAME = 1 << 2,       /* `host` must be resolved; addr is empty */
	ENDPOINT_HAS_TAGS     = 1 << 3,       /* the message had a tags object */
};

enum endpoint_balancing { BALANCE_DEFAULT, BALANCE_ROUND_ROBIN, BALANCE_LEAST_CONNECTION };

/* The texts of an endpoint, in the order in which they are stored. */
#define ENDPOINT_TEXTS(X) \
	X(host)                 /* as registered: IP text or name */ \
	X(app_id) \
	X(instance_id)          /* private_instance_id */ \
	X(instance_index)       /* private_instance_index */ \
	X(san)                  /* server_cert_domain_san */ \
	X(zone)                 /* availability_zone */ \
	X(route_service_url) \
	X(protocol)             /* as registered, "http1" by default */ \
	X(isolation_segment) \
	X(process_id)           /* tags.process_id */ \
	X(component)            /* tags.component */

struct endpoint {
	uint64_t serial;              /* never reused; 0 in a description to be added */
	uint32_t row;                 /* its row on the board (endpoint_live.h) */
	uint32_t flags;               /* enum endpoint_flag */
	uint32_t stale_s;             /* lifetime without a heartbeat, effective */
	uint16_t port;
	uint8_t balancing;            /* its own option: enum endpoint_balancing */
	uint64_t updated_at_ns;       /* endpoint_updated_at_ns of the message; 0 none */
	uint8_t ip[16];               /* IPv4 mapped; zero if ENDPOINT_HOST_IS_NAME */
#define X(name) struct str name;
	ENDPOINT_TEXTS(X)
#undef X
	struct str tags;              /* JSON object; only in descriptions and full copies */
	char text[ENDPOINT_TEXT_MAX]; /* where the texts above point after a copy */
};

/* Tags in a log line: longer ones would cost it all its data. */
#define ENDPOINT_LOG_TAGS_MAX 4096

/* The tags as JSON for a log line: an object, or null. */
struct str endpoint_log_tags(uint32_t flags, struct str tags);

/* An endpoint in a line of the component log, as Gorouter writes it (spec control 8.2):
 * the pairs for the format, and what belongs to them. */
#define ENDPOINT_LOG_PAIRS \
	"route-endpoint.ApplicationId=%.*s route-endpoint.Addr=%s route-endpoint.Tags:=%.*s " \
	"route-endpoint.RouteServiceUrl=%.*s route-endpoint.AZ=%.*s"
#define ENDPOINT_LOG_VALUES(endpoint, address, tags) \
	STR_ARG((endpoint)->app_id), address, STR_ARG(tags), \
	STR_ARG((endpoint)->route_service_url), STR_ARG((endpoint)->zone)

/* "host:port" as Gorouter writes addresses (IPv6 is not bracketed: the host as
 * registered).  cap >= 272.  Returns the length. */
size_t endpoint_format_address(const struct endpoint *endpoint, char *out, size_t cap);

/* Tries of one request, so that an endpoint is not tried twice. */
#define TRIED_MAX 16
struct tried {
	uint64_t serials[TRIED_MAX];
	unsigned count;
};
static inline bool tried_has(const struct tried *tried, uint64_t serial)
{
	for (unsigned i = 0; i < tried->count; i++)
		if (tried->serials[i] == serial)
			return true;
	return false;
}

#endif
