/*
 * tests/fuzz/fuzz_table_image.c - a table image with any words changed: attaching,
 * walking, looking up, checking and recovering it yields less, never a crash.
 *
 * The input is a list of 12-byte records, position and value; bit 0 of the first
 * byte asks for a recovery as well.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/must.h"
#include "shm/endpoint_live.h"
#include "shm/route_layout.h"
#include "shm/route_table.h"
#include "shm/route_writer.h"
#include "shm/tags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ARENA (2u << 20)
#define SIZE (TABLE_HEAD_SPAN + 2 * ARENA)
#define HOT (256u << 10)              /* bytes of the arena's two ends that are in use */

static unsigned char *sound, *image;  /* as made; what is damaged */
static int image_fd;
static struct board *board;
static struct endpoint copy;
static char unpacked[ENDPOINT_TAGS_MAX];

static void add(struct route_writer *writer, const char *uri, const char *host)
{
	struct endpoint in = { .port = 80, .stale_s = 120, .host = str_of(host), .app_id = STR("app"),
			       .tags = STR("{\"a\":\"b\"}") };
	char buffer[ROUTE_KEY_MAX];
	struct route_handle handle;
	struct route_key key;
	bool is_new;

	must(route_key_parse(str_of(uri), buffer, &key, NULL) == 0);
	must(route_writer_add(writer, &key, &in, 1, &handle, &is_new) > 0);
}

/* Copies the head and both ends of an arena: all that is in use. */
static void copy_used(unsigned char *to, const unsigned char *from)
{
	memcpy(to, from, 4096);
	for (unsigned arena = 0; arena < 2; arena++) {
		size_t at = TABLE_HEAD_SPAN + arena * ARENA;

		memcpy(to + at, from + at, HOT);
		memcpy(to + at + ARENA - HOT, from + at + ARENA - HOT, HOT);
	}
}

static void make_image(void)
{
	struct region_spec spec = { .arena_bytes = ARENA, .worker_slots = 1, .log_ring_bytes = 4096 };
	struct region_objects objects;
	struct route_recovery recovery;
	struct route_writer *writer;
	struct table *table;
	char name[64], uri[64], host[32];

	snprintf(name, sizeof(name), "wye-fuzz-%d", (int)getpid());
	spec.instance = name;
	must(region_open(&spec, &objects, NULL) == 0);
	must(board_map(objects.board, &board, NULL) == 0);
	must(table_map(objects.table_rw, true, &table, NULL) == 0);
	must(route_writer_open(table, board, &writer, &recovery, NULL) == 0);
	for (int i = 0; i < 24; i++) {
		snprintf(uri, sizeof(uri), i % 3 ? "*.r%d.example.com/a/b" : "r%d.example.com", i);
		snprintf(host, sizeof(host), "10.0.0.%d", i);
		add(writer, uri, host);
		add(writer, uri, "10.1.1.1");
	}
	sound = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	copy_used(sound, table->base);
	route_writer_close(writer);
	table_unmap(table);
	objects.board = -1;           /* stays: recovery needs its board */
	region_release(name, &objects, true);
	image_fd = memfd_create("table", 0);
	must(image_fd >= 0 && ftruncate(image_fd, SIZE) == 0);
	image = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, image_fd, 0);
	must(image != MAP_FAILED && sound != MAP_FAILED);
}

/* Positions fall on the head and on the first bytes of the areas in use. */
static size_t place_of(uint32_t position)
{
	uint32_t at = position >> 2;

	switch (position & 3) {
	case 0: return at % 384;
	case 1: return TABLE_HEAD_SPAN + at % (16u << 10);
	case 2: return TABLE_HEAD_SPAN + (16u << 10) + at % (160u << 10);
	default: return TABLE_HEAD_SPAN + ARENA - 1 - at % 8192;
	}
}

static void damage(const uint8_t *data, size_t size)
{
	for (; size >= 12; data += 12, size -= 12) {
		uint32_t position;
		size_t at, width = 1u << (data[0] >> 6);

		memcpy(&position, data, 4);
		at = place_of(position);
		at -= at % width;
		memcpy(image + at, data + 4, width);
	}
}

static bool look(void *context, struct route_reader *reader, const struct route *route)
{
	unsigned *left = context;

	for (unsigned i = 0; i < route_capacity(route) && i < 1000; i++) {
		uint32_t seen;
		const struct inst *inst = route_entry(reader, route, i, &seen);
		struct str tags;

		if (!inst)
			continue;
		tags_unpack(inst, inst_packed_tags(reader, inst), unpacked, &tags);
		if (inst_copy(inst, &copy))
			*left += block_sum(copy.text, inst_zone(inst).len + inst_app_id(inst).len);
		*left += block_sum(tags.p, tags.len < 100000 ? tags.len : 100000);
		*left += live_in_flight(board, inst_row(inst));
	}
	++*route_cursor(reader, route);
	*left += route_balancing(route) + route_host_length(route) + (unsigned)route_name(route).len;
	return true;
}

static void ignore(void *context, const char *fault)
{
	(void)context;
	(void)fault;
}

static void look_up(struct route_reader *reader, const char *host, const char *path)
{
	char buffer[ROUTE_KEY_MAX];
	const struct route *route;
	struct route_key key;
	unsigned sum = 0;

	must(route_key_from_request(str_of(host), str_of(path), buffer, &key));
	if (route_find(reader, &key, &route) != ROUTE_NONE)
		look(&sum, reader, route);
	route = route_find_exact(reader, &key);
	if (route)
		look(&sum, reader, route);
}

static void read_image(void)
{
	struct route_reader *reader;
	struct reason reason;
	struct table *table;
	unsigned sum = 0;

	if (table_map(image_fd, false, &table, &reason))
		return;
	reader = route_reader_create(table, NULL, -1);
	route_each(reader, look, &sum);
	look_up(reader, "r3.example.com", "/x");
	look_up(reader, "www.r4.example.com", "/a/b/c");
	look_up(reader, "a.b.c.d", "/");
	table_check(reader, ignore, NULL);
	route_reader_destroy(reader);
	table_unmap(table);
}

static void recover_image(void)
{
	struct route_recovery recovery;
	struct route_writer *writer;
	struct reason reason;
	struct table *table;

	if (table_map(image_fd, true, &table, &reason))
		return;
	if (route_writer_open(table, board, &writer, &recovery, &reason) == 0) {
		struct route_reader *reader = route_reader_create(table, NULL, -1);

		/* If no row seems free, rows are once the old arena has drained. */
		route_writer_tick(writer, 1);
		add(writer, "after.example.com", "10.0.0.1");
		must(table_check(reader, ignore, NULL) == 0);
		route_reader_destroy(reader);
		route_writer_close(writer);
	}
	table_unmap(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!sound)
		make_image();
	copy_used(image, sound);
	damage(data, size);
	read_image();
	if (size && data[0] & 1)
		recover_image();
	return 0;
}
