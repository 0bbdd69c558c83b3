/*
 * tests/unit/registrar/test_reading.c - a message that was read by another thread does what
 * it would have done anyway; and when that is asked for.
 */
#include "tests/unit/fixture/registrar_feed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "registrar/reading.h"
#include "tests/unit/fixture/base_clock.h"
#include "tests/unit/fixture/base_log.h"

#define LONG_HOST "l123456789.l123456789.l123456789.l123456789.l123456789.l123456789.l123456789." \
		  "l123456789.l123456789.l123456789.l123456789.l123456789.l123456789.l123456789." \
		  "l123456789.l123456789.l123456789.l123456789.l123456789.l123456789.l123456789." \
		  "l123456789.l123456789.l123456789"
#define APP "'app':'7c4a8d09-ca37-4e1b-8f2d-1b2c3d4e5f60','private_instance_id':'i-1'," \
	    "'private_instance_index':'0','server_cert_domain_san':'i-1','availability_zone':'z1'," \
	    "'tags':{'app_id':'7c4a8d09-ca37-4e1b-8f2d-1b2c3d4e5f60','process_id':'p','n':'v'}"

/* One after the other, so that some meet what others have left. */
static const char *const messages[] = {
	"{'host':'10.0.0.1','port':80,'uris':['a.example'],'isolation_segment':'ours'," APP "}",
	"{'host':'10.0.0.1','port':80,'uris':['A.Example/','b.example/v1/x','b.example/V2?q']}",
	"{ 'host':'10.0.0.2', 'port':'81', 'uris':['\\u0063.example'], 'tags':{'n':null,'x':1}}",
	"{'host':'10.0.0.3','tls_port':443,'uris':['c.example'],'server_cert_domain_san':'s'," APP "}",
	"{'host':'10.0.0.3','tls_port':443,'uris':['c.example'],'availability_zone':'z2'}",
	"{'host':'10.0.0.4','port':80,'uris':['d.example'],'stale_threshold_in_seconds':7}",
	"{'host':'10.0.0.4','port':80,'uris':['d.example'],'stale_threshold_in_seconds':70000}",
	"{'host':'10.0.0.5','port':80,'uris':['e.example'],'endpoint_updated_at_ns':50,'app':'e'}",
	"{'host':'10.0.0.5','port':80,'uris':['e.example','f.example'],'app':'e'}",
	"{'host':'10.0.0.5','port':80,'uris':['e.example'],'endpoint_updated_at_ns':40,'app':'g'}",
	"{'host':'10.0.0.6','port':80,'uris':['h.example'],'isolation_segment':'theirs'}",
	"{'host':'10.0.0.6','port':80,'uris':['?','i.example']}",
	"{'host':'10.0.0.6','port':80,'uris':['" LONG_HOST "']}",
	"{'host':'10.0.0.6','port':80,'uris':[]}",
	"{'host':'10.0.0.6','uris':['j.example']}",
	"{'host':'10.0.0.6','port':80,'uris':['k.example'],'route_service_url':'http://plain'}",
	"{'host':'10.0.0.7','port':80,'uris':['l.example','l.example'],'options':"
		"{'loadbalancing':'least-connection'},'protocol':'http2','app':3}",
	"null", "", "[]", "{", "{'host':'10.0.0.8'",
};

static char *ours[] = { "ours" };
static const struct registrar_settings settings = {
	.droplet_stale_threshold_ms = 120000, .minimum_register_interval_ms = 20000,
	.sharding = SHARDING_SHARED_AND_SEGMENTS, .isolation_segments = { ours, 1 },
};

static struct str quoted(const char *text, char out[2048])
{
	size_t len = strlen(text);

	assert_true(len < 2048);
	for (size_t i = 0; i < len; i++)
		out[i] = text[i] == '\'' ? '"' : text[i];
	return (struct str){ out, len };
}

static struct reading_rules rules_of(struct feed *f)
{
	return (struct reading_rules){
		.settings = &f->settings, .key = f->trust.key,
		.seed = route_writer_seed(f->table->writer),
	};
}

/* What tables of different seeds have in common: all that was ever said. */
struct outcome {
	struct lines {
		char *texts[256];
		unsigned count;
	} entries, log;
	uint64_t counters[COUNTER_COUNT];
	struct route_digest digest;
	unsigned changes;             /* in the history of one host */
};

static void keep(struct lines *lines, const char *text, size_t len)
{
	assert_true(lines->count < ARRAY_SIZE(lines->texts));
	lines->texts[lines->count++] = mem_strdup((struct str){ text, len });
}

struct listing {
	struct lines *lines;
	struct route_writer *writer;
};

