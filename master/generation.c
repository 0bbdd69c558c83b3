/*
 * master/generation.c - start-next-then-drain-previous, one side of it.
 */
#include "master/generation.h"

#include <stdlib.h>

#include "base/mem.h"

struct generation *generation_create(unsigned number, struct master_config *config,
				     const struct listeners *listeners, uint64_t now_ms)
{
	struct generation *generation = mem_zalloc(sizeof(*generation));

	generation->state = GENERATION_STARTING;
	generation->number = number;
	generation->config = config;
	generation->listeners = *listeners;
	generation->seat_count = (unsigned)config->workers;
	generation->seats = mem_zalloc(generation->seat_count * sizeof(*generation->seats));
	generation->deadline_ms = now_ms + config->start_timeout_ms;
	for (unsigned i = 0; i < generation->seat_count; i++)
		seat_init(&generation->seats[i], config);
	return generation;
}

void generation_destroy(struct generation *generation)
{
	if (!generation)
		return;
	master_config_free(generation->config);
	free(generation->seats);
	free(generation);
}

void generation_fill(struct generation *generation, struct handover *handover, uint64_t now_ms)
{
	struct child_spec spec = {
		.kind = CHILD_WORKER, .generation = generation->number,
		.config = generation->config, .listeners = &generation->listeners,
	};

	if (generation->state == GENERATION_DRAINING || generation->has_failed)
		return;
	for (unsigned i = 0; i < generation->seat_count; i++)
		seat_fill(&generation->seats[i], handover, &spec, now_ms);
}

bool generation_is_ready(const struct generation *generation)
{
	for (unsigned i = 0; i < generation->seat_count; i++)
		if (generation->seats[i].child.state != CHILD_READY)
			return false;
	return true;
}

unsigned generation_alive(const struct generation *generation)
{
	unsigned alive = 0;

	for (unsigned i = 0; i < generation->seat_count; i++)
		alive += !seat_is_empty(&generation->seats[i]);
	return alive;
}

bool generation_is_empty(const struct generation *generation)
{
	return generation_alive(generation) == 0;
}

void generation_promote(struct generation *generation, struct board *board)
{
	generation->state = GENERATION_SERVING;
	generation->deadline_ms = 0;
	board_set_fact(board, FACT_GENERATION, generation->number);
	log_info("generation-ready", "generation=%u workers=%u", generation->number,
		 generation->seat_count);
}

void generation_drain(struct generation *generation, struct board *board, uint64_t now_ms,
		      uint64_t timeout_ms)
{
	generation->state = GENERATION_DRAINING;
	generation->deadline_ms = now_ms + timeout_ms;
	log_info("generation-draining", "generation=%u workers=%u timeout_ms=%llu",
		 generation->number, generation_alive(generation), (unsigned long long)timeout_ms);
	for (unsigned i = 0; i < generation->seat_count; i++) {
		struct child *child = &generation->seats[i].child;

		if (child->state == CHILD_NONE)
			continue;
		child_drain(child);
		board_slot_set_state(board, child->slot, SLOT_DRAINING);
	}
}

void generation_stop(struct generation *generation)
{
	generation->state = GENERATION_DRAINING;
	for (unsigned i = 0; i < generation->seat_count; i++)
		child_stop(&generation->seats[i].child);
}

void generation_kill(struct generation *generation)
{
	for (unsigned i = 0; i < generation->seat_count; i++)
		child_kill(&generation->seats[i].child);
}
