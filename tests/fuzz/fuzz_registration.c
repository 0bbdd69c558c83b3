/*
 * tests/fuzz/fuzz_registration.c - any bytes as a registration: refused with a
 * reason, or an endpoint that the table can hold.
 */
#include <stdint.h>

#include "base/must.h"
#include "registrar/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct registration out;
	struct reason reason;
	struct arena arena;

	arena_init(&arena, NULL, 0);
	if (message_parse((struct str){ (const char *)data, size }, &arena, &out, &reason) == 0) {
		must(out.endpoint.port > 0 && out.endpoint.host.len > 0 && out.uri_count > 0);
		must(out.endpoint.tags.len <= ENDPOINT_TAGS_MAX);
	}
	arena_fini(&arena);
	return 0;
}
