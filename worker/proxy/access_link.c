/*
 * proxy/access_link.c - see access_link.h.
 */
#include "proxy/access_link.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

#define CONNECT_MS      3000
#define SLICE_MS        100           /* between two looks whether to give up */
#define DELAY_LEAST_MS  100
#define DELAY_MOST_MS   10000
#define LIVED_WELL_MS   1000          /* after that the delay begins anew */
#define SILENCE_MS      30000         /* of a TCP peer: without acknowledgement */

static const struct { int family, type; bool is_unix; } networks[] = {
	[SYSLOG_UDP]      = { AF_UNSPEC, SOCK_DGRAM, false },
	[SYSLOG_UDP4]     = { AF_INET, SOCK_DGRAM, false },
	[SYSLOG_UDP6]     = { AF_INET6, SOCK_DGRAM, false },
	[SYSLOG_TCP]      = { AF_UNSPEC, SOCK_STREAM, false },
	[SYSLOG_TCP4]     = { AF_INET, SOCK_STREAM, false },
	[SYSLOG_TCP6]     = { AF_INET6, SOCK_STREAM, false },
	[SYSLOG_UNIX]     = { AF_UNIX, SOCK_STREAM, true },
	[SYSLOG_UNIXGRAM] = { AF_UNIX, SOCK_DGRAM, true },
};

void access_link_init(struct access_link *link, const struct access_settings *settings,
		      const struct access_writer *writer)
{
	*link = (struct access_link){ .settings = settings, .writer = writer, .fd = -1,
				      .delay_ms = DELAY_LEAST_MS };
}

bool access_link_is_stream(const struct access_link *link)
{
	return networks[link->settings->syslog_network].type == SOCK_STREAM;
}

bool access_link_is_udp(const struct access_link *link)
{
	return !access_link_is_stream(link) && !networks[link->settings->syslog_network].is_unix;
}

/* "[::1]:514" and "host:514". */
static bool split_address(const char *address, char host[256], char port[6])
{
	struct str text = str_of(address), name;
	size_t colon = text.len;
	uint64_t number;

	while (colon && text.p[colon - 1] != ':')
		colon--;
	if (!colon)
		return false;
	name = str_sub(text, 0, colon - 1);
	if (name.len > 2 && name.p[0] == '[' && name.p[name.len - 1] == ']')
		name = str_sub(name, 1, name.len - 2);
	text = str_sub(text, colon, STR_REST);
	return name.len && str_copy_z(name, host, 256) && str_copy_z(text, port, 6) &&
	       str_parse_u64(text, &number) && number >= 1 && number <= 65535;
}

bool access_link_address_is_valid(int network, const char *address)
{
	struct sockaddr_un un;
	char host[256], port[6];

	if (networks[network].is_unix)
		return address[0] == '/' && strlen(address) < sizeof(un.sun_path);
	return split_address(address, host, port);
}

/* --- opening */

static void set_options(int fd, bool is_tcp)
{
	int on = 1, silence_ms = SILENCE_MS;

	if (!is_tcp)
		return;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_ms, sizeof(silence_ms));
}

static int await_connection(const struct access_link *link, int fd)
{
	uint64_t until_ms = clock_ms() + CONNECT_MS;
	socklen_t size = sizeof(int);
	int error = 0;

	while (clock_ms() < until_ms && !access_writer_is_stopping(link->writer)) {
		struct pollfd waiting = { fd, POLLOUT, 0 };

		if (poll(&waiting, 1, SLICE_MS) <= 0)
			continue;
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
		return -error;
	}
	return -ETIMEDOUT;
}

/* The descriptor, or -errno. */
static int connect_to(const struct access_link *link, int family, const struct sockaddr *addr,
		      socklen_t len)
{
	int type = networks[link->settings->syslog_network].type, rc;
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	set_options(fd, type == SOCK_STREAM && family != AF_UNIX);
	rc = connect(fd, addr, len) < 0 ? -errno : 0;
	if (rc == -EINPROGRESS)
		rc = await_connection(link, fd);
	if (rc == -EAGAIN)            /* too many wait at a unix socket */
		rc = -ECONNREFUSED;
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

static int connect_unix(const struct access_link *link)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	str_copy_z(str_of(link->settings->syslog_addr), un.sun_path, sizeof(un.sun_path));
	return connect_to(link, AF_UNIX, (struct sockaddr *)&un, sizeof(un));
}

/* To the first of its addresses that answers. */
static int connect_inet(const struct access_link *link)
{
	int network = link->settings->syslog_network, fd = -EHOSTUNREACH;
	struct addrinfo hints = { .ai_family = networks[network].family, .ai_flags = AI_NUMERICSERV,
				  .ai_socktype = networks[network].type }, *found = NULL;
	char host[256], port[6];

	split_address(link->settings->syslog_addr, host, port);
	if (getaddrinfo(host, port, &hints, &found) != 0)     /* may take longer than we have */
		return access_writer_is_stopping(link->writer) ? -EAGAIN : -EHOSTUNREACH;
	for (struct addrinfo *at = found; at && fd < 0; at = at->ai_next)
		fd = access_writer_is_stopping(link->writer) ? -EAGAIN :
		     connect_to(link, at->ai_family, at->ai_addr, at->ai_addrlen);
	freeaddrinfo(found);
	return fd;
}

int access_link_open(struct access_link *link)
{
	int fd;

	if (link->fd >= 0)
		return 0;
	if (clock_ms() < link->retry_at_ms)
		return -EAGAIN;
	fd = networks[link->settings->syslog_network].is_unix ? connect_unix(link) :
								connect_inet(link);
	link->opened_at_ms = clock_ms();
	link->fd = fd < 0 ? -1 : fd;
	link->has_sent = false;
	if (fd < 0 && fd != -EAGAIN)
		access_link_fail(link);
	return fd < 0 ? fd : 0;
}

/* --- sending */

/* A server that closed takes the next bytes and drops them: better to ask before.
 * What servers say is of no interest. */
static int peer_state(int fd)
{
	char ignored[512];
	ssize_t n;

	do
		n = recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT);
	while (n > 0 || (n < 0 && errno == EINTR));
	return n == 0 ? -ECONNRESET : errno == EAGAIN ? 0 : -errno;
}

ssize_t access_link_send(struct access_link *link, struct str bytes)
{
	int rc = access_link_is_stream(link) ? peer_state(link->fd) : 0;
	ssize_t n;

	if (rc < 0)
		return rc;
	do
		n = send(link->fd, bytes.p, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
		return 0;
	if (n < 0)
		return -errno;
	link->has_sent = true;
	return n;
}

bool access_link_wait(struct access_link *link)
{
	struct pollfd waiting = { link->fd, POLLOUT, 0 };

	return poll(&waiting, 1, SLICE_MS) > 0;
}

void access_link_fail(struct access_link *link)
{
	uint64_t now_ms = clock_ms();

	if (link->fd >= 0 && now_ms - link->opened_at_ms >= LIVED_WELL_MS)
		link->delay_ms = DELAY_LEAST_MS;
	link->retry_at_ms = now_ms + link->delay_ms;
	link->delay_ms = 2 * link->delay_ms < DELAY_MOST_MS ? 2 * link->delay_ms : DELAY_MOST_MS;
	access_link_close(link);
}

void access_link_close(struct access_link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
}
