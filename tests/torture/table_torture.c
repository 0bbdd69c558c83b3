/*
 * tests/torture/table_torture.c - a registrar that changes the table flat out and
 * workers that verify everything they find, while both are killed and stopped at
 * random.  Run by tests/integration/test_table_torture.py.
 *
 *   table_torture [--events N] [--workers N] [--seed N] [--pause-us N] [--no-grace]
 *
 * --no-grace is the positive control: workers do not post their epoch, so blocks
 * are reused under their eyes, and the run must find violations.  Prints one JSON
 * object; exit 0: no violation, 1: some, 2: the run itself failed.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/counters.h"
#include "shm/endpoint_live.h"
#include "shm/recovery.h"
#include "shm/route_table.h"
#include "shm/route_writer_core.h"

#define KEYS 600                      /* the first STABLE are always registered */
#define STABLE 100
#define WORKERS_MAX 16
#define ADDRESSES 8

struct facts {                        /* shared by all processes of the run */
	uint64_t verified, damaged, misses, wrong;
	uint64_t recoveries, moves, changes, deferred_max;
	uint32_t stop, is_seeded;
};

static struct facts *facts;
static struct region_objects objects;
static struct board *board;
static bool no_grace;
static uint64_t state = 1;
static char instance[64];

static unsigned random_below(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)((state >> 11) % n);
}

static void count(uint64_t *what)
{
	__atomic_fetch_add(what, 1, __ATOMIC_RELAXED);
}

static bool must_stop(void)
{
	return __atomic_load_n(&facts->stop, __ATOMIC_RELAXED);
}

static void die(const char *what, const struct reason *reason)
{
	fprintf(stderr, "%s: %s\n", what, reason->text);
	_exit(2);
}

/* Key and endpoint number k; the text tells which, so that a reader can check. */
static void name_key(unsigned k, char *out, size_t cap)
{
	static const char *const forms[] = { "app%u.example.com", "app%u.example.com/v1",
					     "*.wild%u.example.com", "host%u.example.com/a/b/c" };

	snprintf(out, cap, forms[k % 4], k);
}

static void describe(unsigned k, unsigned a, unsigned version, struct endpoint *out)
{
	static char app[32], zone[64], host[32], tags[700];
	int len = snprintf(tags, sizeof(tags), "{\"key\":\"%u\",\"fill\":\"", k);

	snprintf(app, sizeof(app), "key-%u", k);
	snprintf(zone, sizeof(zone), "%.*s", (int)(version % 40) + 1,
		 "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz");
	snprintf(host, sizeof(host), "10.%u.%u.%u", k / 250, k % 250, a);
	memset(tags + len, 'a' + (int)(k % 26), version * 13 % 500);
	memcpy(tags + len + version * 13 % 500, "\"}", 3);
	*out = (struct endpoint){
		.port = (uint16_t)(1000 + k), .stale_s = 120, .host = str_of(host), .app_id = str_of(app),
		.zone = str_of(zone), .tags = str_of(tags),
	};
}

/* --- the registrar --- */

static void change(struct route_writer *writer, unsigned k)
{
	static struct endpoint endpoint;
	char text[64], buffer[ROUTE_KEY_MAX];
	struct route_handle handle;
	struct route_key key;
	unsigned a = k < STABLE ? 0 : random_below(ADDRESSES);
	bool flag;

	name_key(k, text, sizeof(text));
	route_key_parse(str_of(text), buffer, &key, NULL);
	describe(k, a, random_below(1000), &endpoint);
	if (k >= STABLE && random_below(2)) {
		route_writer_remove(writer, &key, endpoint.host, endpoint.port, STR_NONE, &flag);
		return;
	}
	if (route_writer_add(writer, &key, &endpoint, 1, &handle, &flag) > 0 && random_below(4) == 0)
		route_writer_refresh(writer, &handle, 2);
}

static void registrar_run(void)
{
	struct route_recovery recovery;
	struct route_writer *writer;
	struct table_usage usage;
	struct reason reason;
	struct table *table;

	if (table_map(objects.table_rw, true, &table, &reason) ||
	    board_slot_claim(board, SLOT_REGISTRAR, &reason) ||
	    route_writer_open(table, board, &writer, &recovery, &reason))
		die("registrar", &reason);
	count(&facts->recoveries);
	__atomic_fetch_add(&facts->damaged, recovery.damaged, __ATOMIC_RELAXED);
	for (unsigned k = 0; !facts->is_seeded && k < STABLE; k++)
		change(writer, k);
	__atomic_store_n(&facts->is_seeded, 1, __ATOMIC_RELEASE);
	while (!must_stop()) {
		for (int i = 0; i < 16; i++)
			change(writer, random_below(KEYS));
		__atomic_fetch_add(&facts->changes, 16, __ATOMIC_RELAXED);
		route_writer_tick(writer, clock_ms());
		if (!writer->is_draining && random_below(2000) == 0) {
			count(&facts->moves);
			recovery_move(writer, &recovery);
		}
		route_writer_usage(writer, &usage);
		if (usage.deferred_bytes > facts->deferred_max)
			facts->deferred_max = usage.deferred_bytes;
	}
	_exit(0);
}

