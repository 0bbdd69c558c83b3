/*
 * master/throttle.h - how long to wait before the next start of a program that
 * keeps failing.  One per seat; it knows no process and no clock.
 */
#ifndef MASTER_THROTTLE_H
#define MASTER_THROTTLE_H

#include <stdint.h>

struct throttle {
	uint64_t min_ms, max_ms;      /* first and longest delay */
	uint64_t delay_ms;            /* last one; 0: none needed so far */
};

/* A child that lived this long was well: its successor starts at once. */
#define THROTTLE_STABLE_MS 10000

void throttle_init(struct throttle *throttle, uint64_t min_ms, uint64_t max_ms);

/* The child lived `lived_ms`: how long its successor has to wait.  Doubles with
 * each early death, up to max_ms. */
uint64_t throttle_next_ms(struct throttle *throttle, uint64_t lived_ms);

#endif
