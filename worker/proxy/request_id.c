/*
 * proxy/request_id.c - random UUIDs, from random bytes fetched a page at a time.
 */
#include "proxy/request_id.h"

#include <stdint.h>
#include <string.h>

#include "base/hash.h"

#define FETCHED 4096
#define UUID_BYTES 16

static uint8_t fetched[FETCHED];
static unsigned used = FETCHED;

static void take_random(uint8_t out[UUID_BYTES])
{
	if (used == FETCHED) {
		random_bytes(fetched, sizeof(fetched));
		used = 0;
	}
	memcpy(out, fetched + used, UUID_BYTES);
	memset(fetched + used, 0, UUID_BYTES);        /* never given out twice */
	used += UUID_BYTES;
}

static const char digits[] = "0123456789abcdef";

void request_id_random_digits(char out[16])
{
	uint8_t bytes[UUID_BYTES];

	take_random(bytes);
	for (unsigned i = 0; i < UUID_BYTES; i++)
		out[i] = digits[bytes[i] & 15];
}

void request_id_make(char out[REQUEST_ID_SIZE])
{
	uint8_t bytes[UUID_BYTES];

	take_random(bytes);
	bytes[6] = (uint8_t)(0x40 | (bytes[6] & 0x0f));       /* version 4 */
	bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f));       /* RFC 9562 variant */
	for (unsigned i = 0; i < UUID_BYTES; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	*out = '\0';
}
