/*
 * registrar/session.c - nats.c without its threads.  While the reader lives, only
 * it makes the library close the socket: the library's own closing from
 * another thread would race with the read.
 */
#include "registrar/session.h"

#include <errno.h>
#include <malloc.h>
#include <nats/nats.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "registrar/nats_tls.h"

#define IO_BYTES (256 << 10)          /* read at once */
#define GATHER_BYTES (32 << 10)       /* less than that at once is not worth a wake-up, so */
#define GATHER_MS 4                   /* more is waited for so long */
#define MESSAGE_OVERHEAD 256          /* what the library keeps beside the payload */
#define BURST_BYTES (64u << 20)       /* so many that waited leave memory worth giving back */

struct session {
	struct session_shared *shared;
	natsConnection *nc;
	natsSubscription *subs[LINK_SUBJECTS];
	pthread_t reader;
	pthread_mutex_t lock;         /* guards `socket` */
	int socket;                   /* of the library; -1: it is about to close it */
	int wake;
	atomic_bool wants_write, is_over, must_end;
	bool has_reader;
	bool had_burst;               /* reader's */
};

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

/* --- reading */

/* Registrations beyond the limit are dropped and counted: a gap that is known. */
static bool is_beyond_limit(struct session_shared *shared, uint64_t bytes)
{
	uint64_t pending = atomic_load_explicit(&shared->pending_bytes, memory_order_relaxed);

	return pending + bytes > atomic_load_explicit(&shared->pending_limit, memory_order_relaxed);
}

static struct batch *collect(struct session *s, natsSubscription *sub, unsigned most, bool is_feed)
{
	struct batch *b = mem_alloc(offsetof(struct batch, items) + most * sizeof(b->items[0]));

	b->source = s->shared->source;
	b->count = b->next = 0;
	b->bytes = 0;
	b->born_ms = clock_ms();
	b->pending_bytes = is_feed ? &s->shared->pending_bytes : NULL;
	while (most-- > 0) {
		natsMsg *message;

		if (natsSubscription_NextMsg(&message, sub, 1) != NATS_OK)
			break;
		b->items[b->count++] = message;
		b->bytes += (uint64_t)natsMsg_GetDataLength(message) + MESSAGE_OVERHEAD;
	}
	return b;
}

static void hand_over(struct session *s, struct batch *b, bool is_feed)
{
	struct inbox *inbox = s->shared->inbox;

	if (is_feed && b->count && is_beyond_limit(s->shared, b->bytes)) {
		atomic_fetch_add(&s->shared->dropped, b->count);
		b->pending_bytes = NULL;
		batch_free(b);
		return;
	}
	if (is_feed)
		atomic_fetch_add(&s->shared->pending_bytes, b->bytes);
	inbox_put(inbox, is_feed ? &inbox->feed : &inbox->urgent, b);
}

/* The bytes of registrations that came. */
static uint64_t hand_over_all(struct session *s)
{
	uint64_t feed_bytes = 0;

	for (unsigned i = 0; i < LINK_SUBJECTS; i++) {
		int waiting = 0, bytes = 0;

		if (!s->subs[i] ||
		    natsSubscription_GetPending(s->subs[i], &waiting, &bytes) != NATS_OK)
			continue;
		while (waiting > 0) {
			unsigned most = waiting > BATCH_MOST ? BATCH_MOST : (unsigned)waiting;

			hand_over(s, collect(s, s->subs[i], most, i == LINK_FEED), i == LINK_FEED);
			waiting -= (int)most;
		}
		if (i == LINK_FEED)
			feed_bytes = bytes > 0 ? (uint64_t)bytes : 0;
	}
	return feed_bytes;
}

/* The heap of a burst goes back to the machine once all of it was applied. */
static void give_back(struct session *s)
{
	uint64_t pending = atomic_load_explicit(&s->shared->pending_bytes, memory_order_relaxed);

	if (pending > BURST_BYTES) {
		s->had_burst = true;
	} else if (s->had_burst && pending == 0) {
		s->had_burst = false;
		malloc_trim(0);
	}
}

/* A busy server sends a few messages at a time, and waking up costs more than they do. */
static void gather(uint64_t feed_bytes)
{
	struct timespec pause = { .tv_nsec = GATHER_MS * 1000000 };

	if (feed_bytes && feed_bytes < GATHER_BYTES)
		nanosleep(&pause, NULL);
}

static natsStatus subscribe(struct session *s, enum link_subject which)
{
	/* One subscription for all registrations keeps their order; only "router.*" can. */
	const char *const subjects[LINK_SUBJECTS] = {
		[LINK_FEED] = "router.*", [LINK_GREET] = "router.greet",
		[LINK_PROBE] = s->shared->probe_subject, [LINK_DIGEST] = "_r.digest",
		[LINK_START] = "router.start",
	};
	natsStatus rc = natsConnection_SubscribeSync(&s->subs[which], s->nc, subjects[which]);

	if (rc == NATS_OK)
		rc = natsSubscription_SetPendingLimits(s->subs[which], -1, -1);
	return rc;
}

static void follow_wishes(struct session *s)
{
	bool wants = atomic_load(&s->shared->wants_feed);

	if (wants && !s->subs[LINK_FEED]) {
		subscribe(s, LINK_FEED);
	} else if (!wants && s->subs[LINK_FEED]) {
		natsSubscription_Unsubscribe(s->subs[LINK_FEED]);
		natsSubscription_Destroy(s->subs[LINK_FEED]);
		s->subs[LINK_FEED] = NULL;
	}
}

static int socket_of(struct session *s)
{
	int fd;

	pthread_mutex_lock(&s->lock);
	fd = s->socket;
	pthread_mutex_unlock(&s->lock);
	return fd;
}

static bool is_readable(struct session *s)
{
	struct pollfd ready = { .fd = socket_of(s), .events = POLLIN };

	return ready.fd >= 0 && poll(&ready, 1, 0) > 0;
}

/* The library takes one TLS record at a time, and a record may be one small message. */
static void read_what_came(struct session *s)
{
	uint64_t began = clock_ms();

	do
		natsConnection_ProcessReadEvent(s->nc);
	while (is_readable(s) && clock_ms() - began < GATHER_MS);
}

static void *read_all(void *argument)
{
	struct session *s = argument;
	eventfd_t ignored;
	int fd;

	while ((fd = socket_of(s)) >= 0 && !atomic_load(&s->must_end)) {
		short write = atomic_load(&s->wants_write) ? POLLOUT : 0;
		struct pollfd fds[] = { { .fd = fd, .events = (short)(POLLIN | write) },
					{ .fd = s->wake, .events = POLLIN } };

		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents)
			eventfd_read(s->wake, &ignored);
		follow_wishes(s);
		if (fds[0].revents & POLLOUT)
			natsConnection_ProcessWriteEvent(s->nc);
		if (fds[0].revents & ~POLLOUT)
			read_what_came(s);
		gather(hand_over_all(s));
		give_back(s);
	}
	atomic_store(&s->is_over, true);
	ring(s->shared->keeper_event);
	return NULL;
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
			rc = subscribe(s, i);
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
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&s->lock, NULL);
	atomic_store(&shared->is_lame, false);
	rc = connect_now(s, address);
	if (rc == NATS_OK) {
		s->has_reader = pthread_create(&s->reader, NULL, read_all, s) == 0;
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
	if (s->socket >= 0)
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
	pthread_mutex_destroy(&s->lock);
	close(s->wake);
	free(s);
}
