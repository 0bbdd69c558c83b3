/*
 * tests/bench/load.c - an exact number of requests over a number of connections,
 * every answer checked.  One epoll loop, so that it needs less than what it
 * measures.  Prints one JSON object.
 *
 *   load -p PORT -c CONNECTIONS -n REQUESTS [-u PATH] [-H HOST] [-b POSTED_BYTES]
 *        [-l ANSWER_BYTES] [-x] [-i SECONDS]
 *
 *   -x  a connection for each request
 *   -i  one request on each connection, few at a time, then all idle for so long
 *
 * A connection that the server closes in order between two requests is opened
 * anew and counted as "reopened"; anything else that goes wrong is an error.
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
#include <time.h>
#include <unistd.h>

#define BUFFER (256u << 10)

struct client {
	int fd;
	bool is_busy, is_fresh;       /* a request is under way; the connection carried none */
	bool has_head, will_close;
	size_t sent, left;            /* of the request; of the answer's body */
	size_t head_used;
	uint64_t began_ns;
	char head[4096];
};

static struct options {
	int port, connections;
	long requests, posted, expected;
	const char *path, *host;
	bool closes;
	int idle_s;
} opt = { .connections = 1, .requests = 1, .expected = -1, .path = "/", .host = "bench.example" };

static int loop_fd;
static char *request, scratch[BUFFER];
static size_t request_len;
static long begun, done, errors, reopened;
static struct client *clients;
static int opened;                    /* of the clients */

#define GENTLY 32                     /* connections at a time, when all are to become idle */
static uint32_t *latency_us;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void make_request(void)
{
	int n;

	request = calloc(1, 1024 + (size_t)opt.posted);
	n = snprintf(request, 1024, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: wye-bench\r\n"
		     "Accept: */*\r\n%s", opt.posted ? "POST" : "GET", opt.path, opt.host,
		     opt.closes ? "Connection: close\r\n" : "");
	if (opt.posted)
		n += snprintf(request + n, 1024 - (size_t)n, "Content-Length: %ld\r\n", opt.posted);
	n += snprintf(request + n, 1024 - (size_t)n, "\r\n");
	memset(request + n, 'x', (size_t)opt.posted);
	request_len = (size_t)n + (size_t)opt.posted;
}

static void open_connection(struct client *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port) };
	struct epoll_event event = { EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, { .ptr = c } };
	int on = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS) {
		perror("connect");
		exit(1);
	}
	c->is_fresh = true;
	epoll_ctl(loop_fd, EPOLL_CTL_ADD, c->fd, &event);
}

static void close_connection(struct client *c)
{
	close(c->fd);
	c->fd = -1;
}

static void begin(struct client *c)
{
	if (begun == opt.requests)
		return;
	begun++;
	c->is_busy = true;
	c->sent = c->head_used = 0;
	c->has_head = c->will_close = false;
	c->began_ns = now_ns();
}

static void finish(struct client *c, bool is_good)
{
	if (is_good)
		latency_us[done] = (uint32_t)((now_ns() - c->began_ns) / 1000);
	errors += !is_good;
	done++;
	c->is_busy = false;
}

/* The end of the connection: an error inside an exchange, ordinary between. */
static void lost(struct client *c)
{
	bool is_stale = c->is_busy && !c->is_fresh && !c->head_used && !c->has_head;

	close_connection(c);
	if (is_stale) {
		begun--;              /* the server closed as we wrote: asked again */
		c->is_busy = false;
	} else if (c->is_busy) {
		finish(c, false);
	}
	if (done < opt.requests && begun < opt.requests) {
		reopened += !opt.closes;
		begin(c);
		open_connection(c);
	}
}

static bool parse_head(struct client *c, size_t *body_here)
{
	char *end, *field;

	c->head[c->head_used] = '\0';
	end = strstr(c->head, "\r\n\r\n");
	if (!end)
		return false;
	*body_here = c->head_used - (size_t)(end + 4 - c->head);
	*end = '\0';
	field = strcasestr(c->head, "\r\ncontent-length:");
	c->left = field ? strtoul(field + 17, NULL, 10) : 0;
	c->will_close = strcasestr(c->head, "\r\nconnection: close") != NULL;
	if (strncmp(c->head + 8, " 200", 4) || (opt.expected >= 0 && c->left != (size_t)opt.expected))
		errors++;
	c->has_head = true;
	return true;
}

