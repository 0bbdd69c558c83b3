/*
 * net/conn.h - a connection's bytes, whatever carries them.  Embedded in the
 * mux that speaks on it.  Registered with the loop once, edge-triggered: an
 * event sets bits and wakes the owner's task, reading and writing clear them.
 * It knows no protocol and holds no buffer.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdint.h>
#include <sys/uio.h>

#include "base/addr.h"
#include "net/loop.h"

enum io {
	IO_OK,                        /* progress; the count says how much */
	IO_AGAIN,                     /* not now; the owner's task will be woken */
	IO_EOF,                       /* the peer sends no more; writing may still work */
	IO_ERROR,                     /* broken; conn->error has the errno */
};

enum conn_ready {
	CONN_READABLE    = 1,
	CONN_WRITABLE    = 2,
	CONN_PEER_CLOSED = 4,         /* FIN seen; bytes before it may still be unread */
	CONN_BROKEN      = 8,
	CONN_CONNECTING  = 16,
};

struct conn;
struct conn_ops {                     /* plain sockets; TLS */
	enum io (*read)(struct conn *conn, void *into, size_t room, size_t *n);
	enum io (*writev)(struct conn *conn, const struct iovec *iov, int count, size_t *n);
	void (*shutdown)(struct conn *conn);
};

struct conn {
	struct watch watch;           /* fd -1: closed */
	const struct conn_ops *ops;
	struct loop *loop;            /* borrowed */
	struct task *owner;           /* borrowed: woken by every event */
	uint8_t ready;                /* enum conn_ready */
	int error;                    /* errno of what broke it, or 0 */
};

/* Takes over an accepted descriptor, non-blocking already.  0, or -errno with
 * the descriptor closed. */
int conn_accepted(struct conn *conn, struct loop *loop, int fd, struct task *owner);

/* Begins to connect; CONNECTING is cleared, or BROKEN set, before the owner is
 * woken.  0, or -errno of our own fault or an immediate refusal. */
int conn_connect(struct conn *conn, struct loop *loop, const struct addr *to, struct task *owner);

enum io conn_read(struct conn *conn, void *into, size_t room, size_t *n);
enum io conn_writev(struct conn *conn, const struct iovec *iov, int count, size_t *n);

void conn_shutdown(struct conn *conn);        /* no more output; input goes on */
void conn_close(struct conn *conn);           /* twice is allowed */
void conn_close_reset(struct conn *conn);     /* the peer sees a reset */

/* Open, not broken, and nothing came in since the last read: may be reused. */
bool conn_is_quiet(const struct conn *conn);

/* Both false when the kernel no longer knows. */
bool conn_peer(const struct conn *conn, struct addr *out);
bool conn_local(const struct conn *conn, struct addr *out);

#endif
