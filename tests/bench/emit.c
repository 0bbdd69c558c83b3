/*
 * tests/bench/emit.c - a route-emitter that is never the bottleneck: publishes the
 * registrations of many app instances, with the fields and tags that Diego's
 * route-emitter sends, through one plain NATS connection.
 *
 *   emit PORT [--first N] [--routes N] [--rounds N] [--rate MESSAGES/S] [--instances N]
 *             [--backend PORT] [--host N] [--churn]
 *
 * Route k is app-k.apps.example.com, k with seven digits.  All messages of a round
 * are different; each round is the same, but with --churn every second round takes
 * back what the one before registered.  With --backend all routes are those of one
 * app at 127.0.0.N:PORT (N: 1), otherwise each has an app and an address of its own.
 * Prints how many messages went out in how many seconds once the server has read
 * the last.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OUT_BYTES (1u << 18)
#define MESSAGE_BYTES 2048

struct options {
	uint64_t nats_port, first, routes, rounds, rate, instances, backend, host;
	bool churns;
};

struct emitter {
	int fd;
	struct options options;
	char out[OUT_BYTES];
	size_t used;
	uint64_t sent;
	unsigned pongs;
};

static void give_up(const char *what)
{
	fprintf(stderr, "emit: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t mixed(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* --- one message --- */

static char *put(char *at, const char *text)
{
	size_t len = strlen(text);

	memcpy(at, text, len);
	return at + len;
}

static char *put_hex(char *at, uint64_t value, unsigned digits)
{
	for (unsigned i = 0; i < digits; i++)
		*at++ = "0123456789abcdef"[value >> 4 * (digits - 1 - i) & 15];
	return at;
}

static char *put_number(char *at, uint64_t value)
{
	char digits[24], *p = digits + sizeof(digits);

	do
		*--p = (char)('0' + value % 10);
	while (value /= 10);
	memcpy(at, p, (size_t)(digits + sizeof(digits) - p));
	return at + (digits + sizeof(digits) - p);
}

static char *put_padded(char *at, uint64_t value)
{
	for (int i = 6; i >= 0; i--, value /= 10)
		at[i] = (char)('0' + value % 10);
	return at + 7;
}

/* The same for the same kind and number. */
static char *put_guid(char *at, char kind, uint64_t number)
{
	uint64_t a = mixed(number * 256 + (unsigned char)kind), b = mixed(a);

	at = put_hex(at, a, 8);
	*at++ = '-';
	at = put_hex(at, a >> 32, 4);
	at = put(at, "-4");
	at = put_hex(at, a >> 48, 3);
	at = put(at, "-8");
	at = put_hex(at, b, 3);
	*at++ = '-';
	return put_hex(at, b >> 12, 12);
}

static char *put_address(char *at, const struct options *o, uint64_t instance)
{
	at = put(at, "{\"host\":\"");
	if (o->backend) {
		at = put(at, "127.0.0.");
		at = put_number(at, o->host);
	} else {
		at = put(at, "10.");
		at = put_number(at, instance >> 16 & 255);
		*at++ = '.';
		at = put_number(at, instance >> 8 & 255);
		*at++ = '.';
		at = put_number(at, instance & 255);
	}
	at = put(at, "\",\"port\":");
	at = put_number(at, o->backend ? o->backend : 61000 + (instance >> 24));
	return at;
}

/* A cell runs some hundred instances, a space holds some ten apps. */
static char *put_tags(char *at, uint64_t app, uint64_t index, uint64_t instance)
{
	at = put(at, ",\"tags\":{\"app_id\":\"");
	at = put_guid(at, 'a', app);
	at = put(at, "\",\"app_name\":\"app-");
	at = put_number(at, app);
	at = put(at, "\",\"component\":\"route-emitter\",\"instance_id\":\"");
	at = put_number(at, index);
	at = put(at, "\",\"organization_id\":\"");
	at = put_guid(at, 'o', app / 1000);
	at = put(at, "\",\"organization_name\":\"org-");
	at = put_number(at, app / 1000);
	at = put(at, "\",\"process_id\":\"");
	at = put_guid(at, 'a', app);
	at = put(at, "\",\"process_instance_id\":\"");
	at = put_guid(at, 'i', instance);
	at = put(at, "\",\"process_type\":\"web\",\"source_id\":\"");
	at = put_guid(at, 'a', app);
	at = put(at, "\",\"space_id\":\"");
	at = put_guid(at, 's', app / 20);
	at = put(at, "\",\"space_name\":\"space-");
	at = put_number(at, app / 20);
	return put(at, "\"}");
}

static size_t format_message(char *out, const struct options *o, uint64_t route, uint64_t index)
{
	uint64_t app = o->backend ? 0 : route;
	uint64_t instance = app * o->instances + index;
	char *at = put_address(out, o, instance);

	at = put(at, ",\"uris\":[\"app-");
	at = put_padded(at, route);
	at = put(at, ".apps.example.com\"],\"app\":\"");
	at = put_guid(at, 'a', app);
	at = put(at, "\",\"private_instance_id\":\"");
	at = put_guid(at, 'i', instance);
	at = put(at, "\",\"private_instance_index\":\"");
	at = put_number(at, index);
	at = put(at, "\",\"server_cert_domain_san\":\"");
	at = put_guid(at, 'i', instance);
	at = put(at, "\",\"availability_zone\":\"z");
	at = put_number(at, 1 + index % 3);
	*at++ = '"';
	at = put_tags(at, app, index, instance);
	*at++ = '}';
	return (size_t)(at - out);
}

