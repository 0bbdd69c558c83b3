/*
 * registrar/prune.c - endpoints that fell silent: the sweep, its suspension
 * while NATS is away, and removal after failed identity checks.
 */
#include "registrar/prune.h"

#include <string.h>

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

/* Who failed, apart from the table: the line is written after the removal. */
struct failed {
	struct endpoint endpoint;
	char tags[ENDPOINT_TAGS_MAX];
};

static bool find_failed(const struct prune *p, const struct endpoint_event *event,
			struct failed *out)
{
	return route_writer_endpoint(p->writer, event->row, event->serial, &out->endpoint,
				     out->tags);
}

static struct str code_of(const struct endpoint_event *event)
{
	return (struct str){ event->code, strnlen(event->code, sizeof(event->code)) };
}

static void log_event(const char *name, const struct failed *failed,
		      const struct endpoint_event *event)
{
	const struct endpoint *endpoint = &failed->endpoint;
	struct str tags = endpoint_log_tags(endpoint->flags, endpoint->tags);
	char address[512];

	endpoint_format_address(endpoint, address, sizeof(address));
	log_at(LOG_LEVEL_ERROR, "registry", name, ENDPOINT_LOG_PAIRS " code=%.*s errno=%u",
	       ENDPOINT_LOG_VALUES(endpoint, address, tags), STR_ARG(code_of(event)),
	       event->error);
}

static void log_marked(struct prune *p, const struct failed *failed,
		       const struct endpoint_event *event)
{
	uint64_t suppressed;

	if (log_limit_allows(&p->failed_limit, &suppressed))
		log_event("endpoint-marked-as-ineligible", failed, event);
}

/* Not now: if many fail alike within a moment, it is not the endpoints' fault.
 * Without room it stays marked, and the next failure says so again. */
static void remove_soon(struct prune *p, const struct endpoint_event *event)
{
	unsigned i = (p->pending_first + p->pending_count) % PRUNE_PENDING_MAX;

	if (p->pending_count == PRUNE_PENDING_MAX)
		return;
	p->pending[i].event = *event;
	p->pending[i].due_tick = p->tick + PRUNE_PENDING_TICKS;
	p->pending_count++;
}

/* The last endpoint of a route stays: marked, it is tried when there is no other. */
static void remove_now(struct prune *p, const struct endpoint_event *event)
{
	struct failed failed;
	unsigned gone;

	if (!find_failed(p, event, &failed))
		return;
	gone = alarm_is_raised(&p->alarm, event->failure, p->tick) ? 0 :
	       route_writer_remove_serial(p->writer, event->row, event->serial, true);
	if (!gone) {
		log_marked(p, &failed, event);
		return;
	}
	counter_add(p->counters, COUNTER_routes_pruned, gone);
	log_event("prune-failed-endpoint", &failed, event);
}

static void remove_due(struct prune *p)
{
	while (p->pending_count) {
		const struct prune_pending *first = &p->pending[p->pending_first];

		if ((int32_t)(p->tick - first->due_tick) < 0)
			return;
		remove_now(p, &first->event);
		p->pending_first = (p->pending_first + 1) % PRUNE_PENDING_MAX;
		p->pending_count--;
	}
}

/* Plain endpoints are never removed for a failure (spec control 3.5). */
void prune_event(struct prune *p, const struct endpoint_event *event)
{
	struct failed failed;
	const struct endpoint *endpoint = &failed.endpoint;
	bool is_alike;

	if ((event->kind != EVENT_PRUNE && event->kind != EVENT_FAILED) ||
	    !find_failed(p, event, &failed))
		return;
	is_alike = alarm_note(&p->alarm, event->failure, code_of(event), endpoint->app_id,
			      endpoint->host, p->tick, (unsigned)p->settings->prune_alarm_apps);
	if (event->kind == EVENT_PRUNE && endpoint->flags & ENDPOINT_TLS && !is_alike)
		remove_soon(p, event);
	else
		log_marked(p, &failed, event);
}

void prune_tick(struct prune *p, uint32_t tick)
{
	unsigned gone = 0;

	p->tick = tick;
	remove_due(p);
	if (p->settings->suspend_pruning_if_nats_unavailable && !sources_any_trusted(p->sources)) {
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
