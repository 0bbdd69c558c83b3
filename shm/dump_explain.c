/*
 * shm/dump_explain.c - where a request would go, with the code that workers
 * use: the keys that are tried, the pool that matches, and what speaks for and
 * against each of its endpoints.  What only a worker's configuration knows
 * (limits, its own zone) is said to be unknown instead of guessed.
 */
#include "dump.h"

#include <inttypes.h>

#include "dump_text.h"

struct tried_key {
	struct str key;
	enum route_match result;
	struct tried_key *next;
};

struct explanation {
	struct arena arena;
	struct tried_key *first, **last;
};

static void note_tried(void *context, struct str key, enum route_match result)
{
	struct explanation *x = context;
	struct tried_key *tried = arena_alloc(&x->arena, sizeof(*tried));

	*tried = (struct tried_key){ .key = arena_copy(&x->arena, key), .result = result };
	*x->last = tried;
	x->last = &tried->next;
}

/* "http://host/path?query", or the same without a scheme. */
static void split_url(struct str url, struct str *host, struct str *path)
{
	ssize_t scheme = str_find(url, STR("://"));
	size_t end = 0;

	if (scheme >= 0)
		url = str_sub(url, (size_t)scheme + 3, STR_REST);
	while (end < url.len && !strchr("/?#", url.p[end]))
		end++;
	*host = str_sub(url, 0, end);
	*path = str_sub(url, end, STR_REST);
	end = 0;
	while (end < path->len && path->p[end] != '?' && path->p[end] != '#')
		end++;
	*path = end ? str_sub(*path, 0, end) : STR("/");
}

/* What route_find() answers: the one that was found, else the first empty one. */
static const struct tried_key *matched(const struct explanation *x)
{
	const struct tried_key *empty = NULL;

	for (const struct tried_key *t = x->first; t; t = t->next) {
		if (t->result == ROUTE_FOUND)
			return t;
		if (t->result == ROUTE_EMPTY && !empty)
			empty = t;
	}
	return empty;
}

static void print_tried(const struct dump *dump, const struct explanation *x)
{
	static const char *const results[] = {
		[ROUTE_NONE] = "not registered", [ROUTE_EMPTY] = "no endpoints", [ROUTE_FOUND] = "matches",
	};

	fputs("tried:\n", dump->out);
	for (const struct tried_key *t = x->first; t; t = t->next) {
		fputs("  ", dump->out);
		dump_plain(dump->out, t->key, 40);
		fprintf(dump->out, " %s\n", results[t->result]);
	}
}

/* The reasons a balancer may have against an endpoint; returns how many. */
static unsigned print_objections(const struct dump *dump, const struct dump_entry *entry)
{
	const struct endpoint *e = &entry->endpoint;
	uint64_t seen_ms = dump_age_ms(dump, entry->last_seen);
	unsigned count = 0;
	char age[32];

	if (entry->failed_at) {
		fprintf(dump->out, "%s failed %s ago", count++ ? "," : "",
			dump_duration(dump_age_ms(dump, entry->failed_at), age));
	}
	if (e->stale_s && seen_ms > (uint64_t)e->stale_s * 1000) {
		fprintf(dump->out, "%s stale: last seen %s ago, ttl %" PRIu32 "s", count++ ? "," : "",
			dump_duration(seen_ms, age), e->stale_s);
	}
	return count;
}

static void print_entry(const struct dump *dump, const struct dump_entry *entry)
{
	char address[272], age[32];

	if (entry->is_damaged) {
		fputs("  (damaged)             not eligible: its block fails the checksum\n", dump->out);
		return;
	}
	endpoint_format_address(&entry->endpoint, address, sizeof(address));
	fputs("  ", dump->out);
	dump_plain(dump->out, str_of(address), 21);
	if (!entry->failed_at &&
	    dump_age_ms(dump, entry->last_seen) <= (uint64_t)entry->endpoint.stale_s * 1000)
		fputs(" eligible:", dump->out);
	else
		fputs(" avoided while others are eligible:", dump->out);
	if (!print_objections(dump, entry))
		fprintf(dump->out, " last seen %s ago", dump_duration(dump_age_ms(dump, entry->last_seen), age));
	fprintf(dump->out, ", %u in flight, %s, instance ", entry->in_flight,
		entry->endpoint.flags & ENDPOINT_TLS ? "tls" : "plain");
	dump_plain(dump->out, entry->endpoint.instance_id, 0);
	putc('\n', dump->out);
}

static void print_pool(const struct dump *dump, struct str key)
{
	static const char *const balancing[] = {
		[BALANCE_DEFAULT] = "the worker's default", [BALANCE_ROUND_ROBIN] = "round-robin",
		[BALANCE_LEAST_CONNECTION] = "least-connection",
	};
	struct dump_pool pool = { 0 };

	if (!dump_pool_copy(dump, key, &pool)) {
		fputs("the route has just been removed\n", dump->out);
		return;
	}
	fprintf(dump->out, "endpoints: %u, balancing: %s, connection limit: a worker's setting, unknown here\n",
		pool.count, balancing[pool.balancing]);
	for (unsigned i = 0; i < pool.count; i++)
		print_entry(dump, &pool.entries[i]);
	dump_pool_fini(&pool);
}

int dump_explain(const struct dump *dump, const char *url)
{
	struct explanation x = { .last = &x.first };
	const struct tried_key *match;
	char buffer[ROUTE_KEY_MAX];
	struct route_key key;
	struct str host, path;

	split_url(str_of(url), &host, &path);
	if (!route_key_from_request(host, path, buffer, &key)) {
		fputs("no route: this host cannot be registered\n", dump->out);
		return DUMP_OK;
	}
	arena_init(&x.arena, NULL, 0);
	fputs("key: ", dump->out);
	dump_plain(dump->out, key.text, 0);
	putc('\n', dump->out);
	route_read_begin(dump->reader);
	route_explain(dump->reader, &key, note_tried, &x);
	route_read_end(dump->reader);
	print_tried(dump, &x);
	match = matched(&x);
	if (!match) {
		fputs("no route: 404 unknown_route\n", dump->out);
	} else {
		fputs("route: ", dump->out);
		dump_plain(dump->out, match->key, 0);
		fputs(match->result == ROUTE_FOUND ? "\n" : " without endpoints: 503 no_endpoints\n", dump->out);
		if (match->result == ROUTE_FOUND)
			print_pool(dump, match->key);
	}
	arena_fini(&x.arena);
	return DUMP_OK;
}
