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

/* Known messages: few at first, as many as could have routes in the table at most. */
#define KNOWN_FIRST 4096u
#define ROUTE_BYTES_MIN 128u
#define RUN_MOST 64
#define ARENA_ROOM 3072               /* enough for the usual message */

/* Of so many messages of a server more than half, or less than a sixteenth, had to be read. */
#define WATCHED 256u
#define IS_NEWS(read) ((read) > WATCHED / 2)
#define IS_OLD(read)  ((read) < WATCHED / 16)

/* One message, on its way into the table. */
struct arrival {
	struct registry *registry;
	const struct bus_message *message;
	uint32_t tick;
	bool is_read, is_wanted;      /* wanted: it asks for something, and this router for it */
	bool is_heard;                /* its endpoint's row is known and noted */
	enum ownership ownership;     /* what the claim means, and who was there before */
	uint32_t before;
	struct reading *reading;      /* the message's, or in the arena */
	struct owner_claim claim;
	struct arena arena;
	char room[ARENA_ROOM];
};

/* How much of what a server brings is new. */
struct novelty {
	unsigned messages, read;
	bool is_high;
};

struct registry {
	const struct registrar_settings *settings;
	struct trust *trust;
	struct route_writer *writer;
	struct board *board;
	uint64_t *counters;
	struct handles *handles;
	uint32_t update_tick;         /* FACT_LAST_UPDATE_MS was set in */
	struct log_limit invalid_limit, full_limit, large_limit, filtered_limit, dropped_limit;
	struct log_limit quota_limit, owner_limit;
	struct reading_rules rules;
	struct novelty novelty[SOURCES_MAX];
	struct arrival arrivals[2];   /* at work, and read ahead */
};

static unsigned known_most(const struct route_writer *writer)
{
	struct table_usage usage;
	unsigned most = KNOWN_FIRST;

	route_writer_usage(writer, &usage);
	while (most < usage.capacity_bytes / ROUTE_BYTES_MIN && most < 1u << 25)
		most *= 2;
	return most;
}

