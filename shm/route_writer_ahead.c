/*
 * shm/route_writer_ahead.c - the two ends of the free space, moving towards one another.
 */
#include "route_writer_ahead.h"

#include <sys/mman.h>

#define STEP (512u << 10)              /* at once */
#define LEAD (4u << 20)

void ahead_init(struct ahead *a, unsigned char *base, uint64_t low, uint64_t high)
{
	*a = (struct ahead){ .base = base, .ready = { low, high }, .wanted = { low, high } };
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->changed, NULL);
}

void ahead_fini(struct ahead *a)
{
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->changed);
}

static uint64_t missing(const struct ahead *a, enum ahead_side side)
{
	if (side == AHEAD_LOW)
		return a->wanted[side] > a->ready[side] ? a->wanted[side] - a->ready[side] : 0;
	return a->ready[side] > a->wanted[side] ? a->ready[side] - a->wanted[side] : 0;
}

/* The lock is held, but not while the kernel works. */
static bool take_step(struct ahead *a, enum ahead_side side)
{
	uint64_t len = missing(a, side) < STEP ? missing(a, side) : STEP;
	uint64_t from = side == AHEAD_LOW ? a->ready[side] : a->ready[side] - len;
	int rc;

	pthread_mutex_unlock(&a->lock);
	rc = madvise(a->base + from, len, MADV_POPULATE_WRITE);
	pthread_mutex_lock(&a->lock);
	if (rc == 0)
		a->ready[side] = side == AHEAD_LOW ? from + len : from;
	pthread_cond_broadcast(&a->changed);
	return rc == 0;
}

void ahead_run(struct ahead *a)
{
	pthread_mutex_lock(&a->lock);
	a->is_running = true;
	while (!a->is_stopped) {
		enum ahead_side side = missing(a, AHEAD_HIGH) > missing(a, AHEAD_LOW);

		if (!missing(a, side))
			pthread_cond_wait(&a->changed, &a->lock);
		else if (!take_step(a, side))
			break;
	}
	a->is_running = false;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
}

void ahead_stop(struct ahead *a)
{
	pthread_mutex_lock(&a->lock);
	a->is_stopped = true;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
}

static void want(struct ahead *a, enum ahead_side side, uint64_t at)
{
	if (side == AHEAD_LOW)
		a->wanted[side] = at + LEAD < a->wanted[AHEAD_HIGH] ? at + LEAD : a->wanted[AHEAD_HIGH];
	else
		a->wanted[side] = at > a->wanted[AHEAD_LOW] + LEAD ? at - LEAD : a->wanted[AHEAD_LOW];
	pthread_cond_broadcast(&a->changed);
}

static bool has(const struct ahead *a, enum ahead_side side, uint64_t at)
{
	return side == AHEAD_LOW ? a->ready[side] >= at : a->ready[side] <= at;
}

bool ahead_wait(struct ahead *a, enum ahead_side side, uint64_t at)
{
	bool is_there;

	pthread_mutex_lock(&a->lock);
	want(a, side, at);
	while (a->is_running && !has(a, side, at) && missing(a, side))
		pthread_cond_wait(&a->changed, &a->lock);
	is_there = has(a, side, at);
	if (!is_there)
		a->ready[side] = at;  /* the caller's now */
	pthread_mutex_unlock(&a->lock);
	return is_there;
}

uint64_t ahead_reached(struct ahead *a, enum ahead_side side)
{
	uint64_t at;

	pthread_mutex_lock(&a->lock);
	at = a->ready[side];
	pthread_mutex_unlock(&a->lock);
	return at;
}
