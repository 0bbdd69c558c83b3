/*
 * shm/dump_sources.c - shm-dump --sources: the NATS servers as the registrar sees them,
 * and which hears which.
 */
#include "dump.h"

#include <inttypes.h>

#include "base/clock.h"
#include "board_sources.h"
#include "dump_text.h"

static const char *const probe_names[] = {
	[BOARD_PROBE_UNKNOWN] = "unknown", [BOARD_PROBE_OK] = "ok", [BOARD_PROBE_LOST] = "lost",
};

static const char *probe_name(uint8_t probe)
{
	return probe < ARRAY_SIZE(probe_names) ? probe_names[probe] : probe_names[0];
}

/* Milliseconds gone by; -1: it never was. */
static int64_t age_ms(uint64_t then_ms)
{
	uint64_t now = clock_ms();

	return !then_ms ? -1 : now > then_ms ? (int64_t)(now - then_ms) : 0;
}

/* What the board says was so when it last spoke. */
static bool is_registrar_silent(const struct dump *dump)
{
	struct slot_view view;

	board_slot_view(dump->board, SLOT_REGISTRAR, &view);
	return !view.is_alive || age_ms(view.heartbeat_ms) >= FEED_SILENT_MS;
}

static void json_source(const struct dump *dump, const struct board_source *s)
{
	struct board_source other;
	unsigned count = board_source_count(dump->board);

	fputs("{\"server\":", dump->out);
	dump_json_string(dump->out, str_of(s->name));
	fputs(",\"state\":", dump->out);
	dump_json_string(dump->out, str_of(s->state));
	fprintf(dump->out, ",\"connected\":%s,\"last_message_ms\":%" PRId64
		",\"trusted_ms\":%" PRId64 ",\"messages\":%" PRIu64 ",\"dropped\":%" PRIu64
		",\"connects\":%" PRIu64 ",\"delay_us\":%" PRIu64 ",\"probes\":{",
		s->is_connected ? "true" : "false", age_ms(s->last_message_ms),
		age_ms(s->trusted_since_ms), s->messages, s->dropped, s->connects, s->delay_us);
	for (unsigned i = 0; i < count; i++) {
		board_source_copy(dump->board, i, &other);
		if (i)
			putc(',', dump->out);
		dump_json_string(dump->out, str_of(other.name));
		fprintf(dump->out, ":\"%s\"", probe_name(s->probe[i]));
	}
	fputs("}}", dump->out);
}

static void json_sources(const struct dump *dump)
{
	struct board_source source;

	fprintf(dump->out, "{\"registrar_silent\":%s,\"islands\":%" PRIu64
		",\"sources\":[", is_registrar_silent(dump) ? "true" : "false",
		board_fact(dump->board, FACT_NATS_ISLANDS));
	for (unsigned i = 0; i < board_source_count(dump->board); i++) {
		board_source_copy(dump->board, i, &source);
		if (i)
			putc(',', dump->out);
		json_source(dump, &source);
	}
	fputs("]}\n", dump->out);
}

static const char *plain_age(int64_t ms, char out[32])
{
	return ms < 0 ? "-" : dump_duration((uint64_t)ms, out);
}

static void plain_source(const struct dump *dump, unsigned number, const struct board_source *s)
{
	char last[32], trusted[32];

	fprintf(dump->out, "%2u ", number);
	dump_plain(dump->out, str_of(s->name), 32);
	putc(' ', dump->out);
	dump_plain(dump->out, str_of(s->state), 7);
	fprintf(dump->out, " %9s %9s %10" PRIu64 " %8" PRIu64 " %9" PRIu64 "  ",
		plain_age(age_ms(s->last_message_ms), last),
		plain_age(age_ms(s->trusted_since_ms), trusted), s->messages, s->dropped,
		s->delay_us);
	for (unsigned i = 0; i < board_source_count(dump->board); i++)
		fprintf(dump->out, " %7s", probe_name(s->probe[i]));
	putc('\n', dump->out);
}

static void plain_sources(const struct dump *dump)
{
	unsigned count = board_source_count(dump->board);
	struct board_source source;

	if (is_registrar_silent(dump))
		fputs("the registrar is silent: so it was when it last spoke\n", dump->out);
	fprintf(dump->out, "islands %" PRIu64 "\n%2s %-32s %-7s %9s %9s %10s %8s %9s   PROBES TO",
		board_fact(dump->board, FACT_NATS_ISLANDS), "", "SERVER", "STATE", "LAST", "TRUSTED",
		"MESSAGES", "DROPPED", "DELAY_US");
	for (unsigned i = 0; i < count; i++)
		fprintf(dump->out, "%*u", i ? 8 : 2, i);
	putc('\n', dump->out);
	for (unsigned i = 0; i < count; i++) {
		board_source_copy(dump->board, i, &source);
		plain_source(dump, i, &source);
	}
}

int dump_sources(const struct dump *dump)
{
	(dump->as_json ? json_sources : plain_sources)(dump);
	return DUMP_OK;
}
