/*
 * upstream/balancer.c - one endpoint out of a route's pool.
 */
#include "upstream/balancer.h"

#include <unistd.h>

#include "base/process.h"
#include "counters.h"

/* One choice among the entries of a pool. */
struct choice {
	struct balancer *balancer;
	const struct route *route;
	const struct wish *wish;
	const struct tried *tried;
	unsigned attempt;
	uint32_t now_tick, failed_ticks;
	bool only_own_zone, skips_failed;
	bool saw_any, saw_untried, saw_failed;        /* why nothing was chosen */
};

#define MS_PER_TICK 100

/* The mark may be a little younger than our time: other workers write it. */
static bool is_failed(const struct choice *c, uint32_t row)
{
	uint32_t failed_at = live_failed_at(c->balancer->board, row);

	return failed_at && (int32_t)(c->now_tick - failed_at) < (int32_t)c->failed_ticks;
}

static bool is_at_limit(const struct choice *c, unsigned in_flight)
{
	uint64_t most = c->balancer->settings->max_conns;

	return most && in_flight >= most;
}

static bool is_in_scope(const struct wish *wish, const struct inst *inst)
{
	if (!str_equal(wish->guid, wish->scope == SCOPE_PROCESS ? inst_process_id(inst) :
								   inst_app_id(inst)))
		return false;
	return !wish->index.len || str_equal(wish->index, inst_instance_index(inst));
}

/* The inst of entry `i` if the request is for it, or NULL. */
static const struct inst *entry_in_scope(const struct choice *c, unsigned i, uint32_t *last_seen)
{
	const struct inst *inst = route_entry(c->balancer->routes, c->route, i, last_seen);

	return inst && (!c->wish->scope || is_in_scope(c->wish, inst)) ? inst : NULL;
}

/* The inst of entry `i` if it may be chosen but for its load, or NULL. */
static const struct inst *eligible(struct choice *c, unsigned i)
{
	const struct inst *inst = entry_in_scope(c, i, NULL);

	if (!inst)
		return NULL;
	c->saw_any = true;
	if (tried_has(c->tried, inst_serial(inst)))
		return NULL;
	c->saw_untried = true;
	if (c->only_own_zone &&
	    !str_equal(inst_zone(inst), str_of(c->balancer->settings->zone)))
		return NULL;
	if (c->skips_failed && is_failed(c, inst_row(inst))) {
		c->saw_failed = true;
		return NULL;
	}
	return inst;
}

static bool has_room(const struct choice *c, const struct inst *inst)
{
	return !c->balancer->settings->max_conns ||
	       !is_at_limit(c, live_in_flight(c->balancer->board, inst_row(inst)));
}

/* The next one after the last choice; holes in the pool do not favour their
 * neighbours. */
static const struct inst *choose_round_robin(struct choice *c)
{
	unsigned capacity = route_capacity(c->route);
	uint32_t *cursor = route_cursor(c->balancer->routes, c->route);

	for (unsigned n = 0; n < capacity; n++) {
		unsigned i = (*cursor + n) % capacity;
		const struct inst *inst = eligible(c, i);

		if (inst && has_room(c, inst)) {
			*cursor = i + 1;
			return inst;
		}
	}
	return NULL;
}

/* The least busy one; a start that moves on breaks ties. */
static const struct inst *choose_least_connection(struct choice *c)
{
	unsigned capacity = route_capacity(c->route), least = 0;
	const struct inst *best = NULL;
	uint32_t start = (*route_cursor(c->balancer->routes, c->route))++;

	for (unsigned n = 0; n < capacity; n++) {
		const struct inst *inst = eligible(c, (start + n) % capacity);
		unsigned in_flight;

		if (!inst)
			continue;
		in_flight = live_in_flight(c->balancer->board, inst_row(inst));
		if (!is_at_limit(c, in_flight) && (!best || in_flight < least)) {
			best = inst;
			least = in_flight;
		}
	}
	return best;
}

