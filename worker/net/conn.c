/*
 * net/conn.c - plain connections, and what both kinds share.
 */
#include "net/conn.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net/tls.h"

#define WATCHED (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

/* The C library brackets these calls with cancellation points once a process
 * has a second thread, as a worker with an access log does; nobody cancels
 * threads here. */
static ssize_t sys_recv(int fd, void *out, size_t cap)
{
	return syscall(SYS_recvfrom, fd, out, cap, 0, NULL, NULL);
}

static ssize_t sys_send(int fd, const struct iovec *parts, int count)
{
	struct msghdr message = { .msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count };

	return count == 1 ? syscall(SYS_sendto, fd, parts->iov_base, parts->iov_len, MSG_NOSIGNAL,
				    NULL, 0) :
			    syscall(SYS_sendmsg, fd, &message, MSG_NOSIGNAL);
}

static int pending_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	return error;
}

/* The first one is the cause: after a reset every send says EPIPE. */
static void note_error(struct conn *conn, int error)
{
	conn->ready |= CONN_BROKEN;
	if (!conn->error)
		conn->error = error;
}

void conn_note_event(struct conn *conn, uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP)) {
		int error = pending_error(conn->watch.fd);

		/* HUP without an error: both sides have ended in order */
		if (error || (conn->ready & CONN_CONNECTING) || !(events & EPOLLRDHUP))
			note_error(conn, error);
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
		conn->ready |= CONN_READABLE;
	if (events & EPOLLRDHUP)
		conn->ready |= CONN_PEER_CLOSED;
	if (events & EPOLLOUT)
		conn->ready |= CONN_WRITABLE;
	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		conn->ready &= (uint8_t)~CONN_CONNECTING;
	if (conn->owner)
		task_wake(conn->loop, conn->owner);
}

static void conn_on_event(struct watch *watch, uint32_t events)
{
	conn_note_event(caa_container_of(watch, struct conn, watch), events);
}

enum io conn_note_broken(struct conn *conn, int error)
{
	note_error(conn, error);
	conn->ready &= (uint8_t)~CONN_WRITABLE;
	return IO_ERROR;
}

ssize_t conn_socket_recv(struct conn *conn, void *out, size_t cap)
{
	ssize_t got;

	do
		got = sys_recv(conn->watch.fd, out, cap);
	while (got < 0 && errno == EINTR);
	return got;
}

ssize_t conn_socket_send(struct conn *conn, const struct iovec *parts, int count)
{
	ssize_t sent;

	do
		sent = sys_send(conn->watch.fd, parts, count);
	while (sent < 0 && errno == EINTR);
	if (sent > 0)
		conn->sent += (uint64_t)sent;
	return sent;
}

static enum io plain_read(struct conn *conn, void *out, size_t cap, size_t *n)
{
	ssize_t got = conn_socket_recv(conn, out, cap);

	if (got < 0 && errno != EAGAIN)
		return conn_note_broken(conn, errno);
	if (got == 0)         /* SO_ERROR was read already: a reset then looks like an end */
		return conn->error ? IO_ERROR : IO_EOF;
	/* Edge-triggered: a short read emptied the socket; what comes later is a
	 * new event.  After a FIN there is none, so then we must go on reading. */
	if ((got < 0 || (size_t)got < cap) && !(conn->ready & CONN_PEER_CLOSED))
		conn->ready &= (uint8_t)~CONN_READABLE;
	if (got < 0)
		return IO_AGAIN;
	*n = (size_t)got;
	return IO_OK;
}

static size_t total_of(const struct iovec *parts, int count)
{
	size_t total = 0;

	for (int i = 0; i < count; i++)
		total += parts[i].iov_len;
	return total;
}

static enum io plain_writev(struct conn *conn, const struct iovec *parts, int count, size_t *n)
{
	ssize_t sent = conn_socket_send(conn, parts, count);

