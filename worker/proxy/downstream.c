/*
 * proxy/downstream.c - client connections.
 */
#include "proxy/downstream.h"

#include "base/log.h"
#include "net/tls.h"
#include "proxy/exchange.h"

#define LINGER_MS    2000             /* how long a client may go on sending after our end */
#define LINGER_BYTES (1u << 20)

/* Small: an idle connection is this, a mux, and nothing else of ours. */
struct downstream {
	struct task task;             /* woken by its mux without a stream, and by its deadline */
	struct proxy *proxy;          /* borrowed */
	struct mux *mux;              /* owned */
	struct exchange *exchange;    /* the one that uses our stream; it owns itself */
	struct cds_list_head in_proxy;
	struct addr peer;
	uint32_t lingered;            /* bytes dropped after our end */
	uint8_t waits_for;            /* enum waits_for: what the deadline belongs to */
	bool is_status : 1, is_lingering : 1, was_asked : 1, is_draining : 1;
	bool is_in_handshake : 1;
};

enum waits_for {
	NOTHING,
	FIRST_REQUEST,                /* all of its head, from the connection's begin */
	NEXT_REQUEST,                 /* the first byte of it */
	REST_OF_HEAD,
};

static void destroy(struct downstream *d)
{
	struct proxy *proxy = d->proxy;

	cds_list_del(&d->in_proxy);
	proxy->downstream_count--;
	counter_add(proxy->counters, COUNTER_connections_open, (uint64_t)-1);
	task_fini(proxy->loop, &d->task);
	mux_destroy(d->mux);
	loop_defer_free(proxy->loop, d);
}

/* A close with unread input would reset the connection and destroy what the
 * client has not read yet (RFC 9112 section 9.6): so read on for a moment. */
static void linger(struct downstream *d)
{
	char scratch[16384];
	struct conn *conn = mux_conn(d->mux);

	if (!d->is_lingering) {
		d->is_lingering = true;
		conn_shutdown(conn);
		task_set_deadline(d->proxy->loop, &d->task,
				  loop_now_ms(d->proxy->loop) + LINGER_MS);
	}
	for (;;) {
		size_t n = 0;
		enum io io = conn_is_open(conn) ? conn_read(conn, scratch, sizeof(scratch), &n) :
						  IO_ERROR;

		d->lingered += (uint32_t)n;
		if (io == IO_AGAIN && !task_is_due(d->proxy->loop, &d->task))
			return;
		if (io != IO_OK || d->lingered > LINGER_BYTES) {
			destroy(d);
			return;
		}
	}
}

static enum waits_for awaited(const struct downstream *d)
{
	if (!d->was_asked)
		return FIRST_REQUEST;
	return mux_has_partial_head(d->mux) ? REST_OF_HEAD : NEXT_REQUEST;
}

/* The deadline begins when the wait does; bytes that trickle in do not move it. */
static void await(struct downstream *d, enum waits_for what)
{
	const struct proxy_settings *settings = d->proxy->settings;
	uint64_t patience_ms = what != NEXT_REQUEST ? settings->header_timeout_ms :
			       d->is_draining ? settings->drain_idle_ms : settings->idle_timeout_ms;

	if (d->waits_for == what)
		return;
	d->waits_for = (uint8_t)what;
	task_set_deadline(d->proxy->loop, &d->task,
			  what == NOTHING ? 0 : loop_now_ms(d->proxy->loop) + patience_ms);
}

static void close_down(struct downstream *d)
{
	if (mux_must_linger(d->mux))
		linger(d);
	else
		destroy(d);
}

static void log_handshake(const struct downstream *d)
{
	const struct conn *conn = mux_conn(d->mux);
	char peer[ADDR_TEXT_SIZE];

	addr_format(&d->peer, peer);
	log_debug("tls-handshake-failed", "client=%s fault=%s error=%s", peer,
		  tls_fault_name(conn_tls_fault(conn)), conn_tls_error(conn));
}

/* True once requests may come. */
static bool shake_hands(struct downstream *d)
{
	enum io io = conn_handshake(mux_conn(d->mux));

	if (io == IO_OK) {
		d->is_in_handshake = false;
		return true;
	}
	if (io == IO_AGAIN && !task_is_due(d->proxy->loop, &d->task)) {
		await(d, FIRST_REQUEST);
		return false;
	}
	log_handshake(d);
	if (conn_tls_fault(mux_conn(d->mux)) == TLS_FAULT_PLAIN_HTTP)
		linger(d);            /* its answer is on the way */
	else
		destroy(d);
	return false;
}

static void downstream_run(struct task *task)
{
	struct downstream *d = caa_container_of(task, struct downstream, task);
	struct stream *stream;

	if (d->exchange)
		return;
	if (d->is_lingering) {
		linger(d);
		return;
	}
	if (d->is_in_handshake && !shake_hands(d))
		return;
	stream = mux_accept(d->mux, task);
	if (stream) {
		await(d, NOTHING);
		d->was_asked = true;
		d->exchange = exchange_create(d->proxy, d, stream);
	} else if (mux_is_finished(d->mux) || task_is_due(d->proxy->loop, task)) {
		close_down(d);
	} else {
		await(d, awaited(d));
	}
}

void downstream_create(struct proxy *proxy, int fd, const struct addr *peer,
		       enum downstream_kind kind)
{
	struct downstream *d = mem_zalloc(sizeof(*d));

	d->proxy = proxy;
	d->peer = *peer;
	d->is_status = kind == DOWNSTREAM_STATUS;
	d->is_in_handshake = kind == DOWNSTREAM_HTTPS;
	task_init(&d->task, downstream_run);
	d->mux = mux_create_downstream(proxy->loop, proxy->bufs, fd, &d->task,
				       &proxy->settings->mux);
	cds_list_add_tail(&d->in_proxy, &proxy->downstreams);
	proxy->downstream_count++;
	counter_add(proxy->counters, COUNTER_connections_accepted, 1);
	counter_add(proxy->counters, COUNTER_connections_open, 1);
	if (!d->mux || (d->is_in_handshake && conn_begin_tls_server(mux_conn(d->mux), proxy->tls))) {
		destroy(d);
		return;
	}
	if (proxy->is_draining)
		downstream_drain(d);
	task_wake(proxy->loop, &d->task);
}

void downstream_drain(struct downstream *downstream)
{
	downstream->is_draining = true;
	mux_drain(downstream->mux);
	downstream->waits_for = NOTHING;      /* an idle one waits for less long now */
	task_wake(downstream->proxy->loop, &downstream->task);
}

void downstream_cut(struct downstream *downstream)
{
	if (downstream->exchange)
		exchange_cut(downstream->exchange);
	destroy(downstream);
}

const struct addr *downstream_peer(const struct downstream *downstream)
{
	return &downstream->peer;
}

const struct conn *downstream_conn(const struct downstream *downstream)
{
	return mux_conn(downstream->mux);
}

bool downstream_is_status(const struct downstream *downstream)
{
	return downstream->is_status;
}

void downstream_release(struct downstream *downstream)
{
	downstream->exchange = NULL;
}

struct downstream *downstream_next(struct proxy *proxy, struct downstream *at)
{
	struct cds_list_head *next = at ? at->in_proxy.next : proxy->downstreams.next;

	return next == &proxy->downstreams ? NULL :
	       cds_list_entry(next, struct downstream, in_proxy);
}
