/*
 * shm/dump_state.c - what the board knows: processes, counters, facts, and the
 * summary.  Ages and totals are computed now, not when something was published.
 */
#include "dump.h"

#include <inttypes.h>

#include "base/clock.h"
#include "counters.h"
#include "dump_text.h"

static const char *role_of(unsigned slot)
{
	return slot == SLOT_MASTER ? "master" : slot == SLOT_REGISTRAR ? "registrar" :
	       slot < SLOT_WORKER ? "tool" : "worker";
}

static const char *state_name(uint32_t state)
{
	static const char *const names[] = {
		[SLOT_FREE] = "free", [SLOT_STARTING] = "starting", [SLOT_READY] = "ready",
		[SLOT_DRAINING] = "draining",
	};

	return state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

static const char *health_name(uint64_t health)
{
	static const char *const names[] = {
		[HEALTH_INITIALIZING] = "initializing", [HEALTH_HEALTHY] = "healthy",
		[HEALTH_DEGRADED] = "degraded",
	};

	return health < ARRAY_SIZE(names) ? names[health] : "unknown";
}

static uint64_t since(uint64_t then_ms)
{
	uint64_t now = clock_ms();

	return now > then_ms ? now - then_ms : 0;
}

/* Milliseconds since the last register; -1: never. */
static int64_t since_last_update_ms(const struct dump *dump)
{
	uint64_t then = board_fact(dump->board, FACT_LAST_UPDATE_MS);

	return then ? (int64_t)since(then) : -1;
}

/* As workers see it: the registrar may be unable to tell. */
static uint64_t fact_now(const struct dump *dump, enum fact fact)
{
	return fact == FACT_FEED_LOST_MS ? board_feed_lost_ms(dump->board, clock_ms())
					 : board_fact(dump->board, fact);
}

/* --- processes */

static bool is_shown(unsigned slot, const struct slot_view *view)
{
	if (slot >= SLOT_TOOL && slot < SLOT_WORKER)
		return view->is_alive;
	return view->is_alive || view->state != SLOT_FREE || view->pid;
}

static void json_process(const struct dump *dump, unsigned slot, const struct slot_view *v)
{
	fprintf(dump->out,
		"{\"slot\":%u,\"role\":\"%s\",\"state\":\"%s\",\"alive\":%s,\"pid\":%" PRIu32
		",\"generation\":%" PRIu32 ",\"age_ms\":%" PRIu64 ",\"heartbeat_age_ms\":%" PRIu64
		",\"epoch\":%" PRIu64 ",\"requests\":%" PRIu64 "}",
		slot, role_of(slot), state_name(v->state), v->is_alive ? "true" : "false", v->pid,
		v->generation, v->started_ms ? since(v->started_ms) : 0, since(v->heartbeat_ms), v->epoch,
		counter_of_slot(dump->board, slot, COUNTER_requests));
}

static void plain_process(const struct dump *dump, unsigned slot, const struct slot_view *v)
{
	char age[32] = "-", beat[32];

	if (v->started_ms)
		dump_duration(since(v->started_ms), age);
	fprintf(dump->out, "%4u %-9s %-8s %-5s %7" PRIu32 " %10" PRIu32 " %8s %9s %-7s %12" PRIu64 "\n",
		slot, role_of(slot), state_name(v->state), v->is_alive ? "yes" : "no", v->pid, v->generation,
		age, dump_duration(since(v->heartbeat_ms), beat), v->epoch ? "inside" : "-",
		counter_of_slot(dump->board, slot, COUNTER_requests));
}

int dump_processes(const struct dump *dump)
{
	bool is_first = true;

	if (dump->as_json)
		putc('[', dump->out);
	else
		fprintf(dump->out, "%4s %-9s %-8s %-5s %7s %10s %8s %9s %-7s %12s\n", "SLOT", "ROLE", "STATE",
			"ALIVE", "PID", "GENERATION", "AGE", "HEARTBEAT", "READING", "REQUESTS");
	for (unsigned slot = 0; slot < board_slot_count(dump->board); slot++) {
		struct slot_view view;

		board_slot_view(dump->board, slot, &view);
		if (!is_shown(slot, &view))
			continue;
		if (dump->as_json && !is_first)
			putc(',', dump->out);
		is_first = false;
		(dump->as_json ? json_process : plain_process)(dump, slot, &view);
	}
	if (dump->as_json)
		fputs("]\n", dump->out);
	return DUMP_OK;
}

/* --- counters and facts */

static void json_counters(const struct dump *dump)
{
	FILE *out = dump->out;

	fputs("{\"counters\":{", out);
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		fprintf(out, "%s\"%s\":%" PRIu64, i ? "," : "", counter_name(i), counter_sum(dump->board, i));
	fputs("},\"facts\":{", out);
	for (unsigned i = 0; i < FACT_COUNT; i++)
		fprintf(out, "%s\"%s\":%" PRIu64, i ? "," : "", fact_name(i), fact_now(dump, i));
	fprintf(out, "},\"ms_since_last_registry_update\":%" PRId64 ",\"total_routes\":%" PRIu64 "}\n",
		since_last_update_ms(dump), table_route_count(dump->table));
}

int dump_counters(const struct dump *dump)
{
	if (dump->as_json) {
		json_counters(dump);
		return DUMP_OK;
	}
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		fprintf(dump->out, "%-32s %20" PRIu64 "\n", counter_name(i), counter_sum(dump->board, i));
	for (unsigned i = 0; i < FACT_COUNT; i++)
		fprintf(dump->out, "fact.%-27s %20" PRIu64 "\n", fact_name(i), fact_now(dump, i));
	fprintf(dump->out, "%-32s %20" PRId64 "\n", "ms_since_last_registry_update",
		since_last_update_ms(dump));
	fprintf(dump->out, "%-32s %20" PRIu64 "\n", "total_routes", table_route_count(dump->table));
	return DUMP_OK;
}

/* --- summary */

static void count_processes(const struct dump *dump, unsigned *alive, unsigned *workers)
{
	*alive = *workers = 0;
	for (unsigned slot = 0; slot < board_slot_count(dump->board); slot++) {
		struct slot_view view;

		board_slot_view(dump->board, slot, &view);
		if (!view.is_alive || (slot >= SLOT_TOOL && slot < SLOT_WORKER))
			continue;
		++*alive;
		*workers += slot >= SLOT_WORKER;
	}
}

static void summary_feed(const struct dump *dump)
{
	int64_t update_ms = since_last_update_ms(dump);
	char age[32];

	fprintf(dump->out, "feed        NATS servers connected %" PRIu64 " of %" PRIu64
		", last registration %s%s%s\n",
		board_fact(dump->board, FACT_NATS_CONNECTED), board_fact(dump->board, FACT_NATS_CONFIGURED),
		update_ms < 0 ? "never" : dump_duration((uint64_t)update_ms, age),
		update_ms < 0 ? "" : " ago",
		board_fact(dump->board, FACT_PRUNE_SUSPENDED) ? ", pruning suspended" : "");
}

int dump_summary(const struct dump *dump)
{
	const struct board *board = dump->board;
	unsigned alive, workers;

	count_processes(dump, &alive, &workers);
	fprintf(dump->out, "instance    %s, %s, %s\n", dump->instance, alive ? "alive" : "dead",
		health_name(board_fact(board, FACT_HEALTH)));
	fprintf(dump->out, "processes   %u alive, of them %u workers; newest generation %" PRIu64 "\n", alive,
		workers, board_fact(board, FACT_GENERATION));
	fprintf(dump->out, "table       %" PRIu64 " routes, %" PRIu64 " endpoints, %" PRIu64 " of %" PRIu64
		" KiB used\n", table_route_count(dump->table), board_fact(board, FACT_ENDPOINTS),
		board_fact(board, FACT_TABLE_USED_BYTES) / 1024,
		board_fact(board, FACT_TABLE_CAPACITY_BYTES) / 1024);
	summary_feed(dump);
	fprintf(dump->out, "traffic     %" PRIu64 " requests, %" PRIu64 " attempts, %" PRIu64 " retries, %" PRIu64
		" bad gateways, %" PRIu64 " connections open\n", counter_sum(board, COUNTER_requests),
		counter_sum(board, COUNTER_attempts), counter_sum(board, COUNTER_retries),
		counter_sum(board, COUNTER_bad_gateways), counter_sum(board, COUNTER_connections_open));
	fputs("more        --table --routes --processes --counters --sources --explain URL"
	      " --history HOST --digest --check --watch\n", dump->out);
	return DUMP_OK;
}
