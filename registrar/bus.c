/*
 * registrar/bus.c - nats.c behind a queue.  Its callbacks copy and return; the
 * bus thread alone creates, confirms and destroys connections.
 */
#include "registrar/bus.h"

#include <errno.h>
#include <nats/nats.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <urcu/wfcqueue.h>

#include "base/clock.h"
#include "base/mem.h"

#define FLUSH_MS 2000
#define BACKOFF_LEAST_MS 250
#define BACKOFF_MOST_MS 5000

static const char *const subjects[BUS_SUBJECTS] = {
	"router.register", "router.unregister", "router.greet",
};

struct queued {
	struct cds_wfcq_node node;
	struct bus_message message;
	size_t bytes;
	char text[];
};

struct bus {
	const struct nats_settings *settings;
	const char *greeting;
	natsConnection *connection;   /* created and destroyed by the thread, under `lock` */
	natsSubscription *subscriptions[BUS_SUBJECTS];
	pthread_mutex_t lock;
	pthread_t thread;
	int queue_event, state_event;
	struct log_limit error_limit; /* nats.c's callbacks run on one thread */
	struct cds_wfcq_head head;
	struct cds_wfcq_tail tail;
	atomic_uint_least64_t queued_bytes, dropped, reconnects;
	atomic_bool is_connected, is_closed, must_announce, must_stop;
};

static void wake(int fd)
{
	if (eventfd_write(fd, 1) < 0)
		return;               /* the counter is full: awake already */
}

static struct queued *copy_message(enum bus_subject subject, natsMsg *message)
{
	size_t len = (size_t)natsMsg_GetDataLength(message);
	struct str reply = str_of(natsMsg_GetReply(message));
	struct queued *q = mem_alloc(sizeof(*q) + len + reply.len);

	q->bytes = sizeof(*q) + len + reply.len;
	if (len)
		memcpy(q->text, natsMsg_GetData(message), len);
	if (reply.len)
		memcpy(q->text + len, reply.p, reply.len);
	q->message = (struct bus_message){ .subject = subject, .payload = { q->text, len },
					   .reply = { q->text + len, reply.len } };
	cds_wfcq_node_init(&q->node);
	return q;
}

static void on_message(natsConnection *nc, natsSubscription *sub, natsMsg *message, void *closure)
{
	struct bus *bus = closure;
	const char *name = natsMsg_GetSubject(message);
	enum bus_subject subject = 0;
	struct queued *q;

	(void)nc;
	(void)sub;
	while (subject < BUS_GREET && strcmp(name, subjects[subject]) != 0)
		subject++;
	q = copy_message(subject, message);
	natsMsg_Destroy(message);
	if (atomic_load(&bus->queued_bytes) + q->bytes > bus->settings->pending_limit) {
		atomic_fetch_add(&bus->dropped, 1);
		free(q);
		return;
	}
	atomic_fetch_add(&bus->queued_bytes, q->bytes);
	cds_wfcq_enqueue(&bus->head, &bus->tail, &q->node);
	wake(bus->queue_event);
}

static void on_connected(natsConnection *nc, void *closure)
{
	struct bus *bus = closure;

	(void)nc;
	atomic_store(&bus->must_announce, true);
	wake(bus->state_event);
}

static void on_reconnected(natsConnection *nc, void *closure)
{
	atomic_fetch_add(&((struct bus *)closure)->reconnects, 1);
	on_connected(nc, closure);
}

static void on_disconnected(natsConnection *nc, void *closure)
{
	(void)nc;
	atomic_store(&((struct bus *)closure)->is_connected, false);
	wake(((struct bus *)closure)->queue_event);
	log_at(LOG_LEVEL_INFO, "nats", "nats-connection-disconnected", LOG_NO_DATA);
}

static void on_closed(natsConnection *nc, void *closure)
{
	struct bus *bus = closure;

	(void)nc;
	atomic_store(&bus->is_connected, false);
	atomic_store(&bus->is_closed, true);
	wake(bus->state_event);
}

/* nats.c dropped messages before we could see them, or the server said no. */
static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus status, void *closure)
{
	struct bus *bus = closure;
	uint64_t suppressed;

	(void)nc;
	(void)sub;
	if (status == NATS_SLOW_CONSUMER)
		atomic_fetch_add(&bus->dropped, 1);
	if (log_limit_allows(&bus->error_limit, &suppressed))
		log_at(LOG_LEVEL_ERROR, "nats", "nats-error", "error=%s suppressed=%llu",
		       natsStatus_GetText(status), (unsigned long long)suppressed);
}

