/*
 * registrar/session.c - nats.c without its threads: how a connection is made, and ended.
 */
#include "registrar/session_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "registrar/nats_tls.h"

#define IO_BYTES (256 << 10)          /* read at once by the library */

static void ring(int fd)
{
	if (eventfd_write(fd, 1) < 0)
		return;               /* the counter is full: awake already */
}

/* --- what the library believes to be an event loop */

static natsStatus on_attach(void **data, void *loop, natsConnection *nc, natsSock fd)
{
	struct session *s = loop;

	(void)nc;
	*data = s;
	if (!nats_tls_is_wanted(s->shared->settings, s->shared->server) && wire_open(&s->wire, fd) < 0)
		return NATS_IO_ERROR;
	pthread_mutex_lock(&s->lock);
	s->socket = fd;
	pthread_mutex_unlock(&s->lock);
	return NATS_OK;
}

static void forget_socket(struct session *s)
{
	pthread_mutex_lock(&s->lock);
	s->socket = -1;
	pthread_mutex_unlock(&s->lock);
	ring(s->wake);
}

static natsStatus on_want_read(void *data, bool is_wanted)
{
	if (!is_wanted)
		forget_socket(data);
	return NATS_OK;
}

static natsStatus on_want_write(void *data, bool is_wanted)
{
	struct session *s = data;

	atomic_store(&s->wants_write, is_wanted);
	if (is_wanted)
		ring(s->wake);
	return NATS_OK;
}

static natsStatus on_detach(void *data)
{
	forget_socket(data);
	return NATS_OK;
}

static void on_lame(natsConnection *nc, void *closure)
{
	(void)nc;
	atomic_store(&((struct session_shared *)closure)->is_lame, true);
}

/* What a publish or a subscription was refused for; everything else ends the connection. */
static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus status, void *closure)
{
	struct session_shared *shared = closure;

	(void)nc;
	(void)sub;
	if (status == NATS_NOT_PERMITTED)
		atomic_fetch_add(&shared->refused, 1);
	else if (status == NATS_SLOW_CONSUMER)
		atomic_fetch_add(&shared->dropped, 1);
}

/* --- life */

static natsStatus set_options(struct session *s, const struct addr *address, natsOptions *o)
{
	const struct nats_settings *settings = s->shared->settings;
	const struct server_name *server = s->shared->server;
	char text[ADDR_TEXT_SIZE], url[sizeof("nats://") + ADDR_TEXT_SIZE] = "nats://";
	natsStatus rc;

	addr_format(address, text);
	strcat(url, text);
	rc = natsOptions_SetURL(o, url);
	if (rc == NATS_OK && server->user)
		rc = server->password ? natsOptions_SetUserInfo(o, server->user, server->password) :
					natsOptions_SetToken(o, server->user);
	else if (rc == NATS_OK && *settings->user)
		rc = natsOptions_SetUserInfo(o, settings->user, settings->password);
	if (rc == NATS_OK)
		rc = (natsStatus)nats_tls_apply(settings, server, o);
	if (rc != NATS_OK)
		return rc;
	natsOptions_SetName(o, "wye");
	natsOptions_SetTimeout(o, (int64_t)settings->connect_timeout_ms);
	natsOptions_SetWriteDeadline(o, (int64_t)settings->connect_timeout_ms);
	natsOptions_SetPingInterval(o, INT64_C(86400000));    /* the keeper pings */
	natsOptions_SetAllowReconnect(o, false);
	natsOptions_SetIgnoreDiscoveredServers(o, true);
	natsOptions_SetNoRandomize(o, true);
	natsOptions_SetIOBufSize(o, IO_BYTES);
	natsOptions_SetErrorHandler(o, on_error, s->shared);
	natsOptions_SetLameDuckModeCB(o, on_lame, s->shared);
	return natsOptions_SetEventLoop(o, s, on_attach, on_want_read, on_want_write, on_detach);
}

static natsStatus connect_now(struct session *s, const struct addr *address)
{
	natsOptions *options = NULL;
	natsStatus rc = natsOptions_Create(&options);

	if (rc == NATS_OK)
		rc = set_options(s, address, options);
	if (rc == NATS_OK)
		rc = natsConnection_Connect(&s->nc, options);
	natsOptions_Destroy(options);
	for (unsigned i = LINK_FEED; i < LINK_SUBJECTS && rc == NATS_OK; i++)
		if (i != LINK_FEED || atomic_load(&s->shared->wants_feed))
			rc = session_subscribe(s, i);
	return rc;
}

static void explain(natsStatus rc, struct reason *reason)
{
	const char *detail = nats_GetLastError(NULL);

	if (rc == NATS_SECURE_CONNECTION_WANTED)
		detail = "the server does not offer TLS, which is required here";
	reason_set(reason, -ECONNREFUSED, "%s%s%s", natsStatus_GetText(rc),
		   detail && *detail ? ": " : "", detail ? detail : "");
}

struct session *session_open(struct session_shared *shared, const struct addr *address,
			     struct reason *reason)
{
	struct session *s = mem_zalloc(sizeof(*s));
	natsStatus rc;

	s->shared = shared;
	s->socket = -1;
	wire_init(&s->wire);
	sieve_init(&s->sieve);
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&s->lock, NULL);
	atomic_store(&shared->is_lame, false);
	rc = connect_now(s, address);
	if (rc == NATS_OK) {
		s->has_reader = pthread_create(&s->reader, NULL, session_read_all, s) == 0;
		if (s->has_reader)
			return s;
		rc = NATS_NO_MEMORY;
	}
	explain(rc, reason);
	session_end(s);
	session_destroy(s);
	return NULL;
}

bool session_confirm(struct session *s, uint64_t timeout_ms)
{
	return natsConnection_FlushTimeout(s->nc, (int64_t)timeout_ms) == NATS_OK;
}

bool session_is_over(const struct session *s)
{
	return atomic_load(&s->is_over);
}

bool session_publish(struct session *s, const char *subject, const void *bytes, size_t len)
{
	return natsConnection_Publish(s->nc, subject, bytes, (int)len) == NATS_OK;
}

void session_wake(struct session *s)
{
	ring(s->wake);
}

void session_break(struct session *s)
{
	pthread_mutex_lock(&s->lock);
	if (s->wire.server >= 0)
		shutdown(s->wire.server, SHUT_RDWR);
	else if (s->socket >= 0)
		shutdown(s->socket, SHUT_RDWR);
	pthread_mutex_unlock(&s->lock);
	ring(s->wake);
}

void session_end(struct session *s)
{
	atomic_store(&s->must_end, true);
	if (s->has_reader) {
		session_break(s);     /* it may wait within the library for the rest of a record */
		pthread_join(s->reader, NULL);
	}
	natsConnection_Close(s->nc);
}

void session_destroy(struct session *s)
{
	for (unsigned i = 0; i < LINK_SUBJECTS; i++)
		natsSubscription_Destroy(s->subs[i]);
	natsConnection_Destroy(s->nc);
	wire_close(&s->wire);
	pthread_mutex_destroy(&s->lock);
	close(s->wake);
	free(s);
}
