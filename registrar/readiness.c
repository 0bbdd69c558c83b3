/*
 * registrar/readiness.c - a window over the table's growth.
 */
#include "registrar/readiness.h"

#define WINDOWS_PER_INTERVAL 4
#define GROWTH_DIVISOR 100

void readiness_init(struct readiness *r, uint64_t interval_ms, uint64_t entries,
		    const struct readiness_legacy *legacy, uint64_t now_ms)
{
	uint64_t lost_ms = legacy->was_there ? legacy->lost_ms : FEED_LOST_EVER;

	*r = (struct readiness){ .interval_ms = interval_ms, .converged_ms = legacy->converged_ms,
				 .vouched_ms = legacy->vouched_ms };
	if (entries && !r->converged_ms)
		r->converged_ms = now_ms;
	/* Until we hear somebody ourselves it is lost: since the registrar before us fell silent, if
	 * it was not before. */
	if (!lost_ms)
		lost_ms = r->vouched_ms;
	r->lost_ms = !lost_ms || (lost_ms == FEED_LOST_EVER && r->converged_ms) ? now_ms : lost_ms;
}

static void begin_window(struct readiness *r, uint64_t entries, uint64_t now_ms)
{
	r->sampled_ms = now_ms;
	r->sampled_entries = entries;
}

/* Has it, in the window that ends now? */
static bool has_stopped_to_grow(const struct readiness *r, uint64_t entries)
{
	uint64_t grown = entries > r->sampled_entries ? entries - r->sampled_entries : 0;

	return entries && grown * GROWTH_DIVISOR <= entries;
}

static void look_for_convergence(struct readiness *r, uint64_t entries, uint64_t now_ms)
{
	if (now_ms - r->trusted_ms >= r->interval_ms) {
		r->converged_ms = now_ms;
		return;
	}
	if (now_ms - r->sampled_ms < r->interval_ms / WINDOWS_PER_INTERVAL)
		return;
	if (has_stopped_to_grow(r, entries))
		r->converged_ms = now_ms;
	begin_window(r, entries, now_ms);
}

void readiness_tick(struct readiness *r, bool is_trusted, uint64_t entries, uint64_t now_ms)
{
	if (!is_trusted) {
		r->trusted_ms = 0;
		if (!r->lost_ms)
			r->lost_ms = now_ms;
		return;
	}
	r->lost_ms = 0;
	r->vouched_ms = now_ms;
	if (!r->trusted_ms) {
		r->trusted_ms = now_ms;
		begin_window(r, entries, now_ms);
	}
	if (!r->converged_ms)
		look_for_convergence(r, entries, now_ms);
}
