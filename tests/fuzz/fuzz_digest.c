/*
 * tests/fuzz/fuzz_digest.c - any bytes as a digest of another router: refused, or
 * read as exactly what they are, with a name that can be printed.
 */
#include <stdint.h>
#include <string.h>

#include "base/must.h"
#include "registrar/digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct digest_message message, again;
	static struct route_digest empty;
	struct digest_difference difference;
	unsigned char bytes[DIGEST_MESSAGE_BYTES];

	if (!digest_message_parse((struct str){ (const char *)data, size }, &message))
		return 0;
	must(strlen(message.name) < sizeof(message.name));
	for (const char *p = message.name; *p; p++)
		must(*p > 0x20 && *p < 0x7f);
	route_digest_compare(&message.table, &empty, &difference);
	must(difference.buckets <= DIGEST_BUCKETS);
	digest_message_format(&message, bytes);
	must(digest_message_parse((struct str){ (const char *)bytes, sizeof(bytes) }, &again));
	must(!memcmp(&message.table, &again.table, sizeof(message.table)));
	return 0;
}
