/*
 * master/watchdog.c - signs of life.
 */
#include "master/watchdog.h"

#define HELD_UP_MS 3000               /* the master looks at least once a second */

void watchdog_look(struct watchdog *watchdog, uint64_t now_ms)
{
	if (!watchdog->looked_ms || now_ms - watchdog->looked_ms > HELD_UP_MS)
		watchdog->since_ms = now_ms;
	watchdog->looked_ms = now_ms;
}

bool watchdog_is_stuck(const struct watchdog *watchdog, const struct slot_view *view,
		       uint64_t timeout_ms, uint64_t now_ms, uint64_t *age_ms)
{
	uint64_t seen_ms = watchdog->since_ms;

	if (view->started_ms > seen_ms)
		seen_ms = view->started_ms;
	if (view->heartbeat_ms > seen_ms)
		seen_ms = view->heartbeat_ms;
	*age_ms = now_ms > seen_ms ? now_ms - seen_ms : 0;
	return timeout_ms && *age_ms >= timeout_ms;
}

bool watchdog_check(const struct watchdog *watchdog, const struct board *board,
		    const struct child *child, const struct master_config *config, uint64_t now_ms)
{
	bool is_late = child->kind == CHILD_WORKER && child->state == CHILD_STARTING &&
		       now_ms - child->started_ms >= config->start_timeout_ms;
	struct slot_view view;
	uint64_t age_ms;

	if (child->state == CHILD_NONE)
		return false;
	board_slot_view(board, child->slot, &view);
	if (!watchdog_is_stuck(watchdog, &view, config->stuck_timeout_ms, now_ms, &age_ms) && !is_late)
		return false;
	log_error(is_late ? "child-not-ready" : "child-stuck",
		  "kind=%s slot=%u pid=%d generation=%u age_ms=%llu", child_kind_name(child->kind),
		  child->slot, (int)child->pid, child->generation, (unsigned long long)age_ms);
	child_kill(child);
	return true;
}
