/*
 * registrar/trust.h - what this registrar knows beyond the table: who heard whom
 * through which server, who owns which address, what was said goodbye to, how much
 * each host has.  The registry tells it what it hears, the pruning asks it.  One
 * of it; private, rebuilt by listening and by walking the table.
 */
#ifndef REGISTRAR_TRUST_H
#define REGISTRAR_TRUST_H

#include "base/hash.h"
#include "registrar/cells.h"
#include "registrar/config.h"
#include "registrar/owners.h"
#include "registrar/quota.h"
#include "registrar/seen.h"
#include "registrar/tombstones.h"
#include "shm/endpoint_live.h"
#include "shm/route_writer.h"

#define TICK_MS 100

struct trust {
	const struct registrar_settings *settings;    /* borrowed, as the next two */
	const struct sources *sources;
	struct board *board;
	struct hash_key key;
	struct seen *seen;            /* owned, as the next three */
	struct cells *cells;
	struct owners *owners;
	struct tombstones *tombstones;
	struct quota quota;
	uint32_t cycle;               /* ticks in which everybody repeats himself, with a margin */
	unsigned surveyed;            /* slices of the table that this survey has behind it */
	uint32_t round;               /* of surveys */
	uint32_t sweep;               /* number of sweeps */
	uint64_t held;                /* rows with ROW_HELD */
	bool has_disowned;            /* some entry is to be removed soon */
};

void trust_init(struct trust *trust, const struct registrar_settings *settings,
		const struct sources *sources, struct board *board);
void trust_fini(struct trust *trust);

/* The note of a row, of whoever is registered there. */
struct row_note *trust_row(struct trust *trust, uint32_t row);

/* The row is this endpoint's; whatever was known of another's is forgotten. */
void trust_claim(struct trust *trust, uint32_t row, const struct identity *id);

/* A message about the endpoint came: it is alive, and nothing is held against it. */
void trust_heard(struct trust *trust, uint32_t row, unsigned source, uint32_t tick);

/* Another instance of the same app (row `before`) was at its address until now. */
void trust_replace(struct trust *trust, uint32_t row, uint32_t before);

/* Another app has its address: it is never chosen again, and leaves the table soon;
 * so do the instances that it replaced. */
void trust_disown(struct trust *trust, uint32_t row);
bool trust_is_disowned(struct trust *trust, uint32_t row);

/* It fell silent and stays, this round, for that reason.  True: it did not before. */
bool trust_hold(struct trust *trust, uint32_t row, enum live_held why);

/* After a sweep: what was not held in it is not held any more. */
void trust_end_sweep(struct trust *trust);

/* A route to the endpoint more, or less. */
void trust_count_route(struct trust *trust, const struct route_handle *handle);
void trust_discount_route(struct trust *trust, const struct route_handle *handle);

/* Endpoints heard within the last cycle. */
void trust_census(const struct trust *trust, uint32_t tick, struct seen_census *out);

#endif
