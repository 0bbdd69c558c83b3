/*
 * registrar/identity.c - hashes of what makes an endpoint itself.
 */
#include "registrar/identity.h"

static uint32_t not_zero(uint64_t hash)
{
	return (uint32_t)hash ? (uint32_t)hash : 1;
}

uint32_t identity_host(const struct hash_key *key, struct str host)
{
	return not_zero(hash_str(key, host));
}

struct identity identity_of(const struct hash_key *key, const struct endpoint *endpoint)
{
	uint64_t host = hash_str(key, endpoint->host);
	uint64_t app = hash_str(key, endpoint->app_id);
	uint64_t instance = hash_str(key, endpoint->instance_id);
	struct identity id = { .address = hash_join(key, host, endpoint->port), .host = not_zero(host) };

	id.tag = not_zero(hash_join(key, id.address, hash_join(key, app, instance)));
	id.has_app = !str_is_empty(endpoint->app_id);
	if (id.has_app)
		id.owner = not_zero(app);
	else if (!str_is_empty(endpoint->instance_id))
		id.owner = not_zero(instance);
	return id;
}

uint64_t identity_under(const struct hash_key *key, const struct identity *identity,
			struct str route)
{
	return hash_join(key, hash_str(key, route), identity->address + identity->tag);
}
