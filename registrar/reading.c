/*
 * registrar/reading.c - messages read, by whoever has the time.
 */
#include "registrar/reading.h"

#include <errno.h>

#include "registrar/registry.h"

/* What the message does not say, or too much of it. */
static void clamp_lifetime(const struct registrar_settings *s, struct endpoint *endpoint)
{
	uint32_t most = (uint32_t)(s->droplet_stale_threshold_ms / 1000);

	if (endpoint->stale_s == 0 || endpoint->stale_s > most)
		endpoint->stale_s = most;
}

static void read_key(const struct reading_rules *rules, struct reading *reading,
		     struct arena *arena)
{
	struct str *uri = &reading->registration.uris[0];
	char buffer[ROUTE_KEY_MAX];

	reading->has_key = route_key_parse(*uri, buffer, &reading->key, NULL) == 0;
	if (!reading->has_key)
		return;
	reading->key.text = arena_copy(arena, reading->key.text);
	if (str_equal(*uri, reading->key.text))
		*uri = reading->key.text;     /* nearer than the payload */
	route_key_add_hashes(&rules->seed, &reading->key);
	reading->under = identity_under(&rules->key, &reading->id, reading->key.text);
}

struct reading *reading_make(const struct reading_rules *rules, struct str payload,
			     struct arena *arena)
{
	struct reading *reading = arena_alloc(arena, offsetof(struct reading, registration) +
						     REGISTRATION_BYTES);
	struct endpoint *endpoint = &reading->registration.endpoint;
	struct reason reason;

	reading->is_in_shard = reading->has_key = false;
	reading->offer = NULL;
	reading->reason = NULL;
	reading->result = message_parse(payload, arena, &reading->registration, &reason);
	if (reading->result == -EINVAL) {
		struct reason *kept = arena_alloc(arena, sizeof(*kept));

		*kept = reason;
		reading->reason = kept;
	}
	if (reading->result < 0)
		return reading;
	reading->is_in_shard = registry_is_in_shard(rules->settings, endpoint->isolation_segment);
	clamp_lifetime(rules->settings, endpoint);
	reading->id = identity_of(&rules->key, endpoint);
	read_key(rules, reading, arena);
	return reading;
}

void reading_add_offer(const struct reading_rules *rules, struct reading *reading,
		       struct arena *arena)
{
	struct route_offer *offer;

	if (!reading->is_in_shard || !reading->has_key)
		return;
	offer = arena_alloc(arena, sizeof(*offer));
	if (route_offer_make(&rules->seed, &reading->key, &reading->registration.endpoint, arena,
			     offer))
		reading->offer = offer;
}
