/*
 * master/departure.c - how an instance ends: a drain (wait, drain, stop) or a
 * prompt stop.  Any of it may be cut short by SIGTERM, and that by a second one.
 */
#include "master/master.h"

static void close_listeners(struct master *master)
{
	struct generation *newest = master->serving ? master->serving : master->next;

	if (newest)
		listeners_close(&newest->listeners, NULL);
}

static bool is_all_gone(const struct master *master)
{
	struct generation *generation;

	cds_list_for_each_entry(generation, &master->generations, node)
		if (!generation_is_empty(generation))
			return false;
	return seat_is_empty(&master->registrar);
}

static unsigned workers_alive(const struct master *master)
{
	struct generation *generation;
	unsigned alive = 0;

	cds_list_for_each_entry(generation, &master->generations, node)
		alive += generation_alive(generation);
	return alive;
}

static void kill_all(struct master *master)
{
	struct generation *generation;

	cds_list_for_each_entry(generation, &master->generations, node)
		generation_kill(generation);
	child_kill(&master->registrar.child);
}

void master_drain(struct master *master, uint64_t now_ms)
{
	const struct master_config *config = master_config_of(master);

	if (master->phase != PHASE_RUNNING)
		return;               /* a drain script repeats its signal */
	if (master->next && master->serving)
		master_drop(master, "asked to drain", now_ms);
	master->phase = PHASE_WAITING;
	master->deadline_ms = now_ms + config->drain_wait_ms;
	log_info("gorouter-draining", "wait_seconds=%llu timeout_seconds=%llu",
		 (unsigned long long)config->drain_wait_ms / 1000,
		 (unsigned long long)config->drain_timeout_ms / 1000);
}

static void begin_draining(struct master *master, uint64_t now_ms)
{
	struct generation *generation;

	master->phase = PHASE_DRAINING;
	cds_list_for_each_entry(generation, &master->generations, node)
		if (generation->state != GENERATION_DRAINING)
			generation_drain(generation, master->handover.board, now_ms,
					 master_config_of(master)->drain_timeout_ms);
	close_listeners(master);      /* workers hold the status sockets as long as they live */
}

void master_stop(struct master *master, uint64_t now_ms)
{
	struct generation *generation;

	if (master->phase == PHASE_STOPPING) {
		log_warn("gorouter.killed", "workers=%u", workers_alive(master));
		kill_all(master);
		return;
	}
	log_info("gorouter.stopping", "workers=%u", workers_alive(master));
	master->phase = PHASE_STOPPING;
	master->deadline_ms = now_ms + master_config_of(master)->stop_timeout_ms;
	cds_list_for_each_entry(generation, &master->generations, node)
		generation_stop(generation);
	child_stop(&master->registrar.child);
	close_listeners(master);
}

bool master_depart(struct master *master, uint64_t now_ms)
{
	if (master->phase == PHASE_WAITING && now_ms >= master->deadline_ms)
		begin_draining(master, now_ms);
	if (master->phase == PHASE_DRAINING && workers_alive(master) == 0)
		master_stop(master, now_ms);
	if (master->phase != PHASE_STOPPING)
		return false;
	if (is_all_gone(master))
		return true;
	if (now_ms >= master->deadline_ms) {
		log_error("stop-timed-out", "workers=%u", workers_alive(master));
		kill_all(master);
		master->deadline_ms = now_ms + 1000;
	}
	return false;
}
