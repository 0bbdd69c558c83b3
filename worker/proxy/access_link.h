/*
 * proxy/access_link.h - the connection to a syslog server: opened when it is needed,
 * closed when it fails, and not opened again before some time has passed, which grows
 * with every failure.  Used by access_syslog.c, on its thread; waits, but never for
 * long.
 */
#ifndef PROXY_ACCESS_LINK_H
#define PROXY_ACCESS_LINK_H

#include "proxy/access_syslog.h"
#include "proxy/access_writer.h"

struct access_link {
	const struct access_settings *settings;       /* borrowed */
	const struct access_writer *writer;   /* borrowed: says when to give up */
	int fd;                       /* -1: closed */
	uint64_t opened_at_ms, retry_at_ms;
	uint32_t delay_ms;            /* before the next try, if this one fails */
	bool has_sent;                /* something since it was opened */
};

void access_link_init(struct access_link *link, const struct access_settings *settings,
		      const struct access_writer *writer);

/* "host:port" or a path, checked.  False: neither. */
bool access_link_address_is_valid(int network, const char *address);

bool access_link_is_stream(const struct access_link *link);
bool access_link_is_udp(const struct access_link *link);

/* 0: it is open.  -EAGAIN: it is not yet time to try.  Else why it could not be. */
int access_link_open(struct access_link *link);

/* Bytes taken; 0: the server takes none now; or -errno: to be closed. */
ssize_t access_link_send(struct access_link *link, struct str bytes);

/* Waits a little for the server to take more.  False: it did not. */
bool access_link_wait(struct access_link *link);

/* Closes after a failure. */
void access_link_fail(struct access_link *link);
void access_link_close(struct access_link *link);

#endif
