/*
 * base/hash.h - hashes of text, keyed per start: tenants choose host names, so an
 * unkeyed hash could be flooded.  SipHash-1-3 (Aumasson and Bernstein) unless it
 * says otherwise.
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

/* Two hashes made one; not for texts. */
uint64_t hash_join(const struct hash_key *key, uint64_t a, uint64_t b);

/* For whole messages, many times as quick: NH (Black et al., UMAC, RFC 4418), twice
 * over each chunk with its key shifted, and the sums folded under further keys.  So
 * long that equal means the same text: nobody who does not know the key finds two of
 * one hash. */
#define HASH_CHUNK 1024u

struct hash_text_key {
	uint64_t words[HASH_CHUNK / 8 + 2];
	struct hash_key ends[3];
};

struct hash128 {
	uint64_t a, b;
};

void hash_text_key_random(struct hash_text_key *key);
struct hash128 hash_text(const struct hash_text_key *key, struct str s);

/* Fills with bytes from the kernel's random source; never fails. */
void random_bytes(void *out, size_t len);

#endif
