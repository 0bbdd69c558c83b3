/*
 * shm/history.c - reading the history.
 */
#include "history_layout.h"

#include <stdlib.h>

const char *history_what_name(unsigned what)
{
	static const char *const names[HISTORY_WHATS] = {
#define X(name, text) [HISTORY_##name] = text,
		HISTORY_CHANGES(X)
#undef X
	};

	return what < HISTORY_WHATS ? names[what] : "unknown";
}

uint32_t history_record_sum(const struct history_record *record)
{
	const size_t behind = offsetof(struct history_record, server_sum);
	size_t used = offsetof(struct history_record, text) + record->key_end;

	return block_sum(record, offsetof(struct history_record, sum)) ^
	       block_sum((const char *)record + behind, used - behind);
}

struct str history_why(const struct history_record *r)
{
	return (struct str){ r->text, r->why_end };
}

struct str history_app(const struct history_record *r)
{
	return str_range(r->text + r->why_end, r->text + r->app_end);
}

struct str history_address(const struct history_record *r)
{
	return str_range(r->text + r->app_end, r->text + r->address_end);
}

struct str history_key(const struct history_record *r)
{
	return str_range(r->text + r->address_end, r->text + r->key_end);
}

static bool is_sound(const struct history_record *r, uint64_t number)
{
	return r->number == history_place_number(number) && r->why_end <= r->app_end &&
	       r->app_end <= r->address_end && r->address_end <= r->key_end &&
	       r->key_end <= HISTORY_TEXT_MAX && r->sum == history_record_sum(r);
}

/* False: free, being written, overwritten meanwhile, or damaged. */
static bool copy_record(struct history_set *set, unsigned way, struct history_record *out)
{
	uint64_t words[HISTORY_RECORD_WORDS];
	uint64_t number = word_get(&set->numbers[way]);

	if (!number)
		return false;
	for (unsigned i = 0; i < HISTORY_RECORD_WORDS; i++)
		words[i] = word_get(&set->records[way][i]);
	if (word_get(&set->numbers[way]) != number)
		return false;
	memcpy(out, words, sizeof(*out));
	return is_sound(out, number);
}

/* Of a clipped key the hash must do. */
static bool is_about(const struct history_record *r, uint64_t hash, struct str host)
{
	struct str kept = host_of_key(history_key(r));

	if (r->host_hash != hash)
		return false;
	return str_equal(kept, host) || (history_is_clipped(r) && kept.len == history_key(r).len &&
					 str_has_prefix(host, kept));
}

static int by_number(const void *a, const void *b)
{
	const struct history_record *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

unsigned history_of_host(const struct table *table, struct str host,
			 struct history_record out[HISTORY_WAYS], bool *is_full)
{
	uint64_t sets, hash = history_host_hash(&table_head(table)->seed, host);
	unsigned char *area = history_area(table, &sets);
	struct history_set *set;
	unsigned count = 0;

	*is_full = area != NULL;
	if (!area)
		return 0;
	set = history_set_at(area, hash % sets);
	for (unsigned way = 0; way < HISTORY_WAYS; way++) {
		if (!word_get(&set->numbers[way]))
			*is_full = false;
		if (copy_record(set, way, &out[count]) && is_about(&out[count], hash, host))
			count++;
	}
	qsort(out, count, sizeof(*out), by_number);
	return count;
}

bool history_server(const struct table *table, const struct history_record *record,
		    char out[HISTORY_SERVER_NAME])
{
	uint64_t sets, words[HISTORY_SERVER_NAME / 8];
	unsigned char *area = history_area(table, &sets);
	struct history_head *head = (struct history_head *)area;

	out[0] = '\0';
	if (!area || record->server >= HISTORY_SERVERS)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = word_get((uint64_t *)head->servers[record->server] + i);
	memcpy(out, words, sizeof(words));
	out[HISTORY_SERVER_NAME - 1] = '\0';
	if (out[0] && block_sum(out, strlen(out)) == record->server_sum)
		return true;
	out[0] = '\0';
	return false;
}
