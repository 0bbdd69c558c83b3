/*
 * shm/dump_routes.c - the table as JSON in the schema of Gorouter's /routes
 * (spec control 6.4, byte for byte), as a readable table, and verified.
 */
#include "dump.h"

#include <inttypes.h>

#include "dump_text.h"

static const char *balancing_name(unsigned balancing)
{
	static const char *const names[] = {
		[BALANCE_DEFAULT]          = "",
		[BALANCE_ROUND_ROBIN]      = "round-robin",
		[BALANCE_LEAST_CONNECTION] = "least-connection",
	};

	return balancing < ARRAY_SIZE(names) ? names[balancing] : "";
}

/* Calls `show` with a copy of every pool, in the order of keys. */
static void each_pool(const struct dump *dump,
		      void (*show)(const struct dump *, struct str key, const struct dump_pool *,
				   bool is_first))
{
	struct dump_pool pool = { 0 };
	struct dump_keys keys;
	struct arena arena;
	bool is_first = true;

	arena_init(&arena, NULL, 0);
	dump_keys_collect(dump, &arena, &keys);
	for (size_t i = 0; i < keys.count; i++) {
		if (!dump_pool_copy(dump, keys.items[i], &pool))
			continue;     /* gone since */
		show(dump, keys.items[i], &pool, is_first);
		is_first = false;
	}
	dump_pool_fini(&pool);
	arena_fini(&arena);
}

/* --- JSON */

static void json_member(FILE *out, const char *name, struct str value)
{
	fprintf(out, ",\"%s\":", name);
	dump_json_string(out, value);
}

static void json_member_if_set(FILE *out, const char *name, struct str value)
{
	if (!str_is_empty(value))
		json_member(out, name, value);
}

static void json_tags(FILE *out, const struct dump_entry *entry)
{
	fputs(",\"tags\":", out);
	if (!(entry->endpoint.flags & ENDPOINT_HAS_TAGS))
		fputs("null", out);
	else if (str_is_empty(entry->tags))
		fputs("{}", out);
	else if (!dump_json_tags(out, entry->tags))
		fputs("null", out);
}

static void json_endpoint(FILE *out, const struct dump_entry *entry)
{
	const struct endpoint *e = &entry->endpoint;
	char address[272];
	size_t len = endpoint_format_address(e, address, sizeof(address));

	fputs("{\"address\":", out);
	dump_json_string(out, (struct str){ address, len });
	json_member(out, "availability_zone", e->zone);
	json_member(out, "protocol", e->protocol);
	fprintf(out, ",\"tls\":%s", e->flags & ENDPOINT_TLS ? "true" : "false");
	fprintf(out, ",\"ttl\":%" PRIu32, e->stale_s);
	json_member_if_set(out, "route_service_url", e->route_service_url);
	json_tags(out, entry);
	json_member_if_set(out, "isolation_segment", e->isolation_segment);
	json_member_if_set(out, "private_instance_id", e->instance_id);
	json_member_if_set(out, "server_cert_domain_san", e->san);
	json_member_if_set(out, "load_balancing_algorithm", str_of(balancing_name(e->balancing)));
	putc('}', out);
}

static void json_pool(const struct dump *dump, struct str key, const struct dump_pool *pool,
		      bool is_first)
{
	FILE *out = dump->out;
	bool is_first_entry = true;

	if (!is_first)
		putc(',', out);
	dump_json_string(out, key);
	fputs(":[", out);
	for (unsigned i = 0; i < pool->count; i++) {
		if (pool->entries[i].is_damaged)
			continue;     /* --check reports it */
		if (!is_first_entry)
			putc(',', out);
		is_first_entry = false;
		json_endpoint(out, &pool->entries[i]);
	}
	putc(']', out);
}

int dump_routes(const struct dump *dump)
{
	putc('{', dump->out);
	each_pool(dump, json_pool);
	fputs("}\n", dump->out);
	return DUMP_OK;
}

/* --- for people */

/* Why it is in a state of its own, or "-". */
static const char *state_of(const struct dump_entry *entry, char out[32])
{
	if (entry->excluded)
		return entry->excluded == LIVE_EXCLUDED_DISOWNED ? "disowned" : "wrong-id";
	if (!entry->held)
		return "-";
	snprintf(out, 32, "held(%s)", live_held_name(entry->held));
	return out;
}

static void table_entry(const struct dump *dump, struct str key, const struct dump_entry *entry)
{
	const struct endpoint *e = &entry->endpoint;
	char address[272], age[32], failed[32] = "-", state[32];
	FILE *out = dump->out;

	dump_plain(out, key, 32);
	if (entry->is_damaged) {
		fputs(" damaged\n", out);
		return;
	}
	endpoint_format_address(e, address, sizeof(address));
	putc(' ', out);
	dump_plain(out, str_of(address), 21);
	if (entry->failed_at)
		dump_duration(dump_age_ms(dump, entry->failed_at), failed);
	fprintf(out, " %-3s %8s %9u %8s %5" PRIu32 "s ", e->flags & ENDPOINT_TLS ? "yes" : "no",
		dump_duration(dump_age_ms(dump, entry->last_seen), age), entry->in_flight, failed,
		e->stale_s);
	dump_plain(out, e->app_id, 12);
	putc(' ', out);
	dump_plain(out, e->instance_id, 14);
	putc(' ', out);
	dump_plain(out, e->instance_index, 5);
	fprintf(out, " %6" PRIu32 " %-17s %" PRIu64 "\n", e->row, state_of(entry, state), e->serial);
}

static void table_pool(const struct dump *dump, struct str key, const struct dump_pool *pool,
		       bool is_first)
{
	(void)is_first;
	for (unsigned i = 0; i < pool->count; i++)
		table_entry(dump, key, &pool->entries[i]);
	if (pool->count == 0) {
		dump_plain(dump->out, key, 32);
		fputs(" no endpoints\n", dump->out);
	}
}

int dump_table(const struct dump *dump)
{
	fprintf(dump->out, "%-32s %-21s %-3s %8s %9s %8s %6s %-12s %-14s %-5s %6s %-17s %s\n",
		"ROUTE", "ADDRESS", "TLS", "SEEN", "IN-FLIGHT", "FAILED", "TTL", "APP", "INSTANCE",
		"INDEX", "ROW", "STATE", "SERIAL");
	each_pool(dump, table_pool);
	return DUMP_OK;
}

/* --- verified */

/* Faults quote keys, which tenants choose; blanks stay blanks here. */
static void print_fault(void *context, const char *fault)
{
	const struct dump *dump = context;

	fputs("fault: ", dump->out);
	for (const char *p = fault; *p; p++) {
		if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
			fprintf(dump->out, "\\x%02x", (unsigned char)*p);
		else
			putc(*p, dump->out);
	}
	putc('\n', dump->out);
}

static bool count_route(void *context, struct route_reader *reader, const struct route *route)
{
	(void)reader;
	(void)route;
	++*(uint64_t *)context;
	return true;
}

int dump_check(const struct dump *dump)
{
	struct dump context = *dump;
	uint64_t faults = table_check(dump->reader, print_fault, &context), routes = 0;

	route_each(dump->reader, count_route, &routes);
	fprintf(dump->out, "%" PRIu64 " routes, %" PRIu64 " faults\n", routes, faults);
	return faults ? DUMP_FAULTS : DUMP_OK;
}
