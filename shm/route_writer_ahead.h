/*
 * shm/route_writer_ahead.h - memory of an arena, got ahead of its use by a thread of its
 * own while a lot is put in: the kernel zeroes and maps pages in half the time that it takes
 * to fill them.  Used by alloc.c; the thread is the caller's of route_load_run_ahead().
 *
 * An arena is used from both ends.  The thread stays a little ahead of either, so little
 * is got for nothing in the end.
 */
#ifndef SHM_ROUTE_WRITER_AHEAD_H
#define SHM_ROUTE_WRITER_AHEAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum ahead_side { AHEAD_LOW, AHEAD_HIGH };

struct ahead {
	unsigned char *base;          /* borrowed: of the table */
	pthread_mutex_t lock;         /* over all that follows */
	pthread_cond_t changed;
	uint64_t ready[2];            /* offsets: there is memory below, and from there on */
	uint64_t wanted[2];
	bool is_running, is_stopped;
};

/* The free space of the arena is what lies between. */
void ahead_init(struct ahead *ahead, unsigned char *base, uint64_t low, uint64_t high);
void ahead_fini(struct ahead *ahead);

/* For the thread: until ahead_stop(), or until there is no more memory. */
void ahead_run(struct ahead *ahead);
void ahead_stop(struct ahead *ahead);

/* Waits for memory up, or down, to `at`, and asks for a little more.  False: the caller has to
 * get it. */
bool ahead_wait(struct ahead *ahead, enum ahead_side side, uint64_t at);

/* How far it got. */
uint64_t ahead_reached(struct ahead *ahead, enum ahead_side side);

#endif
