/*
 * proxy/access_syslog.c - the syslog sink (access_syslog.h).  Its thread makes
 * messages of the ring's lines and takes a line off the ring only when the kernel
 * has all of its message, so that one that was cut is sent again.
 */
#include "proxy/access_syslog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "counters.h"
#include "proxy/access_link.h"
#include "proxy/access_writer.h"

#define TAG_MAX       48              /* RFC 5424 section 6: APP-NAME */
#define HOST_MAX      255             /* and HOSTNAME */
#define UDP_MAX       65507           /* bytes of a datagram over IPv4 */
#define HEAD_MAX      512             /* of a message, before the line */
#define BATCH_LINES   256
#define BATCH_BYTES   (2 * (ACCESS_LINE_MAX + HEAD_MAX))

struct access_syslog {
	struct access_writer writer;  /* its ring is owned, and private */
	struct access_link link;
	const struct access_settings *settings;       /* borrowed */
	uint64_t *counters;           /* borrowed: the cells of syslog are the thread's, too */
	struct log_limit drop_limit;  /* loop */
	uint64_t unsaid_drops;        /* loop */
	struct log_limit trouble_limit;       /* thread, as is all below */
	char fixed[HEAD_MAX];         /* of every message: from the host's name to the line */
	size_t fixed_len;
	size_t batch_len, batch_sent;
	unsigned line_count, lines_done;
	struct { size_t end, ring_bytes; } lines[BATCH_LINES];        /* in the batch */
	char line[ACCESS_LINE_MAX];   /* one that wraps in the ring, made whole */
	char batch[BATCH_BYTES];
};

static void add_dropped(struct access_syslog *s, uint64_t lines)
{
	__atomic_fetch_add(&s->counters[COUNTER_access_log_syslog_dropped], lines,
			   __ATOMIC_RELAXED);
}

/* --- messages */

/* "<14>1 2026-11-20T12:51:21Z": user, informational; whole seconds as Gorouter writes. */
static size_t put_start(char *out)
{
	char stamp[TIMESTAMP_SIZE];

	timestamp_format(clock_wall_ns(), stamp);
	memcpy(out, "<14>1 ", 6);
	memcpy(out + 6, stamp, 19);
	out[25] = 'Z';
	return 26;
}

static void make_fixed(struct access_syslog *s)
{
	char host[HOST_MAX + 1] = "";

	gethostname(host, sizeof(host) - 1);
	for (char *c = host; *c; c++)
		if (*c <= ' ' || *c > '~')
			*c = '?';
	s->fixed_len = (size_t)snprintf(s->fixed, sizeof(s->fixed), " %s %s %d - %s\357\273\277",
					host[0] ? host : "-",
					s->settings->syslog_tag[0] ? s->settings->syslog_tag : "-",
					(int)getpid(), s->settings->syslog_form ? "" : "- ");
}

/* Never inside a character. */
static struct str cut(struct str line, size_t limit)
{
	if (line.len <= limit)
		return line;
	while (limit && ((unsigned char)line.p[limit] & 0xc0) == 0x80)
		limit--;
	return str_sub(line, 0, limit);
}

/* `line` without its newline.  Returns the length of the message. */
static size_t put_message(const struct access_syslog *s, struct str line, char *out)
{
	bool is_stream = access_link_is_stream(&s->link);
	bool is_counted = is_stream && s->settings->syslog_framing == 1;
	size_t head = 26 + s->fixed_len, at = 0;

	if (s->settings->syslog_truncate)
		line = cut(line, s->settings->syslog_truncate);
	if (access_link_is_udp(&s->link))
		line = cut(line, UDP_MAX - head);
	if (is_counted) {
		at = u64_format(head + line.len, out);
		out[at++] = ' ';
	}
	at += put_start(out + at);
	memcpy(out + at, s->fixed, s->fixed_len);
	memcpy(out + at + s->fixed_len, line.p, line.len);
	at += s->fixed_len + line.len;
	if (is_stream && !is_counted)
		out[at++] = '\n';
	return at;
}

/* --- the batch: one message or, over a stream, as many as there are */

