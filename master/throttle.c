/*
 * master/throttle.c - doubling delays.
 */
#include "master/throttle.h"

void throttle_init(struct throttle *throttle, uint64_t min_ms, uint64_t max_ms)
{
	*throttle = (struct throttle){ .min_ms = min_ms, .max_ms = max_ms };
}

uint64_t throttle_next_ms(struct throttle *throttle, uint64_t lived_ms)
{
	if (lived_ms >= THROTTLE_STABLE_MS)
		return throttle->delay_ms = 0;
	if (throttle->delay_ms == 0)
		throttle->delay_ms = throttle->min_ms;
	else if (throttle->delay_ms > throttle->max_ms / 2)
		throttle->delay_ms = throttle->max_ms;
	else
		throttle->delay_ms *= 2;
	return throttle->delay_ms;
}
