/*
 * net/sha1.h - SHA-1 of a text, for what Gorouter prints as such.  Never for
 * anything that has to be hard to forge.
 */
#ifndef NET_SHA1_H
#define NET_SHA1_H

#include "base/str.h"

#define SHA1_HEX_SIZE 40

/* Lower-case hexadecimal, not terminated. */
void sha1_hex(struct str text, char out[SHA1_HEX_SIZE]);

#endif
