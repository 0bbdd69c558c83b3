/*
 * tests/fuzz/fuzz_snapshot.c - any bytes as a file with the last-known-good table, and
 * as the routes in one whose checksums are right: refused, or entries that the table
 * can hold.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/mem.h"
#include "registrar/snapshot_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_inside(struct str text, struct str all)
{
	if (text.len)
		must(text.p >= all.p && text.p + text.len <= all.p + all.len);
}

static uint64_t walk(struct str all)
{
	struct snapshot_entry *entry = mem_alloc(sizeof(*entry));
	struct str records = all;
	uint64_t entries = 0;

	while (snapshot_next(&records, entry) == 0) {
		const struct endpoint *e = &entry->endpoint;

		must(e->port && e->host.len && entry->key.text.len);
		must(entry->key.host_len <= entry->key.text.len);
		must(e->tags.len <= ENDPOINT_TAGS_MAX);
#define X(name) look_inside(e->name, all);
		ENDPOINT_TEXTS(X)
#undef X
		look_inside(e->tags, all);
		entries++;
	}
	free(entry);
	return entries;
}

/* The same bytes behind a head that is right about them. */
static void as_routes(struct str records)
{
	struct snapshot_head head = { .sequence = 1 }, again;
	char *image = mem_alloc(sizeof(head) + records.len);
	struct str all = { image, sizeof(head) + records.len };
	struct reason reason;

	head.body_bytes = records.len;
	head.body_crc = snapshot_crc(0, records.p, records.len);
	head.entries = walk(records);
	snapshot_seal(&head, "wye");
	memcpy(image, &head, sizeof(head));
	if (records.len)
		memcpy(image + sizeof(head), records.p, records.len);
	must(snapshot_read_head(all, "wye", &again, &reason) == 0);
	if (snapshot_check(all, &again, &reason) == 0)
		must(walk(str_sub(all, sizeof(head), STR_REST)) == head.entries);
	free(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str image = { (const char *)data, size };
	struct snapshot_head head;
	struct reason reason;

	if (snapshot_read_head(image, "wye", &head, &reason) == 0 &&
	    snapshot_check(image, &head, &reason) == 0)
		must(walk(str_sub(image, sizeof(head), STR_REST)) == head.entries);
	as_routes(image);
	return 0;
}
