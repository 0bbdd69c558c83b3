/*
 * proxy/access_log.c - from the record to the sinks: the ring of the file, which a
 * thread writes in large pieces, and the syslog server's.  The loop only appends.
 */
#include "proxy/access_log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/process.h"
#include "counters.h"
#include "proxy/access_line.h"
#include "proxy/access_syslog.h"
#include "proxy/access_writer.h"

#define STOP_MS 1000

struct access_log {
	struct access_format *format; /* owned */
	const struct access_settings *settings;       /* borrowed */
	struct access_syslog *syslog; /* owned; NULL: none */
	bool has_file;
	struct access_writer file;    /* its ring is on the board */
	uint64_t *counters;           /* borrowed: written by the loop's thread only */
	uint64_t unsaid_drops;        /* loop */
	struct log_limit full_limit;  /* loop */
	struct log_limit write_limit; /* thread */
	char line[ACCESS_LINE_MAX];   /* loop; too large for a stack that is probed page by page */
};

/* --- the thread of the file */

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

static enum phase write_file(void *context)
{
	struct access_log *log = context;
	struct iovec parts[2];
	int count = log_ring_peek_all(log->file.ring, parts);
	ssize_t n;

	if (!count)
		return PHASE_IDLE;
	n = write_some(log->file.ring, parts, count);
	if (n > 0)
		return PHASE_NAP;
	report_trouble(log, n < 0 ? errno : ENOSPC);
	return PHASE_TROUBLED;
}

/* --- the loop's side */

static void open_file(struct access_log *log, struct board *board, unsigned slot)
{
	int rc;

	if (!process_has_fd(PROCESS_FD_ACCESS_LOG))
		return;
	log->file = (struct access_writer){ .ring = log_ring_of(board, slot), .write = write_file,
					    .context = log, .kept_fd = PROCESS_FD_ACCESS_LOG };
	rc = access_writer_start(&log->file, "access-log");
	log->has_file = rc == 0;
	if (rc)
		log_error("access-log-not-started", "sink=file error=%s", strerror(rc));
}

struct access_log *access_log_create(struct board *board, unsigned slot, uint64_t *counters,
				     const struct access_settings *settings)
{
	struct access_log *log;

	if (!process_has_fd(PROCESS_FD_ACCESS_LOG) && !settings->enable_streaming)
		return NULL;
	log = mem_zalloc(sizeof(*log));
	log->settings = settings;
	log->format = access_format_create(settings);
	log->counters = counters;
	log->full_limit.per_second = log->write_limit.per_second = 1;
	open_file(log, board, slot);
	if (settings->enable_streaming)
		log->syslog = access_syslog_create(settings, counters);
	if (log->has_file || log->syslog)
		return log;
	access_format_destroy(log->format);
	free(log);
	return NULL;
}

const struct access_settings *access_log_settings(const struct access_log *log)
{
	return log->settings;
}

bool access_log_wants(const struct access_log *log, enum access_extra extra)
{
	return log && memchr(log->format->extras, (int)extra, log->format->extra_count);
}

unsigned access_log_headers(const struct access_log *log, const struct str **names)
{
	*names = log->format->headers;
	return log->format->header_count;
}

static __attribute__((cold)) void count_drop(struct access_log *log)
{
	uint64_t suppressed;

	counter_add(log->counters, COUNTER_access_log_dropped, 1);
	log->unsaid_drops++;
	if (!log_limit_allows(&log->full_limit, &suppressed))
		return;
	log_warn("access-log-dropped", "sink=file lines=%llu",
		 (unsigned long long)log->unsaid_drops);
	log->unsaid_drops = 0;
}

/* In place if there is room for the longest that it can become.  Returns the line,
 * wherever it was made. */
static struct str write_to_file(struct access_log *log, const struct access_record *record)
{
	struct log_ring *ring = log->file.ring;
	char *room = log_ring_room(ring, access_log_bound(log->format, record));
	char *place = room ? room : log->line;
	size_t len = access_log_format(log->format, record, place);

	if (room)
		log_ring_advance(ring, len);
	if (room || log_ring_append(ring, (struct str){ place, len }))
		counter_add(log->counters, COUNTER_access_log_lines, 1);
	else
		count_drop(log);
	access_writer_poke(&log->file);
	return (struct str){ place, len };
}

void access_log_write(struct access_log *log, const struct access_record *record)
{
	struct str line;

	if (!log)
		return;
	if (!log->has_file)
		line = (struct str){ log->line, access_log_format(log->format, record, log->line) };
	else
		line = write_to_file(log, record);
	if (log->syslog)
		access_syslog_write(log->syslog, line);
}

void access_log_follow_descriptors(struct access_log *log)
{
	if (log && log->has_file)
		access_writer_follow_descriptors(&log->file);
	if (log && log->syslog)
		access_syslog_follow_descriptors(log->syslog);
}

void access_log_destroy(struct access_log *log)
{
	uint64_t deadline_ms = clock_ms() + STOP_MS;

	if (!log)
		return;
	if (log->has_file)
		access_writer_stop(&log->file);
	access_syslog_stop(log->syslog);
	access_syslog_destroy(log->syslog, deadline_ms);
	if (log->has_file && !access_writer_join(&log->file, deadline_ms))
		return;               /* stuck in a write: it keeps its memory */
	access_format_destroy(log->format);
	free(log);
}