/* The one confirmed last: its predecessors may be gone (spec control W9). */
static const struct inst *choose_newest(struct choice *c)
{
	const struct inst *newest = NULL;
	uint32_t newest_seen = 0;

	for (unsigned i = 0; i < route_capacity(c->route); i++) {
		const struct inst *inst = eligible(c, i);
		uint32_t seen;

		if (!inst || !has_room(c, inst) ||
		    !route_entry(c->balancer->routes, c->route, i, &seen))
			continue;
		if (!newest || (int32_t)(seen - newest_seen) >= 0) {
			newest = inst;
			newest_seen = seen;
		}
	}
	return newest;
}

static const struct inst *choose(struct choice *c)
{
	enum endpoint_balancing option = route_balancing(c->route);
	bool least = option == BALANCE_DEFAULT ? c->balancer->settings->algorithm == 1 :
						 option == BALANCE_LEAST_CONNECTION;

	if (c->wish->scope == SCOPE_APP_INSTANCE)
		return choose_newest(c);
	return least ? choose_least_connection(c) : choose_round_robin(c);
}

static bool have_all_failed(const struct choice *c)
{
	for (unsigned i = 0; i < route_capacity(c->route); i++) {
		const struct inst *inst = route_entry(c->balancer->routes, c->route, i, NULL);

		if (inst && !is_failed(c, inst_row(inst)))
			return false;
	}
	return true;
}

/* If everybody has failed, Gorouter forgets the marks, and so do we. */
static void forget_failures(const struct choice *c)
{
	if (!have_all_failed(c))
		return;
	for (unsigned i = 0; i < route_capacity(c->route); i++) {
		const struct inst *inst = route_entry(c->balancer->routes, c->route, i, NULL);

		if (inst)
			live_clear_failed(c->balancer->board, inst_row(inst));
	}
}

static const struct inst *choose_in_order_of_preference(struct choice *c)
{
	const struct inst *inst = choose(c);

	if (!inst && c->only_own_zone) {
		c->only_own_zone = false;
		inst = choose(c);
	}
	if (!inst && c->saw_failed) {  /* better one of those than none */
		forget_failures(c);
		c->skips_failed = false;
		inst = choose(c);
	}
	return inst;
}

/* The endpoint that served before, whatever failed lately.  Several may share an
 * id; one with room will do. */
static const struct inst *choose_sticky(struct choice *c)
{
	enum stuck stuck = STUCK_MISSING;
	const struct inst *found = NULL;

	for (unsigned i = 0; i < route_capacity(c->route) && !found; i++) {
		const struct inst *inst = entry_in_scope(c, i, NULL);

		if (!inst || !str_equal(inst_instance_id(inst), c->wish->sticky_id))
			continue;
		found = has_room(c, inst) ? inst : NULL;
		stuck = found ? STUCK_FOUND : STUCK_OVERLOADED;
	}
	c->balancer->stuck = stuck;
	return found;
}

static unsigned count_in_scope(const struct choice *c, bool *have_room)
{
	unsigned count = 0;

	*have_room = false;
	for (unsigned i = 0; i < route_capacity(c->route); i++) {
		const struct inst *inst = entry_in_scope(c, i, NULL);

		count += inst != NULL;
		*have_room |= inst && has_room(c, inst);
	}
	return count;
}

/* No other will do.  It may be tried again, but not more often than the pool has
 * endpoints, as in Gorouter (spec proxy 8.1). */
static enum pick choose_stuck(struct choice *c, const struct inst **inst)
{
	bool have_room;
	unsigned count;

	*inst = choose_sticky(c);
	if (*inst && c->attempt == 1)
		return PICK_OK;
	count = count_in_scope(c, &have_room);
	if (*inst)
		return c->attempt > count ? PICK_EXHAUSTED : PICK_OK;
	return !count ? PICK_NO_ENDPOINT : have_room ? PICK_EXHAUSTED : PICK_OVERLOADED;
}

static enum pick choose_any(struct choice *c, const struct inst **inst)
{
	*inst = choose_in_order_of_preference(c);
	if (*inst)
		return PICK_OK;
	return !c->saw_any ? PICK_NO_ENDPOINT : !c->saw_untried ? PICK_EXHAUSTED : PICK_OVERLOADED;
}

static enum pick choose_as_wished(struct choice *c, const struct inst **inst)
{
	if (c->wish->must_stick)
		return choose_stuck(c, inst);
	*inst = c->wish->sticky_id.len && c->attempt == 1 ? choose_sticky(c) : NULL;
	return *inst ? PICK_OK : choose_any(c, inst);
}

