/*
 * tests/fuzz/fuzz_registration.c - any bytes as a registration: refused with a
 * reason, or an endpoint that the table can hold; and the quick way for plain
 * messages gives what the JSON library gives.
 */
#include <stdint.h>

#include "base/must.h"
#include "registrar/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_same(const struct registration *a, const struct registration *b)
{
	const struct endpoint *e = &a->endpoint, *f = &b->endpoint;

	must(a->dropped_fields == b->dropped_fields && a->uri_count == b->uri_count);
	for (unsigned i = 0; i < a->uri_count; i++)
		must(str_equal(a->uris[i], b->uris[i]));
#define X(name) must(str_equal(e->name, f->name));
	ENDPOINT_TEXTS(X)
#undef X
	must(str_equal(e->tags, f->tags) && e->flags == f->flags && e->stale_s == f->stale_s);
	must(e->port == f->port && e->balancing == f->balancing);
	must(e->updated_at_ns == f->updated_at_ns && memcmp(e->ip, f->ip, sizeof(e->ip)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str payload = { (const char *)data, size };
	struct registration out, json;
	struct reason reason;
	struct arena arena;
	int rc;

	arena_init(&arena, NULL, 0);
	rc = message_parse(payload, &arena, &out, &reason);
	if (rc == 0) {
		must(out.endpoint.port > 0 && out.endpoint.host.len > 0 && out.uri_count > 0);
		must(out.endpoint.tags.len <= ENDPOINT_TAGS_MAX);
	}
	if (size && size <= MESSAGE_BYTES_MAX) {
		must(message_parse_json(payload, &arena, &json, &reason) == rc);
		if (rc == 0)
			must_be_same(&out, &json);
	}
	arena_fini(&arena);
	return 0;
}
