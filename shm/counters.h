/*
 * shm/counters.h - numbered metric counters on the board: one row a slot, one
 * writer a row, plain stores; readers sum over the rows.  The row of a dead
 * process is folded into the master's row before the slot is used again, so
 * sums never go backwards.
 */
#ifndef SHM_COUNTERS_H
#define SHM_COUNTERS_H

#include "board.h"

/* Append only; the order is part of the board's layout version. */
#define COUNTERS(X) \
	X(requests)                    /* exchanges begun */ \
	X(responses_2xx) X(responses_3xx) X(responses_4xx) X(responses_5xx) X(responses_xxx) \
	X(attempts)                    /* Gorouter's total_requests: backend attempts */ \
	X(retries) \
	X(rejected_requests)           /* lookup rejections, spec control section 4 */ \
	X(bad_gateways) \
	X(backend_exhausted_conns) \
	X(backend_invalid_id) X(backend_invalid_tls_cert) X(backend_tls_handshake_failed) \
	X(client_disconnects)          /* 499 */ \
	X(malformed_requests)          /* refused by the parser */ \
	X(connections_accepted) X(connections_refused) X(connections_open) \
	X(upstream_connects) X(upstream_reuses) X(upstream_idle) \
	X(bytes_received) X(bytes_sent)     /* bodies, client side */ \
	X(websocket_upgrades) X(websocket_failures) \
	X(access_log_lines) X(access_log_dropped) \
	X(endpoint_failures) X(endpoint_events_dropped) \
	X(registry_message_added) X(registry_message_updated) X(registry_message_refreshed) \
	X(registry_message_removed) X(registry_message_rejected) X(registry_message_filtered) \
	X(registry_message_dropped)    /* queue overflow: a gap in the feed */ \
	X(registry_fields_dropped)     /* of messages that were taken otherwise */ \
	X(table_full_refusals) \
	X(routes_pruned) \
	X(nats_reconnects) X(greetings_answered) \
	X(worker_restarts) X(registrar_restarts) X(reloads) X(reloads_failed) \
	X(access_log_syslog_lines) X(access_log_syslog_dropped) \
	X(mass_expiry_held_total)      /* endpoints that the brake kept from expiring */ \
	X(tombstone_hits_total)        /* late copies of what was unregistered */ \
	X(attribute_conflict_total)    /* servers that disagree about an endpoint */ \
	X(late_registration_total)     /* of who lost his address to another */ \
	X(ownership_change_total)      /* an address that another app took over */ \
	X(quota_refusals_total)        /* routes beyond what one host or endpoint may have */ \
	X(snapshots_written) X(snapshot_failures) \
	X(registry_untrusted_refusals) /* answers 503 that would have been 404 */

enum counter {
#define X(name) COUNTER_##name,
	COUNTERS(X)
#undef X
	COUNTER_COUNT
};

/* This process's row; the slot must be its own. */
uint64_t *counters_row(struct board *board, unsigned slot);

static inline void counter_add(uint64_t *row, enum counter counter, uint64_t n)
{
	__atomic_store_n(&row[counter], row[counter] + n, __ATOMIC_RELAXED);
}

uint64_t counter_sum(const struct board *board, enum counter counter);
uint64_t counter_of_slot(const struct board *board, unsigned slot, enum counter counter);
const char *counter_name(enum counter counter);

/* Master, when a slot is cleared: adds the dead row to its own and zeroes it.
 * Gauges (connections_open, upstream_idle) are dropped instead. */
void counters_fold(struct board *board, unsigned dead_slot);

#endif