	if (sent < 0 && errno != EAGAIN) {
		conn->ready |= CONN_READABLE;         /* what came before the reset can be read */
		return conn_note_broken(conn, errno);
	}
	if (sent < 0 || (size_t)sent < total_of(parts, count))
		conn->ready &= (uint8_t)~CONN_WRITABLE;
	if (sent < 0)
		return IO_AGAIN;
	*n = (size_t)sent;
	return IO_OK;
}

static void plain_shutdown(struct conn *conn)
{
	shutdown(conn->watch.fd, SHUT_WR);
}

static const struct conn_ops plain = {
	.read = plain_read, .writev = plain_writev, .shutdown = plain_shutdown,
};

void conn_become_plain(struct conn *conn)
{
	conn->ops = &plain;
	conn->watch.on_event = conn_on_event;
}

static int begin(struct conn *conn, struct loop *loop, struct task *owner, int fd, uint8_t ready)
{
	int rc;

	*conn = (struct conn){
		.watch = { conn_on_event, fd }, .ops = &plain, .loop = loop, .owner = owner,
		.ready = ready,
	};
	rc = loop_watch(loop, &conn->watch, WATCHED);
	if (rc < 0) {
		close(fd);
		conn->watch.fd = -1;
	}
	return rc;
}

int conn_accepted(struct conn *conn, struct loop *loop, struct task *owner, int fd)
{
	return begin(conn, loop, owner, fd, CONN_READABLE | CONN_WRITABLE);
}

int conn_connect(struct conn *conn, struct loop *loop, struct task *owner, const struct addr *to)
{
	int on = 1, rc;
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	conn->watch.fd = -1;
	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (connect(fd, &to->sa, to->len) < 0 && errno != EINPROGRESS) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return begin(conn, loop, owner, fd, CONN_CONNECTING);
}

enum io conn_read(struct conn *conn, void *out, size_t cap, size_t *n)
{
	if (!(conn->ready & CONN_READABLE))
		return conn->ready & CONN_BROKEN ? IO_ERROR : IO_AGAIN;
	return conn->ops->read(conn, out, cap, n);
}

enum io conn_writev(struct conn *conn, const struct iovec *parts, int count, size_t *n)
{
	if (!(conn->ready & CONN_WRITABLE))
		return conn->ready & CONN_BROKEN ? IO_ERROR : IO_AGAIN;
	return conn->ops->writev(conn, parts, count, n);
}

void conn_look(struct conn *conn)
{
	struct pollfd asked = { .fd = conn->watch.fd, .events = POLLIN | POLLRDHUP };

	if (poll(&asked, 1, 0) > 0)
		conn->watch.on_event(&conn->watch, (uint32_t)asked.revents);   /* the same bits */
}

void conn_shutdown(struct conn *conn)
{
	if (conn->is_shut || !conn_is_open(conn))
		return;
	conn->is_shut = true;
	conn->ops->shutdown(conn);
}

void conn_close(struct conn *conn)
{
	if (!conn_is_open(conn))
		return;
	if (conn->tls)
		conn_tls_close(conn);
	loop_close(conn->loop, &conn->watch);
	conn->ready = 0;
}

void conn_close_reset(struct conn *conn)
{
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	if (conn_is_open(conn))
		setsockopt(conn->watch.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	conn->is_shut = true;         /* no farewell */
	conn_close(conn);
}

bool conn_was_refused_since(const struct conn *conn, uint64_t from)
{
	int error = conn->error ? conn->error : pending_error(conn->watch.fd), unacknowledged = 0;

	return error == EPIPE && ioctl(conn->watch.fd, SIOCOUTQ, &unacknowledged) == 0 &&
	       unacknowledged > 0 && (uint64_t)unacknowledged >= conn->sent - from;
}

void conn_peer(const struct conn *conn, struct addr *out)
{
	*out = (struct addr){ .len = sizeof(out->in6) };
	if (getpeername(conn->watch.fd, &out->sa, &out->len) < 0)
		out->len = 0;
}

void conn_local(const struct conn *conn, struct addr *out)
{
	*out = (struct addr){ .len = sizeof(out->in6) };
	if (getsockname(conn->watch.fd, &out->sa, &out->len) < 0)
		out->len = 0;
}
