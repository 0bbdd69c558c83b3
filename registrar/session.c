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
#define MESSAGE_OVERHEAD 360          /* what the library and a batch keep beside the payload */
#define RETURNED_BYTES (2u << 20)     /* so many that were applied may wait to be freed */
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
	uint64_t pending = atomic_load_explicit(&shared->batches.pending_bytes,
						memory_order_relaxed);

	return pending + bytes > atomic_load_explicit(&shared->pending_limit, memory_order_relaxed);
}

static enum bus_subject classify(const char *name)
{
	static const struct { const char *prefix; size_t len; enum bus_subject subject; } all[] = {
		{ "router.register",   16, BUS_REGISTER },        /* with its terminator: all of it */
		{ "router.unregister", 18, BUS_UNREGISTER },
		{ "_r.probe.",          9, BUS_PROBE },
		{ "_r.digest",         10, BUS_DIGEST },
		{ "router.start",      13, BUS_START },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (strncmp(name, all[i].prefix, all[i].len) == 0)
			return all[i].subject;
	return BUS_OTHER;
}

/* One wildcard carries all of router.*: what is not for us, or came as urgent, is passed by. */
static bool is_wanted(enum bus_subject subject, enum link_subject via)
{
	return via == LINK_FEED ? subject <= BUS_UNREGISTER : subject != BUS_OTHER;
}

static void add(struct batch *b, struct session_shared *shared, enum link_subject via,
		natsMsg *message, uint64_t now_ms)
{
	const char *name = natsMsg_GetSubject(message);
	struct bus_message *item = &b->items[b->count];

	*item = (struct bus_message){
		.subject = classify(name), .source = shared->source, .received_ms = now_ms,
		.name = name,
		.payload = { natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message) },
		.memory = message,
	};
	if (!is_wanted(item->subject, via)) {
		natsMsg_Destroy(message);
		return;
	}
	if (item->subject == BUS_REGISTER)
		item->hash = hash_text(&shared->inbox->key, item->payload);
	if (via == LINK_FEED)
		b->bytes += item->payload.len + MESSAGE_OVERHEAD;
	b->count++;
}

static struct batch *collect(struct session *s, enum link_subject via, unsigned most)
{
	struct batch *b = mem_alloc(offsetof(struct batch, items) + most * sizeof(b->items[0]));
	uint64_t now = clock_ms();
	natsMsg *message;

	batch_init(b, &s->shared->batches);
	while (most-- > 0 && natsSubscription_NextMsg(&message, s->subs[via], 1) == NATS_OK)
		add(b, s->shared, via, message, now);
	return b;
}

static void hand_over(struct session *s, struct batch *b, bool is_feed)
{
	struct session_shared *shared = s->shared;
	struct inbox *inbox = shared->inbox;
	bool is_lost = b->bytes && is_beyond_limit(shared, b->bytes);

	if (is_lost)
		atomic_fetch_add(&shared->dropped, b->count);
	if (is_lost || !b->count) {
		batch_free(b);
		return;
	}
	atomic_fetch_add(&shared->batches.pending_bytes, b->bytes);
	inbox_put(inbox, is_feed ? &inbox->feed : &inbox->urgent, b);
}

/* How many wait, and their bytes. */
static unsigned count_waiting(struct session *s, enum link_subject which, uint64_t *bytes)
{
	int waiting = 0, size = 0;

	*bytes = 0;
	if (!s->subs[which] ||
	    natsSubscription_GetPending(s->subs[which], &waiting, &size) != NATS_OK)
		return 0;
	*bytes = size > 0 ? (uint64_t)size : 0;
	return waiting > 0 ? (unsigned)waiting : 0;
}

static void answer(struct session *s, const char *reply)
{
	struct session_shared *shared = s->shared;

	if (!reply || !*reply ||
	    !greets_is_new(shared->greets, str_of(reply), shared->source, clock_ms()))
		return;
	if (natsConnection_PublishString(s->nc, reply, shared->greets->answer) == NATS_OK)
		atomic_fetch_add(&shared->greets->answered, 1);
}

static void answer_greets(struct session *s)
{
	uint64_t bytes;

	for (unsigned n = count_waiting(s, LINK_GREET, &bytes); n > 0; n--) {
		natsMsg *greet;

		if (natsSubscription_NextMsg(&greet, s->subs[LINK_GREET], 1) != NATS_OK)
			return;
		answer(s, natsMsg_GetReply(greet));
		natsMsg_Destroy(greet);
	}
}

static uint64_t hand_over_subject(struct session *s, enum link_subject which)
{
	uint64_t bytes;
	unsigned waiting = count_waiting(s, which, &bytes);

	while (waiting > 0) {
		unsigned most = waiting > BATCH_MOST ? BATCH_MOST : waiting;

		hand_over(s, collect(s, which, most), which == LINK_FEED);
		waiting -= most;
	}
	return bytes;
}

/* The bytes of registrations that came. */
static uint64_t hand_over_all(struct session *s)
{
	uint64_t bytes;

	answer_greets(s);
	bytes = hand_over_subject(s, LINK_FEED);
	hand_over_subject(s, LINK_PROBE);
	hand_over_subject(s, LINK_DIGEST);
	hand_over_subject(s, LINK_START);
	return bytes;
}

/* For each message that is freed the library wakes its collector thread, unless that is
 * awake: so it is better many at once, or when there is nothing else to do. */
static void free_returned(struct batch_home *batches, bool is_idle)
{
	if (is_idle || atomic_load_explicit(&batches->returned_bytes, memory_order_relaxed) >
		       RETURNED_BYTES)
		batch_home_clear(batches);
}

/* The heap of a burst goes back to the machine once all of it was applied. */
static void give_back(struct session *s)
{
	struct batch_home *batches = &s->shared->batches;
	uint64_t pending = atomic_load_explicit(&batches->pending_bytes, memory_order_relaxed);

	if (pending > BURST_BYTES) {
		s->had_burst = true;
	} else if (s->had_burst && pending == 0) {
		s->had_burst = false;
		malloc_trim(0);
	}
}

/* A busy server sends a few messages at a time, and waking up costs more than they do. */
static void gather(struct session *s, uint64_t feed_bytes)
{
	struct timespec pause = { .tv_nsec = GATHER_MS * 1000000 };

	if (feed_bytes && feed_bytes < GATHER_BYTES && !atomic_load(&s->wants_write))
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
	uint64_t feed_bytes;
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
		feed_bytes = hand_over_all(s);
		free_returned(&s->shared->batches, feed_bytes == 0);
		give_back(s);
		gather(s, feed_bytes);
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
