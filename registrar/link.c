/*
 * registrar/link.c - the keeper of one server's connection.
 */
#include "registrar/link.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"

#define BACKOFF_LEAST_MS 250
#define BACKOFF_MOST_MS  5000
#define STEADY_MS        10000        /* a connection that lasted so long was a good one */
#define PINGS_OUT        2
#define PARKED_MS        60000
#define COMPLAIN_MS      30000
#define STOP_S           3

struct parked {
	struct session *session;
	uint64_t since_ms;
	struct parked *next;
};

struct link {
	struct session_shared shared;
	struct names *names;
	unsigned server;
	char name[300];               /* HOST:PORT[/ADDRESS] */
	pthread_t keeper;
	pthread_mutex_t lock;         /* guards `session` against publishers */
	struct session *session;      /* NULL: not connected */
	struct parked *parked;        /* keeper's */
	uint64_t complained_ms;       /* keeper's */
	atomic_bool is_connected, is_stray;
	atomic_uint_least64_t connects;
};

/* --- the keeper */

static void pause_ms(struct link *l, uint64_t ms)
{
	struct pollfd event = { .fd = l->shared.keeper_event, .events = POLLIN };
	eventfd_t ignored;

	if (!atomic_load(&l->shared.must_stop) && poll(&event, 1, (int)ms) > 0)
		eventfd_read(event.fd, &ignored);
}

static void destroy_parked(struct link *l, uint64_t born_before_ms)
{
	struct parked **at = &l->parked;

	while (*at) {
		struct parked *p = *at;

		if (p->since_ms > born_before_ms) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		session_destroy(p->session);
		free(p);
	}
}

/* The library's callback thread may still hold it. */
static void park(struct link *l, struct session *session)
{
	struct parked *p = mem_alloc(sizeof(*p));

	*p = (struct parked){ .session = session, .since_ms = clock_ms(), .next = l->parked };
	l->parked = p;
}

static void set_session(struct link *l, struct session *session)
{
	pthread_mutex_lock(&l->lock);
	l->session = session;
	pthread_mutex_unlock(&l->lock);
}

static void log_connected(const struct link *l, const struct addr *address)
{
	char text[ADDR_TEXT_SIZE];

	addr_format(address, text);
	log_at(LOG_LEVEL_INFO, "nats", atomic_load(&l->connects) > 1 ?
	       "nats-connection-reconnected" : "Successfully-connected-to-nats",
	       "host=%s addr=%s", l->name, text);
}

static void log_failed(struct link *l, const struct reason *reason)
{
	uint64_t now = clock_ms();

	if (l->complained_ms && now - l->complained_ms < COMPLAIN_MS)
		return;
	l->complained_ms = now;
	log_at(LOG_LEVEL_ERROR, "nats", "nats-connection-error", "host=%s error=%s", l->name,
	       reason->text);
}

/* Stays until the connection is lost, stopped, or answers no ping. */
static void stay(struct link *l, struct session *session)
{
	uint64_t interval = l->shared.settings->ping_interval_ms;
	unsigned out = 0;

	while (out < PINGS_OUT) {
		pause_ms(l, interval);
		if (atomic_load(&l->shared.must_stop) || session_is_over(session))
			return;
		out = session_confirm(session, interval) ? 0 : out + 1;
		destroy_parked(l, clock_ms() - PARKED_MS);
	}
	log_at(LOG_LEVEL_WARN, "nats", "nats-connection-silent", "host=%s", l->name);
}

static void serve(struct link *l, struct session *session, const struct addr *address)
{
	set_session(l, session);
	if (session_confirm(session, l->shared.settings->connect_timeout_ms)) {
		l->complained_ms = 0;
		atomic_fetch_add(&l->connects, 1);
		atomic_store(&l->is_connected, true);
		inbox_ring(l->shared.inbox);
		log_connected(l, address);
		stay(l, session);
		atomic_store(&l->is_connected, false);
		inbox_ring(l->shared.inbox);
		log_at(LOG_LEVEL_INFO, "nats", "nats-connection-disconnected", "host=%s", l->name);
	}
	set_session(l, NULL);
	session_end(session);
	park(l, session);
}

static bool try_once(struct link *l)
{
	struct session *session = NULL;
	struct reason reason;
	struct addr address;
	int rc = names_claim(l->names, l->server, l->shared.source, &address, &reason);

	atomic_store(&l->is_stray, rc == -ENOENT);
	if (rc == 0) {
		atomic_store(&l->shared.opening_ms, clock_ms());
		session = session_open(&l->shared, &address, &reason);
		atomic_store(&l->shared.opening_ms, 0);
	}
	if (session)
		serve(l, session, &address);
	else if (rc != -ENOENT)
		log_failed(l, &reason);
	return session != NULL;
}

