/*
 * shm/endpoint.c - an endpoint's address as text.
 */
#include "endpoint.h"

#include <stdio.h>

size_t endpoint_format_address(const struct endpoint *endpoint, char *out, size_t cap)
{
	int len = snprintf(out, cap, "%.*s:%u", STR_ARG(endpoint->host), endpoint->port);

	return len < 0 ? 0 : (size_t)len < cap ? (size_t)len : cap - 1;
}
