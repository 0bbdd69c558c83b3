/*
 * net/base64.c - see base64.h.
 */
#include "net/base64.h"

#include <openssl/evp.h>

struct str base64_encode(struct arena *arena, struct str bytes)
{
	char *text = arena_alloc(arena, (bytes.len + 2) / 3 * 4 + 1);
	int len = EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)bytes.p,
				  (int)bytes.len);

	return (struct str){ text, (size_t)len };
}