/* Half of the time at least, so that routers do not come all at once. */
static uint64_t with_jitter(uint64_t ms)
{
	uint32_t random;

	random_bytes(&random, sizeof(random));
	return ms / 2 + random % (ms / 2 + 1);
}

static void *keep(void *argument)
{
	struct link *l = argument;
	uint64_t backoff = BACKOFF_LEAST_MS;

	while (!atomic_load(&l->shared.must_stop)) {
		uint64_t began = clock_ms();

		if (try_once(l) && clock_ms() - began > STEADY_MS)
			backoff = BACKOFF_LEAST_MS;
		destroy_parked(l, clock_ms() - PARKED_MS);
		pause_ms(l, with_jitter(backoff));
		backoff = backoff * 2 > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : backoff * 2;
	}
	return NULL;
}

/* --- the others */

static void make_name(struct link *l)
{
	const struct server_name *server = l->shared.server;
	const char *format = strchr(server->host, ':') ? "[%s]:%u" : "%s:%u";
	int len = snprintf(l->name, sizeof(l->name), format, server->host, server->port);

	if (l->shared.source >= names_count(l->names))        /* for a further address of the name */
		snprintf(l->name + len, sizeof(l->name) - (size_t)len, "/%u", l->shared.source);
}

struct link *link_open(const struct link_common *common, unsigned server, unsigned source)
{
	struct link *l = mem_zalloc(sizeof(*l));

	l->names = common->names;
	l->server = server;
	l->shared = (struct session_shared){
		.settings = common->settings, .server = names_server(common->names, server),
		.inbox = common->inbox, .greets = common->greets, .source = source,
		.probe_subject = common->probe_subject, .wants_feed = true,
		.keeper_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	batch_home_init(&l->shared.batches);
	make_name(l);
	pthread_mutex_init(&l->lock, NULL);
	if (pthread_create(&l->keeper, NULL, keep, l) == 0)
		return l;
	free(l);
	return NULL;
}

/* A blocking call of the keeper returns then: the handler is set without SA_RESTART. */
static void interrupt(struct link *l)
{
	pthread_kill(l->keeper, SIGURG);
}

void link_watch(struct link *l, uint64_t now_ms)
{
	uint64_t since = atomic_load(&l->shared.opening_ms);

	if (since && now_ms > since && now_ms - since > 2 * l->shared.settings->connect_timeout_ms)
		interrupt(l);
}

void link_stop(struct link *l)
{
	atomic_store(&l->shared.must_stop, true);
	interrupt(l);
	eventfd_write(l->shared.keeper_event, 1);
	pthread_mutex_lock(&l->lock);
	if (l->session)
		session_break(l->session);
	pthread_mutex_unlock(&l->lock);
}

bool link_close(struct link *l)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += STOP_S;
	if (pthread_timedjoin_np(l->keeper, NULL, &until) != 0)
		return false;
	destroy_parked(l, UINT64_MAX);
	batch_home_clear(&l->shared.batches);
	return true;
}

void link_destroy(struct link *l)
{
	batch_home_fini(&l->shared.batches);
	close(l->shared.keeper_event);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void link_state(const struct link *l, struct link_state *out)
{
	*out = (struct link_state){
		.is_connected = atomic_load(&l->is_connected),
		.is_lame = atomic_load(&l->shared.is_lame),
		.is_stray = atomic_load(&l->is_stray),
		.connects = atomic_load(&l->connects),
		.dropped = atomic_load(&l->shared.dropped),
		.pending_bytes = atomic_load(&l->shared.batches.pending_bytes),
		.refused = atomic_load(&l->shared.refused),
	};
}

const char *link_name(const struct link *l)
{
	return l->name;
}

bool link_publish(struct link *l, const char *subject, const void *bytes, size_t len)
{
	bool is_done;

	pthread_mutex_lock(&l->lock);
	is_done = l->session && session_publish(l->session, subject, bytes, len);
	pthread_mutex_unlock(&l->lock);
	return is_done;
}

void link_set_pending_limit(struct link *l, uint64_t bytes)
{
	atomic_store(&l->shared.pending_limit, bytes);
}

void link_set_feed(struct link *l, bool is_wanted)
{
	if (atomic_exchange(&l->shared.wants_feed, is_wanted) == is_wanted)
		return;
	pthread_mutex_lock(&l->lock);
	if (l->session)
		session_wake(l->session);
	pthread_mutex_unlock(&l->lock);
}