/* Bytes of the answer; true once it is complete. */
static bool take(struct client *c, const char *bytes, size_t n)
{
	if (!c->has_head) {
		size_t room = sizeof(c->head) - 1 - c->head_used;
		size_t part = n < room ? n : room, body_here;

		memcpy(c->head + c->head_used, bytes, part);
		c->head_used += part;
		if (!parse_head(c, &body_here))
			return false;
		n = body_here + (n - part);
	}
	c->left -= n < c->left ? n : c->left;
	return c->left == 0;
}

static bool send_request(struct client *c)
{
	while (c->sent < request_len) {
		ssize_t n = send(c->fd, request + c->sent, request_len - c->sent, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN;
		c->sent += (size_t)n;
	}
	return true;
}

static void open_next(void)
{
	struct client *c = &clients[opened++];

	begin(c);
	open_connection(c);
}

static void next(struct client *c)
{
	bool closes = c->will_close || opt.closes;

	finish(c, true);
	c->is_fresh = false;
	if (opt.idle_s) {
		if (opened < opt.connections)
			open_next();
		return;
	}
	if (closes)
		close_connection(c);
	begin(c);
	if (!c->is_busy)
		return;
	if (c->fd < 0)
		open_connection(c);
	else
		send_request(c);
}

static void run(struct client *c, uint32_t events)
{
	ssize_t n;

	if (c->is_busy && events & EPOLLOUT && !send_request(c)) {
		lost(c);
		return;
	}
	while (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) && c->fd >= 0) {
		n = read(c->fd, scratch, sizeof(scratch));
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			lost(c);
			return;
		}
		if (c->is_busy && take(c, scratch, (size_t)n))
			next(c);
		if ((size_t)n < sizeof(scratch) && !(events & EPOLLRDHUP))
			return;
	}
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void report(double seconds)
{
	size_t n = (size_t)done;

	qsort(latency_us, n, sizeof(*latency_us), by_value);
	printf("{\"requests\": %ld, \"errors\": %ld, \"reopened\": %ld, \"seconds\": %.4f, "
	       "\"p50_us\": %u, \"p99_us\": %u}\n", done, errors, reopened, seconds,
	       n ? latency_us[n / 2] : 0, n ? latency_us[n * 99 / 100] : 0);
	fflush(stdout);
}

static int usage(void)
{
	fprintf(stderr, "usage: load -p PORT -c CONNECTIONS -n REQUESTS [-u PATH] [-H HOST] "
		"[-b POSTED] [-l ANSWER] [-x] [-i SECONDS]\n");
	return 1;
}

int main(int argc, char **argv)
{
	struct epoll_event events[256];
	uint64_t from_ns;
	int option;

	while ((option = getopt(argc, argv, "p:c:n:u:H:b:l:xi:")) != -1)
		switch (option) {
		case 'p': opt.port = atoi(optarg); break;
		case 'c': opt.connections = atoi(optarg); break;
		case 'n': opt.requests = atol(optarg); break;
		case 'u': opt.path = optarg; break;
		case 'H': opt.host = optarg; break;
		case 'b': opt.posted = atol(optarg); break;
		case 'l': opt.expected = atol(optarg); break;
		case 'x': opt.closes = true; break;
		case 'i': opt.idle_s = atoi(optarg); break;
		default: return usage();
		}
	if (!opt.port || opt.connections < 1 || opt.requests < 1)
		return usage();
	if (opt.connections > opt.requests)
		opt.connections = (int)opt.requests;
	make_request();
	latency_us = calloc((size_t)opt.requests, sizeof(*latency_us));
	clients = calloc((size_t)opt.connections, sizeof(*clients));
	loop_fd = epoll_create1(0);
	from_ns = now_ns();
	while (opened < opt.connections && !(opt.idle_s && opened == GENTLY))
		open_next();
	while (done < opt.requests) {
		int count = epoll_wait(loop_fd, events, 256, 10000);

		if (count == 0) {
			errors += opt.requests - done;
			break;
		}
		for (int i = 0; i < count; i++)
			run(events[i].data.ptr, events[i].events);
	}
	report((double)(now_ns() - from_ns) / 1e9);
	sleep((unsigned)opt.idle_s);
	return 0;
}
