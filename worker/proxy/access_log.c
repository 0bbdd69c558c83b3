/*
 * proxy/access_log.c - from the ring to the file.  The loop only appends; one
 * thread writes, in large pieces: 50 ms after the last piece while lines come,
 * at once when a line comes after a pause or the ring is half full.  It owns
 * nothing but the ring's tail.
 *
 * A wake that comes between the thread's last look at the ring and its sleep can
 * be missed; the line then waits for the end of the sleep, a second at most.
 * That saves a full barrier on every request.
 *
 * The thread has descriptors of its own: while two threads share theirs, the
 * kernel counts references on a file for each system call, also for the loop's.
 */
#include "proxy/access_log.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/process.h"
#include "counters.h"
#include "log_ring.h"

#define STACK_BYTES (256u * 1024)

/* What the thread does; the loop wakes it only from IDLE, or from NAP for a
 * ring that fills up. */
enum phase { PHASE_BUSY, PHASE_NAP, PHASE_IDLE, PHASE_TROUBLED, PHASES };

static const unsigned sleep_ms[PHASES] = {
	[PHASE_NAP] = 50, [PHASE_IDLE] = 1000, [PHASE_TROUBLED] = 200,
};

struct access_log {
	struct log_ring *ring;        /* borrowed: on the board */
	uint64_t *counters;           /* borrowed: written by the loop's thread only */
	struct log_limit full_limit;  /* loop */
	struct log_limit write_limit; /* thread */
	pthread_t thread;
	uint32_t phase;               /* enum phase; futex word */
	bool is_stopping;             /* atomic */
	bool is_replaced;             /* atomic: the loop has new descriptors */
	int worker_pidfd;             /* thread: where to take them from; -1: they are shared */
	char line[ACCESS_LINE_MAX];   /* loop; too large for a stack that is probed page by page */
};

static void phase_wait(struct access_log *log, enum phase phase)
{
	struct timespec span = { sleep_ms[phase] / 1000, sleep_ms[phase] % 1000 * 1000000l };

	__atomic_store_n(&log->phase, phase, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&log->is_stopping, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, &log->phase, FUTEX_WAIT_PRIVATE, phase, &span, NULL, 0);
	__atomic_store_n(&log->phase, PHASE_BUSY, __ATOMIC_RELEASE);
}

static void phase_wake(struct access_log *log)
{
	__atomic_store_n(&log->phase, PHASE_BUSY, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &log->phase, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* --- the thread --- */

static int take_descriptor(int worker_pidfd, int place)
{
	int fd = (int)syscall(SYS_pidfd_getfd, worker_pidfd, place, 0);
	int rc = fd < 0 ? -1 : dup2(fd, place);

	if (fd >= 0)
		close(fd);
	return rc;
}

/* Stops sharing descriptors with the loop, if they can be had later. */
static void keep_own_descriptors(struct access_log *log)
{
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (pidfd < 0)
		return;
	if (take_descriptor(pidfd, PROCESS_FD_ACCESS_LOG) < 0 || unshare(CLONE_FILES) < 0) {
		close(pidfd);
		return;
	}
	log->worker_pidfd = dup2(pidfd, PROCESS_FD_STATUS);
	close_range(PROCESS_FD_STATUS + 1, PROCESS_FD_ACCESS_LOG - 1, 0);
	close_range(PROCESS_FD_ACCESS_LOG + 1, UINT_MAX, 0);
}

static void follow_descriptors(struct access_log *log)
{
	if (log->worker_pidfd < 0 || !__atomic_exchange_n(&log->is_replaced, false, __ATOMIC_ACQ_REL))
		return;
	take_descriptor(log->worker_pidfd, STDOUT_FILENO);
	take_descriptor(log->worker_pidfd, PROCESS_FD_ACCESS_LOG);
}

/* One write of all that is there: lines of two workers never mix, because each
 * write is whole lines appended to the file.  Only a file that takes less than
 * it was given (a full disk) can tear one. */
static ssize_t write_some(struct log_ring *ring, const struct iovec *parts, int count)
{
	ssize_t n;

	do
		n = writev(PROCESS_FD_ACCESS_LOG, parts, count);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		log_ring_consume(ring, (size_t)n);
	return n;
}

static void report_trouble(struct access_log *log, int error)
{
	uint64_t suppressed;

	if (log_limit_allows(&log->write_limit, &suppressed))
		log_error("access-log-write-failed", "error=%s suppressed=%llu", strerror(error),
			  (unsigned long long)suppressed);
}

/* Writes what is there, once, and says what to do next. */
static enum phase write_lines(struct access_log *log)
{
	struct iovec parts[2];
	int count = log_ring_peek_all(log->ring, parts);
	ssize_t n;

	follow_descriptors(log);
	if (!count)
		return PHASE_IDLE;
	n = write_some(log->ring, parts, count);
	if (n > 0)
		return PHASE_NAP;
	report_trouble(log, n < 0 ? errno : ENOSPC);
	return PHASE_TROUBLED;
}

static void *writer_run(void *arg)
{
	struct access_log *log = arg;

	log_set_component("access-log");
	keep_own_descriptors(log);
	while (!__atomic_load_n(&log->is_stopping, __ATOMIC_SEQ_CST))
		phase_wait(log, write_lines(log));
	while (write_lines(log) == PHASE_NAP)
		;
	return NULL;
}

/* Signals are for the loop. */
static int writer_start(struct access_log *log)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&log->thread, &attr, writer_run, log);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (rc == 0)
		pthread_setname_np(log->thread, "access-log");
	return rc;
}

/* --- the loop's side --- */

struct access_log *access_log_create(struct board *board, unsigned slot, uint64_t *counters)
{
	struct access_log *log;
	int rc;

	if (!process_has_fd(PROCESS_FD_ACCESS_LOG))
		return NULL;
	log = mem_zalloc(sizeof(*log));
	log->ring = log_ring_of(board, slot);
	log->counters = counters;
	log->worker_pidfd = -1;
	log->full_limit.per_second = log->write_limit.per_second = 1;
	rc = writer_start(log);
	if (rc == 0)
		return log;
	log_error("access-log-not-started", "error=%s", strerror(rc));
	free(log);
	return NULL;
}

static void count_drop(struct access_log *log)
{
	uint64_t suppressed;

	counter_add(log->counters, COUNTER_access_log_dropped, 1);
	if (log_limit_allows(&log->full_limit, &suppressed))
		log_warn("access-log-full", "suppressed=%llu", (unsigned long long)suppressed);
}

void access_log_write(struct access_log *log, const struct access_record *record)
{
	enum phase phase;
	size_t len;

	if (!log)
		return;
	len = access_log_format(record, log->line);
	if (log_ring_append(log->ring, (struct str){ log->line, len }))
		counter_add(log->counters, COUNTER_access_log_lines, 1);
	else
		count_drop(log);
	phase = __atomic_load_n(&log->phase, __ATOMIC_RELAXED);
	if (phase == PHASE_IDLE || (phase == PHASE_NAP && log_ring_is_half_full(log->ring)))
		phase_wake(log);
}

void access_log_follow_descriptors(struct access_log *log)
{
	if (log)
		__atomic_store_n(&log->is_replaced, true, __ATOMIC_RELEASE);
}

void access_log_destroy(struct access_log *log)
{
	struct timespec until;

	if (!log)
		return;
	__atomic_store_n(&log->is_stopping, true, __ATOMIC_SEQ_CST);
	phase_wake(log);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	if (pthread_timedjoin_np(log->thread, NULL, &until) == 0)
		free(log);
	else                          /* stuck in a write: it keeps its memory */
		pthread_detach(log->thread);
}