/* The line of the ring that begins `offset` bytes behind its tail; false: none. */
static bool line_at(struct access_syslog *s, const struct iovec *parts, int count, size_t offset,
		    struct str *line)
{
	size_t length = 0;

	for (int i = 0; i < count; i++) {
		const char *from = parts[i].iov_base, *end;
		size_t left = parts[i].iov_len;

		if (offset >= left) {
			offset -= left;
			continue;
		}
		end = memchr(from + offset, '\n', left - offset);
		if (end && !length) {
			*line = str_range(from + offset, end);
			return true;
		}
		left = end ? (size_t)(end - from) - offset : left - offset;
		memcpy(s->line + length, from + offset, left);
		length += left;
		offset = 0;
		*line = (struct str){ s->line, length };
		if (end)
			return true;
	}
	return false;
}

static void fill_batch(struct access_syslog *s)
{
	unsigned most = access_link_is_stream(&s->link) ? BATCH_LINES : 1;
	struct iovec parts[2];
	int count = log_ring_peek_all(s->writer.ring, parts);
	size_t offset = 0;
	struct str line;

	s->batch_len = s->batch_sent = 0;
	s->line_count = s->lines_done = 0;
	while (s->line_count < most && line_at(s, parts, count, offset, &line) &&
	       sizeof(s->batch) - s->batch_len >= line.len + HEAD_MAX) {
		s->batch_len += put_message(s, line, s->batch + s->batch_len);
		s->lines[s->line_count].end = s->batch_len;
		s->lines[s->line_count++].ring_bytes = line.len + 1;
		offset += line.len + 1;
	}
}

static void forget_batch(struct access_syslog *s)
{
	s->batch_len = s->batch_sent = 0;
}

/* The kernel has `n` more bytes: what is complete leaves the ring. */
static void take_sent(struct access_syslog *s, size_t n)
{
	unsigned before = s->lines_done;

	s->batch_sent += n;
	while (s->lines_done < s->line_count && s->lines[s->lines_done].end <= s->batch_sent)
		log_ring_consume(s->writer.ring, s->lines[s->lines_done++].ring_bytes);
	counter_add(s->counters, COUNTER_access_log_syslog_lines, s->lines_done - before);
	if (s->batch_sent == s->batch_len)
		forget_batch(s);
}

/* --- the thread */

static void report_trouble(struct access_syslog *s, int error)
{
	uint64_t suppressed;

	if (log_limit_allows(&s->trouble_limit, &suppressed))
		log_error("error-emitting-access-log-to-writer-syslog",
			  "error=%s address=%s suppressed=%llu", strerror(error),
			  s->settings->syslog_addr, (unsigned long long)suppressed);
}

/* Over UDP, what was refused is the message before this one. */
static enum phase fail(struct access_syslog *s, int error)
{
	report_trouble(s, error);
	if (access_link_is_udp(&s->link) && error == ECONNREFUSED && s->link.has_sent)
		add_dropped(s, 1);
	if (error == EMSGSIZE) {              /* as it will be the next time */
		log_ring_consume(s->writer.ring, s->lines[0].ring_bytes);
		add_dropped(s, 1);
	}
	forget_batch(s);
	access_link_fail(&s->link);
	return PHASE_TROUBLED;
}

static enum phase send_batch(struct access_syslog *s)
{
	struct str rest = { s->batch + s->batch_sent, s->batch_len - s->batch_sent };
	ssize_t n = access_link_send(&s->link, rest);
	const char *more;

	if (n < 0)
		return fail(s, (int)-n);
	if (n == 0)
		return access_link_wait(&s->link) ? PHASE_BUSY : PHASE_TROUBLED;
	take_sent(s, (size_t)n);
	return s->batch_len || log_ring_peek(s->writer.ring, &more) ? PHASE_BUSY : PHASE_NAP;
}

static int open_link(struct access_syslog *s)
{
	bool was_open = s->link.fd >= 0;
	int rc = access_link_open(&s->link);

	if (rc < 0 && rc != -EAGAIN)
		report_trouble(s, -rc);
	else if (rc == 0 && !was_open)
		log_info("access-log-syslog-opened", "address=%s", s->settings->syslog_addr);
	return rc;
}

