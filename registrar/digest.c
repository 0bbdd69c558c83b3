/*
 * registrar/digest.c - other routers, and by how much their tables differ.
 */
#include "registrar/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

#define PEERS_MAX 64
#define SILENCE_INTERVALS 5           /* then it is gone: stopped, or cut off */
#define BUCKETS_NAMED 16

/* Another router that is meant to hold the same routes. */
struct peer {
	unsigned char id[16];
	char name[DIGEST_NAME_SIZE];
	uint64_t sequence;            /* of its last digest */
	uint64_t heard_ms, interval_ms;       /* interval_ms 0: a free place */
	uint64_t routes, ppm;         /* by which it differed then */
	unsigned cycles;              /* digests in a row above a limit */
	bool is_diverging;            /* and it was said */
};

struct digest {
	const struct registrar_settings *settings;    /* borrowed */
	struct board *board;                          /* borrowed */
	const struct route_digest *own;               /* borrowed */
	struct digest_message message;                /* the next to be published */
	uint64_t next_ms;
	struct peer peers[PEERS_MAX];
};

static const struct hash_key shard_key = { 0x57796553u, 0 };

/* Equal for routers that take the same registrations, in whatever order their
 * segments are written. */
static uint64_t shard_of(const struct registrar_settings *s)
{
	uint64_t mode = (uint64_t)s->sharding, shard = hash_bytes(&shard_key, &mode, sizeof(mode));

	for (unsigned i = 0; s->sharding != SHARDING_ALL && i < s->isolation_segments.count; i++)
		shard += hash_str(&shard_key, str_of(s->isolation_segments.items[i]));
	return shard;
}

/* The host's name and the instance's: unique, and what an operator looks for. */
static void make_name(const char *instance, char out[DIGEST_NAME_SIZE])
{
	char host[DIGEST_NAME_SIZE] = "";

	gethostname(host, sizeof(host) - 1);
	snprintf(out, DIGEST_NAME_SIZE, "%.40s/%.22s", *host ? host : "router", instance);
}

struct digest *digest_create(const struct registrar_settings *settings, const char *instance,
			     struct board *board, const struct route_digest *own)
{
	struct digest *d = mem_zalloc(sizeof(*d));

	d->settings = settings;
	d->board = board;
	d->own = own;
	random_bytes(d->message.id, sizeof(d->message.id));
	d->message.shard = shard_of(settings);
	d->message.interval_ms = settings->digest_interval_ms;
	make_name(instance, d->message.name);
	return d;
}

void digest_destroy(struct digest *d)
{
	free(d);
}

/* --- what is said --- */

/* "3, 17 and 12 more" */
static void format_buckets(const struct digest_difference *difference, char *out, size_t cap)
{
	unsigned named = 0;
	size_t len = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < DIGEST_BUCKETS && named < BUCKETS_NAMED; i++)
		if (difference->is_different[i])
			len += (size_t)snprintf(out + len, cap - len, "%s%u", named++ ? ", " : "", i);
	if (difference->buckets > named)
		snprintf(out + len, cap - len, " and %u more", difference->buckets - named);
}

static void say_diverging(const struct peer *peer, const struct digest_difference *difference)
{
	char buckets[128], summary[400];

	format_buckets(difference, buckets, sizeof(buckets));
	snprintf(summary, sizeof(summary), "router %s does not hold the same routes as this one: "
		 "about %llu differ (%llu.%02llu %%), in buckets %s; shm-dump --bucket lists them",
		 peer->name, (unsigned long long)peer->routes,
		 (unsigned long long)(peer->ppm / 10000),
		 (unsigned long long)(peer->ppm / 100 % 100), buckets);
	log_at(LOG_LEVEL_ERROR, "registry", "table-divergence",
	       "summary=%s router=%s routes=%llu ppm=%llu buckets=%u", summary, peer->name,
	       (unsigned long long)peer->routes, (unsigned long long)peer->ppm,
	       difference->buckets);
}

static void say_ended(const struct peer *peer, const char *how)
{
	char summary[160];

	snprintf(summary, sizeof(summary), "router %s %s", peer->name, how);
	log_at(LOG_LEVEL_INFO, "registry", "table-divergence-ended",
	       "summary=%s router=%s routes=%llu", summary, peer->name,
	       (unsigned long long)peer->routes);
}

/* --- peers --- */

