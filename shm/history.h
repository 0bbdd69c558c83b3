/*
 * shm/history.h - the last changes of every host, as they lie in the table object
 * behind both arenas: what happened to which endpoint, when, which NATS server
 * brought it, and why.  Written by the registrar (history_writer.h), read by
 * shm-dump, while it is written or long after everybody died.
 *
 * Bounded for each host: the hash of a host chooses one of many sets, and in a
 * full set the host with the most records loses its oldest.  So a host that flaps
 * overwrites itself and not the others.
 */
#ifndef SHM_HISTORY_H
#define SHM_HISTORY_H

#include "base/str.h"
#include "region.h"

/* In the order of the layout: append only. */
#define HISTORY_CHANGES(X) \
	X(REGISTERED,    "registered") \
	X(UPDATED,       "updated")           /* other attributes, same address */ \
	X(UNREGISTERED,  "unregistered") \
	X(EXPIRED,       "expired")           /* silent for longer than its lifetime */ \
	X(PRUNED,        "pruned")            /* failed, and taken out for it */ \
	X(SUSPENDED,     "suspended")         /* failed, kept, not used */ \
	X(RESUMED,       "resumed") \
	X(HELD,          "held")              /* would have expired, but nobody can testify */ \
	X(RELEASED,      "released")          /* no longer held */ \
	X(OWNER_CHANGED, "owner-changed")     /* another app lives at its address now */ \
	X(LOADED,        "loaded")            /* from the last-known-good file */ \
	X(REFUSED,       "refused")           /* full table, quota, tombstone: not registered */ \
	X(REMOVED,       "removed")           /* otherwise */

enum history_what {
#define X(name, text) HISTORY_##name,
	HISTORY_CHANGES(X)
#undef X
	HISTORY_WHATS
};
const char *history_what_name(unsigned what);

#define HISTORY_TEXT_MAX 204

/* One change.  A copy, whole and checked. */
struct history_record {
	uint64_t number;              /* ascending over all hosts, from 1 */
	uint64_t wall_ms, clock_ms;   /* CLOCK_REALTIME, CLOCK_MONOTONIC */
	uint64_t host_hash;
	uint32_t sum;                 /* of the rest of the record, up to the end of its key */
	uint32_t server_sum;          /* of the server's name; 0: none */
	uint16_t port, key_len;       /* key_len: before it was clipped */
	uint8_t what, server;
	uint8_t why_end, app_end, address_end, key_end;       /* of each text, in this order */
	uint8_t unused[2];
	char text[HISTORY_TEXT_MAX];
};
_Static_assert(sizeof(struct history_record) == 256, "a history record");

/* The route's key, clipped if it was long; the endpoint's host as registered; its
 * app; why it happened, in words.  Any may be empty. */
struct str history_key(const struct history_record *record);
struct str history_address(const struct history_record *record);
struct str history_app(const struct history_record *record);
struct str history_why(const struct history_record *record);
static inline bool history_is_clipped(const struct history_record *record)
{
	return record->key_end - record->address_end < record->key_len;
}

/* Whole records a host can have, at most. */
#define HISTORY_WAYS 60

/* Copies what is known of exactly this host, its paths included, oldest first.
 * `host` in lower case, "*.example.com" for a wildcard.  *is_full: older ones may
 * have made room.  Records that are damaged or being written are left out. */
unsigned history_of_host(const struct table *table, struct str host,
			 struct history_record out[HISTORY_WAYS], bool *is_full);

/* The server that brought a change; false: none did, or its name is forgotten. */
#define HISTORY_SERVER_NAME 64
bool history_server(const struct table *table, const struct history_record *record,
		    char out[HISTORY_SERVER_NAME]);

#endif
