/*
 * base/addr.c - numeric socket addresses.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static void set_in(struct addr *out, const struct in_addr *ip, uint16_t port)
{
	*out = (struct addr){ .len = sizeof(out->in) };
	out->in.sin_family = AF_INET;
	out->in.sin_port = htons(port);
	out->in.sin_addr = *ip;
}

static void set_in6(struct addr *out, const struct in6_addr *ip, uint16_t port)
{
	*out = (struct addr){ .len = sizeof(out->in6) };
	out->in6.sin6_family = AF_INET6;
	out->in6.sin6_port = htons(port);
	out->in6.sin6_addr = *ip;
}

/* One to three digits at *at, without a leading zero, as inet_pton() wants them. */
static bool take_octet(const char **at, const char *end, uint8_t *octet)
{
	const char *begin = *at, *p = begin;
	unsigned value = 0;

	for (; p != end && p - begin < 3 && *p >= '0' && *p <= '9'; p++)
		value = value * 10 + (unsigned)(*p - '0');
	*at = p;
	*octet = (uint8_t)value;
	return p != begin && value <= 255 && (*begin != '0' || p == begin + 1);
}

/* Of dotted IPv4, which is the usual; anything else is for inet_pton(). */
static bool read_ipv4(struct str ip, struct in_addr *out)
{
	const char *at = ip.p, *end = ip.p + ip.len;
	uint8_t octets[4];

	for (unsigned i = 0; i < 4; i++)
		if ((i && (at == end || *at++ != '.')) || !take_octet(&at, end, &octets[i]))
			return false;
	memcpy(out, octets, sizeof(octets));
	return at == end;
}

bool addr_from_ip(struct str ip, uint16_t port, struct addr *out)
{
	char text[INET6_ADDRSTRLEN];
	struct in_addr v4;
	struct in6_addr v6;

	if (ip.len >= 2 && ip.p[0] == '[' && ip.p[ip.len - 1] == ']')
		ip = str_sub(ip, 1, ip.len - 2);
	if (!ip.len || ip.len >= sizeof(text))
		return false;
	if (read_ipv4(ip, &v4)) {
		set_in(out, &v4, port);
		return true;
	}
	str_copy_z(ip, text, sizeof(text));
	if (inet_pton(AF_INET, text, &v4) == 1) {
		set_in(out, &v4, port);
		return true;
	}
	if (inet_pton(AF_INET6, text, &v6) == 1) {
		set_in6(out, &v6, port);
		return true;
	}
	return false;
}

int addr_parse(struct str text, struct addr *out, struct reason *reason)
{
	ssize_t colon = -1;
	uint64_t port;

	for (size_t i = text.len; i > 0 && colon < 0; i--)
		if (text.p[i - 1] == ':')
			colon = (ssize_t)i - 1;
	if (colon < 0)
		return reason_set(reason, -EINVAL, "\"%.*s\" has no port; write address:port",
				  STR_ARG(text));
	if (!str_parse_u64(str_sub(text, (size_t)colon + 1, STR_REST), &port) || port > 65535)
		return reason_set(reason, -EINVAL, "\"%.*s\" has no port between 0 and 65535",
				  STR_ARG(text));
	if (!addr_from_ip(str_sub(text, 0, (size_t)colon), (uint16_t)port, out))
		return reason_set(reason, -EINVAL, "\"%.*s\" does not begin with a numeric IP address",
				  STR_ARG(text));
	return 0;
}

void addr_from_bytes(const uint8_t ip[16], uint16_t port, struct addr *out)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		memcpy(&v4, ip + 12, 4);
		set_in(out, &v4, port);
		return;
	}
	memcpy(&v6, ip, 16);
	set_in6(out, &v6, port);
}

void addr_to_bytes(const struct addr *addr, uint8_t ip[16])
{
	if (addr->sa.sa_family == AF_INET6) {
		memcpy(ip, &addr->in6.sin6_addr, 16);
		return;
	}
	memcpy(ip, mapped_prefix, 12);
	memcpy(ip + 12, &addr->in.sin_addr, 4);
}

uint16_t addr_port(const struct addr *addr)
{
	return ntohs(addr->sa.sa_family == AF_INET6 ? addr->in6.sin6_port : addr->in.sin_port);
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	uint8_t x[16], y[16];

	if (!a->len || !b->len)
		return a->len == b->len;
	addr_to_bytes(a, x);
	addr_to_bytes(b, y);
	return addr_port(a) == addr_port(b) && memcmp(x, y, 16) == 0;
}

/* Runs for every request, so without printf. */
static size_t format_ipv4(const uint8_t ip[4], char *out)
{
	char *at = out;

	for (int i = 0; i < 4; i++) {
		if (i)
			*at++ = '.';
		at += u64_format(ip[i], at);
	}
	*at = '\0';
	return (size_t)(at - out);
}

size_t addr_format_ip(const struct addr *addr, char out[ADDR_TEXT_SIZE])
{
	uint8_t ip[16];

	if (!addr->len) {
		out[0] = '-';
		out[1] = '\0';
		return 1;
	}
	addr_to_bytes(addr, ip);
	if (memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0)
		return format_ipv4(ip + 12, out);
	inet_ntop(AF_INET6, ip, out, ADDR_TEXT_SIZE);
	return strlen(out);
}

size_t addr_format(const struct addr *addr, char out[ADDR_TEXT_SIZE])
{
	char ip[ADDR_TEXT_SIZE], *at = out;
	size_t len;
	bool is_v6;

	if (!addr->len)
		return addr_format_ip(addr, out);
	len = addr_format_ip(addr, ip);
	is_v6 = memchr(ip, ':', len) != NULL;
	if (is_v6)
		*at++ = '[';
	memcpy(at, ip, len);
	at += len;
	if (is_v6)
		*at++ = ']';
	*at++ = ':';
	at += u64_format(addr_port(addr), at);
	*at = '\0';
	return (size_t)(at - out);
}
