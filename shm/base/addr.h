/*
 * base/addr.h - numeric socket addresses: parse, format, compare.  Names are
 * not resolved here.
 */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/reason.h"
#include "base/str.h"

struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t len;                /* 0: no address */
};

/* "[2001:db8::1]:65535" and a terminator fit. */
#define ADDR_TEXT_SIZE 56

/* "10.0.0.1:80", "[::1]:80".  Returns 0, or -EINVAL with a reason. */
int addr_parse(struct str text, struct addr *out, struct reason *reason);

/* A numeric IP without port ("10.0.0.1", "::1", "[::1]").  False: not numeric. */
bool addr_from_ip(struct str ip, uint16_t port, struct addr *out);

/* From 16 address bytes as the route table keeps them (IPv4 is mapped). */
void addr_from_bytes(const uint8_t ip[16], uint16_t port, struct addr *out);
void addr_to_bytes(const struct addr *addr, uint8_t ip[16]);

uint16_t addr_port(const struct addr *addr);
bool addr_equal(const struct addr *a, const struct addr *b);

/* "ip:port" ("[ip6]:port"), terminated; and the IP alone without brackets.
 * An IPv4-mapped IPv6 address is written as IPv4.  Both return the length. */
size_t addr_format(const struct addr *addr, char out[ADDR_TEXT_SIZE]);
size_t addr_format_ip(const struct addr *addr, char out[ADDR_TEXT_SIZE]);

#endif
