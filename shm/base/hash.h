/*
 * base/hash.h - SipHash-1-3 (Aumasson and Bernstein) over text, keyed per
 * start: tenants choose host names, so an unkeyed hash could be flooded.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/str.h"

struct hash_key {
	uint64_t k0, k1;
};

/* A key from the kernel's random source. */
struct hash_key hash_key_random(void);

uint64_t hash_str(const struct hash_key *key, struct str s);
uint64_t hash_bytes(const struct hash_key *key, const void *bytes, size_t len);

/* The 128-bit form, in one pass: so long that equal means the same text. */
struct hash128 {
	uint64_t a, b;
};
struct hash128 hash_str_128(const struct hash_key *key, struct str s);

/* Fills with bytes from the kernel's random source; never fails. */
void random_bytes(void *out, size_t len);

#endif
