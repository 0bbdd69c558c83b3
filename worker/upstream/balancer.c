/*
 * upstream/balancer.c - one endpoint out of a route's pool.
 */
#include "upstream/balancer.h"

#include <unistd.h>

#include "base/process.h"
#include "counters.h"

/* One choice among the entries of a pool. */
struct choice {
	const struct balancer *balancer;
	const struct route *route;
	const struct tried *tried;
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

/* The inst of entry `i` if it may be chosen but for its load, or NULL. */
static const struct inst *eligible(struct choice *c, unsigned i)
{
	const struct inst *inst = route_entry(c->balancer->routes, c->route, i, NULL);

	if (!inst)
		return NULL;
	if (tried_has(c->tried, inst_serial(inst))) {
		c->saw_any = true;
		return NULL;
	}
	if (live_excluded(c->balancer->board, inst_row(inst)))
		return NULL;
	c->saw_any = c->saw_untried = true;
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

static const struct inst *choose(struct choice *c)
{
	enum endpoint_balancing option = route_balancing(c->route);
	bool least = option == BALANCE_DEFAULT ? c->balancer->settings->algorithm == 1 :
						 option == BALANCE_LEAST_CONNECTION;

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

static enum pick pick_from(struct balancer *b, struct choice *c, struct endpoint *out)
{
	const struct inst *inst = choose_in_order_of_preference(c);

	if (!inst)
		return !c->saw_any ? PICK_NO_ENDPOINT :
		       !c->saw_untried ? PICK_EXHAUSTED : PICK_OVERLOADED;
	if (!inst_copy(inst, out))
		return PICK_NO_ENDPOINT;
	b->route = route_id(c->route);
	return live_begin(c->balancer->board, out->row, c->balancer->slot) ? PICK_OK :
									     PICK_OVERLOADED;
}

enum pick balancer_pick(struct balancer *b, const struct route_key *key, const struct tried *tried,
			unsigned attempt, uint64_t now_ms, struct endpoint *out)
{
	struct choice c = {
		.balancer = b, .tried = tried, .skips_failed = true,
		.now_tick = table_tick(b->table, now_ms),
		.failed_ticks = (uint32_t)(b->settings->failed_ms / MS_PER_TICK),
		.only_own_zone = b->settings->zone_preference == 1 && attempt == 1,
	};
	enum pick pick = PICK_NO_ROUTE;

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
	return pick;
}

bool balancer_has_other(struct balancer *b, const struct route_key *key, const struct tried *tried,
			uint64_t serial, uint64_t now_ms)
{
	struct choice c = {
		.balancer = b, .tried = tried, .skips_failed = true,
		.now_tick = table_tick(b->table, now_ms),
		.failed_ticks = (uint32_t)(b->settings->failed_ms / MS_PER_TICK),
	};
	bool has = false;

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
			  enum failure failure, bool is_unfit, int error, uint64_t now_ms)
{
	bool is_prunable = is_unfit && endpoint->flags & ENDPOINT_TLS;
	struct endpoint_event event = {
		.kind = !is_prunable ? EVENT_FAILED :
			failure == FAIL_TLS_NAME ? EVENT_WRONG_ID : EVENT_PRUNE,
		.row = endpoint->row, .serial = endpoint->serial,
		.failure = failure, .error = (uint32_t)error,
	};
	uint32_t tick = table_tick(b->table, now_ms);

	live_mark_failed(b->board, endpoint->row, tick ? tick : 1);
	if (event.kind == EVENT_WRONG_ID)
		live_set_excluded(b->board, endpoint->row, LIVE_EXCLUDED_WRONG_ID);
	counter_add(b->counters, COUNTER_endpoint_failures, 1);
	if (write(PROCESS_FD_EVENTS, &event, sizeof(event)) != (ssize_t)sizeof(event))
		counter_add(b->counters, COUNTER_endpoint_events_dropped, 1);
}