/* --- a worker --- */

static void hold(void)
{
	uint64_t until = clock_ns() + random_below(300000);

	while (clock_ns() < until)
		;
}

/* Everything that can be wrong with a block that a reader may look at. */
static bool is_whole(const struct route_reader *reader, const struct route *route,
		     const struct inst *inst, unsigned k, struct endpoint *copy)
{
	struct str tags, name = route_name(route);
	char text[64], app[32];

	name_key(k, text, sizeof(text));
	snprintf(app, sizeof(app), "key-%u", k);
	return inst_is_whole(route_reader_table(reader), inst, &tags) &&
	       inst_copy(inst, copy) && str_equal(name, str_of(text)) &&
	       block_sum(name.p, name.len) == route->key_sum &&
	       str_equal(copy->app_id, str_of(app)) && copy->port == 1000 + k;
}

static void look_up(struct route_reader *reader, unsigned slot, unsigned k)
{
	static struct endpoint copy;
	char text[64], host[64], buffer[ROUTE_KEY_MAX];
	const struct inst *inst = NULL;
	const struct route *route;
	struct route_key key;
	bool counted = false;
	size_t cut;

	name_key(k, text, sizeof(text));
	cut = strcspn(text, "/");
	snprintf(host, sizeof(host), "%s%.*s", text[0] == '*' ? "x" : "", (int)cut - (text[0] == '*'),
		 text + (text[0] == '*'));
	route_key_from_request(str_of(host), str_of(text[cut] ? text + cut : "/"), buffer, &key);
	route_read_begin(reader);
	if (route_find(reader, &key, &route) == ROUTE_FOUND)
		for (unsigned i = 0; !inst && i < route_capacity(route); i++)
			inst = route_entry(reader, route, i, NULL);
	if (inst && random_below(50) == 0)
		hold();
	if (inst && is_whole(reader, route, inst, k, &copy)) {
		counted = live_begin(board, copy.row, slot);
		count(&facts->verified);
	} else if (inst) {
		count(&facts->wrong);
	} else if (k < STABLE) {
		count(&facts->misses);
	}
	route_read_end(reader);
	if (counted)
		live_end(board, copy.row, slot);
}

static void worker_run(unsigned slot)
{
	struct route_reader *reader;
	struct reason reason;
	struct table *table;

	if (table_map(objects.table_ro, false, &table, &reason) || board_slot_claim(board, slot, &reason))
		die("worker", &reason);
	reader = route_reader_create(table, board, no_grace ? -1 : (int)slot);
	while (!must_stop())
		look_up(reader, slot, random_below(KEYS));
	_exit(0);
}

/* --- the master --- */

static pid_t spawn(void (*run)(unsigned), unsigned slot)
{
	uint64_t seed = state * 2862933555777941757u + slot + 1;
	pid_t pid;

	random_below(2);
	pid = fork();
	if (pid == 0) {
		state = seed | 1;
		run(slot);
	}
	return pid;
}

static void registrar_entry(unsigned slot)
{
	(void)slot;
	alloc_poisons = true;
	registrar_run();
}

static void pause_us(unsigned us)
{
	struct timespec pause = { us / 1000000, us % 1000000 * 1000l };

	nanosleep(&pause, NULL);
}

