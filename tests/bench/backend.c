/*
 * tests/bench/backend.c - the fastest backend we could think of: one epoll loop
 * that answers "GET /N" with N bytes and swallows posted bodies.  Used by
 * tests/bench/run.py behind every proxy alike.  It trusts its peers: a
 * malformed request ends the connection.
 *
 *   backend PORT
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define BODY_MAX (16u << 20)

struct client {
	int fd;
	size_t used;                  /* request bytes in `in` */
	size_t skip;                  /* body bytes of the request still to come */
	size_t answer;                /* body length of the answer being made */
	size_t head_len, head_sent, body_sent;
	bool is_answering, is_last;
	char head[160];
	char in[65536];
};

static char *body;

static void drop(struct client *c)
{
	close(c->fd);
	free(c);
}

/* Case-blind search for "\nNAME:" in a head; the value as a number, or `absent`. */
static long field(const char *head, const char *name, long absent)
{
	const char *at = strcasestr(head, name);

	return at ? strtol(at + strlen(name), NULL, 10) : absent;
}

/* Takes one request from the input.  False: not complete yet. */
static bool take_request(struct client *c)
{
	char *end;
	size_t head_len, rest;

	c->in[c->used] = '\0';
	end = strstr(c->in, "\r\n\r\n");
	if (!end)
		return false;
	end[2] = '\0';
	head_len = (size_t)(end + 4 - c->in);
	c->skip = (size_t)field(c->in, "\ncontent-length:", 0);
	c->is_last = strcasestr(c->in, "\nconnection: close") != NULL;
	c->answer = 0;
	if (strncmp(c->in, "GET /", 5) == 0)
		c->answer = strtoul(c->in + 5, NULL, 10) % BODY_MAX;
	rest = c->used - head_len;
	memmove(c->in, c->in + head_len, rest);
	c->used = rest;
	return true;
}

static void take_body(struct client *c)
{
	size_t n = c->skip < c->used ? c->skip : c->used;

	memmove(c->in, c->in + n, c->used - n);
	c->used -= n;
	c->skip -= n;
}

static void begin_answer(struct client *c)
{
	c->head_len = (size_t)snprintf(c->head, sizeof(c->head),
				       "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
				       "Content-Length: %zu\r\n%s\r\n", c->answer,
				       c->is_last ? "Connection: close\r\n" : "");
	c->head_sent = c->body_sent = 0;
	c->is_answering = true;
}

/* False: the connection is over. */
static bool send_answer(struct client *c)
{
	while (c->is_answering) {
		struct iovec part[2] = {
			{ c->head + c->head_sent, c->head_len - c->head_sent },
			{ body + c->body_sent, c->answer - c->body_sent },
		};
		ssize_t n = writev(c->fd, part, 2);
		size_t of_head;

		if (n < 0)
			return errno == EAGAIN;
		of_head = (size_t)n < part[0].iov_len ? (size_t)n : part[0].iov_len;
		c->head_sent += of_head;
		c->body_sent += (size_t)n - of_head;
		c->is_answering = c->head_sent < c->head_len || c->body_sent < c->answer;
		if (!c->is_answering && c->is_last)
			return false;
	}
	return true;
}

static bool serve(struct client *c)
{
	bool has_request = c->skip > 0;

	for (;;) {
		ssize_t n;

		if (c->is_answering)
			return send_answer(c);
		n = read(c->fd, c->in + c->used, sizeof(c->in) - 1 - c->used);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		if (n < 0)
			return true;
		c->used += (size_t)n;
		while (!c->is_answering && (has_request || take_request(c))) {
			take_body(c);
			has_request = c->skip > 0;
			if (has_request)
				break;
			begin_answer(c);
			if (!send_answer(c))
				return false;
		}
		if (c->used == sizeof(c->in) - 1)
			return false;
	}
}

static int listen_on(unsigned port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons((unsigned short)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 4096) < 0) {
		perror("backend");
		exit(1);
	}
	return fd;
}

static void accept_all(int poll_fd, int listener)
{
	int fd, on = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		struct client *c = calloc(1, sizeof(*c));
		struct epoll_event event = { EPOLLIN | EPOLLOUT | EPOLLET, { .ptr = c } };

		c->fd = fd;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
	}
}

int main(int argc, char **argv)
{
	int listener = listen_on(argc > 1 ? (unsigned)atoi(argv[1]) : 0);
	int poll_fd = epoll_create1(0);
	struct epoll_event event = { EPOLLIN, { .ptr = NULL } }, events[256];

	body = malloc(BODY_MAX);
	memset(body, 'x', BODY_MAX);
	epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int n = epoll_wait(poll_fd, events, 256, -1);

		for (int i = 0; i < n; i++) {
			if (!events[i].data.ptr)
				accept_all(poll_fd, listener);
			else if (!serve(events[i].data.ptr))
				drop(events[i].data.ptr);
		}
	}
}
