/*
 * registrar/prune_log.c - lines about endpoints that leave, or should.
 */
#include "registrar/prune_log.h"

#include "base/log.h"
#include "shm/route_table.h"

/* The address as a JSON array of one text; names may hold anything. */
static void format_addresses(const struct endpoint *endpoint, char out[600])
{
	char address[512];
	char *at = out;

	endpoint_format_address(endpoint, address, sizeof(address));
	*at++ = '[';
	*at++ = '"';
	for (const char *p = address; *p; p++)
		*at++ = *p == '"' || *p == '\\' || *p < 0x20 || *p > 0x7e ? '?' : *p;
	*at++ = '"';
	*at++ = ']';
	*at = '\0';
}

void log_pruned(const struct entry_view *entry, uint32_t age_s)
{
	struct endpoint endpoint;
	char addresses[600] = "[]";
	struct str segment = STR("-");

	if (inst_copy(entry->inst, &endpoint)) {
		format_addresses(&endpoint, addresses);
		if (!str_is_empty(endpoint.isolation_segment))
			segment = endpoint.isolation_segment;
	}
	log_at(LOG_LEVEL_INFO, "registry", "pruned-route",
	       "uri=%.*s endpoints:=%s isolation_segment=%.*s age_s=%u", STR_ARG(entry->key),
	       addresses, STR_ARG(segment), age_s);
}

void log_failure(const char *event, const struct endpoint *endpoint, struct str code,
		 unsigned error)
{
	struct str tags = endpoint_log_tags(endpoint->flags, endpoint->tags);
	char address[512];

	endpoint_format_address(endpoint, address, sizeof(address));
	log_at(LOG_LEVEL_ERROR, "registry", event, ENDPOINT_LOG_PAIRS " code=%.*s errno=%u",
	       ENDPOINT_LOG_VALUES(endpoint, address, tags), STR_ARG(code), error);
}
