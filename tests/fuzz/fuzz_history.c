/*
 * tests/fuzz/fuzz_history.c - a history with any words changed: reading it yields
 * fewer changes, never a crash, and the next writer goes on with it.
 *
 * The input is a list of 12-byte records: position in the history (or, from bit 31
 * on, in the table's head) and value.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/must.h"
#include "shm/history_layout.h"
#include "shm/history_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BYTES (HISTORY_HEAD_BYTES + 2 * HISTORY_SET_BYTES)
#define SIZE  (TABLE_HEAD_SPAN + BYTES)

static unsigned char sound[BYTES];    /* as made */
static struct table table;            /* what is damaged */
static struct history_record records[HISTORY_WAYS];

static void note(struct history *history, const char *key, enum history_what what)
{
	struct history_change change = {
		.what = what, .key = str_of(key), .host = STR("10.0.0.1"), .port = 80,
		.app_id = STR("app"), .why = STR("because"),
	};

	history_note(history, &change);
}

static void restore(void)
{
	struct table_head *head = (struct table_head *)table.base;

	memset(head, 0, sizeof(*head));
	head->size = SIZE;
	head->history_bytes = BYTES;
	memcpy(table.base + TABLE_HEAD_SPAN, sound, BYTES);
}

static void make_image(void)
{
	struct history *history;
	char key[32];

	table.base = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(table.base != MAP_FAILED);
	table.size = SIZE;
	restore();
	history = history_open(&table);
	history_name_source(history, 0, STR("nats-1:4222"));
	for (int i = 0; i < 70; i++) {
		snprintf(key, sizeof(key), "host-%d.example/path", i % 5);
		note(history, key, HISTORY_UPDATED);
	}
	history_close(history);
	memcpy(sound, table.base + TABLE_HEAD_SPAN, BYTES);
}

static void damage(const uint8_t *data, size_t size)
{
	for (; size >= 12; data += 12, size -= 12) {
		uint32_t position;
		unsigned char *to;

		memcpy(&position, data, 4);
		to = position >> 31 ? table.base + position % (sizeof(struct table_head) - 7) :
				      table.base + TABLE_HEAD_SPAN + position % (BYTES - 7);
		memcpy(to, data + 4, 8);
	}
}

static unsigned read_host(const char *host)
{
	bool is_full;
	unsigned count = history_of_host(&table, str_of(host), records, &is_full), sum = 0;

	must(count <= HISTORY_WAYS);
	for (unsigned i = 0; i < count; i++) {
		char server[HISTORY_SERVER_NAME];

		history_server(&table, &records[i], server);
		sum += block_sum(history_key(&records[i]).p, history_key(&records[i]).len);
		sum += block_sum(history_why(&records[i]).p, history_why(&records[i]).len);
		sum += block_sum(history_app(&records[i]).p, history_app(&records[i]).len);
		sum += block_sum(history_address(&records[i]).p, history_address(&records[i]).len);
		sum += (unsigned)strlen(server) + (unsigned)strlen(history_what_name(records[i].what));
	}
	return count + (sum & 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct history *history;
	uint64_t sets;

	if (!table.base)
		make_image();
	restore();
	damage(data, size);
	read_host("host-0.example");
	read_host("host-3.example");
	read_host("nobody.example");
	history = history_open(&table);
	history_name_source(history, 0, STR("nats-2:4222"));
	for (int i = 0; i < 3; i++)
		note(history, "host-1.example", HISTORY_PRUNED);
	must(!history_area(&table, &sets) || read_host("host-1.example") > 0);
	history_close(history);
	return 0;
}
