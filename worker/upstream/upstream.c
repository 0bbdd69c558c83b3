/*
 * upstream/upstream.c - attempts.
 */
#include "upstream/upstream.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "counters.h"
#include "upstream/pool.h"

#define KEEP_ALIVE_MARGIN_MS 1000     /* we stop using a connection so much earlier */

struct upstream {
	struct loop *loop;            /* borrowed */
	struct buf_pool *bufs;        /* borrowed */
	uint64_t *counters;           /* this worker's row */
	const struct upstream_settings *settings;     /* borrowed */
	struct tls_client *tls;       /* borrowed */
	struct pool *pool;            /* owned */
	struct resolver *resolver;    /* owned */
};

struct upstream *upstream_create(struct loop *loop, struct buf_pool *bufs, uint64_t *counters,
				 const struct upstream_settings *settings,
				 struct tls_client *tls)
{
	struct upstream *u = mem_zalloc(sizeof(*u));

	*u = (struct upstream){ .loop = loop, .bufs = bufs, .counters = counters,
				.settings = settings, .tls = tls };
	u->pool = pool_create(loop, counters, (unsigned)settings->max_idle);
	u->resolver = resolver_create(loop);
	return u;
}

void upstream_destroy(struct upstream *upstream)
{
	if (!upstream)
		return;
	pool_destroy(upstream->pool);
	resolver_destroy(upstream->resolver);
	free(upstream);
}

static enum failure resolve(struct upstream *u, const struct endpoint *endpoint, struct task *task,
			    struct attempt *attempt, enum io *io)
{
	if (!(endpoint->flags & ENDPOINT_HOST_IS_NAME)) {
		addr_from_bytes(endpoint->ip, endpoint->port, &attempt->target.addr);
		return FAIL_NONE;
	}
	if (!attempt->is_resolving)
		attempt->times.since_ns = clock_ns();
	*io = resolver_find(u->resolver, endpoint->host, endpoint->port, task,
			    &attempt->target.addr, &attempt->error);
	attempt->is_resolving = *io == IO_AGAIN;
	if (*io == IO_OK)
		attempt->times.dns_ns = clock_ns() - attempt->times.since_ns;
	return *io == IO_ERROR ? FAIL_RESOLVE : FAIL_NONE;
}

static bool is_local_fault(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
	       error == EADDRNOTAVAIL || error == ENETDOWN || error == EPERM;
}

static enum failure fail_connect(struct attempt *attempt, int error)
{
	attempt->error = error;
	return is_local_fault(error) ? FAIL_LOCAL : FAIL_CONNECT;
}

static const enum failure tls_failures[TLS_FAULT_COUNT] = {
	[TLS_FAULT_NOT_TLS]           = FAIL_TLS_NOT_TLS,
	[TLS_FAULT_PLAIN_HTTP]        = FAIL_TLS_NOT_TLS,
	[TLS_FAULT_EXPIRED]           = FAIL_TLS_EXPIRED,
	[TLS_FAULT_WRONG_NAME]        = FAIL_TLS_NAME,
	[TLS_FAULT_UNTRUSTED]         = FAIL_TLS_UNTRUSTED,
	[TLS_FAULT_REFUSED_US]        = FAIL_TLS_REFUSED_BY_PEER,
	[TLS_FAULT_HANDSHAKE_ALERT]   = FAIL_TLS_HANDSHAKE,
	[TLS_FAULT_OTHER_ALERT]       = FAIL_TLS_HANDSHAKE,
	[TLS_FAULT_NO_PROTOCOL]       = FAIL_TLS_HANDSHAKE,
	[TLS_FAULT_PROTOCOL]          = FAIL_TLS_HANDSHAKE,
	[TLS_FAULT_RESET]             = FAIL_TLS_RESET,
	[TLS_FAULT_EOF]               = FAIL_TLS_RESET,
	[TLS_FAULT_LOCAL]             = FAIL_LOCAL,
};

static enum failure handshake_failure(struct attempt *attempt)
{
	struct conn *conn = mux_conn(attempt->stream->mux);
	enum failure failure = tls_failures[conn_tls_fault(conn)];

	attempt->detail = conn_tls_error(conn);
	attempt->error = conn->error;
	return failure ? failure : FAIL_TLS_RESET;
}

enum failure upstream_failure(struct attempt *attempt, enum failure otherwise)
{
	struct conn *conn = attempt->stream ? mux_conn(attempt->stream->mux) : NULL;

	if (!conn || conn_tls_fault(conn) != TLS_FAULT_REFUSED_US)
		return otherwise;
	return handshake_failure(attempt);
}

bool upstream_is_in_handshake(const struct attempt *attempt)
{
	return attempt->is_in_handshake;
}