static natsStatus set_options(struct bus *bus, natsOptions *o)
{
	const struct nats_settings *s = bus->settings;
	natsStatus rc = natsOptions_SetServers(o, (const char **)s->servers.items,
					       (int)s->servers.count);

	if (rc == NATS_OK && *s->user)
		rc = natsOptions_SetUserInfo(o, s->user, s->password);
	if (rc != NATS_OK)
		return rc;
	natsOptions_SetTimeout(o, (int64_t)s->connect_timeout_ms);
	natsOptions_SetPingInterval(o, (int64_t)s->ping_interval_ms);
	natsOptions_SetMaxPingsOut(o, 2);
	natsOptions_SetMaxReconnect(o, -1);
	natsOptions_SetReconnectWait(o, BACKOFF_LEAST_MS);
	natsOptions_SetWriteDeadline(o, (int64_t)s->connect_timeout_ms);
	natsOptions_SetErrorHandler(o, on_error, bus);
	natsOptions_UseGlobalMessageDelivery(o, true);   /* one thread: order is kept */
	natsOptions_SetRetryOnFailedConnect(o, true, on_connected, bus);
	natsOptions_SetReconnectedCB(o, on_reconnected, bus);
	natsOptions_SetDisconnectedCB(o, on_disconnected, bus);
	return natsOptions_SetClosedCB(o, on_closed, bus);
}

static natsStatus subscribe(struct bus *bus)
{
	natsStatus rc = NATS_OK;

	for (unsigned i = 0; i < BUS_SUBJECTS && rc == NATS_OK; i++) {
		rc = natsConnection_Subscribe(&bus->subscriptions[i], bus->connection, subjects[i],
					      on_message, bus);
		if (rc == NATS_OK)
			natsSubscription_SetPendingLimits(bus->subscriptions[i], -1,
							  (int)(bus->settings->pending_limit >
								INT32_MAX ? INT32_MAX :
								bus->settings->pending_limit));
	}
	return rc;
}

static void drop_connection(struct bus *bus)
{
	pthread_mutex_lock(&bus->lock);
	for (unsigned i = 0; i < BUS_SUBJECTS; i++) {
		natsSubscription_Destroy(bus->subscriptions[i]);
		bus->subscriptions[i] = NULL;
	}
	natsConnection_Destroy(bus->connection);
	bus->connection = NULL;
	atomic_store(&bus->is_connected, false);
	pthread_mutex_unlock(&bus->lock);
}

static natsStatus build_connection(struct bus *bus)
{
	natsOptions *options = NULL;
	natsConnection *made = NULL;
	natsStatus rc = natsOptions_Create(&options);

	atomic_store(&bus->is_closed, false);
	if (rc == NATS_OK)
		rc = set_options(bus, options);
	if (rc == NATS_OK)
		rc = natsConnection_Connect(&made, options);
	natsOptions_Destroy(options);
	pthread_mutex_lock(&bus->lock);
	bus->connection = made;
	pthread_mutex_unlock(&bus->lock);
	if (rc == NATS_OK)
		atomic_store(&bus->must_announce, true);
	else if (rc != NATS_NOT_YET_CONNECTED)
		return rc;
	return subscribe(bus);
}

/* Without user and password. */
static void log_connection(struct bus *bus, const char *event)
{
	char url[512] = "";
	struct str shown;
	ssize_t at;

	natsConnection_GetConnectedUrl(bus->connection, url, sizeof(url));
	shown = str_of(url);
	at = str_find_char(shown, '@');
	if (at >= 0)
		shown = str_sub(shown, (size_t)at + 1, STR_REST);
	log_at(LOG_LEVEL_INFO, "nats", event, "host=%.*s", STR_ARG(shown));
}

