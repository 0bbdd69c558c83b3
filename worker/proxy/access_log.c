/*
 * proxy/access_log.c - the way of a line from the worker to the file.
 */
#include "proxy/access_log.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/process.h"
#include "counters.h"
#include "log_ring.h"

#define COLLECT_MS   20               /* lines of so long are written together */
#define IDLE_MS      250              /* a look at the ring without being called */
#define RETRY_MS     1000             /* after a write that failed */
#define FAREWELL_MS  1000

struct access_log {
	struct log_ring *ring;        /* borrowed */
	uint64_t *counters;           /* borrowed */
	struct log_limit drop_limit;
	unsigned appended;            /* bytes since the writer was last called */
	pthread_t writer;
	pthread_mutex_t mutex;        /* for the two below */
	pthread_cond_t called;
	bool is_ending;
	int is_asleep;                /* the writer waits to be called; atomic */
	char line[ACCESS_LINE_MAX];   /* too large for a stack that is probed page by page */
};

/* Milliseconds from now, for pthread_cond_timedwait(). */
static struct timespec in_ms(uint64_t ms)
{
	uint64_t ns = clock_ns() + ms * 1000000;

	return (struct timespec){ (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
}

/* Sleeps until it is called or `ms` have passed.  The worker looks at is_asleep
 * without a fence, which would make it wait for its own stores of the line; so a
 * call can be missed, and the sleep has an end. */
static void wait_for_lines(struct access_log *log, uint64_t ms, bool is_idle)
{
	struct timespec until = in_ms(ms);
	struct iovec parts[2];

	pthread_mutex_lock(&log->mutex);
	__atomic_store_n(&log->is_asleep, is_idle, __ATOMIC_SEQ_CST);
	if (!log->is_ending && !(is_idle && log_ring_peek_all(log->ring, parts)))
		pthread_cond_timedwait(&log->called, &log->mutex, &until);
	__atomic_store_n(&log->is_asleep, 0, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&log->mutex);
}

static bool is_ending(struct access_log *log)
{
	bool ending;

	pthread_mutex_lock(&log->mutex);
	ending = log->is_ending;
	pthread_mutex_unlock(&log->mutex);
	return ending;
}

/* Writes what is in the ring.  False: it could not be written now. */
static bool write_out(struct access_log *log, struct log_limit *limit)
{
	struct iovec parts[2];
	int count;
	ssize_t n;

	while ((count = log_ring_peek_all(log->ring, parts)) > 0) {
		uint64_t suppressed;

		n = writev(PROCESS_FD_ACCESS_LOG, parts, count);
		if (n > 0) {
			log_ring_consume(log->ring, (size_t)n);
		} else if (n < 0 && errno != EINTR) {
			if (log_limit_allows(limit, &suppressed))
				log_error("access-log-not-written", "error=%s", strerror(errno));
			return false;
		}
	}
	return true;
}

static void *write_lines(void *context)
{
	struct access_log *log = context;
	struct log_limit limit = { .per_second = 1 };
	uint64_t give_up_ms = 0;

	for (;;) {
		struct iovec parts[2];
		bool is_idle = !log_ring_peek_all(log->ring, parts);
		bool is_good = write_out(log, &limit);

		if (is_ending(log)) {
			give_up_ms = give_up_ms ? give_up_ms : clock_ms() + FAREWELL_MS;
			if (is_good || clock_ms() >= give_up_ms)
				return NULL;
			usleep(10000);
			continue;
		}
		wait_for_lines(log, !is_good ? RETRY_MS : is_idle ? IDLE_MS : COLLECT_MS, is_idle);
	}
}

struct access_log *access_log_create(struct board *board, unsigned slot, uint64_t *counters)
{
	struct access_log *log = mem_zalloc(sizeof(*log));
	pthread_condattr_t attr;

	log->ring = log_ring_of(board, slot);
	log->counters = counters;
	log->drop_limit.per_second = 1;
	pthread_mutex_init(&log->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&log->called, &attr);
	pthread_condattr_destroy(&attr);
	must(pthread_create(&log->writer, NULL, write_lines, log) == 0);
	return log;
}

static void call_writer(struct access_log *log)
{
	pthread_mutex_lock(&log->mutex);
	pthread_cond_signal(&log->called);
	pthread_mutex_unlock(&log->mutex);
}

static void drop_line(struct access_log *log)
{
	uint64_t suppressed;

	counter_add(log->counters, COUNTER_access_log_dropped, 1);
	if (log_limit_allows(&log->drop_limit, &suppressed))
		log_warn("access-log-line-dropped", "suppressed=%llu",
			 (unsigned long long)suppressed);
}

#define CALL_AFTER_BYTES 65536        /* then the writer is not left to sleep on */

void access_log_write(struct access_log *log, const struct access_record *record)
{
	size_t len = access_log_format(record, log->line);

	if (!log_ring_append(log->ring, (struct str){ log->line, len })) {
		drop_line(log);
		call_writer(log);
		return;
	}
	counter_add(log->counters, COUNTER_access_log_lines, 1);
	log->appended += (unsigned)len;
	if (log->appended < CALL_AFTER_BYTES && !__atomic_load_n(&log->is_asleep, __ATOMIC_RELAXED))
		return;
	log->appended = 0;
	call_writer(log);
}

void access_log_destroy(struct access_log *log)
{
	if (!log)
		return;
	pthread_mutex_lock(&log->mutex);
	log->is_ending = true;
	pthread_cond_signal(&log->called);
	pthread_mutex_unlock(&log->mutex);
	pthread_join(log->writer, NULL);
	pthread_cond_destroy(&log->called);
	pthread_mutex_destroy(&log->mutex);
	free(log);
}
