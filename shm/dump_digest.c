/*
 * shm/dump_digest.c - the digest of the table as routers publish it, computed here
 * from reading; which of its buckets differ from another router's; and what is in
 * one of them.
 */
#include "dump.h"

#include <errno.h>
#include <inttypes.h>

#include "dump_text.h"
#include "route_digest.h"

typedef void bucket_entry_fn(void *context, struct str key, const struct endpoint *endpoint);

/* Every entry of the table, or of one bucket, in the order of keys. */
static void each_entry(const struct dump *dump, int bucket, bucket_entry_fn *visit, void *context)
{
	struct dump_pool pool = { 0 };
	struct dump_keys keys;
	struct arena arena;

	arena_init(&arena, NULL, 0);
	dump_keys_collect(dump, &arena, &keys);
	for (size_t i = 0; i < keys.count; i++) {
		if ((bucket >= 0 && digest_bucket(keys.items[i]) != (unsigned)bucket) ||
		    !dump_pool_copy(dump, keys.items[i], &pool))
			continue;
		for (unsigned e = 0; e < pool.count; e++)
			if (!pool.entries[e].is_damaged)
				visit(context, keys.items[i], &pool.entries[e].endpoint);
	}
	dump_pool_fini(&pool);
	arena_fini(&arena);
}

static void count_entry(void *context, struct str key, const struct endpoint *e)
{
	struct digest_entry entry = { key, e->host, e->app_id, e->port };

	route_digest_add(context, &entry);
}

static void compute(const struct dump *dump, struct route_digest *digest)
{
	*digest = (struct route_digest){ 0 };
	each_entry(dump, -1, count_entry, digest);
}

int dump_digest(const struct dump *dump)
{
	struct route_digest digest;
	FILE *out = dump->out;

	compute(dump, &digest);
	if (dump->as_json)
		putc('[', out);
	else
		fprintf(out, "%6s %10s %16s\n", "BUCKET", "ENTRIES", "HASH");
	for (unsigned i = 0; i < DIGEST_BUCKETS; i++)
		fprintf(out, dump->as_json ? "%s{\"bucket\":%u,\"entries\":%" PRIu64 ",\"hash\":\"%016" PRIx64 "\"}"
			: "%s%6u %10" PRIu64 " %016" PRIx64 "\n", dump->as_json && i ? "," : "", i,
			digest.counts[i], digest.hashes[i]);
	if (dump->as_json)
		fputs("]\n", out);
	return DUMP_OK;
}

/* --- two of them */

/* What `shm-dump --digest` of another machine printed. */
static bool read_file(const char *path, struct route_digest *digest)
{
	FILE *in = fopen(path, "re");
	unsigned bucket, seen = 0;
	char line[128];

	*digest = (struct route_digest){ 0 };
	while (in && fgets(line, sizeof(line), in)) {
		uint64_t count, hash;

		if (sscanf(line, "%u %" SCNu64 " %" SCNx64, &bucket, &count, &hash) != 3)
			continue;     /* the heading */
		if (bucket != seen || seen == DIGEST_BUCKETS)
			break;
		digest->counts[seen] = count;
		digest->hashes[seen++] = hash;
	}
	if (in)
		fclose(in);
	return seen == DIGEST_BUCKETS;
}

static bool read_other(const char *other, struct route_digest *digest)
{
	struct reason reason;
	struct dump dump;

	if (strchr(other, '/')) {
		if (read_file(other, digest))
			return true;
		fprintf(stderr, "shm-dump: %s: this is not the output of shm-dump --digest\n", other);
		return false;
	}
	if (dump_open(&dump, other, stdout, &reason) < 0) {
		fprintf(stderr, "shm-dump: %s\n", reason.text);
		return false;
	}
	compute(&dump, digest);
	dump_close(&dump);
	return true;
}

int dump_digest_diff(const struct dump *dump, const char *other)
{
	struct route_digest ours, theirs;
	struct digest_difference difference;

	if (!read_other(other, &theirs))
		return DUMP_REFUSED;
	compute(dump, &ours);
	route_digest_compare(&ours, &theirs, &difference);
	if (!difference.buckets) {
		fprintf(dump->out, "equal: %" PRIu64 " entries each\n", route_digest_total(&ours));
		return DUMP_OK;
	}
	fprintf(dump->out, "%u buckets differ, about %" PRIu64 " entries; here %" PRIu64
		" entries, there %" PRIu64 "; --bucket N lists one\n", difference.buckets,
		difference.routes, route_digest_total(&ours), route_digest_total(&theirs));
	for (unsigned i = 0; i < DIGEST_BUCKETS; i++)
		if (difference.is_different[i])
			fprintf(dump->out, "%6u here %" PRIu64 " there %" PRIu64 "\n", i, ours.counts[i],
				theirs.counts[i]);
	return DUMP_FAULTS;
}

/* --- one bucket */

static void print_entry(void *context, struct str key, const struct endpoint *e)
{
	FILE *out = context;
	char address[272];

	endpoint_format_address(e, address, sizeof(address));
	dump_plain(out, key, 40);
	putc(' ', out);
	dump_plain(out, str_of(address), 21);
	putc(' ', out);
	dump_plain(out, e->app_id, 0);
	putc('\n', out);
}

int dump_bucket(const struct dump *dump, const char *bucket)
{
	uint64_t n;

	if (!str_parse_u64(str_of(bucket), &n) || n >= DIGEST_BUCKETS) {
		fprintf(stderr, "shm-dump: a bucket is a number from 0 to %u\n", DIGEST_BUCKETS - 1);
		return DUMP_REFUSED;
	}
	fprintf(dump->out, "%-40s %-21s %s\n", "ROUTE", "ADDRESS", "APP");
	each_entry(dump, (int)n, print_entry, dump->out);
	return DUMP_OK;
}
