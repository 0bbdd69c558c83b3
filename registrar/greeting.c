/*
 * registrar/greeting.c - the start message.
 */
#include "registrar/greeting.h"

#include <stdio.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/hash.h"

/* The address that the kernel would speak from to the world; nothing is sent. */
static void local_ip(char out[ADDR_TEXT_SIZE])
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(1),
				   .sin_addr.s_addr = htonl(0x01020304) };
	struct addr addr = { .len = sizeof(addr.in6) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(out, ADDR_TEXT_SIZE, "127.0.0.1");
	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)&any, sizeof(any)) == 0 &&
	    getsockname(fd, &addr.sa, &addr.len) == 0)
		addr_format_ip(&addr, out);
	close(fd);
}

/* Emitters divide by the interval: it is at least one. */
static unsigned long long whole_seconds(uint64_t ms)
{
	return ms < 1000 ? 1 : (unsigned long long)(ms / 1000);
}

void greeting_make(const struct registrar_settings *settings, char out[GREETING_SIZE])
{
	char ip[ADDR_TEXT_SIZE];
	uint64_t id[2];

	random_bytes(id, sizeof(id));
	local_ip(ip);
	snprintf(out, GREETING_SIZE,
		 "{\"id\":\"%llu-%08x-%04x-4%03x-%04x-%012llx\",\"hosts\":[\"%s\"],"
		 "\"minimumRegisterIntervalInSeconds\":%llu,\"pruneThresholdInSeconds\":%llu}",
		 (unsigned long long)settings->index, (unsigned)(id[0] >> 32),
		 (unsigned)(id[0] >> 16 & 0xffff), (unsigned)(id[0] & 0xfff),
		 (unsigned)(0x8000 | (id[1] >> 48 & 0x3fff)),
		 (unsigned long long)(id[1] & 0xffffffffffff), ip,
		 whole_seconds(settings->minimum_register_interval_ms),
		 whole_seconds(settings->droplet_stale_threshold_ms));
}
