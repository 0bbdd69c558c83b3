/*
 * registrar/prune.c - endpoints that fell silent: the sweep, its suspension
 * while NATS is away, and removal after failed identity checks.
 */
#include "registrar/prune.h"

#include "base/log.h"
#include "shm/counters.h"
#include "shm/route_table.h"

#define TICK_MS 100

/* The address as a JSON array of one text; names may hold anything. */
static void format_addresses(const struct endpoint *endpoint, char out[600])
{
	char address[512];
	char *at = out;

	endpoint_format_address(endpoint, address, sizeof(address));
	*at++ = '[';
	*at++ = '"';
	for (const char *p = address; *p; p++)
		*at++ = *p == '"' || *p == '\\' || *p < 0x20 || *p > 0x7e ? '?' : *p;
	*at++ = '"';
	*at++ = ']';
	*at = '\0';
}

static void log_pruned(const struct entry_view *entry, uint32_t age)
{
	struct endpoint endpoint;
	char addresses[600] = "[]";
	struct str segment = STR("-");

	if (inst_copy(entry->inst, &endpoint)) {
		format_addresses(&endpoint, addresses);
		if (!str_is_empty(endpoint.isolation_segment))
			segment = endpoint.isolation_segment;
	}
	log_at(LOG_LEVEL_INFO, "registry", "pruned-route",
	       "uri=%.*s endpoints:=%s isolation_segment=%.*s age_s=%u", STR_ARG(entry->key),
	       addresses, STR_ARG(segment), age / (1000 / TICK_MS));
}

static enum entry_verdict judge(void *context, const struct entry_view *entry)
{
	uint32_t now = *(const uint32_t *)context;
	uint32_t age = now > entry->last_seen ? now - entry->last_seen : 0;

	if (entry->flags & ENDPOINT_TLS || age <= (uint64_t)entry->stale_s * (1000 / TICK_MS))
		return ENTRY_KEEP;
	log_pruned(entry, age);
	return ENTRY_REMOVE;
}

static enum entry_verdict touch(void *context, const struct entry_view *entry)
{
	(void)context;
	(void)entry;
	return ENTRY_TOUCH;
}

static void suspend(struct prune *p)
{
	if (!p->is_suspended)
		log_at(LOG_LEVEL_INFO, "registry", "prune-suspended", LOG_NO_DATA);
	p->is_suspended = true;
	board_set_fact(p->board, FACT_PRUNE_SUSPENDED, 1);
}

/* Every endpoint gets a full lifetime from now on. */
static void touch_all(struct prune *p, uint32_t tick)
{
	for (unsigned slice = 0; slice < ROUTE_WRITER_SLICES; slice++)
		route_writer_sweep(p->writer, slice, tick, touch, NULL);
}

/* Nothing is lost until a full lifetime after the feed is back. */
static void resume(struct prune *p, uint32_t tick)
{
	log_at(LOG_LEVEL_DEBUG, "registry", "prune-unsuspended-refresh-routes-start", LOG_NO_DATA);
	touch_all(p, tick);
	log_at(LOG_LEVEL_DEBUG, "registry", "prune-unsuspended-refresh-routes-complete",
	       LOG_NO_DATA);
	p->is_suspended = false;
	board_set_fact(p->board, FACT_PRUNE_SUSPENDED, 0);
}

static unsigned sweep_slice(struct prune *p, uint32_t tick)
{
	unsigned gone;

	if (p->slice == 0)
		log_at(LOG_LEVEL_DEBUG, "registry", "start-pruning-routes", LOG_NO_DATA);
	gone = route_writer_sweep(p->writer, p->slice, tick, judge, &tick);
	p->slice = (p->slice + 1) % ROUTE_WRITER_SLICES;
	if (p->slice == 0)
		log_at(LOG_LEVEL_DEBUG, "registry", "finished-pruning-routes", LOG_NO_DATA);
	return gone;
}

void prune_tick(struct prune *p, uint32_t tick, bool is_connected)
{
	unsigned gone = 0;

	if (p->settings->suspend_pruning_if_nats_unavailable && !is_connected) {
		suspend(p);
		return;
	}
	if (p->is_suspended)
		resume(p, tick);
	p->credit += ROUTE_WRITER_SLICES * TICK_MS;
	while (p->credit >= p->settings->prune_interval_ms) {
		p->credit -= p->settings->prune_interval_ms;
		gone += sweep_slice(p, tick);
	}
	if (gone)
		counter_add(p->counters, COUNTER_routes_pruned, gone);
}

void prune_feed_gap(struct prune *p, uint32_t tick)
{
	touch_all(p, tick);
}

static void log_event(const char *event, const struct endpoint *endpoint,
		      const struct endpoint_event *report)
{
	char address[512];

	endpoint_format_address(endpoint, address, sizeof(address));
	log_at(LOG_LEVEL_ERROR, "registry", event,
	       "address=%s application_id=%.*s instance_id=%.*s availability_zone=%.*s "
	       "failure=%u errno=%u", address, STR_ARG(endpoint->app_id),
	       STR_ARG(endpoint->instance_id), STR_ARG(endpoint->zone), report->failure,
	       report->error);
}

/* Plain endpoints are never removed for a failure (spec control 3.5). */
void prune_event(struct prune *p, const struct endpoint_event *event)
{
	struct endpoint endpoint;
	uint64_t suppressed;
	unsigned gone;

	if ((event->kind != EVENT_PRUNE && event->kind != EVENT_FAILED) ||
	    !route_writer_endpoint(p->writer, event->row, event->serial, &endpoint))
		return;
	if (event->kind == EVENT_FAILED || !(endpoint.flags & ENDPOINT_TLS)) {
		if (log_limit_allows(&p->failed_limit, &suppressed))
			log_event("endpoint-marked-as-ineligible", &endpoint, event);
		return;
	}
	gone = route_writer_remove_serial(p->writer, event->row, event->serial, true);
	if (!gone)
		return;
	counter_add(p->counters, COUNTER_routes_pruned, gone);
	log_event("prune-failed-endpoint", &endpoint, event);
}
