/*
 * tests/torture/table_bench.c - what the table costs: lookups, writes, memory, at
 * several sizes, with the price of one dependent memory access measured over the
 * same memory beside them (misses are the currency).  Prints one JSON object a line;
 * called by tests/bench, also alone:
 *
 *   table_bench [ROUTES...]          default 1000 100000
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "shm/route_table.h"
#include "shm/route_writer.h"

#define ROUNDS 9                      /* the median of so many is printed */
#define LOOKUPS 200000u
#define WRITES 50000u

struct bench {
	struct region_objects objects;
	char instance[64];
	struct table *rw, *ro;
	struct board *board;
	struct route_writer *writer;
	struct route_reader *reader;
	unsigned routes;
	struct route_handle *handles;
	uint32_t *order;              /* a random permutation of the routes */
	struct endpoint endpoint;
	char text[ROUTE_KEY_MAX], buffer[ROUTE_KEY_MAX], tags[600];
};

static uint64_t random_state = 0x2545f4914f6cdd1du;

static unsigned random_below(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)((random_state >> 11) % n);
}

static void give_up(const char *what)
{
	fprintf(stderr, "table_bench: %s\n", what);
	exit(2);
}

/* Route k: a tenth are wildcards, a tenth have a path. */
enum form { FORM_EXACT, FORM_PATH, FORM_WILDCARD };

static enum form form_of(unsigned k)
{
	return k % 10 == 0 ? FORM_WILDCARD : k % 10 == 1 ? FORM_PATH : FORM_EXACT;
}

static struct route_key key_of(struct bench *b, unsigned k)
{
	static const char *const forms[] = {
		"app-%07u.apps.cf.example.com", "app-%07u.apps.cf.example.com/api/v1",
		"*.app-%07u.apps.cf.example.com",
	};
	struct route_key key;

	snprintf(b->text, sizeof(b->text), forms[form_of(k)], k);
	route_key_parse(str_of(b->text), b->buffer, &key, NULL);
	return key;
}

static void put_guid(char out[40], unsigned kind, unsigned number)
{
	uint64_t a = hash_bytes(&(struct hash_key){ kind, 1 }, &number, sizeof(number));
	uint64_t b = hash_bytes(&(struct hash_key){ kind, 2 }, &number, sizeof(number));

	snprintf(out, 40, "%08x-%04x-4%03x-8%03x-%012llx", (unsigned)(a >> 32),
		 (unsigned)(a & 0xffff), (unsigned)(a >> 16 & 0xfff), (unsigned)(b >> 52),
		 (unsigned long long)(b & 0xffffffffffff));
}

/* Texts and tags as Diego's route-emitter sends them. */
static void describe(struct bench *b, unsigned k, unsigned version)
{
	static char host[32], app[40], id[40], space[40], org[40];

	snprintf(host, sizeof(host), "10.%u.%u.%u", k >> 16 & 255, k >> 8 & 255, k & 255);
	put_guid(app, 'a', k);
	put_guid(id, 'i', k + (version << 24));
	put_guid(space, 's', k / 20);
	put_guid(org, 'o', k / 1000);
	snprintf(b->tags, sizeof(b->tags),
		 "{\"app_id\":\"%s\",\"app_name\":\"app-%u\",\"component\":\"route-emitter\","
		 "\"instance_id\":\"0\",\"organization_id\":\"%s\",\"organization_name\":\"org-%u\","
		 "\"process_id\":\"%s\",\"process_instance_id\":\"%s\",\"process_type\":\"web\","
		 "\"source_id\":\"%s\",\"space_id\":\"%s\",\"space_name\":\"space-%u\"}",
		 app, k, org, k / 1000, app, id, app, space, k / 20);
	b->endpoint = (struct endpoint){
		.port = 61001, .stale_s = 120, .host = str_of(host), .app_id = str_of(app),
		.instance_id = str_of(id), .instance_index = STR("0"), .zone = STR("z1"),
		.san = str_of(id), .process_id = str_of(app), .protocol = STR("http1"),
		.component = STR("route-emitter"), .tags = str_of(b->tags),
	};
}

static void add(struct bench *b, unsigned k, unsigned version)
{
	struct route_key key = key_of(b, k);
	bool is_new;

	describe(b, k, version);
	if (route_writer_add(b->writer, &key, &b->endpoint, 1, &b->handles[k], &is_new) < 0)
		give_up("the table is full");
}

static void drop(struct bench *b, unsigned k, unsigned version)
{
	struct route_key key = key_of(b, k);
	bool is_gone;

	describe(b, k, version);
	route_writer_remove(b->writer, &key, b->endpoint.host, 61001, STR_NONE, &is_gone);
}

