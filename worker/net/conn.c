/*
 * net/conn.c - plain TCP connections.
 */
#include "net/conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CONN_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

static void conn_break(struct conn *conn, int error)
{
	conn->ready |= CONN_BROKEN;
	if (!conn->error)
		conn->error = error;
}

static enum io plain_read(struct conn *conn, void *into, size_t room, size_t *n)
{
	ssize_t got;

	do
		got = recv(conn->watch.fd, into, room, 0);
	while (got < 0 && errno == EINTR);
	if (got > 0) {
		*n = (size_t)got;
		/* A short read emptied the socket, unless an end is still to be read. */
		if (*n < room && !(conn->ready & CONN_PEER_CLOSED))
			conn->ready &= (uint8_t)~CONN_READABLE;
		return IO_OK;
	}
	if (got == 0)
		return IO_EOF;
	if (errno == EAGAIN) {
		conn->ready &= (uint8_t)~CONN_READABLE;
		return IO_AGAIN;
	}
	conn_break(conn, errno);
	return IO_ERROR;
}

static enum io plain_writev(struct conn *conn, const struct iovec *iov, int count, size_t *n)
{
	struct msghdr message = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count };
	size_t wanted = 0;
	ssize_t sent;

	for (int i = 0; i < count; i++)
		wanted += iov[i].iov_len;
	do
		sent = sendmsg(conn->watch.fd, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0) {
		*n = (size_t)sent;
		if (*n < wanted)
			conn->ready &= (uint8_t)~CONN_WRITABLE;
		return IO_OK;
	}
	if (errno == EAGAIN) {
		conn->ready &= (uint8_t)~CONN_WRITABLE;
		return IO_AGAIN;
	}
	conn_break(conn, errno);
	return IO_ERROR;
}

static void plain_shutdown(struct conn *conn)
{
	shutdown(conn->watch.fd, SHUT_WR);
}

static const struct conn_ops plain_ops = { plain_read, plain_writev, plain_shutdown };

static int socket_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

static void on_event(struct watch *watch, uint32_t events)
{
	struct conn *conn = caa_container_of(watch, struct conn, watch);

	if (events & (EPOLLERR | EPOLLHUP)) {
		int error = socket_error(watch->fd);

		/* A hang-up without error is both ends closed: what came in is readable. */
		if (error || conn->ready & CONN_CONNECTING)
			conn_break(conn, error ? error : ECONNREFUSED);
		conn->ready |= CONN_READABLE | CONN_PEER_CLOSED;
	}
	if (events & EPOLLRDHUP)
		conn->ready |= CONN_READABLE | CONN_PEER_CLOSED;
	if (events & EPOLLIN)
		conn->ready |= CONN_READABLE;
	if (events & EPOLLOUT)
		conn->ready = (uint8_t)((conn->ready | CONN_WRITABLE) & ~CONN_CONNECTING);
	if (conn->owner)
		task_wake(conn->loop, conn->owner);
}

static int conn_begin(struct conn *conn, struct loop *loop, int fd, struct task *owner,
		      uint8_t ready)
{
	int one = 1, status;

	conn->watch = (struct watch){ on_event, fd };
	conn->ops = &plain_ops;
	conn->loop = loop;
	conn->owner = owner;
	conn->ready = ready;
	conn->error = 0;
	/* Fails on a Unix socket, where there is nothing to switch off. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	status = loop_watch(loop, &conn->watch, CONN_EVENTS);
	if (status < 0) {
		close(fd);
		conn->watch.fd = -1;
	}
	return status;
}

int conn_accepted(struct conn *conn, struct loop *loop, int fd, struct task *owner)
{
	return conn_begin(conn, loop, fd, owner, CONN_WRITABLE);
}

int conn_connect(struct conn *conn, struct loop *loop, const struct addr *to, struct task *owner)
{
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	uint8_t ready = CONN_WRITABLE;

	conn->watch.fd = -1;
	if (fd < 0)
		return -errno;
	if (connect(fd, &to->sa, to->len) < 0) {
		int error = errno;

		if (error != EINPROGRESS) {
			close(fd);
			return -error;
		}
		ready = CONN_CONNECTING;
	}
	return conn_begin(conn, loop, fd, owner, ready);
}

enum io conn_read(struct conn *conn, void *into, size_t room, size_t *n)
{
	*n = 0;
	if (conn->watch.fd < 0)
		return IO_ERROR;
	if (!(conn->ready & CONN_READABLE))
		return conn->ready & CONN_BROKEN ? IO_ERROR : IO_AGAIN;
	return conn->ops->read(conn, into, room, n);
}

enum io conn_writev(struct conn *conn, const struct iovec *iov, int count, size_t *n)
{
	*n = 0;
	if (conn->watch.fd < 0 || conn->ready & CONN_BROKEN)
		return IO_ERROR;
	if (!(conn->ready & CONN_WRITABLE))
		return IO_AGAIN;
	return conn->ops->writev(conn, iov, count, n);
}

void conn_shutdown(struct conn *conn)
{
	if (conn->watch.fd >= 0)
		conn->ops->shutdown(conn);
}

void conn_close(struct conn *conn)
{
	if (conn->watch.fd < 0)
		return;
	loop_unwatch(conn->loop, &conn->watch);
	close(conn->watch.fd);
	conn->watch.fd = -1;
}

void conn_close_reset(struct conn *conn)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	if (conn->watch.fd < 0)
		return;
	setsockopt(conn->watch.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	conn_close(conn);
}

bool conn_is_quiet(const struct conn *conn)
{
	return conn->watch.fd >= 0 &&
	       !(conn->ready & (CONN_BROKEN | CONN_PEER_CLOSED | CONN_READABLE));
}

bool conn_peer(const struct conn *conn, struct addr *out)
{
	out->len = sizeof(out->in6);
	return conn->watch.fd >= 0 && getpeername(conn->watch.fd, &out->sa, &out->len) == 0;
}

bool conn_local(const struct conn *conn, struct addr *out)
{
	out->len = sizeof(out->in6);
	return conn->watch.fd >= 0 && getsockname(conn->watch.fd, &out->sa, &out->len) == 0;
}
