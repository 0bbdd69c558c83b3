/*
 * tests/bench/relay.c - the least that a proxy can do: one epoll loop that passes
 * requests and answers on, unread but for their Content-Length.  What Wye needs
 * more than this is the price of being a router.  It trusts its peers.
 *
 *   relay PORT BACKEND_PORT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER (128u << 10)

/* One end of a pair.  The bytes that were read from it wait in `in` until its
 * peer takes them. */
struct side {
	int fd;
	bool is_upstream, can_read, can_write, has_ended;
	bool closes;                  /* the client wants no second answer */
	struct side *peer;            /* NULL: idle */
	struct side *next_idle, **prev_idle;    /* prev_idle NULL: not in the list */
	size_t start, end;            /* of `in` */
	size_t left;                  /* of the message that is passing */
	char *in;                     /* only while bytes wait */
};

static int loop_fd;
static struct side *idle;             /* upstream connections, last used first */
static struct side *gone;             /* closed in this turn, which may still name them */
static struct sockaddr_in backend = { .sin_family = AF_INET };
static char *spare[256];
static unsigned spares;

static void take_buffer(struct side *s)
{
	if (!s->in)
		s->in = spares ? spare[--spares] : malloc(BUFFER);
}

static void give_buffer(struct side *s)
{
	if (s->in && spares < 256)
		spare[spares++] = s->in;
	else
		free(s->in);
	s->in = NULL;
	s->start = s->end = 0;
}

static struct side *side_new(int fd, bool is_upstream)
{
	struct side *s = calloc(1, sizeof(*s));
	struct epoll_event event = { EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, { .ptr = s } };

	s->fd = fd;
	s->is_upstream = is_upstream;
	epoll_ctl(loop_fd, EPOLL_CTL_ADD, fd, &event);
	return s;
}

static void idle_add(struct side *s)
{
	s->next_idle = idle;
	s->prev_idle = &idle;
	if (idle)
		idle->prev_idle = &s->next_idle;
	idle = s;
}

static void idle_remove(struct side *s)
{
	*s->prev_idle = s->next_idle;
	if (s->next_idle)
		s->next_idle->prev_idle = s->prev_idle;
	s->prev_idle = NULL;
}

static void drop(struct side *s)
{
	if (s->prev_idle)
		idle_remove(s);
	give_buffer(s);
	close(s->fd);
	s->fd = -1;
	s->next_idle = gone;
	gone = s;
}

static void free_gone(void)
{
	while (gone) {
		struct side *s = gone;

		gone = s->next_idle;
		free(s);
	}
}

static void drop_pair(struct side *s)
{
	struct side *peer = s->peer;

	s->peer = NULL;
	drop(s);
	if (peer) {
		peer->peer = NULL;
		drop(peer);
	}
}

static struct side *connect_up(void)
{
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&backend, sizeof(backend)) < 0 && errno != EINPROGRESS) {
		close(fd);
		return NULL;
	}
	return side_new(fd, true);
}

static bool pair_up(struct side *down)
{
	struct side *up = idle;

	if (up)
		idle_remove(up);
	else
		up = connect_up();
	if (!up)
		return false;
	up->peer = down;
	down->peer = up;
	return true;
}

/* The length of the message whose head is at the start of the buffer; 0: more
 * bytes are needed. */
static size_t message_length(struct side *s)
{
	char *text = s->in + s->start, *end, *field;
	size_t used = s->end - s->start;
	size_t body = 0;

	end = memmem(text, used, "\r\n\r\n", 4);
	if (!end)
		return 0;
	field = memmem(text, (size_t)(end - text), "Content-Length:", 15);
	if (field)
		body = strtoul(field + 15, NULL, 10);
	field = s->is_upstream ? NULL : memmem(text, (size_t)(end - text), "Connection: close", 17);
	if (field) {
		*field = 'X';         /* our connection upstream goes on */
		s->closes = true;
	}
	return (size_t)(end - text) + 4 + body;
}

static bool fill(struct side *s)
{
	ssize_t n;

	take_buffer(s);
	n = recv(s->fd, s->in + s->end, BUFFER - s->end - 1, 0);
	if (n <= 0) {
		s->can_read = false;
		s->has_ended = n == 0 || errno != EAGAIN;
		if (s->start == s->end)
			give_buffer(s);
		return false;
	}
	if ((size_t)n < BUFFER - s->end - 1)
		s->can_read = false;
	s->end += (size_t)n;
	s->in[s->end] = '\0';
	return true;
}

/* Passes on what is here.  False: wait. */
static bool push(struct side *from, struct side *to)
{
	size_t n = from->end - from->start;
	ssize_t sent;

	if (n > from->left)
		n = from->left;
	if (!to->can_write)
		return false;
	sent = send(to->fd, from->in + from->start, n, MSG_NOSIGNAL);
	if (sent < 0 || (size_t)sent < n)
		to->can_write = false;
	if (sent <= 0)
		return false;
	from->start += (size_t)sent;
	from->left -= (size_t)sent;
	if (from->start == from->end)
		give_buffer(from);
	return true;
}

/* The answer is through: the upstream side waits for the next request. */
static void part(struct side *up)
{
	struct side *down = up->peer;

	up->peer = down->peer = NULL;
	idle_add(up);
	if (down->closes)
		drop(down);
}

static void run(struct side *s)
{
	for (;;) {
		if (!s->in && (!s->can_read || !fill(s)))
			break;
		if (!s->left)
			s->left = message_length(s);
		if (!s->left) {
			if (!s->can_read || !fill(s))
				break;
			continue;
		}
		if (!s->peer && (s->is_upstream || !pair_up(s)))
			break;
		if (!push(s, s->peer))
			break;
		if (s->is_upstream && !s->left)
			part(s);
	}
	if (s->has_ended && s->fd >= 0 && !s->in)
		drop_pair(s);
}

static void on_event(struct side *s, uint32_t events)
{
	if (s->fd < 0)
		return;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		s->can_read = true;
	if (events & EPOLLOUT)
		s->can_write = true;
	run(s);
	if (events & EPOLLOUT && s->fd >= 0 && s->peer)
		run(s->peer);
}

static void accept_all(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
		side_new(fd, false);          /* epoll says at once what it can do */
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct epoll_event events[256];
	int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (argc != 3)
		return 1;
	address.sin_port = htons((uint16_t)atoi(argv[1]));
	address.sin_addr.s_addr = backend.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	backend.sin_port = htons((uint16_t)atoi(argv[2]));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));      /* inherited */
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 4096) < 0) {
		perror("relay");
		return 1;
	}
	loop_fd = epoll_create1(0);
	epoll_ctl(loop_fd, EPOLL_CTL_ADD, listener, &(struct epoll_event){ EPOLLIN, { .ptr = NULL } });
	for (;;) {
		int count = epoll_wait(loop_fd, events, 256, -1);

		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr)
				on_event(events[i].data.ptr, events[i].events);
			else
				accept_all(listener);
		}
		free_gone();
	}
}
