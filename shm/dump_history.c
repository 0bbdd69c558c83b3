/*
 * shm/dump_history.c - the last changes of a host: what, when, which server, why.
 * Reads the history only, so it works whoever is dead.
 */
#include "dump.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "dump_text.h"
#include "history.h"

/* The host itself and every wildcard that could serve it. */
#define FORMS_MAX 130

struct changes {
	struct history_record *items; /* owned */
	unsigned count;
	bool is_full;                 /* older ones may have made room */
};

static void add_form(const struct dump *dump, struct str host, struct changes *all)
{
	bool is_full;

	all->items = mem_resize(all->items, (all->count + HISTORY_WAYS) * sizeof(*all->items));
	all->count += history_of_host(dump->table, host, all->items + all->count, &is_full);
	all->is_full |= is_full;
}

static void add_wildcards(const struct dump *dump, struct str host, struct changes *all)
{
	char form[ROUTE_HOST_MAX + 2] = "*";
	ssize_t dot;

	for (unsigned i = 1; i < FORMS_MAX && (dot = str_find_char(host, '.')) >= 0; i++) {
		struct str rest = str_sub(host, (size_t)dot, STR_REST);

		memcpy(form + 1, rest.p, rest.len);
		add_form(dump, (struct str){ form, rest.len + 1 }, all);
		host = str_sub(rest, 1, STR_REST);
	}
}

static int by_number(const void *a, const void *b)
{
	const struct history_record *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static void collect(const struct dump *dump, struct str host, struct changes *all)
{
	*all = (struct changes){ 0 };
	add_form(dump, host, all);
	if (!str_has_prefix(host, STR("*.")))
		add_wildcards(dump, host, all);
	qsort(all->items, all->count, sizeof(*all->items), by_number);
}

static void format_address(const struct history_record *r, char out[64])
{
	struct str host = history_address(r);

	snprintf(out, 64, "%.*s:%u", STR_ARG(host), r->port);
}

static void plain_change(const struct dump *dump, const struct history_record *r)
{
	char when[TIMESTAMP_SIZE], age[32], address[64], server[HISTORY_SERVER_NAME];
	uint64_t now = clock_ms();

	timestamp_format(r->wall_ms * 1000000, when);
	format_address(r, address);
	history_server(dump->table, r, server);
	fprintf(dump->out, "%.19sZ %8s %-13s ", when,
		dump_duration(now > r->clock_ms ? now - r->clock_ms : 0, age),
		history_what_name(r->what));
	dump_plain(dump->out, history_key(r), history_is_clipped(r) ? 0 : 32);
	fputs(history_is_clipped(r) ? "... " : " ", dump->out);
	dump_plain(dump->out, str_of(address), 21);
	putc(' ', dump->out);
	dump_plain(dump->out, history_app(r), 36);
	putc(' ', dump->out);
	dump_plain(dump->out, str_of(server), 21);
	putc(' ', dump->out);
	dump_words(dump->out, history_why(r));
	putc('\n', dump->out);
}

static void json_member(FILE *out, const char *name, struct str value)
{
	fprintf(out, ",\"%s\":", name);
	dump_json_string(out, value);
}

static void json_change(const struct dump *dump, const struct history_record *r)
{
	char when[TIMESTAMP_SIZE], address[64], server[HISTORY_SERVER_NAME];
	FILE *out = dump->out;

	timestamp_format(r->wall_ms * 1000000, when);
	format_address(r, address);
	fprintf(out, "{\"number\":%" PRIu64 ",\"time\":\"%.23sZ\",\"clock_ms\":%" PRIu64
		",\"change\":\"%s\"", r->number, when, r->clock_ms, history_what_name(r->what));
	json_member(out, "uri", history_key(r));
	if (history_is_clipped(r))
		fputs(",\"uri_is_clipped\":true", out);
	json_member(out, "address", str_of(address));
	json_member(out, "application_id", history_app(r));
	if (history_server(dump->table, r, server))
		json_member(out, "server", str_of(server));
	if (!str_is_empty(history_why(r)))
		json_member(out, "why", history_why(r));
	putc('}', out);
}

static void json_changes(const struct dump *dump, struct str host, const struct changes *all)
{
	fputs("{\"host\":", dump->out);
	dump_json_string(dump->out, host);
	fprintf(dump->out, ",\"older_may_be_lost\":%s,\"changes\":[", all->is_full ? "true" : "false");
	for (unsigned i = 0; i < all->count; i++) {
		if (i)
			putc(',', dump->out);
		json_change(dump, &all->items[i]);
	}
	fputs("]}\n", dump->out);
}

static void plain_changes(const struct dump *dump, struct str host, const struct changes *all)
{
	if (!all->count) {
		fputs("no change of ", dump->out);
		dump_plain(dump->out, host, 0);
		fputs(all->is_full ? " is on record; older ones may have made room\n" :
		      " is on record\n", dump->out);
		return;
	}
	if (all->is_full)
		fputs("older changes may have made room for newer ones\n", dump->out);
	fprintf(dump->out, "%-20s %8s %-13s %-32s %-21s %-36s %-21s %s\n", "WHEN", "AGO", "CHANGE",
		"ROUTE", "ADDRESS", "APP", "SERVER", "WHY");
	for (unsigned i = 0; i < all->count; i++)
		plain_change(dump, &all->items[i]);
}

int dump_history(const struct dump *dump, const char *name)
{
	char buffer[ROUTE_KEY_MAX];
	struct str uri = str_of(name), host;
	struct route_key key;
	struct changes all;
	ssize_t scheme = str_find(uri, STR("://"));

	if (scheme >= 0)
		uri = str_sub(uri, (size_t)scheme + 3, STR_REST);
	if (route_key_parse(uri, buffer, &key, NULL) < 0) {
		fputs("no history: this host cannot be registered\n", dump->out);
		return DUMP_OK;
	}
	host = route_host_without_port(str_sub(key.text, 0, key.host_len));
	collect(dump, host, &all);
	(dump->as_json ? json_changes : plain_changes)(dump, host, &all);
	free(all.items);
	return DUMP_OK;
}