static enum phase write_syslog(void *context)
{
	struct access_syslog *s = context;

	if (!s->batch_len)
		fill_batch(s);
	if (!s->batch_len)
		return PHASE_IDLE;
	if (open_link(s) == 0)
		return send_batch(s);
	forget_batch(s);
	return PHASE_TROUBLED;
}

/* --- the loop's side */

static bool is_tag(const char *tag)
{
	size_t len = strlen(tag);

	for (size_t i = 0; i < len; i++)
		if (tag[i] <= ' ' || tag[i] > '~')
			return false;
	return len <= TAG_MAX;
}

int access_syslog_check(const struct access_settings *settings, struct reason *reason)
{
	uint64_t bytes = settings->syslog_buffer_bytes;

	if (!is_tag(settings->syslog_tag))
		return reason_set(reason, -EINVAL,
				  "syslog_tag must be at most %d visible ASCII characters", TAG_MAX);
	if (!access_link_address_is_valid(settings->syslog_network, settings->syslog_addr))
		return reason_set(reason, -EINVAL,
				  "syslog_addr must be \"HOST:PORT\" or, over a unix socket, its "
				  "absolute path");
	if (bytes & (bytes - 1))
		return reason_set(reason, -EINVAL, "syslog_buffer must be a power of two");
	return 0;
}

struct access_syslog *access_syslog_create(const struct access_settings *settings,
					   uint64_t *counters)
{
	struct access_syslog *s = mem_zalloc(sizeof(*s));
	int rc;

	s->settings = settings;
	s->counters = counters;
	s->drop_limit.per_second = s->trouble_limit.per_second = 1;
	s->writer = (struct access_writer){ .ring = log_ring_create(settings->syslog_buffer_bytes),
					    .write = write_syslog, .context = s, .kept_fd = -1 };
	access_link_init(&s->link, settings, &s->writer);
	make_fixed(s);
	rc = access_writer_start(&s->writer, "access-syslog");
	if (rc == 0)
		return s;
	log_error("access-log-not-started", "sink=syslog error=%s", strerror(rc));
	log_ring_destroy(s->writer.ring);
	free(s);
	return NULL;
}

static void report_drops(uint64_t lines)
{
	log_warn("access-log-dropped", "sink=syslog lines=%llu", (unsigned long long)lines);
}

static __attribute__((cold)) void count_drop(struct access_syslog *s)
{
	uint64_t suppressed;

	add_dropped(s, 1);
	s->unsaid_drops++;
	if (!log_limit_allows(&s->drop_limit, &suppressed))
		return;
	report_drops(s->unsaid_drops);
	s->unsaid_drops = 0;
}

void access_syslog_write(struct access_syslog *s, struct str line)
{
	if (!log_ring_append(s->writer.ring, line))
		count_drop(s);
	access_writer_poke(&s->writer);
}

void access_syslog_follow_descriptors(struct access_syslog *s)
{
	access_writer_follow_descriptors(&s->writer);
}

void access_syslog_stop(struct access_syslog *s)
{
	if (s)
		access_writer_stop(&s->writer);
}

static uint64_t lines_left(const struct log_ring *ring)
{
	struct iovec parts[2];
	int count = log_ring_peek_all(ring, parts);
	uint64_t lines = 0;

	for (int i = 0; i < count; i++)
		for (size_t at = 0; at < parts[i].iov_len; at++)
			lines += ((const char *)parts[i].iov_base)[at] == '\n';
	return lines;
}

void access_syslog_destroy(struct access_syslog *s, uint64_t deadline_ms)
{
	uint64_t left;

	if (!s || !access_writer_join(&s->writer, deadline_ms))
		return;               /* it looks a name up: it keeps its memory */
	left = lines_left(s->writer.ring);
	add_dropped(s, left);
	if (left + s->unsaid_drops)
		report_drops(left + s->unsaid_drops);
	access_link_close(&s->link);
	log_ring_destroy(s->writer.ring);
	free(s);
}
