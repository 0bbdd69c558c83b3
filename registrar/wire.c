/*
 * registrar/wire.c - a pipe between a socket and a library that believes it has it.
 */
#include "registrar/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_FD 3

void wire_init(struct wire *w)
{
	w->server = w->pipe = -1;
	w->out_from = w->out_to = 0;
}

int wire_open(struct wire *w, int library)
{
	int ends[2], error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	w->pipe = ends[0];
	w->server = fcntl(library, F_DUPFD_CLOEXEC, FIRST_FD);
	if (w->server >= 0 && dup3(ends[1], library, O_CLOEXEC) >= 0) {
		close(ends[1]);
		return 0;
	}
	error = errno;
	close(ends[1]);
	wire_close(w);
	return -error;
}

void wire_close(struct wire *w)
{
	if (w->server >= 0)
		close(w->server);
	if (w->pipe >= 0)
		close(w->pipe);
	w->server = w->pipe = -1;
}

ssize_t wire_read(struct wire *w, char *into, size_t room)
{
	ssize_t n = recv(w->server, into, room, MSG_DONTWAIT);

	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EINTR ? -EAGAIN : 0;
}

size_t wire_pass(struct wire *w, struct str bytes)
{
	ssize_t n = send(w->pipe, bytes.p, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n > 0 ? (size_t)n : 0;
}

void wire_pass_end(struct wire *w)
{
	shutdown(w->pipe, SHUT_WR);
}

static bool refill(struct wire *w)
{
	ssize_t n = recv(w->pipe, w->out, sizeof(w->out), MSG_DONTWAIT);

	w->out_from = 0;
	w->out_to = n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* A socket that is broken is told by reading it. */
bool wire_flush(struct wire *w)
{
	while (w->out_from < w->out_to || refill(w)) {
		ssize_t n = send(w->server, w->out + w->out_from, w->out_to - w->out_from,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		w->out_from += (size_t)n;
	}
	return false;
}
