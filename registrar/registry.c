/*
 * registrar/registry.c - registrations into the table (spec control 2.3-2.7).
 */
#include "registrar/registry.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "registrar/handles.h"
#include "registrar/message.h"
#include "shm/counters.h"

#define KNOWN_MESSAGES (1u << 18)
#define TICK_MS 100

struct registry {
	const struct registrar_settings *settings;
	struct route_writer *writer;
	struct board *board;
	uint64_t *counters;
	struct handles *handles;
	struct log_limit invalid_limit, full_limit, large_limit, filtered_limit, dropped_limit;
};

struct registry *registry_create(const struct registrar_settings *settings,
				 struct route_writer *writer, struct board *board,
				 uint64_t *counters)
{
	struct registry *r = mem_zalloc(sizeof(*r));

	r->settings = settings;
	r->writer = writer;
	r->board = board;
	r->counters = counters;
	r->handles = handles_create(KNOWN_MESSAGES);
	r->invalid_limit.per_second = r->full_limit.per_second = 10;
	r->large_limit.per_second = r->filtered_limit.per_second = r->dropped_limit.per_second = 1;
	route_writer_keep_empty(writer, (uint32_t)(settings->empty_pool_timeout_ms / TICK_MS));
	return r;
}

void registry_destroy(struct registry *r)
{
	handles_destroy(r->handles);
	free(r);
}

bool registry_is_in_shard(const struct registrar_settings *s, struct str segment)
{
	if (s->sharding == SHARDING_ALL ||
	    (s->sharding == SHARDING_SHARED_AND_SEGMENTS && str_is_empty(segment)))
		return true;
	for (unsigned i = 0; i < s->isolation_segments.count; i++)
		if (str_equal(str_of(s->isolation_segments.items[i]), segment))
			return true;
	return false;
}

static void log_endpoint(enum log_level level, const char *event, struct str uri,
			 const struct endpoint *e)
{
	char backend[512];
	size_t len = endpoint_format_address(e, backend, sizeof(backend));
	struct str segment = str_is_empty(e->isolation_segment) ? STR("-") : e->isolation_segment;

	if (str_has_suffix(uri, STR("/")))
		uri.len--;
	log_at(level, "registry", event,
	       "uri=%.*s route_service_url=%.*s backend=%.*s application_id=%.*s "
	       "instance_id=%.*s server_cert_domain_san=%.*s protocol=%.*s "
	       "modification_tag:=%s isolation_segment=%.*s isTLS:=%s",
	       STR_ARG(uri), STR_ARG(e->route_service_url), (int)len, backend,
	       STR_ARG(e->app_id), STR_ARG(e->instance_id), STR_ARG(e->san),
	       STR_ARG(e->protocol), "{\"guid\":\"\",\"index\":0}", STR_ARG(segment),
	       e->flags & ENDPOINT_TLS ? "true" : "false");
}

static void log_invalid(struct registry *r, const char *subject, struct str payload,
			const struct reason *reason)
{
	uint64_t suppressed;
	struct str shown = str_sub(payload, 0, 256);

	counter_add(r->counters, COUNTER_registry_message_rejected, 1);
	if (log_limit_allows(&r->invalid_limit, &suppressed))
		log_at(LOG_LEVEL_ERROR, "subscriber", "validation-error",
		       "error=%s payload=%.*s subject=%s suppressed=%llu", reason->text,
		       STR_ARG(shown), subject, (unsigned long long)suppressed);
}

/* False, counted and said now and then, if the message is for other routers. */
static bool concerns_us(struct registry *r, const struct endpoint *endpoint)
{
	uint64_t suppressed;

	if (registry_is_in_shard(r->settings, endpoint->isolation_segment))
		return true;
	counter_add(r->counters, COUNTER_registry_message_filtered, 1);
	if (log_limit_allows(&r->filtered_limit, &suppressed))
		log_at(LOG_LEVEL_DEBUG, "registry", "registration-filtered",
		       "isolation_segment=%.*s suppressed=%llu",
		       STR_ARG(endpoint->isolation_segment), (unsigned long long)suppressed);
	return false;
}

/* Reads a message that concerns us and asks for something; false: done with it. */
static bool read_message(struct registry *r, const char *subject, struct str payload,
			 struct arena *arena, struct registration *registration)
{
	struct reason reason;
	int rc = message_parse(payload, arena, registration, &reason);

	if (rc == 0)
		return concerns_us(r, &registration->endpoint);
	if (rc != -ENODATA)
		log_invalid(r, subject, payload, &reason);
	return false;
}

/* True if every handle of a known message is still good: done without parsing. */
static bool refresh_known(struct registry *r, struct known_message *known, uint32_t tick)
{
	for (uint32_t i = 0; i < known->count; i++) {
		if (route_writer_refresh(r->writer, &known_handles(known)[i], tick) == 0)
			continue;
		known_forget(known);
		return false;
	}
	if (known->count)
		counter_add(r->counters, COUNTER_registry_message_refreshed, 1);
	return known->count > 0;
}

static void clamp_lifetime(const struct registry *r, struct endpoint *endpoint)
{
	uint32_t most = (uint32_t)(r->settings->droplet_stale_threshold_ms / 1000);

	if (endpoint->stale_s == 0 || endpoint->stale_s > most)
		endpoint->stale_s = most;
}

static void log_added(int result, bool is_new_route, struct str uri, const struct route_key *key,
		      const struct endpoint *endpoint)
{
	if (is_new_route) {
		log_at(LOG_LEVEL_INFO, "registry", "route-registered", "uri=%.*s",
		       STR_ARG(key->text));
		log_at(LOG_LEVEL_DEBUG, "registry", "uri-added", "uri=%.*s", STR_ARG(key->text));
	}
	log_endpoint(result == WRITE_ADDED ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG,
		     result == WRITE_UNMODIFIED ? "endpoint-not-registered" : "endpoint-registered",
		     uri, endpoint);
}