static bool reap(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid &&
	       (WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
}

struct tally {
	unsigned worker_kills, registrar_kills, stops, strange_deaths;
};

static void kill_worker(pid_t *pid, unsigned slot, struct tally *tally)
{
	kill(*pid, SIGKILL);
	tally->strange_deaths += !reap(*pid);
	counters_fold(board, slot);
	board_slot_clear(board, slot);
	*pid = spawn(worker_run, slot);
	tally->worker_kills++;
}

static void one_event(pid_t *workers, unsigned worker_count, pid_t *registrar, struct tally *tally)
{
	unsigned w = random_below(worker_count);

	switch (random_below(5)) {
	case 0:
	case 1:
		kill_worker(&workers[w], SLOT_WORKER + w, tally);
		break;
	case 2:
	case 3:
		kill(*registrar, SIGKILL);
		tally->strange_deaths += !reap(*registrar);
		*registrar = spawn(registrar_entry, SLOT_REGISTRAR);
		tally->registrar_kills++;
		break;
	default:
		kill(workers[w], SIGSTOP);
		pause_us(random_below(5000));
		kill(workers[w], SIGCONT);
		tally->stops++;
	}
}

/* What is still counted or deferred when everybody has gone. */
static void look_at_what_is_left(uint64_t *in_flight, uint64_t *deferred, uint64_t *faults)
{
	struct route_recovery recovery;
	struct route_writer *writer;
	struct table_usage usage;
	struct route_reader *reader;
	struct reason reason;
	struct table *table;

	*in_flight = 0;
	for (uint32_t row = 0; row < board->rows && row < board_head(board)->rows_used; row++)
		*in_flight += live_in_flight(board, row);
	if (table_map(objects.table_rw, true, &table, &reason) ||
	    route_writer_open(table, board, &writer, &recovery, &reason))
		die("after the run", &reason);
	facts->damaged += recovery.damaged;
	for (int i = 0; i < 1000; i++)
		change(writer, random_below(KEYS));
	for (int i = 0; i < 4; i++)
		route_writer_tick(writer, clock_ms());
	route_writer_usage(writer, &usage);
	*deferred = usage.deferred_bytes;
	reader = route_reader_create(table, NULL, -1);
	*faults = table_check(reader, NULL, NULL);
	route_reader_destroy(reader);
	route_writer_close(writer);
	table_unmap(table);
}

static int report(const struct tally *tally)
{
	uint64_t in_flight, deferred, faults;
	bool clean;

	look_at_what_is_left(&in_flight, &deferred, &faults);
	clean = !facts->wrong && !facts->misses && !facts->damaged && !in_flight && !deferred && !faults &&
		!tally->strange_deaths;
	printf("{\"verified\":%" PRIu64 ",\"wrong\":%" PRIu64 ",\"misses\":%" PRIu64
	       ",\"damaged\":%" PRIu64 ",\"faults\":%" PRIu64 ",\"in_flight_left\":%" PRIu64
	       ",\"deferred_left\":%" PRIu64 ",\"deferred_max\":%" PRIu64 ",\"changes\":%" PRIu64
	       ",\"recoveries\":%" PRIu64 ",\"moves\":%" PRIu64 ",\"worker_kills\":%u"
	       ",\"registrar_kills\":%u,\"stops\":%u,\"strange_deaths\":%u}\n",
	       facts->verified, facts->wrong, facts->misses, facts->damaged, faults, in_flight, deferred,
	       facts->deferred_max, facts->changes, facts->recoveries, facts->moves, tally->worker_kills,
	       tally->registrar_kills, tally->stops, tally->strange_deaths);
	return clean ? 0 : 1;
}

static int run(unsigned events, unsigned worker_count, unsigned pause)
{
	pid_t workers[WORKERS_MAX], registrar = spawn(registrar_entry, SLOT_REGISTRAR);
	struct tally tally = { 0 };

	while (!__atomic_load_n(&facts->is_seeded, __ATOMIC_ACQUIRE))
		pause_us(1000);
	for (unsigned i = 0; i < worker_count; i++)
		workers[i] = spawn(worker_run, SLOT_WORKER + i);
	for (unsigned i = 0; i < events; i++) {
		pause_us(random_below(2 * pause + 1));
		one_event(workers, worker_count, &registrar, &tally);
	}
	__atomic_store_n(&facts->stop, 1, __ATOMIC_RELAXED);
	tally.strange_deaths += !reap(registrar);
	for (unsigned i = 0; i < worker_count; i++) {
		tally.strange_deaths += !reap(workers[i]);
		board_slot_clear(board, SLOT_WORKER + i);
	}
	return report(&tally);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "events", required_argument, NULL, 'e' }, { "workers", required_argument, NULL, 'w' },
		{ "seed", required_argument, NULL, 's' }, { "pause-us", required_argument, NULL, 'p' },
		{ "no-grace", no_argument, NULL, 'n' }, { NULL, 0, NULL, 0 },
	};
	unsigned events = 1000, workers = 3, pause = 8000;
	struct region_spec spec = { .instance = instance, .arena_bytes = 64u << 20,
				    .worker_slots = WORKERS_MAX, .log_ring_bytes = 4096,
				    .history_bytes = 1u << 20 };
	struct reason reason;
	int c, rc;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case 'e': events = (unsigned)atoi(optarg); break;
		case 'w': workers = (unsigned)atoi(optarg); break;
		case 's': state = (uint64_t)atoll(optarg) * 2 + 1; break;
		case 'p': pause = (unsigned)atoi(optarg); break;
		case 'n': no_grace = true; break;
		default: return 2;
		}
	}
	snprintf(instance, sizeof(instance), "wye-torture-%d", (int)getpid());
	facts = mmap(NULL, sizeof(*facts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (facts == MAP_FAILED || workers < 1 || workers > WORKERS_MAX)
		return 2;
	if (region_open(&spec, &objects, &reason) || board_map(objects.board, &board, &reason))
		die("torture", &reason);
	rc = run(events, workers, pause);
	board_unmap(board);
	region_release(instance, &objects, true);
	return rc;
}