static void open_table(struct bench *b)
{
	struct region_spec spec = {
		.instance = b->instance, .worker_slots = 8, .log_ring_bytes = 4096,
		.history_bytes = 8u << 20,
		.arena_bytes = ((uint64_t)b->routes * 4096 + (64u << 20)) >> 21 << 21,
	};
	struct route_recovery recovery;
	struct reason reason;

	snprintf(b->instance, sizeof(b->instance), "wye-bench-%d-%u", (int)getpid(), b->routes);
	if (region_open(&spec, &b->objects, &reason) || board_map(b->objects.board, &b->board, &reason) ||
	    table_map(b->objects.table_rw, true, &b->rw, &reason) ||
	    table_map(b->objects.table_ro, false, &b->ro, &reason) ||
	    board_slot_claim(b->board, SLOT_WORKER, &reason) ||
	    route_writer_open(b->rw, b->board, &b->writer, &recovery, &reason))
		give_up(reason.text);
	b->reader = route_reader_create(b->ro, b->board, SLOT_WORKER);
}

static void close_table(struct bench *b)
{
	route_reader_destroy(b->reader);
	route_writer_close(b->writer);
	table_unmap(b->rw);
	table_unmap(b->ro);
	board_unmap(b->board);
	region_release(b->instance, &b->objects, true);
}

static void shuffle(struct bench *b)
{
	for (unsigned i = 0; i < b->routes; i++)
		b->order[i] = i;
	for (unsigned i = b->routes; i > 1; i--) {
		unsigned j = random_below(i);
		uint32_t k = b->order[i - 1];

		b->order[i - 1] = b->order[j];
		b->order[j] = k;
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), by_value);
	return values[ROUNDS / 2];
}

/* A chain of offsets in random order through memory of the table's kind (shared,
 * 4 KiB pages), as large as the part of the table that lookups walk: index, routes,
 * endpoints without tags. */
#define WALKED_PER_ROUTE 330u

struct chain {
	struct { uint64_t next, unused[7]; } *lines;
	size_t count;
};

static void chain_make(struct chain *chain, size_t bytes)
{
	size_t n = chain->count = bytes / 64;
	uint64_t *order = mem_alloc(n * sizeof(*order));

	chain->lines = mmap(NULL, n * 64, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (chain->lines == MAP_FAILED)
		give_up("no memory to calibrate with");
	for (size_t i = 0; i < n; i++)
		order[i] = i;
	for (size_t i = n; i > 1; i--) {
		size_t j = random_below((unsigned)i);
		uint64_t k = order[i - 1];

		order[i - 1] = order[j];
		order[j] = k;
	}
	for (size_t i = 0; i < n; i++)
		chain->lines[order[i]].next = order[(i + 1) % n];
	free(order);
}

static void chain_free(struct chain *chain)
{
	munmap(chain->lines, chain->count * 64);
}

/* The price of one dependent random access, now: neighbours on the machine
 * change it from second to second. */
static double dependent_access_ns(const struct chain *chain)
{
	uint64_t began = clock_ns(), at = 0;

	for (unsigned i = 0; i < LOOKUPS; i++)
		at = chain->lines[at].next;
	return (double)(clock_ns() - began) / LOOKUPS + (at == chain->count ? 1 : 0);
}

/* Requests made ahead of time, so that only the lookup is measured. */
struct request {
	char text[72];
	uint16_t len, host_len, segments;
};

static unsigned make_requests(struct bench *b, struct request *requests, int form, bool miss)
{
	unsigned n = 0;

	shuffle(b);
	for (unsigned i = 0; n < LOOKUPS; i = (i + 1) % b->routes) {
		unsigned k = b->order[i];
		struct request *r = &requests[n];

		if ((int)form_of(k) != form && !miss)
			continue;
		r->len = (uint16_t)snprintf(r->text, sizeof(r->text), miss ? "none-%07u.other.example.org"
					    : form == FORM_EXACT ? "app-%07u.apps.cf.example.com"
					    : form == FORM_PATH ? "app-%07u.apps.cf.example.com/api/v1/users"
					    : "www.app-%07u.apps.cf.example.com", k);
		r->host_len = (uint16_t)strcspn(r->text, "/");
		r->segments = form == FORM_PATH && !miss ? 3 : 0;
		n++;
	}
	return n;
}

/* Find alone, or find, choose and touch the endpoint. */
static double look_up_ns(struct bench *b, const struct request *requests, bool touch, bool miss)
{
	uint64_t began = clock_ns(), touched = 0;

	for (unsigned i = 0; i < LOOKUPS; i++) {
		const struct request *r = &requests[i];
		struct route_key key = {
			.text = { r->text, r->len }, .host_len = r->host_len, .segments = r->segments,
		};
		const struct route *route;

		route_read_begin(b->reader);
		if ((route_find(b->reader, &key, &route) == ROUTE_FOUND) == miss)
			give_up("a lookup went wrong");
		if (touch && route)
			touched += inst_serial(route_entry(b->reader, route, 0, NULL));
		route_read_end(b->reader);
	}
	return (double)(clock_ns() - began) / LOOKUPS + (touched == 1);
}

static void print_lookup(struct bench *b, const char *name, int form, bool miss,
			 const struct chain *chain)
{
	struct request *requests = mem_zalloc(LOOKUPS * sizeof(*requests));
	double find[ROUNDS], touch[ROUNDS], access[ROUNDS], ratio[ROUNDS];

	make_requests(b, requests, form, miss);
	for (int i = 0; i < ROUNDS; i++) {
		access[i] = dependent_access_ns(chain);
		find[i] = look_up_ns(b, requests, false, miss);
		touch[i] = look_up_ns(b, requests, true, miss);
		ratio[i] = find[i] / access[i];
	}
	printf("{\"what\":\"lookup %s\",\"routes\":%u,\"find_ns\":%.0f,\"find_and_touch_ns\":%.0f,"
	       "\"dependent_access_ns\":%.0f,\"find_in_accesses\":%.2f}\n", name, b->routes,
	       median(find), median(touch), median(access), median(ratio));
	free(requests);
}

static void print_lookups(struct bench *b)
{
	struct chain chain;

	chain_make(&chain, (size_t)b->routes * WALKED_PER_ROUTE);
	print_lookup(b, "exact", FORM_EXACT, false, &chain);
	print_lookup(b, "path", FORM_PATH, false, &chain);
	print_lookup(b, "wildcard", FORM_WILDCARD, false, &chain);
	print_lookup(b, "miss", FORM_EXACT, true, &chain);
	chain_free(&chain);
}

typedef void write_fn(struct bench *b, unsigned k, unsigned round);

static void write_refresh(struct bench *b, unsigned k, unsigned round)
{
	if (route_writer_refresh(b->writer, &b->handles[k], round + 2))
		give_up("an outdated handle");
}

static void write_replace(struct bench *b, unsigned k, unsigned round)
{
	add(b, k, round + 1);
}

static void print_write(struct bench *b, const char *name, write_fn *write)
{
	unsigned n = b->routes < WRITES ? b->routes : WRITES;
	double ns[ROUNDS];

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t began;

		shuffle(b);
		began = clock_ns();
		for (unsigned i = 0; i < n; i++) {
			write(b, b->order[i], round);
			if (i % 64 == 63)
				route_writer_tick(b->writer, began / 1000000);
		}
		ns[round] = (double)(clock_ns() - began) / n;
	}
	printf("{\"what\":\"%s\",\"routes\":%u,\"ns\":%.0f}\n", name, b->routes, median(ns));
}

