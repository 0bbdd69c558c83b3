/*
 * upstream/idle_limits.c - how long endpoints keep an idle connection.
 */
#include "upstream/idle_limits.h"

#include <string.h>

#define LEAST_MS    200               /* closed sooner: not for being idle */
#define MARGIN_MS   1000
#define REMEMBER_MS 600000            /* endpoints change */

static uint64_t hash_of(const struct idle_limits *limits, const struct addr *addr)
{
	uint8_t bytes[18];
	uint16_t port = addr_port(addr);

	addr_to_bytes(addr, bytes);
	memcpy(bytes + 16, &port, sizeof(port));
	return hash_bytes(&limits->key, bytes, sizeof(bytes));
}

static bool are_alike(uint64_t a, uint64_t b)
{
	uint64_t more = a > b ? a : b, less = a > b ? b : a;

	return more - less <= more / 8 + 50;
}

static uint32_t with_margin(uint64_t idle_ms)
{
	return (uint32_t)(idle_ms > 2 * MARGIN_MS ? idle_ms - MARGIN_MS : idle_ms / 2);
}

static bool is_known(const struct idle_limit *cell, uint64_t now_ms)
{
	return cell->limit_ms && now_ms < cell->until_ms;
}

/* A close that was late, there or here, says nothing against an earlier one. */
static void learn(struct idle_limit *cell, uint32_t limit_ms, uint64_t now_ms)
{
	if (is_known(cell, now_ms) && limit_ms > cell->limit_ms)
		return;
	cell->limit_ms = limit_ms;
	cell->until_ms = now_ms + REMEMBER_MS;
}

void idle_limits_note(struct idle_limits *limits, const struct addr *addr, uint64_t idle_ms,
		      uint64_t now_ms)
{
	uint64_t hash = hash_of(limits, addr);
	struct idle_limit *cell = &limits->cells[hash % IDLE_LIMITS_CELLS];

	if (idle_ms < LEAST_MS || idle_ms > UINT32_MAX)
		return;
	if (cell->address != hash)
		*cell = (struct idle_limit){ .address = hash };
	if (cell->seen_ms && are_alike(cell->seen_ms, idle_ms)) {
		learn(cell, with_margin(idle_ms < cell->seen_ms ? idle_ms : cell->seen_ms), now_ms);
		limits->has_any = true;
	}
	cell->seen_ms = (uint32_t)idle_ms;
}

uint64_t idle_limits_find(const struct idle_limits *limits, const struct addr *addr,
			  uint64_t now_ms)
{
	const struct idle_limit *cell;
	uint64_t hash;

	if (!limits->has_any)
		return UINT64_MAX;
	hash = hash_of(limits, addr);
	cell = &limits->cells[hash % IDLE_LIMITS_CELLS];
	return cell->address == hash && is_known(cell, now_ms) ? cell->limit_ms : UINT64_MAX;
}
