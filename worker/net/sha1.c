/*
 * net/sha1.c - see sha1.h.
 */
#include "net/sha1.h"

#include <openssl/sha.h>

void sha1_hex(struct str text, char out[SHA1_HEX_SIZE])
{
	unsigned char digest[SHA_DIGEST_LENGTH];

	SHA1((const unsigned char *)text.p, text.len, digest);
	for (unsigned i = 0; i < sizeof(digest); i++) {
		out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
		out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
	}
}
