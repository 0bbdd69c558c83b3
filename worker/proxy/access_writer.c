/*
 * proxy/access_writer.c - see access_writer.h.
 */
#include "proxy/access_writer.h"

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"

#define STACK_BYTES (256u * 1024)

static const unsigned sleep_ms[PHASES] = {
	[PHASE_NAP] = 50, [PHASE_IDLE] = 1000, [PHASE_TROUBLED] = 200,
};

static void phase_wait(struct access_writer *w, enum phase phase)
{
	struct timespec span = { sleep_ms[phase] / 1000, sleep_ms[phase] % 1000 * 1000000l };

	__atomic_store_n(&w->phase, phase, __ATOMIC_SEQ_CST);
	if (phase != PHASE_BUSY && !access_writer_is_stopping(w))
		syscall(SYS_futex, &w->phase, FUTEX_WAIT_PRIVATE, phase, &span, NULL, 0);
	__atomic_store_n(&w->phase, PHASE_BUSY, __ATOMIC_RELEASE);
}

void access_writer_wake(struct access_writer *w)
{
	__atomic_store_n(&w->phase, PHASE_BUSY, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &w->phase, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static int take_descriptor(int worker_pidfd, int place)
{
	int fd = (int)syscall(SYS_pidfd_getfd, worker_pidfd, place, 0);
	int rc = fd < 0 ? -1 : dup2(fd, place);

	if (fd >= 0)
		close(fd);
	return rc;
}

/* Stops sharing descriptors with the loop, if they can be had later. */
static void keep_own_descriptors(struct access_writer *w)
{
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	int kept = w->kept_fd >= 0 ? w->kept_fd : PROCESS_FD_STATUS;

	if (pidfd < 0)
		return;
	if (take_descriptor(pidfd, STDOUT_FILENO) < 0 || unshare(CLONE_FILES) < 0) {
		close(pidfd);
		return;
	}
	w->worker_pidfd = dup2(pidfd, PROCESS_FD_STATUS);
	if (kept > PROCESS_FD_STATUS + 1)
		close_range(PROCESS_FD_STATUS + 1, (unsigned)kept - 1, 0);
	close_range((unsigned)kept + 1, UINT_MAX, 0);
}

static void follow_descriptors(struct access_writer *w)
{
	if (w->worker_pidfd < 0 || !__atomic_exchange_n(&w->is_replaced, false, __ATOMIC_ACQ_REL))
		return;
	take_descriptor(w->worker_pidfd, STDOUT_FILENO);
	if (w->kept_fd >= 0)
		take_descriptor(w->worker_pidfd, w->kept_fd);
}

static enum phase write_once(struct access_writer *w)
{
	follow_descriptors(w);
	return w->write(w->context);
}

static void *writer_run(void *arg)
{
	struct access_writer *w = arg;
	enum phase phase;

	log_set_component("access-log");
	keep_own_descriptors(w);
	while (!access_writer_is_stopping(w))
		phase_wait(w, write_once(w));
	do
		phase = write_once(w);
	while (phase == PHASE_NAP || phase == PHASE_BUSY);
	return NULL;
}

/* Signals are for the loop. */
int access_writer_start(struct access_writer *w, const char *name)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int rc;

	w->worker_pidfd = -1;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&w->thread, &attr, writer_run, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (rc == 0)
		pthread_setname_np(w->thread, name);
	return rc;
}

void access_writer_stop(struct access_writer *w)
{
	__atomic_store_n(&w->is_stopping, true, __ATOMIC_SEQ_CST);
	access_writer_wake(w);
}

bool access_writer_join(struct access_writer *w, uint64_t deadline_ms)
{
	uint64_t now_ms = clock_ms(), left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += (long)(left_ms % 1000 * 1000000);
	until.tv_sec += (time_t)(left_ms / 1000) + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	if (pthread_timedjoin_np(w->thread, NULL, &until) == 0)
		return true;
	pthread_detach(w->thread);
	return false;
}
