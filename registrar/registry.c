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

#define HANDLE_SLOTS (1u << 17)
#define TICK_MS 100

struct registry {
	const struct registrar_settings *settings;
	struct route_writer *writer;
	struct board *board;
	uint64_t *counters;
	struct handles *handles;
	struct log_limit invalid_limit, full_limit;
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
	r->handles = handles_create(HANDLE_SLOTS);
	r->invalid_limit.per_second = r->full_limit.per_second = 10;
	route_writer_keep_empty(writer, (uint32_t)(settings->empty_pool_timeout_ms / TICK_MS));
	return r;
}

void registry_destroy(struct registry *r)
{
	handles_destroy(r->handles);
	free(r);
}

static bool is_in_shard(const struct registrar_settings *s, struct str segment)
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

/* True if every handle of a known message is still good: done without parsing. */
static bool refresh_known(struct registry *r, struct known_message *known, uint32_t tick)
{
	for (unsigned i = 0; i < known->count; i++) {
		if (route_writer_refresh(r->writer, &known->handles[i], tick) == 0)
			continue;
		known->count = 0;
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
	if (is_new_route)
		log_at(LOG_LEVEL_INFO, "registry", "route-registered", "uri=%.*s",
		       STR_ARG(key->text));
	log_endpoint(result == WRITE_ADDED ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG,
		     result == WRITE_UNMODIFIED ? "endpoint-not-registered" : "endpoint-registered",
		     uri, endpoint);
}

static void count_added(struct registry *r, int result)
{
	uint64_t suppressed;

	if (result == WRITE_ADDED) {
		counter_add(r->counters, COUNTER_registry_message_added, 1);
	} else if (result > 0) {
		counter_add(r->counters, COUNTER_registry_message_updated, 1);
	} else {
		counter_add(r->counters, COUNTER_table_full_refusals, 1);
		if (log_limit_allows(&r->full_limit, &suppressed))
			log_at(LOG_LEVEL_ERROR, "registry", "table-full", "error=%d", -result);
	}
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
	count_added(r, result);
	if (result > 0)
		log_added(result, is_new_route, uri, &key, endpoint);
	return result;
}

static void register_all(struct registry *r, const struct registration *registration,
			 struct known_message *known, uint32_t tick)
{
	bool can_know = registration->uri_count <= HANDLES_PER_MESSAGE;
	struct route_handle handle;

	for (unsigned i = 0; i < registration->uri_count; i++) {
		if (register_uri(r, registration->uris[i], &registration->endpoint, tick,
				 &handle) <= 0)
			can_know = false;
		else if (can_know)
			known->handles[i] = handle;
	}
	known->count = can_know ? registration->uri_count : 0;
	board_set_fact(r->board, FACT_LAST_UPDATE_MS, clock_ms());
}

void registry_register(struct registry *r, struct str payload, uint32_t tick)
{
	struct known_message *known = handles_find(r->handles, payload);
	struct registration registration;
	struct reason reason;
	struct arena arena;

	if (refresh_known(r, known, tick)) {
		board_set_fact(r->board, FACT_LAST_UPDATE_MS, clock_ms());
		return;
	}
	arena_init(&arena, NULL, 0);
	if (message_parse(payload, &arena, &registration, &reason) < 0) {
		log_invalid(r, "router.register", payload, &reason);
	} else if (!is_in_shard(r->settings, registration.endpoint.isolation_segment)) {
		counter_add(r->counters, COUNTER_registry_message_filtered, 1);
	} else {
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

void registry_unregister(struct registry *r, struct str payload)
{
	struct registration registration;
	struct reason reason;
	struct arena arena;

	arena_init(&arena, NULL, 0);
	if (message_parse(payload, &arena, &registration, &reason) < 0)
		log_invalid(r, "router.unregister", payload, &reason);
	else if (!is_in_shard(r->settings, registration.endpoint.isolation_segment))
		counter_add(r->counters, COUNTER_registry_message_filtered, 1);
	else
		for (unsigned i = 0; i < registration.uri_count; i++)
			unregister_uri(r, registration.uris[i], &registration.endpoint);
	arena_fini(&arena);
}