static void log_refused(struct registry *r, int error, struct str uri)
{
	bool is_full = error == -ENOSPC;
	uint64_t suppressed;

	counter_add(r->counters,
		    is_full ? COUNTER_table_full_refusals : COUNTER_registry_message_rejected, 1);
	if (log_limit_allows(is_full ? &r->full_limit : &r->large_limit, &suppressed))
		log_at(LOG_LEVEL_ERROR, "registry", is_full ? "table-full" : "endpoint-refused",
		       "uri=%.*s error=%s suppressed=%llu", STR_ARG(uri),
		       error == -EMSGSIZE ? "too large for the table" : strerror(-error),
		       (unsigned long long)suppressed);
}

static void count_added(struct registry *r, int result, struct str uri)
{
	if (result == WRITE_ADDED)
		counter_add(r->counters, COUNTER_registry_message_added, 1);
	else if (result > 0)
		counter_add(r->counters, COUNTER_registry_message_updated, 1);
	else
		log_refused(r, result, uri);
}

static int register_uri(struct registry *r, struct str uri, const struct endpoint *endpoint,
			uint32_t tick, struct route_handle *handle)
{
	char buffer[ROUTE_KEY_MAX];
	struct route_key key;
	struct reason reason;
	bool is_new_route = false;
	int result;

	if (route_key_parse(uri, buffer, &key, &reason) < 0) {
		log_invalid(r, "router.register", uri, &reason);
		return -EINVAL;
	}
	result = route_writer_add(r->writer, &key, endpoint, tick, handle, &is_new_route);
	count_added(r, result, uri);
	if (result > 0)
		log_added(result, is_new_route, uri, &key, endpoint);
	return result;
}

static void register_all(struct registry *r, const struct registration *registration,
			 struct known_message *known, uint32_t tick)
{
	uint32_t count = registration->uri_count, accepted = 0;
	struct route_handle *handles = known_reserve(known, count);

	for (uint32_t i = 0; i < count; i++)
		if (register_uri(r, registration->uris[i], &registration->endpoint, tick,
				 &handles[i]) > 0)
			accepted++;
	if (accepted == count)
		known->count = count;
	else
		known_forget(known);
	if (accepted)
		board_set_fact(r->board, FACT_LAST_UPDATE_MS, clock_ms());
}

/* Other fields than those that keep an app safe may be wrong: said, and left out. */
static void log_dropped_fields(struct registry *r, const struct registration *registration)
{
	uint64_t suppressed;

	if (!registration->dropped_fields)
		return;
	counter_add(r->counters, COUNTER_registry_fields_dropped, registration->dropped_fields);
	if (log_limit_allows(&r->dropped_limit, &suppressed))
		log_at(LOG_LEVEL_WARN, "subscriber", "fields-dropped",
		       "count=%u host=%.*s application_id=%.*s suppressed=%llu",
		       registration->dropped_fields, STR_ARG(registration->endpoint.host),
		       STR_ARG(registration->endpoint.app_id), (unsigned long long)suppressed);
}

void registry_register(struct registry *r, unsigned source, struct str payload, uint32_t tick)
{
	struct known_message *known = handles_find(r->handles, payload);
	struct registration registration;
	struct arena arena;

	if (refresh_known(r, known, tick)) {
		board_set_fact(r->board, FACT_LAST_UPDATE_MS, clock_ms());
		return;
	}
	route_writer_because(r->writer, HISTORY_REGISTERED, source, STR_NONE);
	arena_init(&arena, NULL, 0);
	if (read_message(r, "router.register", payload, &arena, &registration)) {
		log_dropped_fields(r, &registration);
		clamp_lifetime(r, &registration.endpoint);
		register_all(r, &registration, known, tick);
	}
	arena_fini(&arena);
}

static void unregister_uri(struct registry *r, struct str uri, const struct endpoint *e)
{
	char buffer[ROUTE_KEY_MAX];
	struct route_key key;
	bool is_route_gone = false;
	int rc;

	if (route_key_parse(uri, buffer, &key, NULL) < 0)
		return;
	rc = route_writer_remove(r->writer, &key, e->host, e->port, e->instance_id,
				 &is_route_gone);
	if (rc == 0) {
		counter_add(r->counters, COUNTER_registry_message_removed, 1);
		log_endpoint(LOG_LEVEL_INFO, "endpoint-unregistered", key.text, e);
	} else if (rc != -ENOENT) {
		log_endpoint(LOG_LEVEL_INFO, "endpoint-not-unregistered", key.text, e);
	}
	if (is_route_gone)
		log_at(LOG_LEVEL_INFO, "registry", "route-unregistered", "uri=%.*s",
		       STR_ARG(key.text));
}

void registry_unregister(struct registry *r, unsigned source, struct str payload, uint32_t tick)
{
	struct registration registration;
	struct arena arena;

	(void)tick;
	route_writer_because(r->writer, HISTORY_UNREGISTERED, source, STR_NONE);
	arena_init(&arena, NULL, 0);
	log_at(LOG_LEVEL_DEBUG, "subscriber", "unregister-route", "message=%.*s",
	       STR_ARG(str_sub(payload, 0, 1024)));
	if (read_message(r, "router.unregister", payload, &arena, &registration))
		for (unsigned i = 0; i < registration.uri_count; i++)
			unregister_uri(r, registration.uris[i], &registration.endpoint);
	arena_fini(&arena);
}