struct registry *registry_create(struct trust *trust, struct route_writer *writer,
				 uint64_t *counters)
{
	struct registry *r = mem_zalloc(sizeof(*r));

	r->settings = trust->settings;
	r->trust = trust;
	r->writer = writer;
	r->board = trust->board;
	r->counters = counters;
	r->arrivals[0].registry = r->arrivals[1].registry = r;
	r->handles = handles_create(KNOWN_FIRST, known_most(writer));
	r->invalid_limit.per_second = r->full_limit.per_second = 10;
	r->large_limit.per_second = r->filtered_limit.per_second = r->dropped_limit.per_second = 1;
	r->quota_limit.per_second = 1;
	r->owner_limit.per_second = 10;
	r->rules = (struct reading_rules){
		.settings = r->settings, .key = trust->key, .seed = route_writer_seed(writer),
	};
	route_writer_keep_empty(writer, (uint32_t)(r->settings->empty_pool_timeout_ms / TICK_MS));
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
	struct str segment = str_is_empty(e->isolation_segment) ? STR("-") : e->isolation_segment;
	struct str is_tls = e->flags & ENDPOINT_TLS ? STR("true") : STR("false");
	char backend[512];
	size_t len;

	if (!log_is_on(level))
		return;
	len = endpoint_format_address(e, backend, sizeof(backend));
	if (str_has_suffix(uri, STR("/")))
		uri.len--;
	log_line(level, "registry", event,
		 "uri=%.*s route_service_url=%.*s backend=%.*s application_id=%.*s "
		 "instance_id=%.*s server_cert_domain_san=%.*s protocol=%.*s "
		 "modification_tag:={\"guid\":\"\",\"index\":0} isolation_segment=%.*s isTLS:=%.*s",
		 STR_ARG(uri), STR_ARG(e->route_service_url), (int)len, backend,
		 STR_ARG(e->app_id), STR_ARG(e->instance_id), STR_ARG(e->san),
		 STR_ARG(e->protocol), STR_ARG(segment), STR_ARG(is_tls));
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
static bool concerns_us(struct registry *r, const struct reading *reading)
{
	const struct endpoint *endpoint = &reading->registration.endpoint;
	uint64_t suppressed;

	if (reading->is_in_shard)
		return true;
	counter_add(r->counters, COUNTER_registry_message_filtered, 1);
	if (log_limit_allows(&r->filtered_limit, &suppressed))
		log_at(LOG_LEVEL_DEBUG, "registry", "registration-filtered",
		       "isolation_segment=%.*s suppressed=%llu",
		       STR_ARG(endpoint->isolation_segment), (unsigned long long)suppressed);
	return false;
}

/* A message that concerns us and asks for something; false: done with it. */
static bool is_wanted(struct registry *r, const struct bus_message *m, const struct reading *reading)
{
	if (reading->result == 0)
		return concerns_us(r, reading);
	if (reading->reason)
		log_invalid(r, m->subject == BUS_REGISTER ? "router.register" : "router.unregister",
			    m->payload, reading->reason);
	return false;
}

/* True if every handle of a known message is still good: done without parsing.  A
 * message of who lost its address is read with care. */
static bool refresh_known(struct registry *r, struct known_message *peeked,
			  const struct bus_message *m, uint32_t tick)
{
	struct known_message *known = handles_find_again(r->handles, peeked, m->hash);
	const struct route_handle *handles;

	if (!known)
		return false;
	handles = known_handles(known);
	if (trust_is_disowned(r->trust, handles[0].row))
		return false;
	for (uint32_t i = 0; i < known->count; i++) {
		if (route_writer_refresh(r->writer, &handles[i], tick) == 0)
			continue;
		known_forget(r->handles, known);
		return false;
	}
	trust_heard(r->trust, handles[0].row, m->source, tick);
	counter_add(r->counters, COUNTER_registry_message_refreshed, 1);
	return true;
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

static void log_owner(struct registry *r, const char *event, const struct endpoint *e)
{
	char address[512];
	uint64_t suppressed;

	if (!log_limit_allows(&r->owner_limit, &suppressed))
		return;
	endpoint_format_address(e, address, sizeof(address));
	log_at(LOG_LEVEL_WARN, "registry", event,
	       "address=%s application_id=%.*s instance_id=%.*s suppressed=%llu", address,
	       STR_ARG(e->app_id), STR_ARG(e->instance_id), (unsigned long long)suppressed);
}

/* Attributes besides the time of birth, tags left out. */
static bool endpoint_differs(const struct endpoint *a, const struct endpoint *b)
{
#define X(name) \
	if (!str_equal(a->name, b->name)) \
		return true;
	ENDPOINT_TEXTS(X)
#undef X
	return a->flags != b->flags || a->stale_s != b->stale_s || a->port != b->port ||
	       a->balancing != b->balancing;
}

/* Routes are counted by endpoint: one more, and one less if the place was another's. */
static void note_route(struct arrival *a, const struct route_handle *handle,
		       const struct route_handle *present)
{
	struct trust *t = a->registry->trust;

	if (present && present->row == handle->row)
		return;
	trust_count_route(t, handle);
	if (present)
		trust_discount_route(t, present);
}

/* The first URI that was put shows the endpoint's row: who is there now, and who is
 * not any more. */
static void settle(struct arrival *a, const struct route_handle *handle)
{
	struct registry *r = a->registry;

	if (a->is_heard)
		return;
	a->is_heard = true;
	trust_claim(r->trust, handle->row, &a->claim.id);
	if (a->ownership == OWNER_REPLACED) {
		trust_replace(r->trust, handle->row, a->before);
	} else if (a->ownership == OWNER_CHANGED) {
		trust_disown(r->trust, a->before);
		counter_add(r->counters, COUNTER_ownership_change_total, 1);
		log_owner(r, "ownership-changed", &a->reading->registration.endpoint);
	}
	owners_grant(r->trust->owners, &a->claim, handle->row);
	trust_heard(r->trust, handle->row, a->message->source, a->tick);
}

/* Of the memory or of the places for endpoints, whichever is scarcer.  What only waits
 * for readers, as an index does after a larger one took its place, is as good as free. */
static unsigned used_percent(const struct registry *r)
{
	struct table_usage usage;
	uint64_t bytes, rows;

	route_writer_usage(r->writer, &usage);
	bytes = usage.used_bytes > usage.deferred_bytes ? usage.used_bytes - usage.deferred_bytes : 0;
	bytes = bytes * 100 / usage.capacity_bytes;
	rows = usage.endpoints * 100 / usage.endpoints_most;
	return (unsigned)(bytes > rows ? bytes : rows);
}

static bool is_refused_by_quota(struct arrival *a, struct str uri)
{
	struct registry *r = a->registry;
	struct trust *t = r->trust;
	const struct endpoint *e = &a->reading->registration.endpoint;
	unsigned used = used_percent(r);
	uint64_t suppressed;
	struct cell *cell;
	bool has_row;
	uint32_t row;

	if (!quota_has_limits(&t->quota, used))
		return false;
	cell = cells_get(t->cells, a->claim.id.host);
	has_row = owners_row(t->owners, &a->claim.id, &row);
	if (quota_allows(&t->quota, has_row ? trust_row(t, row) : NULL, cell, used))
		return false;
	quota_note_refusal(&t->quota, cell, a->tick);
	counter_add(r->counters, COUNTER_quota_refusals_total, 1);
	if (log_limit_allows(&r->quota_limit, &suppressed))
		log_at(LOG_LEVEL_ERROR, "registry", "quota-exceeded",
		       "uri=%.*s host=%.*s port=%u application_id=%.*s routes_of_host=%u "
		       "table_used_percent=%u suppressed=%llu", STR_ARG(uri), STR_ARG(e->host),
		       e->port, STR_ARG(e->app_id), cell->routes, used,
		       (unsigned long long)suppressed);
	return true;
}

/* Another server brings other attributes than those that are heard just now. */
static bool is_conflict(const struct arrival *a, const struct endpoint *present, uint32_t row)
{
	const struct seen *seen = a->registry->trust->seen;
	uint32_t cycle = a->claim.cycle, mine = seen_tick(seen, row, a->message->source);

	return endpoint_differs(&a->reading->registration.endpoint, present) &&
	       a->tick - seen_newest(seen, row) <= cycle && seen_newest(seen, row) &&
	       (!mine || a->tick - mine > cycle);
}

/* The instance's time of birth is said once, and stays (spec control 11.1).  True:
 * what is there is newer than what comes. */
static bool is_superseded(struct arrival *a, struct endpoint *present, uint32_t row)
{
	struct endpoint *e = &a->reading->registration.endpoint;

	if (str_equal(e->instance_id, present->instance_id) &&
	    str_equal(e->app_id, present->app_id) && !e->updated_at_ns)
		e->updated_at_ns = present->updated_at_ns;
	if (!is_conflict(a, present, row))
		return false;
	counter_add(a->registry->counters, COUNTER_attribute_conflict_total, 1);
	return e->updated_at_ns && e->updated_at_ns < present->updated_at_ns;
}

/* Why the message must not touch the route; nothing: it may. */
static struct str held_off(struct arrival *a, const struct route_key *key, struct str uri,
			   struct route_handle *handle, bool *is_present)
{
	struct registry *r = a->registry;
	struct trust *t = r->trust;
	struct endpoint *e = &a->reading->registration.endpoint, present;
	uint64_t under = key == &a->reading->key ? a->reading->under :
			 identity_under(&t->key, &a->claim.id, key->text);

	if (tombstones_cover(t->tombstones, under, a->message->source, a->tick)) {
		counter_add(r->counters, COUNTER_tombstone_hits_total, 1);
		return STR("a late copy: it was unregistered");
	}
	*is_present = route_writer_find(r->writer, key, e->host, e->port, &present, handle);
	if (*is_present)
		return is_superseded(a, &present, handle->row) ? STR("older than what is known") :
								 STR_NONE;
	return is_refused_by_quota(a, uri) ? STR("beyond its quota") : STR_NONE;
}

/* What was offered before the table was looked at, if it is still that. */
static int add(struct arrival *a, const struct route_key *key, bool is_changed,
	       struct route_handle *handle, bool *is_new_route)
{
	struct route_writer *w = a->registry->writer;

	if (a->reading->offer && key == &a->reading->key && !is_changed)
		return route_writer_add_offer(w, a->reading->offer, a->tick, handle, is_new_route);
	return route_writer_add(w, key, &a->reading->registration.endpoint, a->tick, handle,
				is_new_route);
}

static int register_key(struct arrival *a, struct str uri, const struct route_key *key,
			struct route_handle *handle)
{
	struct registry *r = a->registry;
	struct endpoint *e = &a->reading->registration.endpoint;
	uint64_t updated_at_ns = e->updated_at_ns;
	bool is_new_route = false, is_present = false;
	struct route_handle present;
	struct str refusal = held_off(a, key, uri, &present, &is_present);
	int result;

	if (refusal.len) {
		route_writer_note_refused(r->writer, key, e, refusal);
		e->updated_at_ns = updated_at_ns;
		return -EBUSY;
	}
	result = add(a, key, e->updated_at_ns != updated_at_ns, handle, &is_new_route);
	e->updated_at_ns = updated_at_ns;
	count_added(r, result, uri);
	if (result <= 0)
		return result;
	log_added(result, is_new_route, uri, key, e);
	settle(a, handle);
	note_route(a, handle, is_present ? &present : NULL);
	return result;
}

static int register_uri(struct arrival *a, unsigned i, struct route_handle *handle)
{
	struct str uri = a->reading->registration.uris[i];
	char buffer[ROUTE_KEY_MAX];
	struct route_key key;
	struct reason reason;

	if (i == 0 && a->reading->has_key)
		return register_key(a, uri, &a->reading->key, handle);
	if (route_key_parse(uri, buffer, &key, &reason) == 0) {
		route_key_add_hashes(&a->registry->rules.seed, &key);
		return register_key(a, uri, &key, handle);
	}
	log_invalid(a->registry, "router.register", uri, &reason);
	return -EINVAL;
}

/* Many a millisecond: the clock of the tick will do. */
static void note_update(struct registry *r, uint32_t tick)
{
	if (tick == r->update_tick)
		return;
	r->update_tick = tick;
	board_set_fact(r->board, FACT_LAST_UPDATE_MS, clock_ms());
}

static void register_all(struct arrival *a)
{
	const struct registration *registration = &a->reading->registration;
	uint32_t count = registration->uri_count, accepted = 0;
	struct route_handle *handles = arena_alloc(&a->arena, count * sizeof(*handles));

	for (uint32_t i = 0; i < count; i++)
		if (register_uri(a, i, &handles[i]) > 0)
			accepted++;
	if (accepted == count)
		handles_keep(a->registry->handles, a->message->hash, handles, count);
	if (accepted)
		note_update(a->registry, a->tick);
}

/* False: the message of somebody who is not there any more. */
static bool owns_its_address(struct arrival *a)
{
	struct registry *r = a->registry;

	a->ownership = owners_judge(r->trust->owners, &a->claim, &a->before);
	if (a->ownership != OWNER_LATE)
		return true;
	counter_add(r->counters, COUNTER_late_registration_total, 1);
	log_owner(r, "late-registration-ignored", &a->reading->registration.endpoint);
	return false;
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

static void log_removed(struct registry *r, int rc, const struct route_key *key,
			const struct endpoint *e)
{
	if (rc == 0) {
		counter_add(r->counters, COUNTER_registry_message_removed, 1);
		log_endpoint(LOG_LEVEL_INFO, "endpoint-unregistered", key->text, e);
	} else if (rc != -ENOENT) {
		log_endpoint(LOG_LEVEL_INFO, "endpoint-not-unregistered", key->text, e);
	}
}

/* Whether or not it was there: copies of its registration may still be on their way. */
static void unregister_uri(struct arrival *a, struct str uri)
{
	struct registry *r = a->registry;
	struct trust *t = r->trust;
	const struct endpoint *e = &a->reading->registration.endpoint;
	char buffer[ROUTE_KEY_MAX];
	struct endpoint present;
	struct route_handle handle;
	struct route_key key;
	bool is_route_gone = false, is_present;
	int rc;

	if (route_key_parse(uri, buffer, &key, NULL) < 0)
		return;
	route_key_add_hashes(&r->rules.seed, &key);
	tombstones_add(t->tombstones, identity_under(&t->key, &a->claim.id, key.text),
		       a->message->source, a->tick);
	is_present = route_writer_find(r->writer, &key, e->host, e->port, &present, &handle);
	rc = route_writer_remove(r->writer, &key, e->host, e->port, e->instance_id,
				 &is_route_gone);
	if (rc == 0 && is_present)
		trust_discount_route(t, &handle);
	log_removed(r, rc, &key, e);
	if (is_route_gone)
		log_at(LOG_LEVEL_INFO, "registry", "route-unregistered", "uri=%.*s",
		       STR_ARG(key.text));
}

/* --- runs of messages */

/* What the next message will look for is fetched while this one is worked on. */
static void fetch(struct arrival *a)
{
	struct registry *r = a->registry;

	owners_fetch(r->trust->owners, &a->claim.id);
	cells_fetch(r->trust->cells, a->claim.id.host);
	if (a->reading->offer)
		route_writer_fetch_offer(r->writer, a->reading->offer);
	else if (a->reading->has_key)
		route_writer_fetch_key(r->writer, &a->reading->key);
}

/* By now; another thread may be at work on it. */
static struct reading *reading_of(const struct bus_message *m)
{
	return atomic_load_explicit(&m->reading, memory_order_acquire);
}

static void read_arrival(struct arrival *a, const struct bus_message *m, uint32_t tick)
{
	struct registry *r = a->registry;
	struct trust *t = r->trust;
	struct reading *reading;

	a->message = m;
	a->tick = tick;
	a->is_heard = a->is_wanted = false;
	a->is_read = true;
	arena_init(&a->arena, a->room, sizeof(a->room));
	if (m->subject == BUS_REGISTER && !quota_may_read(&t->quota, t->cells, &t->key, m->payload, tick)) {
		counter_add(r->counters, COUNTER_quota_refusals_total, 1);
		return;
	}
	if (m->subject == BUS_REGISTER)
		r->novelty[m->source].read++;
	reading = reading_of(m);
	a->reading = reading ? reading : reading_make(&r->rules, m->payload, &a->arena);
	reading = a->reading;
	a->is_wanted = is_wanted(r, m, reading);
	if (!a->is_wanted)
		return;
	a->claim = (struct owner_claim){
		.id = reading->id, .source = m->source,
		.updated_at_ns = reading->registration.endpoint.updated_at_ns,
		.tick = tick, .cycle = t->cycle,
	};
	fetch(a);
}

static void apply_registration(struct arrival *a)
{
	struct registry *r = a->registry;

	route_writer_because(r->writer, HISTORY_REGISTERED, a->message->source, STR_NONE);
	log_dropped_fields(r, &a->reading->registration);
	if (owns_its_address(a))
		register_all(a);
}

static void apply_unregistration(struct arrival *a)
{
	route_writer_because(a->registry->writer, HISTORY_UNREGISTERED, a->message->source, STR_NONE);
	for (unsigned i = 0; i < a->reading->registration.uri_count; i++)
		unregister_uri(a, a->reading->registration.uris[i]);
}

/* Neither known nor done with.  The arrival may have been read ahead. */
static void apply(struct arrival *a, const struct bus_message *m, uint32_t tick)
{
	if (m->subject == BUS_UNREGISTER)
		log_at(LOG_LEVEL_DEBUG, "subscriber", "unregister-route", "message=%.*s",
		       STR_ARG(str_sub(m->payload, 0, 1024)));
	if (!a->is_read)
		read_arrival(a, m, tick);
	if (a->is_wanted && m->subject == BUS_REGISTER)
		apply_registration(a);
	else if (a->is_wanted)
		apply_unregistration(a);
}

static void put_away(struct arrival *a)
{
	if (a->is_read)
		arena_fini(&a->arena);
	a->is_read = false;
}

/* Messages that are looked at together, and what is known of each. */
struct run {
	const struct bus_message *messages;
	unsigned count;
	struct known_message *known[RUN_MOST];
};

/* Memory for known messages: one step for all before the next step, for each begins
 * where the one before has pointed. */
static void fetch_known(const struct registry *r, struct run *run)
{
	for (unsigned i = 0; i < run->count; i++)
		handles_fetch_tags(r->handles, run->messages[i].hash);
	for (unsigned i = 0; i < run->count; i++)
		handles_fetch_message(r->handles, run->messages[i].hash);
	for (unsigned i = 0; i < run->count; i++) {
		const struct bus_message *m = &run->messages[i];
		struct known_message *known = m->subject == BUS_REGISTER ?
					      handles_peek(r->handles, m->hash) : NULL;

		run->known[i] = known;
		if (known) {
			route_writer_fetch(r->writer, known_handles(known));
			seen_fetch(r->trust->seen, known_handles(known)->row);
		}
	}
	for (unsigned i = 0; i < run->count; i++)
		if (run->known[i])
			route_writer_fetch_route(r->writer, known_handles(run->known[i]));
}

/* Those of the next but one, for the next is about to be looked at. */
static void fetch_reading(const struct run *run, unsigned i)
{
	const struct reading *reading = i < run->count && !run->known[i] ?
					reading_of(&run->messages[i]) : NULL;

	if (reading)
		reading_fetch(reading);
}

/* Whether most is new is asked anew after each WATCHED messages, and not answered by what is
 * neither. */
static void watch(struct novelty *n, unsigned messages)
{
	n->messages += messages;
	if (n->messages < WATCHED)
		return;
	if (IS_NEWS(n->read))
		n->is_high = true;
	else if (IS_OLD(n->read))
		n->is_high = false;
	n->messages = n->read = 0;
}

const struct reading_rules *registry_read_ahead(const struct registry *r, unsigned source)
{
	return r->novelty[source].is_high ? &r->rules : NULL;
}

static void take_run(struct registry *r, struct run *run, uint32_t tick)
{
	fetch_known(r, run);
	fetch_reading(run, 0);
	fetch_reading(run, 1);
	for (unsigned i = 0; i < run->count; i++) {
		struct arrival *now = &r->arrivals[i % 2], *next = &r->arrivals[(i + 1) % 2];
		const struct bus_message *m = &run->messages[i];

		fetch_reading(run, i + 2);
		if (i + 1 < run->count && !run->known[i + 1])
			read_arrival(next, m + 1, tick);
		if (m->subject == BUS_REGISTER && refresh_known(r, run->known[i], m, tick))
			note_update(r, tick);
		else
			apply(now, m, tick);
		put_away(now);
	}
	watch(&r->novelty[run->messages[0].source], run->count);
}

void registry_take(struct registry *r, const struct bus_message *messages, unsigned count,
		   uint32_t tick)
{
	while (count) {
		struct run run = { messages, count < RUN_MOST ? count : RUN_MOST, { NULL } };

		take_run(r, &run, tick);
		messages += run.count;
		count -= run.count;
	}
}
