/*
 * tests/bench/load.c - an exact number of requests over a number of connections,
 * every answer checked.  One epoll loop, so that it needs less than what it
 * measures.  Used by tests/bench/run.py.  Prints one JSON object.
 *
 *   load -p PORT -c CONNECTIONS [-n REQUESTS] [-t SECONDS] [-u PATH] [-H HOST]
 *        [-b POSTED_BYTES] [-l ANSWER_BYTES] [-x] [-i SECONDS] [-w HOSTS]
 *
 *   -t  begin no request after so long; SIGTERM does the same at once
 *   -x  a connection for each request
 *   -w  each request for another of so many hosts, in no order: emit's app-0000000 and on
 *   -i  one request on each connection, few at a time, then all idle for so long;
 *       then a second object says how many of them the server has closed
 *
 * What counts as what: "announced" are connections that an answer said would be
 * closed; "retried" are requests written to a kept connection that the server had
 * closed in order before (an end without a reset and without a byte of an answer),
 * sent again on a new one.  All else that goes wrong is an error: a status other
 * than 200, a body of another length, a reset, silence for ten seconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (256u << 10)
#define REQUESTS_MAX 20000000  /* when only the time is limited */
#define SILENCE_MS 10000

struct client {
	int fd;
	bool is_busy, is_fresh;       /* a request is under way; the connection carried none */
	bool has_head, will_close, is_wrong;
	size_t sent, left;            /* of the request; of the answer's body */
	size_t head_used;
	uint64_t began_ns;
	unsigned host;                /* of several */
	char head[4096];
};

static struct options {
	int port, connections;
	long requests, posted, expected;
	unsigned hosts;
	const char *path, *host;
	bool closes;
	int idle_s, run_s;
} opt = { .connections = 1, .expected = -1, .path = "/", .host = "bench.example" };

static int loop_fd;
static char *request, *request_host, scratch[BUFFER];
static size_t request_len;
static long begun, done, good, errors, announced, retried;
static volatile sig_atomic_t is_stopping;
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
	request_host = strstr(request, "Host: app-") + strlen("Host: app-");
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
	c->is_fresh = true;
	if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS) {
		perror("load: connect");      /* no ports left, for instance: nothing to measure */
		exit(1);
	}
	epoll_ctl(loop_fd, EPOLL_CTL_ADD, c->fd, &event);
}

static void close_connection(struct client *c)
{
	close(c->fd);
	c->fd = -1;
}

static void begin(struct client *c)
{
	if (is_stopping)
		opt.requests = begun;
	if (begun == opt.requests)
		return;
	begun++;
	c->is_busy = true;
	c->sent = c->head_used = 0;
	c->has_head = c->will_close = c->is_wrong = false;
	c->began_ns = now_ns();
	if (opt.hosts)
		c->host = (unsigned)(0x9e3779b97f4a7c15u * (uint64_t)begun >> 32) % opt.hosts;
}

static void finish(struct client *c, bool is_good)
{
	if (is_good)
		latency_us[good++] = (uint32_t)((now_ns() - c->began_ns) / 1000);
	errors += !is_good;
	done++;
	c->is_busy = false;
}

/* The end of a connection that was not ours to choose. */
static void lost(struct client *c, bool was_reset)
{
	bool is_clean = !was_reset && !c->is_fresh && !c->head_used;

	close_connection(c);
	if (c->is_busy && is_clean) {
		retried++;
		begun--;
		c->is_busy = false;
	} else if (c->is_busy) {
		finish(c, false);
	}
	begin(c);
	if (c->is_busy)
		open_connection(c);
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
	c->is_wrong = strncmp(c->head + 8, " 200", 4) || !field ||
		      (opt.expected >= 0 && c->left != (size_t)opt.expected);
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
	c->is_wrong |= n > c->left;
	c->left -= n < c->left ? n : c->left;
	return c->left == 0;
}

static void name_host(unsigned host)
{
	for (int i = 6; i >= 0; i--, host /= 10)
		request_host[i] = (char)('0' + host % 10);
}

