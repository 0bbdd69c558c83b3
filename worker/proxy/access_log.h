/*
 * proxy/access_log.h - one line for each request, in Gorouter's format (spec
 * proxy section 14).  Lines go into this worker's ring on the board and from
 * there to the file by a thread of their own, so that a slow disk stalls no
 * request; what a killed worker leaves in its ring, the master writes.
 */
#ifndef PROXY_ACCESS_LOG_H
#define PROXY_ACCESS_LOG_H

#include "base/str.h"
#include "board.h"

/* Everything borrowed for the call.  Empty texts are written as "-". */
struct access_record {
	struct str host, method, target;
	uint8_t minor;                /* HTTP/1.minor */
	unsigned status;              /* 0: "-" */
	struct str referer, user_agent, forwarded_for, forwarded_proto, request_id;
	struct str backend;           /* "ip:port" of the last endpoint tried */
	struct str failure_code;      /* verdict_code(), empty if all went well */
	struct str app_id, app_index, instance_id, router_error;
	struct str remote;            /* "ip:port" of the client */
	uint64_t received_bytes, sent_bytes;  /* of bodies */
	uint64_t started_wall_ns;
	uint64_t elapsed_ns;          /* response_time */
	int64_t router_ns;            /* gorouter_time; -1: "-" */
};

/* The longest line.  One that would be longer has its texts cut, which say so, as
 * Gorouter's do: "...USER-AGENT-TOO-LONG-TO-LOG--TRUNCATED". */
#define ACCESS_LINE_MAX 65536

/* No line of this record is longer, and making it touches no more bytes. */
size_t access_log_bound(const struct access_record *record);

/* The line with its newline; its length.  `out` holds access_log_bound() or
 * ACCESS_LINE_MAX bytes.  Always one well-formed line, whatever the texts hold. */
size_t access_log_format(const struct access_record *record, char *out);

struct access_log;

/* Lines go to PROCESS_FD_ACCESS_LOG.  `slot` and `counters` (its row) are this
 * worker's.  NULL: no such descriptor was inherited (no access log is configured),
 * or the thread could not be started, which is logged. */
struct access_log *access_log_create(struct board *board, unsigned slot, uint64_t *counters);

/* Never blocks; a line that finds no room is counted as dropped.  NULL: nothing. */
void access_log_write(struct access_log *log, const struct access_record *record);

/* To be called when descriptors 1 and PROCESS_FD_ACCESS_LOG have been replaced.
 * NULL: nothing. */
void access_log_follow_descriptors(struct access_log *log);

/* Writes what is left, for at most a second; the rest stays on the board, where
 * the master takes it from.  NULL is allowed. */
void access_log_destroy(struct access_log *log);

#endif
