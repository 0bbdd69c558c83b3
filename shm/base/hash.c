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

uint64_t hash_str(const struct hash_key *key, struct str s)
{
	return hash_bytes(key, s.p, s.len);
}

/* 64 x 64 -> 128 bits, folded: every input bit reaches every output bit. */
static uint64_t fold(uint64_t x, uint64_t y)
{
	unsigned __int128 product = (unsigned __int128)x * y;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_join(const struct hash_key *key, uint64_t a, uint64_t b)
{
	return fold(a ^ key->k0, b ^ key->k1);
}

/* --- whole messages */

void hash_text_key_random(struct hash_text_key *key)
{
	random_bytes(key, sizeof(*key));
}

struct nh {
	unsigned __int128 first, second;
};

static void nh_pair(struct nh *sums, const uint64_t *key, const char *at)
{
	uint64_t pair[2];

	memcpy(pair, at, sizeof(pair));
	sums->first += (unsigned __int128)(pair[0] + key[0]) * (pair[1] + key[1]);
	sums->second += (unsigned __int128)(pair[0] + key[2]) * (pair[1] + key[3]);
}

/* Up to a chunk; what is missing of the last pair counts as zeros. */
static struct nh nh_chunk(const uint64_t *key, struct str s)
{
	struct nh sums = { 0, 0 };
	char last[16] = "";
	size_t i = 0;

	for (; i + 16 <= s.len; i += 16)
		nh_pair(&sums, key + i / 8, s.p + i);
	if (i < s.len) {
		memcpy(last, s.p + i, s.len - i);
		nh_pair(&sums, key + i / 8, last);
	}
	return sums;
}

struct hash128 hash_text(const struct hash_text_key *key, struct str text)
{
	const struct hash_key *ends = key->ends;
	struct hash128 hash = { ends[0].k0 ^ text.len, ends[1].k0 ^ text.len };

	for (struct str rest = text; rest.len; rest = str_sub(rest, HASH_CHUNK, STR_REST)) {
		struct nh sums = nh_chunk(key->words, str_sub(rest, 0, HASH_CHUNK));

		hash.a = fold(hash.a ^ (uint64_t)sums.first,
			      ends[0].k1 ^ (uint64_t)(sums.first >> 64));
		hash.b = fold(hash.b ^ (uint64_t)sums.second,
			      ends[1].k1 ^ (uint64_t)(sums.second >> 64));
	}
	hash.a = fold(hash.a, ends[2].k0);
	hash.b = fold(hash.b, ends[2].k1);
	return hash;
}