static enum entry_verdict list_entry(void *context, const struct entry_view *entry)
{
	struct listing *list = context;
	struct endpoint e;
	char tags[ENDPOINT_TAGS_MAX], line[4096];
	size_t len;

	assert_true(route_writer_endpoint(list->writer, entry->row, entry->serial, &e, tags));
	len = (size_t)snprintf(line, sizeof(line), "%.*s port=%u flags=%u stale=%u at=%llu by=%u "
			       "tags=%.*s", STR_ARG(entry->key), e.port, e.flags, e.stale_s,
			       (unsigned long long)e.updated_at_ns, e.balancing, STR_ARG(e.tags));
#define X(name) len += (size_t)snprintf(line + len, sizeof(line) - len, " " #name "=%.*s", \
					STR_ARG(e.name));
	ENDPOINT_TEXTS(X)
#undef X
	assert_true(len < sizeof(line));
	keep(list->lines, line, len);
	return ENTRY_KEEP;
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Without the time. */
static void split_log(struct lines *lines, const char *text)
{
	const char *end;

	for (; (end = strchr(text, '\n')); text = end + 1) {
		const char *from = strstr(text, ",\"message\"");

		keep(lines, from, (size_t)(end - from));
	}
}

static void take_all(struct feed *f, bool is_ahead, unsigned times)
{
	const struct reading_rules rules = rules_of(f);

	for (unsigned i = 0; i < times * ARRAY_SIZE(messages); i++) {
		char text[2048];
		struct str payload = quoted(messages[i % ARRAY_SIZE(messages)], text);
		struct bus_message m = { .subject = BUS_REGISTER, .payload = payload,
					 .hash = feed_hash(payload) };
		struct arena arena;

		arena_init(&arena, NULL, 0);
		if (is_ahead) {
			m.reading = reading_make(&rules, payload, &arena);
			reading_add_offer(&rules, m.reading, &arena);
		}
		registry_take(f->registry, &m, 1, 10 + i);
		arena_fini(&arena);
	}
}

static void find_outcome(struct outcome *out, bool is_ahead, unsigned times)
{
	static struct history_record records[HISTORY_WAYS];
	struct shm_table *t = shm_table_create_with_history(1 << 20);
	struct feed *f;
	struct listing list = { &out->entries, t->writer };
	bool is_full;

	fake_clock_start();           /* lines that are limited are so many a second */
	f = feed_create_with(t, &settings);
	log_configure(&(struct log_settings){ .level = LOG_LEVEL_DEBUG, .source = "wye" });
	log_catch_begin();
	take_all(f, is_ahead, times);
	split_log(&out->log, log_catch_end());
	log_configure(&(struct log_settings){ .level = LOG_LEVEL_ERROR, .source = "wye" });
	for (unsigned slice = 0; slice < ROUTE_WRITER_SLICES; slice++)
		route_writer_sweep(t->writer, slice, f->tick, list_entry, &list);
	qsort(out->entries.texts, out->entries.count, sizeof(char *), compare_lines);
	memcpy(out->counters, f->counters, sizeof(out->counters));
	out->digest = *route_writer_digest(t->writer);
	out->changes = history_of_host(t->ro, STR("b.example"), records, &is_full);
	shm_table_assert_sound(t);
	feed_destroy(f);
	fake_clock_stop();
	shm_table_destroy(t);
}

static void assert_same_lines(struct lines *a, struct lines *b)
{
	for (unsigned i = 0; i < a->count && i < b->count; i++) {
		assert_string_equal(a->texts[i], b->texts[i]);
		free(a->texts[i]);
		free(b->texts[i]);
	}
	assert_int_equal(a->count, b->count);
}

static void a_message_does_the_same_whoever_has_read_it(void **state)
{
	(void)state;
	for (unsigned times = 1; times <= 2; times++) {
		static struct outcome plain, ahead;

		plain = ahead = (struct outcome){ .changes = 0 };
		find_outcome(&plain, false, times);
		find_outcome(&ahead, true, times);
		assert_true(plain.entries.count >= 10);
		assert_true(plain.counters[COUNTER_registry_message_rejected] > 0);
		assert_true(plain.counters[COUNTER_registry_message_filtered] > 0);
		assert_true(plain.counters[COUNTER_registry_message_updated] > 0);
		assert_true(plain.changes >= 2);
		assert_same_lines(&plain.entries, &ahead.entries);
		assert_same_lines(&plain.log, &ahead.log);
		assert_memory_equal(plain.counters, ahead.counters, sizeof(plain.counters));
		assert_memory_equal(&plain.digest, &ahead.digest, sizeof(plain.digest));
		assert_int_equal(plain.changes, ahead.changes);
	}
}

