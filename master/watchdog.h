/*
 * master/watchdog.h - a child whose heartbeat stands still is logged, then
 * killed; its successor is started as after any death.  A stuck worker may sit
 * in a read section and hold back all reclamation, so this is what bounds that.
 */
#ifndef MASTER_WATCHDOG_H
#define MASTER_WATCHDOG_H

#include "board.h"
#include "master/child.h"

struct watchdog {
	uint64_t looked_ms;           /* last look */
	uint64_t since_ms;            /* silence counts from here at the earliest */
};

/* To be called once before each round of watchdog_is_stuck().  If we ourselves
 * were held up, the children may have been as well: everybody starts afresh. */
void watchdog_look(struct watchdog *watchdog, uint64_t now_ms);

/* True if the child has shown no sign of life for `timeout_ms` (0: never true);
 * *age_ms says how long. */
bool watchdog_is_stuck(const struct watchdog *watchdog, const struct slot_view *view,
		       uint64_t timeout_ms, uint64_t now_ms, uint64_t *age_ms);

/* Looks at one child and kills it if it is stuck, or if it is a worker that is
 * not ready in time (start_timeout).  True if it was killed. */
bool watchdog_check(const struct watchdog *watchdog, const struct board *board,
		    const struct child *child, const struct master_config *config, uint64_t now_ms);

#endif
