/*
 * base/hash.c - keyed hashing and random bytes.
 */
#include "base/hash.h"

#include <errno.h>
#include <sys/random.h>

#include "base/must.h"

void random_bytes(void *out, size_t len)
{
	char *at = out;

	while (len) {
		ssize_t n = getrandom(at, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		must(n > 0);
		at += n;
		len -= (size_t)n;
	}
}

struct hash_key hash_key_random(void)
{
	struct hash_key key;

	random_bytes(&key, sizeof(key));
	return key;
}

static uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

struct sip {
	uint64_t v0, v1, v2, v3;
};

static void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 = rotate(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

static struct sip sip_begin(const struct hash_key *key)
{
	return (struct sip){
		key->k0 ^ 0x736f6d6570736575u, key->k1 ^ 0x646f72616e646f6du,
		key->k0 ^ 0x6c7967656e657261u, key->k1 ^ 0x7465646279746573u,
	};
}

static void sip_text(struct sip *s, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;
	uint64_t word, last = (uint64_t)len << 56;
	size_t left = len;

	for (; left >= 8; left -= 8, at += 8) {
		memcpy(&word, at, 8);
		sip_word(s, word);
	}
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t)at[i] << (8 * i);
	sip_word(s, last);
}

static uint64_t sip_end(struct sip *s)
{
	for (int i = 0; i < 3; i++)
		sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

uint64_t hash_bytes(const struct hash_key *key, const void *bytes, size_t len)
{
	struct sip s = sip_begin(key);

	sip_text(&s, bytes, len);
	s.v2 ^= 0xff;
	return sip_end(&s);
}

struct hash128 hash_str_128(const struct hash_key *key, struct str text)
{
	struct sip s = sip_begin(key);
	struct hash128 hash;

	s.v1 ^= 0xee;
	sip_text(&s, text.p, text.len);
	s.v2 ^= 0xee;
	hash.a = sip_end(&s);
	s.v1 ^= 0xdd;
	hash.b = sip_end(&s);
	return hash;
}

uint64_t hash_str(const struct hash_key *key, struct str s)
{
	return hash_bytes(key, s.p, s.len);
}