static struct reading *read_text(struct feed *f, const char *text, char out[2048],
				 struct arena *arena)
{
	const struct reading_rules rules = rules_of(f);
	struct reading *reading;

	arena_init(arena, NULL, 0);
	reading = reading_make(&rules, quoted(text, out), arena);
	reading_add_offer(&rules, reading, arena);
	return reading;
}

/* Nothing is made that nobody will ask for. */
static void only_what_concerns_us_and_has_a_key_is_offered(void **state)
{
	static const struct { const char *text; int result; bool is_offered; } cases[] = {
		{ "{'host':'h','port':1,'uris':['a']}",                                   0, true },
		{ "{'host':'h','port':1,'uris':['a'],'isolation_segment':'ours'}",        0, true },
		{ "{'host':'h','port':1,'uris':['a'],'isolation_segment':'theirs'}",      0, false },
		{ "{'host':'h','port':1,'uris':['?','a']}",                               0, false },
		{ "{'host':'h','port':1,'uris':[]}",                               -ENODATA, false },
		{ "{'port':1,'uris':['a']}",                                        -EINVAL, false },
		{ "",                                                               -EINVAL, false },
		{ "null",                                                          -ENODATA, false },
	};
	struct feed *f = feed_create_with(*state, &settings);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[2048];
		struct arena arena;
		struct reading *reading = read_text(f, cases[i].text, text, &arena);

		assert_int_equal(reading->result, cases[i].result);
		assert_int_equal(reading->offer != NULL, cases[i].is_offered);
		assert_int_equal(reading->reason != NULL, cases[i].result == -EINVAL);
		arena_fini(&arena);
	}
	feed_destroy(f);
}

/* --- when */

static void hear(struct feed *f, unsigned source, unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++) {
		char text[128];
		int len = snprintf(text, sizeof(text), "{\"host\":\"10.0.0.1\",\"port\":80,"
				   "\"uris\":[\"n%u.example\"]}", i);

		feed_arrives(f->registry, source, (struct str){ text, (size_t)len }, f->tick);
	}
}

static bool reads_ahead(struct feed *f, unsigned source)
{
	return registry_read_ahead(f->registry, source) != NULL;
}

static void messages_are_read_ahead_while_most_of_them_are_new(void **state)
{
	struct feed *f = feed_create(*state, 2);

	assert_false(reads_ahead(f, 0));
	hear(f, 0, 0, 1000);
	assert_true(reads_ahead(f, 0));
	for (unsigned round = 0; round < 3; round++)
		hear(f, 0, 0, 500);
	assert_false(reads_ahead(f, 0));
	hear(f, 0, 1000, 1000);
	assert_true(reads_ahead(f, 0));
	feed_destroy(f);
}

static void a_few_new_ones_among_heartbeats_change_nothing(void **state)
{
	struct feed *f = feed_create(*state, 2);

	hear(f, 0, 0, 256);
	assert_true(reads_ahead(f, 0));
	for (unsigned i = 0; i < 256; i++)    /* a quarter is new: on stays on */
		hear(f, 0, i % 4 ? i : 1000 + i, 1);
	assert_true(reads_ahead(f, 0));
	hear(f, 0, 1, 2);
	for (unsigned i = 0; i < 3; i++)
		hear(f, 0, 5, 256);
	assert_false(reads_ahead(f, 0));
	for (unsigned i = 0; i < 512; i++)    /* and off stays off */
		hear(f, 0, i % 4 ? 6 : 2000 + i, 1);
	assert_false(reads_ahead(f, 0));
	feed_destroy(f);
}

/* Of the copies of one message, that of the first server is the new one. */
static void each_server_is_judged_by_what_it_brings(void **state)
{
	struct feed *f = feed_create(*state, 2);

	for (unsigned i = 0; i < 1000; i++) {
		hear(f, 0, i, 1);
		hear(f, 1, i, 1);
	}
	assert_true(reads_ahead(f, 0));
	assert_false(reads_ahead(f, 1));
	feed_destroy(f);
}

int main(void)
{
#define ON_TABLE(test) cmocka_unit_test_setup_teardown(test, shm_table_setup, shm_table_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_does_the_same_whoever_has_read_it),
		ON_TABLE(only_what_concerns_us_and_has_a_key_is_offered),
		ON_TABLE(messages_are_read_ahead_while_most_of_them_are_new),
		ON_TABLE(a_few_new_ones_among_heartbeats_change_nothing),
		ON_TABLE(each_server_is_judged_by_what_it_brings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