static enum pick pick_from(struct balancer *b, struct choice *c, struct endpoint *out)
{
	const struct inst *inst;
	enum pick pick = choose_as_wished(c, &inst);

	if (pick != PICK_OK)
		return pick;
	if (!inst_copy(inst, out))
		return PICK_NO_ENDPOINT;
	b->route = route_id(c->route);
	b->path_len = (uint16_t)(route_name(c->route).len - route_host_length(c->route));
	return live_begin(c->balancer->board, out->row, c->balancer->slot) ? PICK_OK :
									     PICK_OVERLOADED;
}

void balancer_expect(struct balancer *b, const struct route_key *key)
{
	route_expect(b->routes, key);
}

void balancer_expect_more(struct balancer *b)
{
	route_expect_more(b->routes);
}

enum pick balancer_pick(struct balancer *b, const struct route_key *key, const struct wish *wish,
			const struct tried *tried, unsigned attempt, uint64_t now_ms,
			struct endpoint *out)
{
	struct choice c = {
		.balancer = b, .wish = wish, .tried = tried, .attempt = attempt,
		.skips_failed = wish->scope != SCOPE_APP_INSTANCE,
		.now_tick = table_tick(b->table, now_ms),
		.failed_ticks = (uint32_t)(b->settings->failed_ms / MS_PER_TICK),
		.only_own_zone = b->settings->zone_preference == 1 && attempt == 1,
	};
	enum pick pick = PICK_NO_ROUTE;

	b->stuck = STUCK_NOT_ASKED;
	route_read_begin(b->routes);
	switch (route_find(b->routes, key, &c.route)) {
	case ROUTE_NONE:
		break;
	case ROUTE_EMPTY:
		pick = PICK_NO_ENDPOINT;
		break;
	case ROUTE_FOUND:
		pick = pick_from(b, &c, out);
		break;
	}
	route_read_end(b->routes);    /* no table pointer is used below this line */
	return pick == PICK_NO_ENDPOINT && wish->scope ? PICK_NO_ROUTE : pick;
}

bool balancer_has_other(struct balancer *b, const struct route_key *key, const struct wish *wish,
			const struct tried *tried, uint64_t serial, uint64_t now_ms)
{
	struct choice c = {
		.balancer = b, .wish = wish, .tried = tried, .skips_failed = true,
		.now_tick = table_tick(b->table, now_ms),
		.failed_ticks = (uint32_t)(b->settings->failed_ms / MS_PER_TICK),
	};
	bool has = false;

	if (wish->must_stick)
		return false;
	route_read_begin(b->routes);
	if (route_find(b->routes, key, &c.route) == ROUTE_FOUND)
		for (unsigned i = 0; i < route_capacity(c.route) && !has; i++) {
			const struct inst *inst = eligible(&c, i);

			has = inst && inst_serial(inst) != serial && has_room(&c, inst);
		}
	route_read_end(b->routes);
	return has;
}

void balancer_release(struct balancer *b, const struct endpoint *endpoint)
{
	live_end(b->board, endpoint->row, b->slot);
}

void balancer_mark_failed(struct balancer *b, const struct endpoint *endpoint,
			  enum failure failure, const char *code, bool is_unfit, int error,
			  uint64_t now_ms)
{
	struct endpoint_event event = {
		.kind = is_unfit && endpoint->flags & ENDPOINT_TLS ? EVENT_PRUNE : EVENT_FAILED,
		.row = endpoint->row, .serial = endpoint->serial,
		.failure = failure, .error = (uint32_t)error,
	};
	uint32_t tick = table_tick(b->table, now_ms);

	str_copy_z(str_of(code), event.code, sizeof(event.code));
	live_mark_failed(b->board, endpoint->row, tick ? tick : 1);
	counter_add(b->counters, COUNTER_endpoint_failures, 1);
	if (write(PROCESS_FD_EVENTS, &event, sizeof(event)) != (ssize_t)sizeof(event))
		counter_add(b->counters, COUNTER_endpoint_events_dropped, 1);
}