static int begin_tls(struct upstream *u, struct mux *mux, const struct target *target)
{
	struct tls_peer peer = {
		.name = target->name, .ip = target->addr, .identity = addr_port(&target->addr),
	};

	return conn_begin_tls_client(mux_conn(mux), u->tls, &peer);
}

static enum failure shake_hands(struct attempt *attempt, enum io *io)
{
	*io = conn_handshake(mux_conn(attempt->stream->mux));
	attempt->is_in_handshake = *io == IO_AGAIN;
	if (*io == IO_OK) {
		attempt->times.tls_ns = clock_ns() - attempt->times.since_ns -
					attempt->times.dial_ns;
		attempt->sent_before = mux_conn(attempt->stream->mux)->sent;
	}
	if (*io == IO_OK || *io == IO_AGAIN)
		return FAIL_NONE;
	return handshake_failure(attempt);
}

static enum failure find_or_connect(struct upstream *u, struct task *task, struct attempt *attempt)
{
	struct mux *mux = attempt->wants_fresh ? NULL : pool_take(u->pool, &attempt->target);

	attempt->is_reused = mux != NULL;
	if (!mux) {
		attempt->times.since_ns = clock_ns();
		mux = mux_create_upstream(u->loop, u->bufs, &attempt->target.addr, task,
					  &u->settings->mux);
	}
	if (!mux)
		return fail_connect(attempt, errno);
	if (!attempt->is_reused && attempt->target.is_tls && begin_tls(u, mux, &attempt->target)) {
		mux_destroy(mux);
		return fail_connect(attempt, ENOMEM);
	}
	counter_add(u->counters,
		    attempt->is_reused ? COUNTER_upstream_reuses : COUNTER_upstream_connects, 1);
	attempt->stream = mux_open(mux, task);
	attempt->sent_before = mux_conn(mux)->sent;
	return FAIL_NONE;
}

enum failure upstream_open(struct upstream *u, const struct endpoint *endpoint, struct task *task,
			   struct attempt *attempt, enum io *io)
{
	enum failure failure;
	struct conn *conn;

	*io = IO_OK;
	if (!attempt->stream) {
		failure = resolve(u, endpoint, task, attempt, io);
		if (failure || *io == IO_AGAIN)
			return failure;
		attempt->target.is_tls = endpoint->flags & ENDPOINT_TLS;
		attempt->target.name = attempt->target.is_tls ? endpoint->san : STR_NONE;
		failure = find_or_connect(u, task, attempt);
		if (failure)
			return failure;
	}
	if (mux_is_connecting(attempt->stream->mux)) {
		*io = IO_AGAIN;
		return FAIL_NONE;
	}
	conn = mux_conn(attempt->stream->mux);
	if (!attempt->is_reused && !attempt->is_in_handshake && conn->ready & CONN_BROKEN)
		return fail_connect(attempt, conn->error);
	if (!attempt->is_reused && !attempt->times.dial_ns)
		attempt->times.dial_ns = clock_ns() - attempt->times.since_ns;
	if (!attempt->is_reused && attempt->target.is_tls)
		return shake_hands(attempt, io);
	return FAIL_NONE;
}

static uint64_t idle_limit(const struct upstream *u, const struct attempt *attempt)
{
	uint64_t limit = u->settings->idle_timeout_ms;

	return attempt->idle_ms && attempt->idle_ms < limit ? attempt->idle_ms : limit;
}

void upstream_close(struct upstream *u, struct attempt *attempt, struct task *task)
{
	struct mux *mux;

	if (attempt->is_resolving)
		resolver_forget(u->resolver, task);
	attempt->is_resolving = attempt->is_in_handshake = false;
	attempt->detail = NULL;
	if (!attempt->stream)
		return;
	mux = attempt->stream->mux;
	stream_close(attempt->stream);
	attempt->stream = NULL;
	if (mux_is_quiet(mux))
		pool_add(u->pool, &attempt->target, mux, idle_limit(u, attempt));
	else
		mux_destroy(mux);
}

/* We stop before the endpoint does; one that keeps nothing leaves us a moment. */
static uint64_t idle_ms_for(uint64_t timeout_s)
{
	uint64_t ms = timeout_s * 1000;

	if (ms > 2 * KEEP_ALIVE_MARGIN_MS)
		return ms - KEEP_ALIVE_MARGIN_MS;
	return ms ? ms / 2 : 1;
}

void upstream_note_keep_alive(struct attempt *attempt, struct str value)
{
	struct str item;
	uint64_t seconds;

	while (str_next_item(&value, ',', &item))
		if (str_has_prefix_nocase(item, STR("timeout=")) &&
		    str_parse_u64(str_sub(item, 8, STR_REST), &seconds) && seconds < 86400)
			attempt->idle_ms = idle_ms_for(seconds);
}
