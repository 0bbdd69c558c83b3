/*
 * master/generation.h - the workers of one configuration.  STARTING until all
 * are ready, SERVING until a newer one is ready, DRAINING until the last has
 * gone.  It owns its configuration and its seats; the sockets of its listeners
 * are shared with other generations.
 */
#ifndef MASTER_GENERATION_H
#define MASTER_GENERATION_H

#include <urcu/list.h>

#include "master/seat.h"

enum generation_state { GENERATION_STARTING, GENERATION_SERVING, GENERATION_DRAINING };

struct generation {
	struct cds_list_head node;    /* in the master's list */
	enum generation_state state;
	unsigned number;
	struct master_config *config; /* owned */
	struct listeners listeners;
	struct seat *seats;           /* owned; one a worker */
	unsigned seat_count;
	uint64_t deadline_ms;         /* STARTING: be ready; DRAINING: be gone */
	bool is_overdue;              /* its drain took too long: told to stop, killed next */
	bool has_failed;              /* a worker said that configuration or contract is wrong */
};

/* Takes ownership of `config`.  Starts nothing yet. */
struct generation *generation_create(unsigned number, struct master_config *config,
				     const struct listeners *listeners, uint64_t now_ms);
/* Only when it is empty. */
void generation_destroy(struct generation *generation);

/* Starts what should run and does not.  Nothing once it drains. */
void generation_fill(struct generation *generation, struct handover *handover, uint64_t now_ms);

bool generation_is_ready(const struct generation *generation);
bool generation_is_empty(const struct generation *generation);
unsigned generation_alive(const struct generation *generation);

/* All its workers are ready: it serves. */
void generation_promote(struct generation *generation, struct board *board);

/* Tells all workers to drain; the deadline is in `timeout_ms`. */
void generation_drain(struct generation *generation, struct board *board, uint64_t now_ms,
		      uint64_t timeout_ms);
void generation_stop(struct generation *generation);
void generation_kill(struct generation *generation);

#endif
