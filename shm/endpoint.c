/*
 * shm/endpoint.c - an endpoint's address and tags as text.
 */
#include "endpoint.h"

size_t endpoint_format_address(const struct endpoint *endpoint, char *out, size_t cap)
{
	struct str host = str_sub(endpoint->host, 0, cap - 22);
	char *at = out;

	if (host.len)
		memcpy(at, host.p, host.len);
	at += host.len;
	*at++ = ':';
	at += u64_format(endpoint->port, at);
	*at = '\0';
	return (size_t)(at - out);
}

struct str endpoint_log_tags(uint32_t flags, struct str tags)
{
	if (!(flags & ENDPOINT_HAS_TAGS) || tags.len > ENDPOINT_LOG_TAGS_MAX)
		return STR("null");
	return tags.len ? tags : STR("{}");
}
