/*
 * proxy/access_log.h - one line per finished exchange, in Gorouter's format
 * (spec proxy 14.2).  The exchange fills a struct access_record; the line goes
 * into this worker's ring on the board (shm/log_ring.h), and one thread of the
 * worker takes it from there to the file.  Never blocks the loop: when the ring
 * is full the line is dropped and counted.
 */
#ifndef PROXY_ACCESS_LOG_H
#define PROXY_ACCESS_LOG_H

#include "base/addr.h"
#include "base/str.h"
#include "board.h"

/* All texts are borrowed for the call; empty ones are written as "-". */
struct access_record {
	struct str host;              /* the Host field as received, with its port */
	struct str method, target;    /* as received; both empty: no request line was understood */
	struct str referer, user_agent, forwarded_for, forwarded_proto, request_id;
	struct str router_error;      /* X-Cf-RouterError of the response */
	struct str backend;           /* "ip:port" of the last endpoint tried */
	struct str app_id, app_index, instance_id;
	uint8_t minor;                /* HTTP/1.minor */
	unsigned status;              /* 0: none was sent */
	const struct addr *remote;    /* NULL: not to be logged */
	uint64_t received_bytes, sent_bytes;  /* bodies, without framing */
	uint64_t started_wall_ns;     /* clock_wall_ns() at the request's first byte */
	uint64_t elapsed_ns;          /* until the response was complete */
	int64_t router_ns;            /* elapsed without the backend's share; -1: unknown */
};

/* The longest line; texts that would make it longer are cut short and say so. */
#define ACCESS_LINE_MAX 16384

/* Writes the line with its newline, and returns its length.  Always one whole,
 * well-formed line.  `cap` is at least ACCESS_LINE_MAX. */
size_t access_log_format(const struct access_record *record, char *out, size_t cap);

/* Starts the writer of this worker's lines.  They go to PROCESS_FD_ACCESS_LOG,
 * whatever file is behind that number at the time.  NULL: none was inherited
 * (no access log is configured), or the thread could not be started (logged).
 * `slot` and `counters` are this worker's own. */
struct access_log;
struct access_log *access_log_create(struct board *board, unsigned slot, uint64_t *counters);

/* Hands over one line.  NULL: does nothing. */
void access_log_write(struct access_log *log, const struct access_record *record);

/* Writes what is left, for at most a second; what could not be written stays on
 * the board, where the master takes it from.  NULL is allowed. */
void access_log_destroy(struct access_log *log);

#endif
