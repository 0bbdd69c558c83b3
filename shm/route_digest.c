/*
 * shm/route_digest.c - sums of hashes by bucket, and how much two of them differ.
 */
#include "route_digest.h"

#include "base/hash.h"
#include "endpoint.h"

/* Part of the meaning of a digest: a change makes routers of both kinds differ in
 * everything. */
static const struct hash_key key_of_keys = { 0x57796544u, 1 }, key_of_rest = { 0x57796544u, 2 };

unsigned digest_bucket(struct str key)
{
	return (unsigned)(hash_str(&key_of_keys, key) >> 56);
}

/* What is hashed; the address and the app of an endpoint always fit. */
struct hashed {
	uint64_t key, port, host_len;
	char text[ENDPOINT_TEXT_MAX];
};

static size_t put(struct hashed *h, size_t at, struct str text)
{
	text = str_sub(text, 0, sizeof(h->text) - at);
	if (text.len)
		memcpy(h->text + at, text.p, text.len);
	return at + text.len;
}

uint64_t route_digest_hash(const struct digest_entry *e, unsigned *bucket)
{
	struct hashed h;
	size_t len;

	h.key = hash_str(&key_of_keys, e->key);
	h.port = e->port;
	h.host_len = len = put(&h, 0, e->host);
	len = put(&h, len, e->app_id);
	*bucket = (unsigned)(h.key >> 56);
	return hash_bytes(&key_of_rest, &h, offsetof(struct hashed, text) + len);
}

void route_digest_add(struct route_digest *digest, const struct digest_entry *entry)
{
	unsigned bucket;
	uint64_t hash = route_digest_hash(entry, &bucket);

	digest->hashes[bucket] += hash;
	digest->counts[bucket]++;
}

void route_digest_remove(struct route_digest *digest, const struct digest_entry *entry)
{
	unsigned bucket;
	uint64_t hash = route_digest_hash(entry, &bucket);

	digest->hashes[bucket] -= hash;
	digest->counts[bucket]--;
}

uint64_t route_digest_total(const struct route_digest *digest)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < DIGEST_BUCKETS; i++)
		total += digest->counts[i];
	return total;
}

/* How many entries it takes, on average, to hit so many of the buckets. */
static uint64_t entries_to_hit(unsigned buckets)
{
	uint64_t parts = 0;           /* of 1024 */

	for (unsigned i = 0; i < buckets; i++)
		parts += DIGEST_BUCKETS * 1024u / (DIGEST_BUCKETS - i);
	return parts / 1024;
}

void route_digest_compare(const struct route_digest *a, const struct route_digest *b,
			  struct digest_difference *out)
{
	uint64_t by_count = 0, by_buckets;

	*out = (struct digest_difference){ 0 };
	for (unsigned i = 0; i < DIGEST_BUCKETS; i++) {
		out->is_different[i] = a->counts[i] != b->counts[i] || a->hashes[i] != b->hashes[i];
		out->buckets += out->is_different[i];
		by_count += a->counts[i] > b->counts[i] ? a->counts[i] - b->counts[i] :
							  b->counts[i] - a->counts[i];
	}
	by_buckets = entries_to_hit(out->buckets);
	out->routes = by_count > by_buckets ? by_count : by_buckets;
}
