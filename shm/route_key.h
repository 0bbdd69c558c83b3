/*
 * shm/route_key.h - the canonical name of a route: "host/segment/..." in lower
 * case (spec control 2.1 and 2.2, with weakness W10 mended: the host and the
 * path are told apart before any wildcard is tried, and one trailing dot of the
 * host is dropped).  The registrar makes keys from registered URIs, workers
 * from requests, shm-dump --explain from URLs; all with this code.
 */
#ifndef SHM_ROUTE_KEY_H
#define SHM_ROUTE_KEY_H

#include "base/reason.h"
#include "base/str.h"

/* Longer hosts, or longer keys, are refused by route_key_parse() and never match. */
#define ROUTE_HOST_MAX 255
#define ROUTE_KEY_MAX  2048

struct route_key {
	struct str text;              /* the whole key, in the caller's buffer */
	uint16_t host_len;            /* text up to the first '/' */
	uint16_t segments;            /* path segments after it; empty ones count */
	/* Of the host and of the whole key under the seed of the registrar's table, if they
	 * were computed beforehand (route_writer_offer.h); 0: not yet. */
	uint64_t host_hash, hash;
};

/* From a registered URI: lower-cases (ASCII), cuts at '?', strips one leading
 * and one trailing '/'.  `buffer` holds ROUTE_KEY_MAX bytes.  0, or -EINVAL
 * with a reason: empty, too long, control characters. */
int route_key_parse(struct str uri, char *buffer, struct route_key *out, struct reason *reason);

/* A key that route_key_parse() has made, from its text, which stays where it is.  (It need not be
 * what a URI of that text gives: of "a../b//" one dot and one slash are left.)  False:
 * no URI gives that. */
bool route_key_read(struct str text, struct route_key *out);

/* From a request: Host as received (port cut off; IPv6 literals keep their
 * brackets) and the path as sent, without its query.  False: cannot match. */
bool route_key_from_request(struct str host, struct str path, char *buffer, struct route_key *out);

/* Host without port: "a:80" -> "a", "[::1]:80" -> "[::1]". */
struct str route_host_without_port(struct str host);

#endif