static bool send_request(struct client *c)
{
	if (opt.hosts)
		name_host(c->host);
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

/* After an answer.  False: the connection is not the same any more. */
static bool next(struct client *c)
{
	bool closes = c->will_close || opt.closes;

	finish(c, !c->is_wrong);
	c->is_fresh = false;
	if (opt.idle_s) {
		if (opened < opt.connections)
			open_next();
		return true;
	}
	if (closes) {
		announced += !opt.closes;
		close_connection(c);
	}
	begin(c);
	if (!c->is_busy)
		return !closes;
	if (closes)
		open_connection(c);
	else
		send_request(c);
	return !closes;
}

static void run(struct client *c, uint32_t events)
{
	ssize_t n;

	if (c->is_busy && events & EPOLLOUT && !send_request(c)) {
		lost(c, errno != EPIPE);
		return;
	}
	while (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		n = read(c->fd, scratch, sizeof(scratch));
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			lost(c, n < 0 && errno != EPIPE);
			return;
		}
		if (c->is_busy && take(c, scratch, (size_t)n) && !next(c))
			return;
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
	size_t n = (size_t)good;

	qsort(latency_us, n, sizeof(*latency_us), by_value);
	printf("{\"requests\": %ld, \"errors\": %ld, \"announced\": %ld, \"retried\": %ld, "
	       "\"seconds\": %.4f, \"p50_us\": %u, \"p99_us\": %u}\n", done, errors, announced,
	       retried, seconds, n ? latency_us[n / 2] : 0, n ? latency_us[n * 99 / 100] : 0);
	fflush(stdout);
}

static void stay_idle(void)
{
	int closed = 0;
	char byte;

	sleep((unsigned)opt.idle_s);
	for (int i = 0; i < opened; i++)
		closed += clients[i].fd < 0 || recv(clients[i].fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
	printf("{\"closed\": %d}\n", closed);
}

static void on_signal(int number)
{
	(void)number;
	is_stopping = 1;
}

static void run_all(void)
{
	struct epoll_event events[256];

	while (done < opt.requests && !(is_stopping && done == begun)) {
		int count = epoll_wait(loop_fd, events, 256, SILENCE_MS);

		if (count == 0) {
			errors += begun - done;
			return;
		}
		for (int i = 0; i < count; i++)
			run(events[i].data.ptr, events[i].events);
	}
}

static int usage(void)
{
	fprintf(stderr, "usage: load -p PORT -c CONNECTIONS [-n REQUESTS] [-t SECONDS] [-u PATH] "
		"[-H HOST] [-b POSTED] [-l ANSWER] [-x] [-i SECONDS] [-w HOSTS]\n");
	return 1;
}

static bool read_options(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "p:c:n:t:u:H:b:l:xi:w:")) != -1)
		switch (option) {
		case 'p': opt.port = atoi(optarg); break;
		case 'c': opt.connections = atoi(optarg); break;
		case 'n': opt.requests = atol(optarg); break;
		case 't': opt.run_s = atoi(optarg); break;
		case 'u': opt.path = optarg; break;
		case 'H': opt.host = optarg; break;
		case 'b': opt.posted = atol(optarg); break;
		case 'l': opt.expected = atol(optarg); break;
		case 'x': opt.closes = true; break;
		case 'i': opt.idle_s = atoi(optarg); break;
		case 'w': opt.hosts = (unsigned)atoi(optarg); break;
		default: return false;
		}
	if (opt.hosts)
		opt.host = "app-0000000.apps.example.com";
	if (!opt.requests)
		opt.requests = opt.run_s ? REQUESTS_MAX : 1;
	if (opt.connections > opt.requests)
		opt.connections = (int)opt.requests;
	return opt.port && opt.connections > 0 && opt.requests > 0;
}

int main(int argc, char **argv)
{
	uint64_t from_ns;

	if (!read_options(argc, argv))
		return usage();
	make_request();
	latency_us = calloc((size_t)opt.requests, sizeof(*latency_us));
	clients = calloc((size_t)opt.connections, sizeof(*clients));
	loop_fd = epoll_create1(0);
	signal(SIGTERM, on_signal);
	signal(SIGALRM, on_signal);
	alarm((unsigned)opt.run_s);
	from_ns = now_ns();
	while (opened < opt.connections && !(opt.idle_s && opened == GENTLY))
		open_next();
	run_all();
	report((double)(now_ns() - from_ns) / 1e9);
	if (opt.idle_s)
		stay_idle();
	return 0;
}
