/*
 * proxy/access_log.h - one line for each request, in Gorouter's format (spec
 * proxy section 14) or as a JSON object.  Lines go to a file, to a syslog server
 * or to both; each has a ring and a thread of its own, so that one that stalls
 * stalls neither a request nor the other.  The file's ring is on the board: what
 * a killed worker leaves in it, the master writes.
 */
#ifndef PROXY_ACCESS_LOG_H
#define PROXY_ACCESS_LOG_H

#include "base/config.h"
#include "base/reason.h"
#include "base/str.h"
#include "board.h"

/* Everything borrowed for the call.  Empty texts are written as "-" (JSON: null). */
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

	/* Of the extra fields.  Times: -1: "-". */
	uint64_t failed_attempts;
	int64_t failed_attempts_ns, dns_ns, dial_ns, tls_ns, backend_ns;
	struct str local_address;     /* "ip:port" of the connection to the backend */
	const struct str *extra_headers;      /* values, as many as access_log_headers() says */
};

enum access_extra {
	ACCESS_FAILED_ATTEMPTS, ACCESS_FAILED_ATTEMPTS_TIME, ACCESS_DNS_TIME, ACCESS_DIAL_TIME,
	ACCESS_TLS_TIME, ACCESS_BACKEND_TIME, ACCESS_LOCAL_ADDRESS, ACCESS_FAILURE_CODE,
	ACCESS_EXTRAS,
};

enum access_redaction { ACCESS_REDACT_NONE, ACCESS_REDACT_ALL, ACCESS_REDACT_HASH };

#define ACCESS_HEADERS_MAX 32

struct access_settings {
	int format;                   /* 0 gorouter, 1 json */
	struct texts extra_fields;    /* names; order counts, repeated and unknown ones do not */
	struct texts extra_headers;   /* request fields, at most ACCESS_HEADERS_MAX */
	bool disable_log_forwarded_for, disable_log_source_ip;
	int redact_query_params;      /* enum access_redaction */
	bool enable_streaming;        /* to the syslog server */
	int syslog_network;           /* enum syslog_network */
	char *syslog_addr;            /* "host:port" or a path */
	char *syslog_tag;
	int syslog_framing;           /* over a stream: 0 newline, 1 octet counting */
	int syslog_form;              /* 0 RFC 5424, 1 Gorouter's (no structured data) */
	uint64_t syslog_truncate;     /* bytes of a line; 0: as long as it is */
	uint64_t syslog_buffer_bytes; /* lines that wait; a power of two */
};

/* What no single row of settings can say.  0, or -EINVAL with a reason that begins
 * with the name of the setting. */
int access_settings_check(const struct access_settings *settings, struct reason *reason);

/* --- the line */

/* The longest line.  One that would be longer has its texts cut, which say so, as
 * Gorouter's do: "...USER-AGENT-TOO-LONG-TO-LOG--TRUNCATED". */
#define ACCESS_LINE_MAX 65536

struct access_format;

struct access_format *access_format_create(const struct access_settings *settings);
void access_format_destroy(struct access_format *format);

/* No line of this record is longer, and making it touches no more bytes. */
size_t access_log_bound(const struct access_format *format, const struct access_record *record);

/* The line with its newline; its length.  `out` holds access_log_bound() or
 * ACCESS_LINE_MAX bytes.  Always one well-formed line, whatever the texts hold. */
size_t access_log_format(const struct access_format *format, const struct access_record *record,
			 char *out);

/* --- its way */

struct access_log;

/* Lines go to PROCESS_FD_ACCESS_LOG, if it was inherited, and to the syslog server, if
 * streaming is enabled.  `slot` and `counters` (its row) are this worker's; `settings`
 * are borrowed.  NULL: neither is wanted, or no thread could be started, which is
 * logged. */
struct access_log *access_log_create(struct board *board, unsigned slot, uint64_t *counters,
				     const struct access_settings *settings);

const struct access_settings *access_log_settings(const struct access_log *log);

/* True if the field is written: what costs something to find is found only then. */
bool access_log_wants(const struct access_log *log, enum access_extra extra);

/* Names of the extra header fields whose values a record holds; how many. */
unsigned access_log_headers(const struct access_log *log, const struct str **names);

/* Never blocks; a line that a sink has no room for is counted as dropped there. */
void access_log_write(struct access_log *log, const struct access_record *record);

/* To be called when descriptors 1 and PROCESS_FD_ACCESS_LOG have been replaced.
 * NULL: nothing. */
void access_log_follow_descriptors(struct access_log *log);

/* Writes what is left, for at most a second; then the file's rest stays on the board,
 * where the master takes it from, and the syslog server's is dropped.  NULL is allowed. */
void access_log_destroy(struct access_log *log);

#endif