static void forget_silent(struct digest *d, uint64_t now_ms)
{
	for (unsigned i = 0; i < PEERS_MAX; i++) {
		struct peer *peer = &d->peers[i];

		if (!peer->interval_ms || now_ms - peer->heard_ms <= SILENCE_INTERVALS * peer->interval_ms)
			continue;
		if (peer->is_diverging)
			say_ended(peer, "is no longer heard of");
		*peer = (struct peer){ 0 };
	}
}

/* Its place.  NULL: there are more routers than we follow. */
static struct peer *peer_of(struct digest *d, const struct digest_message *m)
{
	struct peer *unused = NULL;

	for (unsigned i = 0; i < PEERS_MAX; i++) {
		struct peer *peer = &d->peers[i];

		if (peer->interval_ms && !memcmp(peer->id, m->id, sizeof(m->id)))
			return peer;
		if (!peer->interval_ms && !unused)
			unused = peer;
	}
	if (unused) {
		memcpy(unused->id, m->id, sizeof(m->id));
		memcpy(unused->name, m->name, sizeof(m->name));
	}
	return unused;
}

static bool is_above(const struct digest *d, const struct peer *peer)
{
	return peer->routes > d->settings->divergence_routes ||
	       peer->ppm > 1000 * d->settings->divergence_permille;
}

static void judge(struct digest *d, struct peer *peer, const struct route_digest *theirs)
{
	uint64_t ours_total = route_digest_total(d->own), total = route_digest_total(theirs);
	struct digest_difference difference;

	route_digest_compare(d->own, theirs, &difference);
	total = total > ours_total ? total : ours_total;
	peer->routes = difference.routes;
	peer->ppm = total ? difference.routes * 1000000 / total : 0;
	if (peer->ppm > 1000000)
		peer->ppm = 1000000;
	if (!is_above(d, peer)) {
		if (peer->is_diverging)
			say_ended(peer, peer->routes ? "holds about the same routes as this one again" :
				  "holds the same routes as this one again");
		peer->is_diverging = false;
		peer->cycles = 0;
		return;
	}
	if (++peer->cycles <= d->settings->divergence_cycles || peer->is_diverging)
		return;
	peer->is_diverging = true;
	say_diverging(peer, &difference);
}

static void publish_facts(const struct digest *d)
{
	struct digest_state state;

	digest_state(d, &state);
	board_set_fact(d->board, FACT_DIGEST_ROUTERS, state.routers);
	board_set_fact(d->board, FACT_TABLE_DIVERGENCE, state.routes);
	board_set_fact(d->board, FACT_TABLE_DIVERGENCE_PPM, state.ppm);
	board_set_fact(d->board, FACT_ROUTERS_DIVERGING, state.diverging);
}

/* --- public --- */

void digest_receive(struct digest *d, struct str payload, uint64_t now_ms)
{
	struct digest_message m;
	struct peer *peer;

	if (!d->settings->digest_interval_ms || !digest_message_parse(payload, &m) ||
	    !memcmp(m.id, d->message.id, sizeof(m.id)) || m.shard != d->message.shard)
		return;
	peer = peer_of(d, &m);
	if (!peer || m.sequence <= peer->sequence)
		return;
	peer->sequence = m.sequence;
	peer->heard_ms = now_ms;
	peer->interval_ms = m.interval_ms;
	judge(d, peer, &m.table);
	publish_facts(d);
}

bool digest_tick(struct digest *d, uint64_t now_ms, unsigned char *out)
{
	if (!d->settings->digest_interval_ms || now_ms < d->next_ms)
		return false;
	d->next_ms = now_ms + d->settings->digest_interval_ms;
	forget_silent(d, now_ms);
	publish_facts(d);
	d->message.sequence++;
	d->message.table = *d->own;
	digest_message_format(&d->message, out);
	return true;
}

void digest_state(const struct digest *d, struct digest_state *out)
{
	*out = (struct digest_state){ 0 };
	for (unsigned i = 0; i < PEERS_MAX; i++) {
		const struct peer *peer = &d->peers[i];

		if (!peer->interval_ms)
			continue;
		out->routers++;
		out->diverging += peer->is_diverging;
		out->routes = peer->routes > out->routes ? peer->routes : out->routes;
		out->ppm = peer->ppm > out->ppm ? peer->ppm : out->ppm;
	}
}
