/*
 * net/conn.h - one TCP connection, plain or TLS (net/tls.h): bytes and readiness, no
 * HTTP.  A descriptor is watched edge-triggered, once, in both directions;
 * readiness is remembered in bits, so that a request costs no epoll_ctl and no
 * read that only says "not yet".
 *
 * The conn is embedded in its mux, so that an idle connection is one small
 * allocation.  Its owner task is woken on every event.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <sys/uio.h>

#include "base/addr.h"
#include "net/loop.h"

enum io { IO_OK, IO_AGAIN, IO_EOF, IO_ERROR };

enum conn_ready {
	CONN_READABLE    = 1 << 0,    /* a read may succeed; a short read clears it */
	CONN_WRITABLE    = 1 << 1,    /* a short write clears it */
	CONN_PEER_CLOSED = 1 << 2,    /* FIN arrived; there may be bytes before it */
	CONN_BROKEN      = 1 << 3,    /* reset or failed: conn->error says how */
	CONN_CONNECTING  = 1 << 4,
};

struct conn;
struct tls;

/* The two implementations: plain (conn.c) and TLS. */
struct conn_ops {
	enum io (*read)(struct conn *conn, void *out, size_t cap, size_t *n);
	enum io (*writev)(struct conn *conn, const struct iovec *parts, int count, size_t *n);
	void (*shutdown)(struct conn *conn);
	void (*settle)(struct conn *conn);    /* see conn_settle(); NULL: nothing */
};

struct conn {
	struct watch watch;           /* its descriptor; -1 once closed */
	const struct conn_ops *ops;
	struct loop *loop;            /* borrowed */
	struct task *owner;           /* borrowed: woken on events; NULL: nobody */
	struct tls *tls;              /* owned; NULL: plain */
	uint64_t sent;                /* bytes the socket took; with TLS those of its records */
	int error;                    /* first errno of CONN_BROKEN; 0 if unknown */
	uint8_t ready;                /* enum conn_ready */
	bool is_shut;                 /* we sent FIN */
};

/* Takes over an accepted, non-blocking descriptor; a first read is worth trying.
 * 0, or -errno with the descriptor closed. */
int conn_accepted(struct conn *conn, struct loop *loop, struct task *owner, int fd);

/* Begins a connect.  CONNECTING gives way to WRITABLE or BROKEN, and the owner
 * is woken.  0, or -errno: a fault of this machine (no descriptor, no port) or
 * an address that is refused at once. */
int conn_connect(struct conn *conn, struct loop *loop, struct task *owner, const struct addr *to);

/* IO_OK: *n > 0 bytes.  IO_AGAIN: none now, the owner will be woken.  IO_EOF: the
 * peer ended in order.  IO_ERROR: broken. */
enum io conn_read(struct conn *conn, void *out, size_t cap, size_t *n);

/* IO_OK: *n > 0 bytes taken, maybe fewer than offered: then the owner will be
 * woken when there is room.  IO_AGAIN: none.  IO_ERROR: broken. */
enum io conn_writev(struct conn *conn, const struct iovec *parts, int count, size_t *n);

/* No more bytes from us; the other direction stays. */
void conn_shutdown(struct conn *conn);

/* Both allow a conn that is closed already. */
void conn_close(struct conn *conn);
void conn_close_reset(struct conn *conn);     /* with RST: the peer must notice */

static inline bool conn_is_open(const struct conn *conn)
{
	return conn->watch.fd >= 0;
}

/* What arrives on a TLS connection may be no byte for us but a ticket or the end:
 * makes CONN_READABLE and CONN_PEER_CLOSED speak of bytes for us alone.  Costs
 * nothing where nothing arrived. */
static inline void conn_settle(struct conn *conn)
{
	if (conn->tls && conn->ready & CONN_READABLE && conn->ops->settle)
		conn->ops->settle(conn);
}

/* Asks the kernel what came since the loop last did; a system call. */
void conn_look(struct conn *conn);

/* Nothing arrived and nothing broke: what an idle upstream connection must be
 * to be used again.  Looks first at what came (const: the answer was due before). */
static inline bool conn_is_quiet(const struct conn *conn)
{
	conn_settle((struct conn *)conn);
	return conn_is_open(conn) &&
	       !(conn->ready & (CONN_READABLE | CONN_PEER_CLOSED | CONN_BROKEN | CONN_CONNECTING));
}

/* What was sent since conn->sent was `from` reached nobody: the peer's FIN was here,
 * then its kernel answered with RST (that order is EPIPE), and it has acknowledged
 * no byte of it, so no program over there can have read one.  (Only one that ended its
 * own direction and still reads might, in the moment before the acknowledgement; it
 * could not answer.)  False proves nothing. */
bool conn_was_refused_since(const struct conn *conn, uint64_t from);

/* For net/tls.c only: the socket as it is, and what both kinds make of an event.
 * Results as of recv() and send(), errno with them; never EINTR. */
ssize_t conn_socket_recv(struct conn *conn, void *out, size_t cap);
ssize_t conn_socket_send(struct conn *conn, const struct iovec *parts, int count);
void conn_note_event(struct conn *conn, uint32_t events);
enum io conn_note_broken(struct conn *conn, int error);
void conn_become_plain(struct conn *conn);

/* Both give an address with len 0 if the kernel no longer knows. */
void conn_peer(const struct conn *conn, struct addr *out);
void conn_local(const struct conn *conn, struct addr *out);

#endif