/* The subscriptions are confirmed by a round trip before anybody is asked. */
static void announce(struct bus *bus)
{
	if (natsConnection_FlushTimeout(bus->connection, FLUSH_MS) != NATS_OK) {
		if (natsConnection_Status(bus->connection) == NATS_CONN_STATUS_CONNECTED)
			atomic_store(&bus->must_announce, true);
		return;
	}
	atomic_store(&bus->is_connected, true);
	if (natsConnection_Status(bus->connection) != NATS_CONN_STATUS_CONNECTED)
		atomic_store(&bus->is_connected, false);      /* it broke meanwhile */
	if (natsConnection_PublishString(bus->connection, "router.start", bus->greeting) != NATS_OK)
		log_at(LOG_LEVEL_ERROR, "subscriber", "failed-to-send-start-message", LOG_NO_DATA);
	log_connection(bus, atomic_load(&bus->reconnects) ? "nats-connection-reconnected" :
							    "Successfully-connected-to-nats");
	wake(bus->queue_event);
}

static void wait_for_state(struct bus *bus, int ms)
{
	struct pollfd event = { .fd = bus->state_event, .events = POLLIN };
	eventfd_t ignored;

	if (poll(&event, 1, ms) > 0)
		eventfd_read(bus->state_event, &ignored);
}

static void *run(void *argument)
{
	struct bus *bus = argument;
	int backoff = BACKOFF_LEAST_MS;

	while (!atomic_load(&bus->must_stop)) {
		if (!bus->connection || atomic_load(&bus->is_closed)) {
			drop_connection(bus);
			wait_for_state(bus, backoff);
			backoff = backoff * 2 > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : backoff * 2;
			if (atomic_load(&bus->must_stop) || build_connection(bus) != NATS_OK)
				drop_connection(bus);
		} else if (atomic_exchange(&bus->must_announce, false)) {
			announce(bus);
			backoff = BACKOFF_LEAST_MS;
		} else {
			wait_for_state(bus, 1000);
		}
	}
	drop_connection(bus);
	return NULL;
}

int bus_open(const struct nats_settings *settings, const char *greeting, struct bus **out,
	     struct reason *reason)
{
	struct bus *bus = mem_zalloc(sizeof(*bus));
	int rc;

	bus->settings = settings;
	bus->greeting = greeting;
	bus->error_limit.per_second = 1;
	cds_wfcq_init(&bus->head, &bus->tail);
	pthread_mutex_init(&bus->lock, NULL);
	bus->queue_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	bus->state_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	nats_Open(-1);
	nats_SetMessageDeliveryPoolSize(1);
	rc = pthread_create(&bus->thread, NULL, run, bus);
	*out = bus;
	return rc ? reason_set(reason, -rc, "thread: %s", strerror(rc)) : 0;
}

void bus_close(struct bus *bus)
{
	struct bus_message *message;

	atomic_store(&bus->must_stop, true);
	wake(bus->state_event);
	pthread_join(bus->thread, NULL);
	nats_CloseAndWait(1000);      /* no callback runs after this */
	while ((message = bus_next(bus)))
		bus_free(bus, message);
	close(bus->queue_event);
	close(bus->state_event);
	free(bus);
}

int bus_fd(const struct bus *bus)
{
	return bus->queue_event;
}

bool bus_is_connected(const struct bus *bus)
{
	return atomic_load(&bus->is_connected);
}

void bus_acknowledge(struct bus *bus)
{
	eventfd_t ignored;

	eventfd_read(bus->queue_event, &ignored);
}

struct bus_message *bus_next(struct bus *bus)
{
	struct cds_wfcq_node *node = __cds_wfcq_dequeue_blocking(&bus->head, &bus->tail);

	return node ? &caa_container_of(node, struct queued, node)->message : NULL;
}

void bus_free(struct bus *bus, struct bus_message *message)
{
	struct queued *q = caa_container_of(message, struct queued, message);

	atomic_fetch_sub(&bus->queued_bytes, q->bytes);
	free(q);
}

void bus_greet(struct bus *bus, struct str reply)
{
	char subject[512];

	if (str_is_empty(reply) || !str_copy_z(reply, subject, sizeof(subject)))
		return;
	pthread_mutex_lock(&bus->lock);
	if (bus->connection) {
		natsConnection_PublishString(bus->connection, subject, bus->greeting);
	}
	pthread_mutex_unlock(&bus->lock);
}

uint64_t bus_dropped(const struct bus *bus)
{
	return atomic_load(&bus->dropped);
}

uint64_t bus_reconnects(const struct bus *bus)
{
	return atomic_load(&bus->reconnects);
}
