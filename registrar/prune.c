/*
 * registrar/prune.c - endpoints that fell silent: the sweep, its suspension
 * while NATS is away, and removal after failed identity checks.
 */
#include "registrar/prune.h"

#include "base/log.h"
#include "shm/counters.h"

#define TICK_MS 100

static enum entry_verdict judge(void *context, const struct entry_view *entry)
{
	uint32_t now = *(const uint32_t *)context;
	uint32_t age = now > entry->last_seen ? now - entry->last_seen : 0;

	if (entry->flags & ENDPOINT_TLS || age <= (uint64_t)entry->stale_s * (1000 / TICK_MS))
		return ENTRY_KEEP;
	log_at(LOG_LEVEL_INFO, "registry", "pruned-route", "uri=%.*s age_s=%u",
	       STR_ARG(entry->key), age / (1000 / TICK_MS));
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

/* Nothing is lost until a full lifetime after the feed is back. */
static void resume(struct prune *p, uint32_t tick)
{
	for (unsigned slice = 0; slice < ROUTE_WRITER_SLICES; slice++)
		route_writer_sweep(p->writer, slice, tick, touch, NULL);
	log_at(LOG_LEVEL_DEBUG, "registry", "prune-unsuspended-refresh-routes-complete",
	       LOG_NO_DATA);
	p->is_suspended = false;
	board_set_fact(p->board, FACT_PRUNE_SUSPENDED, 0);
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
		gone += route_writer_sweep(p->writer, p->slice, tick, judge, &tick);
		p->slice = (p->slice + 1) % ROUTE_WRITER_SLICES;
	}
	if (gone)
		counter_add(p->counters, COUNTER_routes_pruned, gone);
}

void prune_event(struct prune *p, const struct endpoint_event *event)
{
	unsigned gone;

	if (event->kind != EVENT_PRUNE)
		return;
	gone = route_writer_remove_serial(p->writer, event->row, event->serial, true);
	if (!gone)
		return;
	counter_add(p->counters, COUNTER_routes_pruned, gone);
	log_at(LOG_LEVEL_ERROR, "registry", "prune-failed-endpoint", "row=%u entries=%u failure=%u",
	       event->row, gone, event->failure);
}