/* --- the connection --- */

/* Answers the server's pings, counts its answers. */
static void read_server(struct emitter *e, int wait_ms)
{
	struct pollfd ready = { .fd = e->fd, .events = POLLIN };
	char text[65536];
	ssize_t n;

	if (poll(&ready, 1, wait_ms) <= 0)
		return;
	n = read(e->fd, text, sizeof(text) - 1);
	if (n <= 0)
		give_up("the server hung up");
	text[n] = '\0';
	if (strstr(text, "-ERR")) {
		fprintf(stderr, "emit: %s\n", text);
		exit(1);
	}
	if (strstr(text, "PING\r\n") && write(e->fd, "PONG\r\n", 6) != 6)
		give_up("write");
	e->pongs += strstr(text, "PONG\r\n") != NULL;
}

static void flush(struct emitter *e)
{
	for (size_t at = 0; at < e->used;) {
		ssize_t n = write(e->fd, e->out + at, e->used - at);

		if (n <= 0)
			give_up("write");
		at += (size_t)n;
	}
	e->used = 0;
	read_server(e, 0);
}

static void connect_to(struct emitter *e)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)e->options.nats_port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	e->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(e->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		give_up("connect");
	e->used = (size_t)sprintf(e->out, "CONNECT {\"verbose\":false,\"pedantic\":false,"
				  "\"name\":\"emit\"}\r\nPING\r\n");
	flush(e);
	while (!e->pongs)
		read_server(e, 1000);
}

static void publish(struct emitter *e, const char *subject, uint64_t route, uint64_t index)
{
	char message[MESSAGE_BYTES];
	size_t len = format_message(message, &e->options, route, index);

	if (e->used + len + 64 > OUT_BYTES)
		flush(e);
	e->used += (size_t)sprintf(e->out + e->used, "PUB %s %zu\r\n", subject, len);
	memcpy(e->out + e->used, message, len);
	e->used += len;
	memcpy(e->out + e->used, "\r\n", 2);
	e->used += 2;
	e->sent++;
}

/* A hundredth of a second's worth at a time. */
static void keep_rate(struct emitter *e, double began)
{
	uint64_t rate = e->options.rate;
	double due;

	if (!rate || e->sent % (rate / 100 + 1))
		return;
	flush(e);
	due = began + (double)e->sent / (double)rate - now_s();
	if (due > 0)
		usleep((useconds_t)(due * 1e6));
}

static void emit(struct emitter *e)
{
	const struct options *o = &e->options;
	double began = now_s();

	for (uint64_t round = 0; round < o->rounds; round++) {
		bool takes_back = o->churns && round % 2 == 1;

		for (uint64_t n = 0; n < o->routes * o->instances; n++) {
			publish(e, takes_back ? "router.unregister" : "router.register",
				o->first + n / o->instances, n % o->instances);
			keep_rate(e, began);
		}
	}
	flush(e);
	e->pongs = 0;
	e->used = (size_t)sprintf(e->out, "PING\r\n");
	flush(e);
	while (!e->pongs)
		read_server(e, 1000);
	printf("{\"messages\":%llu,\"seconds\":%.3f}\n", (unsigned long long)e->sent,
	       now_s() - began);
}

/* --- options --- */

static bool is_number_option(struct options *o, const char *name, uint64_t value)
{
	const struct { const char *name; uint64_t *out; } rows[] = {
		{ "--first", &o->first }, { "--routes", &o->routes }, { "--rounds", &o->rounds },
		{ "--rate", &o->rate }, { "--instances", &o->instances },
		{ "--backend", &o->backend }, { "--host", &o->host },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(name, rows[i].name) == 0) {
			*rows[i].out = value;
			return true;
		}
	return false;
}

static struct options read_options(int argc, char **argv)
{
	struct options o = { .routes = 1, .rounds = 1, .instances = 1, .host = 1 };

	if (argc < 2) {
		fprintf(stderr, "usage: emit PORT [--first N] [--routes N] [--rounds N] [--rate N] "
			"[--instances N] [--backend PORT] [--host N] [--churn]\n");
		exit(2);
	}
	o.nats_port = strtoull(argv[1], NULL, 10);
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--churn") == 0) {
			o.churns = true;
		} else if (i + 1 < argc && is_number_option(&o, argv[i], strtoull(argv[i + 1], NULL, 10))) {
			i++;
		} else {
			fprintf(stderr, "emit: what is %s?\n", argv[i]);
			exit(2);
		}
	}
	return o;
}

int main(int argc, char **argv)
{
	static struct emitter e;

	e.options = read_options(argc, argv);
	connect_to(&e);
	emit(&e);
	return 0;
}
