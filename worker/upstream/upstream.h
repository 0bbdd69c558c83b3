/*
 * upstream/upstream.h - from an endpoint to an open stream: reuse a connection
 * or make one.  An attempt yields a stream or a failure; who tries again, and
 * where, is the exchange's business.
 */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include "endpoint.h"
#include "http/mux.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "upstream/target.h"

struct upstream_settings {
	uint64_t connect_timeout_ms;  /* resolving and connecting, each attempt */
	uint64_t handshake_timeout_ms;        /* TLS, each attempt, after connecting */
	uint64_t idle_timeout_ms;     /* an unused connection is closed after that */
	uint64_t max_idle;            /* unused connections of this worker, to all endpoints */
	struct mux_settings mux;      /* limits of response heads */
};

struct upstream;

/* `tls` is how we meet endpoints that speak it; borrowed, as the settings. */
struct upstream *upstream_create(struct loop *loop, struct buf_pool *bufs, uint64_t *counters,
				 const struct upstream_settings *settings,
				 struct tls_client *tls);
void upstream_destroy(struct upstream *upstream);

/* What an attempt waited for until it had a connection; 0: it did not have to. */
struct attempt_times {
	uint64_t since_ns;            /* the begin of what goes on */
	uint64_t dns_ns, dial_ns, tls_ns;
};

/* One try.  Zeroed before the first upstream_open(). */
struct attempt {
	struct target target;
	struct stream *stream;        /* owned; NULL before and after */
	uint64_t sent_before;         /* its connection's conn->sent before the request */
	uint64_t idle_ms;             /* the endpoint's own idle limit, learned; 0 unknown */
	int error;                    /* errno behind a failure, or 0 */
	const char *detail;           /* words about a TLS failure, or NULL; until the close */
	struct attempt_times times;
	bool is_resolving, is_in_handshake;
	bool wants_fresh;             /* set by the caller: no kept connection */
	bool is_reused;               /* its connection has carried a stream before */
};

/* The connection is there and the TLS handshake is not over. */
bool upstream_is_in_handshake(const struct attempt *attempt);

/* A connection broke: what TLS knows about it, or `otherwise`.  With TLS 1.3 an
 * endpoint refuses our certificate only after the handshake. */
enum failure upstream_failure(struct attempt *attempt, enum failure otherwise);

/* Call again when woken, until the attempt has a stream that is connected.
 * FAIL_NONE: it has; or it has not yet, then *io is IO_AGAIN.  Otherwise why
 * not, with attempt->error set; then close it. */
enum failure upstream_open(struct upstream *upstream, const struct endpoint *endpoint,
			   struct task *task, struct attempt *attempt, enum io *io);

/* Ends the stream; the connection goes back to the pool if the exchange was
 * complete, and is closed otherwise.  Harmless without a stream. */
void upstream_close(struct upstream *upstream, struct attempt *attempt, struct task *task);

/* Notes what the endpoint says about its idle limit ("Keep-Alive: timeout=5"). */
void upstream_note_keep_alive(struct attempt *attempt, struct str value);

#endif
