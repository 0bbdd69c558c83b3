/*
 * net/base64.c - see base64.h.
 */
#include "net/base64.h"

#include <openssl/evp.h>

#include "base/mem.h"

char *base64_encode(struct str bytes)
{
	char *text = mem_alloc((bytes.len + 2) / 3 * 4 + 1);

	EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)bytes.p, (int)bytes.len);
	return text;
}
