/*
 * proxy/access_writer.h - a thread that takes what the loop appends to a ring
 * somewhere: 50 ms after the last piece while lines come, at once when a line comes
 * after a pause or the ring is half full.  Used by the sinks of the access log.
 *
 * A wake that comes between the thread's last look at the ring and its sleep can
 * be missed; the line then waits for the end of the sleep, a second at most.
 * That saves a full barrier on every request.
 *
 * The thread has descriptors of its own: while two threads share theirs, the
 * kernel counts references on a file for each system call, also for the loop's.
 */
#ifndef PROXY_ACCESS_WRITER_H
#define PROXY_ACCESS_WRITER_H

#include <pthread.h>

#include "log_ring.h"

/* What the thread does; the loop wakes it only from IDLE, or from NAP for a
 * ring that fills up. */
enum phase { PHASE_BUSY, PHASE_NAP, PHASE_IDLE, PHASE_TROUBLED, PHASES };

struct access_writer {
	struct log_ring *ring;        /* borrowed */
	enum phase (*write)(void *context);   /* thread: what is there, once; what to do next */
	void *context;
	pthread_t thread;
	uint32_t phase;               /* enum phase; futex word */
	bool is_stopping;             /* atomic */
	bool is_replaced;             /* atomic: the loop has new descriptors */
	int kept_fd;                  /* of the worker's, besides the standard ones; -1: none */
	int worker_pidfd;             /* thread: where to take them from; -1: they are shared */
};

/* Starts the thread; `name` is a thread's name.  The fields up to `context`, and
 * kept_fd, must be set.  0, or an errno. */
int access_writer_start(struct access_writer *writer, const char *name);

static inline bool access_writer_is_stopping(const struct access_writer *writer)
{
	return __atomic_load_n(&writer->is_stopping, __ATOMIC_SEQ_CST);
}

void access_writer_wake(struct access_writer *writer);

/* After a line was appended. */
static inline void access_writer_poke(struct access_writer *writer)
{
	enum phase phase = __atomic_load_n(&writer->phase, __ATOMIC_RELAXED);

	if (phase == PHASE_IDLE || (phase == PHASE_NAP && log_ring_is_half_full(writer->ring)))
		access_writer_wake(writer);
}

/* Descriptors 1 and kept_fd have been replaced. */
static inline void access_writer_follow_descriptors(struct access_writer *writer)
{
	__atomic_store_n(&writer->is_replaced, true, __ATOMIC_RELEASE);
}

/* Asks the thread to write what is there, until that brings trouble, and to end. */
void access_writer_stop(struct access_writer *writer);

/* Waits for it until `deadline_ms` of clock_ms().  False: it is stuck in a call, goes
 * on alone, and the writer and all that it uses must stay. */
bool access_writer_join(struct access_writer *writer, uint64_t deadline_ms);

#endif
