/*
 * shm/table_check.c - walks a whole table with bounds and checksums.  For
 * shm-dump and tests; needs no key and no private memory of the writer.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "route_layout.h"
#include "route_table.h"

#define CHECK_PART 256                /* index words looked at in one read section */

struct check {
	const struct table *table;
	table_fault_fn *report;
	void *context;
	uint64_t faults;
};

static void fault(struct check *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void fault(struct check *c, const char *format, ...)
{
	char text[320];
	va_list args;

	c->faults++;
	if (!c->report)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	c->report(c->context, text);
}

static void check_inst(struct check *c, const struct route *route, ref_t ref)
{
	const struct inst *inst = inst_at(c->table, ref);
	struct str name = { route_key_bytes(route), route->key_len };
	struct str tags;

	if (!inst) {
		fault(c, "%.*s: endpoint reference %" PRIu32 " is outside", STR_ARG(name), ref);
		return;
	}
	if (!inst_is_whole(c->table, inst, &tags))
		fault(c, "%.*s: endpoint at %" PRIu32 " or its tags have a wrong checksum",
		      STR_ARG(name), ref);
}

static void check_route(struct check *c, uint64_t word)
{
	const struct route *route = route_at(c->table, index_ref(word));
	struct str name;

	if (!route) {
		fault(c, "route reference %" PRIu32 " is outside", index_ref(word));
		return;
	}
	name = (struct str){ route_key_bytes(route), route->key_len };
	if (route->hash >> 32 != index_tag(word) || route->host_len > route->key_len ||
	    block_sum(name.p, name.len) != route->key_sum) {
		fault(c, "route at %" PRIu32 " has a wrong checksum", index_ref(word));
		return;
	}
	for (unsigned i = 0; i < route->capacity; i++) {
		uint64_t entry = word_get(&route->entries[i]);

		if (entry)
			check_inst(c, route, entry_ref(entry));
	}
}

/* One section's worth of the index from `*at` on.  False: that was the end. */
static bool check_part(struct check *c, uint64_t *at)
{
	uint64_t root = word_get(&table_head(c->table)->root);
	const uint64_t *index;
	unsigned bits;

	if (!root)
		return false;
	index = index_at(c->table, root, &bits);
	if (!index) {
		fault(c, "the root %" PRIu64 " is outside", root);
		return false;
	}
	for (uint64_t end = *at + CHECK_PART; *at < end && *at < 1ull << bits; ++*at) {
		uint64_t word = word_get(&index[*at]);

		if (index_ref(word) > REF_TOMBSTONE)
			check_route(c, word);
	}
	return *at < 1ull << bits;
}

uint64_t table_check(struct route_reader *reader, table_fault_fn *report, void *context)
{
	struct check c = { route_reader_table(reader), report, context, 0 };
	uint64_t at = 0;
	bool more = true;

	while (more) {
		route_read_begin(reader);
		more = check_part(&c, &at);
		route_read_end(reader);
	}
	return c.faults;
}