/* Dropping and adding again the same random routes. */
static void print_drop_and_new(struct bench *b)
{
	unsigned n = b->routes / 4 < WRITES ? b->routes / 4 : WRITES;
	double dropped[ROUNDS], added[ROUNDS];

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t began = clock_ns();

		shuffle(b);
		began = clock_ns();
		for (unsigned i = 0; i < n; i++)
			drop(b, b->order[i], 0);
		dropped[round] = (double)(clock_ns() - began) / n;
		route_writer_tick(b->writer, clock_ms());
		began = clock_ns();
		for (unsigned i = 0; i < n; i++)
			add(b, b->order[i], 0);
		added[round] = (double)(clock_ns() - began) / n;
	}
	printf("{\"what\":\"drop route\",\"routes\":%u,\"ns\":%.0f}\n", b->routes, median(dropped));
	printf("{\"what\":\"new route\",\"routes\":%u,\"ns\":%.0f}\n", b->routes, median(added));
}

static void print_memory(struct bench *b)
{
	struct table_usage usage;

	route_writer_usage(b->writer, &usage);
	printf("{\"what\":\"memory\",\"routes\":%u,\"tags_bytes\":%zu,\"bytes_per_route\":%.0f,"
	       "\"kib_per_route\":%.3f}\n", b->routes, strlen(b->tags),
	       (double)usage.used_bytes / b->routes, (double)usage.used_bytes / b->routes / 1024);
}

static void print_recovery(struct bench *b)
{
	struct route_recovery recovery;
	struct reason reason;

	route_writer_close(b->writer);
	if (route_writer_open(b->rw, b->board, &b->writer, &recovery, &reason))
		give_up(reason.text);
	printf("{\"what\":\"recovery\",\"routes\":%u,\"endpoints\":%" PRIu64 ",\"took_ms\":%" PRIu64 "}\n",
	       b->routes, recovery.endpoints, recovery.took_ms);
}

static void bench(unsigned routes)
{
	struct bench *b = mem_zalloc(sizeof(*b));
	uint64_t began;

	b->routes = routes;
	b->handles = mem_zalloc(routes * sizeof(*b->handles));
	b->order = mem_zalloc(routes * sizeof(*b->order));
	open_table(b);
	began = clock_ns();
	for (unsigned k = 0; k < routes; k++)
		add(b, k, 0);
	printf("{\"what\":\"fill\",\"routes\":%u,\"ns\":%.0f}\n", routes,
	       (double)(clock_ns() - began) / routes);
	print_memory(b);
	print_lookups(b);
	print_write(b, "refresh", write_refresh);
	print_drop_and_new(b);
	print_write(b, "replace endpoint", write_replace);
	print_recovery(b);
	close_table(b);
	free(b->handles);
	free(b->order);
	free(b);
}

int main(int argc, char **argv)
{
	setlinebuf(stdout);
	if (argc < 2) {
		bench(1000);
		bench(100000);
	}
	for (int i = 1; i < argc; i++)
		bench((unsigned)atoi(argv[i]) < 100 ? 100 : (unsigned)atoi(argv[i]));
	return 0;
}
