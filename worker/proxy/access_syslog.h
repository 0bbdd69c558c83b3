/*
 * proxy/access_syslog.h - access-log lines on their way to a syslog server: over UDP,
 * TCP or a unix socket, in the form of RFC 5424.  A ring in private memory and a
 * thread of its own; the server may stall, close and come back.  Used by
 * access_log.c only.
 *
 * Over a stream, what was handed to the kernel when a connection broke may be lost
 * uncounted: syslog has no acknowledgements.  The line that was cut is sent again.
 */
#ifndef PROXY_ACCESS_SYSLOG_H
#define PROXY_ACCESS_SYSLOG_H

#include "proxy/access_log.h"

enum syslog_network {
	SYSLOG_UDP, SYSLOG_UDP4, SYSLOG_UDP6, SYSLOG_TCP, SYSLOG_TCP4, SYSLOG_TCP6,
	SYSLOG_UNIX, SYSLOG_UNIXGRAM,
};
#define SYSLOG_NETWORKS "udp|udp4|udp6|tcp|tcp4|tcp6|unix|unixgram"

struct access_syslog;

/* As access_settings_check(), of the settings of syslog. */
int access_syslog_check(const struct access_settings *settings, struct reason *reason);

/* `settings` are borrowed; `counters` is the worker's row.  NULL: no thread could be
 * started, which was logged. */
struct access_syslog *access_syslog_create(const struct access_settings *settings,
					   uint64_t *counters);

/* A line with its newline.  Never blocks; counted as dropped if there is no room. */
void access_syslog_write(struct access_syslog *syslog, struct str line);

/* As in access_log.h. */
void access_syslog_follow_descriptors(struct access_syslog *syslog);

/* Asks the thread to end; waits for that until `deadline_ms` of clock_ms() and frees
 * everything.  NULL is allowed in both. */
void access_syslog_stop(struct access_syslog *syslog);
void access_syslog_destroy(struct access_syslog *syslog, uint64_t deadline_ms);

#endif
