/*
 * tests/fuzz/fuzz_snapshot.c - any bytes as a file with the last-known-good table, and
 * as the routes in one whose checksums are right: refused, or entries that the table
 * can hold.
 */
#include <errno.h>
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

static void look_at(struct route_image *image, struct str all)
{
	struct endpoint *e = mem_alloc(sizeof(*e));
	char tags[ENDPOINT_TAGS_MAX];
	bool has_tags;

	look_inside(image->key.text, all);
	look_inside(image->tags, all);
	look_inside(route_image_segment(image), all);
	route_image_limit_stale(image, 1000);
	has_tags = route_image_endpoint(image, e, tags);
	must(e->port && e->host.len && e->stale_s && e->stale_s <= 1000);
	must(image->key.host_len && image->key.host_len <= image->key.text.len);
	must(!has_tags || e->tags.len <= sizeof(tags));
	free(e);
}

/* 0 if the image is good as a whole. */
static int walk(struct str all, const struct snapshot_head *head)
{
	struct snapshot_reader reader;
	struct route_image image;
	struct reason reason;
	int rc = snapshot_reader_begin(&reader, all, head, &reason);

	while (rc == 0 && (rc = snapshot_reader_next(&reader, &image, &reason)) == 0)
		look_at(&image, all);
	if (rc == -ENODATA)
		must(reader.entries == head->entries);
	else
		must(rc == -EINVAL && reason.text[0]);
	return rc == -ENODATA ? 0 : rc;
}

static uint64_t count(struct str records)
{
	struct route_image image;
	uint64_t entries = 0;

	while (route_image_next(&records, &image) == 0)
		entries++;
	return entries;
}

/* Aligned, as a mapped file is. */
static char *copied(struct str head, struct str records)
{
	char *image = mem_alloc(head.len + records.len);

	if (head.len)
		memcpy(image, head.p, head.len);
	if (records.len)
		memcpy(image + head.len, records.p, records.len);
	return image;
}

/* The same bytes behind a head that is right about them. */
static void as_routes(struct str records)
{
	struct snapshot_head head = { .sequence = 1 }, again;
	struct snapshot_sum sum = { 0 };
	char *image = copied((struct str){ (char *)&head, sizeof(head) }, records);
	struct str all = { image, sizeof(head) + records.len };
	struct reason reason;

	head.body_bytes = records.len;
	snapshot_sum_add(&sum, records.p, records.len);
	head.body_sum = snapshot_sum_of(&sum);
	head.entries = count(str_sub(all, sizeof(head), STR_REST));
	snapshot_seal(&head, "wye");
	memcpy(image, &head, sizeof(head));
	must(snapshot_read_head(all, "wye", &again, &reason) == 0);
	walk(all, &again);
	free(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *image = copied(STR_NONE, (struct str){ (const char *)data, size });
	struct str all = { image, size };
	struct snapshot_head head;
	struct reason reason;

	if (snapshot_read_head(all, "wye", &head, &reason) == 0)
		walk(all, &head);
	free(image);
	as_routes((struct str){ (const char *)data, size });
	return 0;
}
