/*
 * master/reload.c - the walk of a reload: check, open, start the next
 * generation; once that is ready, drain the previous one and replace the
 * registrar.  A fault at any point leaves everything as it was.
 */
#include <errno.h>

#include "counters.h"
#include "master/check.h"
#include "master/master.h"

static int check_config(const struct master *master, struct master_config **out,
			struct reason *reason)
{
	int rc = master_config_load(master->config_path, out, reason);

	if (rc < 0)
		return rc;
	if ((rc = master_config_can_replace(master->serving->config, *out, reason)) == 0 &&
	    (rc = check_programs(*out, reason)) == 0)
		return 0;
	master_config_free(*out);
	*out = NULL;
	return rc;
}

static int begin_next(struct master *master, uint64_t now_ms, struct reason *reason)
{
	struct master_config *config;
	struct listeners listeners;
	int rc = check_config(master, &config, reason);

	if (rc < 0)
		return rc;
	rc = listeners_open(config, &master->serving->listeners, &listeners, reason);
	if (rc < 0)
		goto fail;
	rc = log_files_open(&master->handover.logs, &config->instance, reason);
	if (rc < 0) {
		listeners_close(&listeners, &master->serving->listeners);
		goto fail;
	}
	master->next = generation_create(++master->generation_count, config, &listeners, now_ms);
	cds_list_add_tail(&master->next->node, &master->generations);
	return 0;
fail:
	master_config_free(config);
	return rc;
}

/* Two generations need slots side by side; long drains may still hold them. */
static bool has_room(struct master *master)
{
	unsigned free_slots = slots_free_workers(&master->handover.slots);

	if (free_slots >= master->serving->seat_count)
		return true;
	if (!master->reload_waits)
		log_warn("reload-waiting", "free_slots=%u needed=%u", free_slots,
			 master->serving->seat_count);
	master->reload_waits = true;
	return false;
}

void master_reload(struct master *master, uint64_t now_ms)
{
	struct reason reason;
	int rc;

	if (!master->reload_wanted || master->next || !master->serving || !has_room(master))
		return;
	master->reload_wanted = master->reload_waits = false;
	rc = begin_next(master, now_ms, &reason);
	if (rc == 0) {
		log_info("reload-started", "generation=%u", master->next->number);
		return;
	}
	if (rc == -EINTR)
		return;               /* the signal that interrupted us decides */
	counter_add(master->counters, COUNTER_reloads_failed, 1);
	log_error("reload-refused", "reason=%s", reason.text);
}

static void replace_registrar(struct master *master, uint64_t now_ms)
{
	if (seat_is_empty(&master->registrar))
		return;
	child_stop(&master->registrar.child);
	master->registrar_deadline_ms = now_ms + master->serving->config->stop_timeout_ms;
}

void master_promote(struct master *master, uint64_t now_ms)
{
	struct generation *old = master->serving;

	master->serving = master->next;
	master->next = NULL;
	generation_promote(master->serving, master->handover.board);
	instance_configure_log(&master->serving->config->instance);
	if (!old)
		return;
	listeners_close(&old->listeners, &master->serving->listeners);
	generation_drain(old, master->handover.board, now_ms,
			 master->serving->config->drain_timeout_ms);
	throttle_init(&master->registrar.throttle, master->serving->config->restart_delay_min_ms,
		      master->serving->config->restart_delay_max_ms);
	replace_registrar(master, now_ms);
	counter_add(master->counters, COUNTER_reloads, 1);
	log_info("reloaded", "generation=%u", master->serving->number);
}

void master_drop(struct master *master, const char *why, uint64_t now_ms)
{
	struct generation *next = master->next;
	struct reason reason;

	master->next = NULL;
	log_error("reload-failed", "generation=%u reason=%s", next->number, why);
	counter_add(master->counters, COUNTER_reloads_failed, 1);
	listeners_close(&next->listeners, &master->serving->listeners);
	generation_drain(next, master->handover.board, now_ms, next->config->drain_timeout_ms);
	if (log_files_open(&master->handover.logs, &master->serving->config->instance, &reason) < 0)
		log_warn("log-not-reopened", "reason=%s", reason.text);
}
