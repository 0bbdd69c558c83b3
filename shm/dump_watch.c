/*
 * shm/dump_watch.c - the summary, rates and the busiest endpoints, again and
 * again.  Plain ANSI on a terminal; without one, the same text one after the
 * other.  q, Ctrl-C and SIGTERM end it.
 */
#include "dump.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "counters.h"
#include "dump_text.h"
#include "endpoint_live.h"

#define BUSIEST 15

static volatile sig_atomic_t is_asked_to_stop;

static void on_stop(int number)
{
	(void)number;
	is_asked_to_stop = 1;
}

/* --- the busiest endpoints */

struct busy {
	unsigned in_flight;
	uint32_t failed_at;
	char key[64], address[64];
};

struct ranking {
	const struct dump *dump;
	struct busy rows[BUSIEST];    /* sorted, busiest first */
	unsigned count;
};

static bool is_busier(const struct busy *a, const struct busy *b)
{
	return a->in_flight != b->in_flight ? a->in_flight > b->in_flight : a->failed_at > b->failed_at;
}

static void rank(struct ranking *r, const struct busy *busy)
{
	unsigned at = r->count;

	while (at > 0 && is_busier(busy, &r->rows[at - 1]))
		at--;
	if (at == BUSIEST)
		return;
	if (r->count < BUSIEST)
		r->count++;
	memmove(&r->rows[at + 1], &r->rows[at], (r->count - at - 1) * sizeof(*busy));
	r->rows[at] = *busy;
}

/* Only endpoints that have something to show are copied out. */
static bool look_at(void *context, struct route_reader *reader, const struct route *route)
{
	struct ranking *r = context;
	static struct endpoint endpoint;

	for (unsigned i = 0; i < route_capacity(route); i++) {
		uint32_t last_seen;
		const struct inst *inst = route_entry(reader, route, i, &last_seen);
		struct busy busy;

		if (!inst)
			continue;
		busy.in_flight = live_in_flight(r->dump->board, inst_row(inst));
		busy.failed_at = live_failed_at(r->dump->board, inst_row(inst));
		if ((!busy.in_flight && !busy.failed_at) || !inst_copy(inst, &endpoint))
			continue;
		str_copy_z(route_name(route), busy.key, sizeof(busy.key));
		endpoint_format_address(&endpoint, busy.address, sizeof(busy.address));
		rank(r, &busy);
	}
	return true;
}

static void print_busiest(const struct dump *dump)
{
	struct ranking ranking = { .dump = dump };
	char age[32];

	route_each(dump->reader, look_at, &ranking);
	fprintf(dump->out, "\n%-40s %-24s %9s %8s\n", "ROUTE", "ADDRESS", "IN-FLIGHT", "FAILED");
	for (unsigned i = 0; i < ranking.count; i++) {
		const struct busy *busy = &ranking.rows[i];

		dump_plain(dump->out, str_of(busy->key), 40);
		putc(' ', dump->out);
		dump_plain(dump->out, str_of(busy->address), 24);
		fprintf(dump->out, " %9u %8s\n", busy->in_flight,
			busy->failed_at ? dump_duration(dump_age_ms(dump, busy->failed_at), age) : "-");
	}
}

/* --- rates */

static const enum counter watched[] = {
	COUNTER_requests, COUNTER_responses_2xx, COUNTER_responses_3xx, COUNTER_responses_4xx,
	COUNTER_responses_5xx, COUNTER_attempts, COUNTER_retries, COUNTER_upstream_connects,
	COUNTER_bytes_sent, COUNTER_registry_message_refreshed,
};

struct rates {
	uint64_t last[ARRAY_SIZE(watched)];
	uint64_t last_ms;             /* 0: first time */
};

static void print_rates(const struct dump *dump, struct rates *rates)
{
	uint64_t now_ms = clock_ms();
	uint64_t passed_ms = rates->last_ms ? now_ms - rates->last_ms : 0;

	fputs("\nper second ", dump->out);
	for (size_t i = 0; i < ARRAY_SIZE(watched); i++) {
		uint64_t sum = counter_sum(dump->board, watched[i]);

		fprintf(dump->out, " %s %" PRIu64 "%s", counter_name(watched[i]),
			passed_ms ? (sum - rates->last[i]) * 1000 / passed_ms : 0,
			i == ARRAY_SIZE(watched) / 2 - 1 ? "\n           " : "");
		rates->last[i] = sum;
	}
	putc('\n', dump->out);
	rates->last_ms = now_ms;
}

/* --- the terminal */

struct terminal {
	bool has_keys, is_screen;
	struct termios before;
};

static void terminal_open(struct terminal *t, FILE *out)
{
	struct termios raw;

	t->is_screen = isatty(fileno(out));
	t->has_keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &t->before) == 0;
	if (!t->has_keys)
		return;
	raw = t->before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

static void terminal_close(const struct terminal *t)
{
	if (t->has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &t->before);
}

/* Waits for the next refresh; false: q was pressed. */
static bool wait_for_next(const struct terminal *t, uint64_t interval_ms)
{
	uint64_t end_ms = clock_ms() + interval_ms, now_ms;
	struct pollfd in = { .fd = t->has_keys ? STDIN_FILENO : -1, .events = POLLIN };
	char key;

	while (!is_asked_to_stop && (now_ms = clock_ms()) < end_ms) {
		if (poll(&in, 1, (int)(end_ms - now_ms)) <= 0)
			continue;
		if (read(STDIN_FILENO, &key, 1) <= 0)
			in.fd = -1;
		else if (key == 'q' || key == 'Q')
			return false;
	}
	return !is_asked_to_stop;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_stop };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

int dump_watch(const struct dump *dump, const struct dump_watch *watch)
{
	struct rates rates = { .last_ms = 0 };
	struct terminal terminal;

	catch_signals();
	terminal_open(&terminal, dump->out);
	for (unsigned i = 1;; i++) {
		if (terminal.is_screen)
			fputs("\033[H\033[2J", dump->out);
		dump_summary(dump);
		print_rates(dump, &rates);
		putc('\n', dump->out);
		dump_processes(dump);
		print_busiest(dump);
		if (fflush(dump->out) != 0 || i == watch->count ||
		    !wait_for_next(&terminal, watch->interval_ms))
			break;
	}
	terminal_close(&terminal);
	return DUMP_OK;
}
