/*
 * base/clock.h - monotonic and wall time, and durations as operators write
 * them.  Tests replace the clock with clock_set_source().
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/str.h"

uint64_t clock_ns(void);          /* CLOCK_MONOTONIC: same in all processes of a boot */
uint64_t clock_ms(void);
uint64_t clock_wall_ns(void);     /* CLOCK_REALTIME, since the epoch */

struct clock_source {
	uint64_t (*monotonic_ns)(void);
	uint64_t (*wall_ns)(void);
};
/* Replaces both clocks; NULL restores the kernel's. */
void clock_set_source(const struct clock_source *source);

/* "15s", "250ms", "1h5m", "2m30s", "0"; units ns us ms s m h d.  A bare number
 * other than 0 is refused: nobody should have to guess its unit. */
bool duration_parse(struct str text, uint64_t *ns);

/* Writes the shortest exact form, such as "1m30s"; terminated.  cap >= 32. */
const char *duration_format(uint64_t ns, char *out, size_t cap);

/* "2026-11-21T10:00:00.123456789Z" in UTC: 30 bytes and a terminator. */
#define TIMESTAMP_SIZE 31
void timestamp_format(uint64_t wall_ns, char out[TIMESTAMP_SIZE]);

#endif
