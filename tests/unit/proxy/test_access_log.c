/*
 * tests/unit/proxy/test_access_log.c - the line as Gorouter writes it, and its
 * way through the ring to the file.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/process.h"
#include "counters.h"
#include "log_ring.h"
#include "proxy/access_log.h"
#include "tests/unit/fixture/shm_table.h"

/* 2026-11-20T12:51:21.846675894Z */
#define STARTED_NS 1795179081846675894ull

static const struct access_settings settings;
static struct access_format *plain;

static struct access_record example(void)
{
	return (struct access_record){
		.host = STR("app.test"), .method = STR("GET"), .target = STR("/"), .minor = 1,
		.status = 200, .sent_bytes = 2, .user_agent = STR("ua"), .remote = STR("127.0.0.1:33778"),
		.backend = STR("127.0.0.1:39577"), .forwarded_for = STR("127.0.0.1"),
		.forwarded_proto = STR("http"), .started_wall_ns = STARTED_NS,
		.request_id = STR("f87d971a-59f1-4c4d-5462-d5bbc74b6896"),
		.elapsed_ns = 1427000, .router_ns = 299000,
		.app_id = STR("aaaaaaaa-1111-2222-3333-bbbbbbbbbbbb"), .app_index = STR("0"),
		.instance_id = STR("inst-39577"),
	};
}

static const char *line_of(const struct access_record *record)
{
	static char line[ACCESS_LINE_MAX + 1];
	size_t n = access_log_format(plain, record, line);

	assert_true(n > 0 && n <= ACCESS_LINE_MAX);
	line[n] = '\0';
	return line;
}

static void the_published_example_is_written_byte_for_byte(void **state)
{
	struct access_record record = example();

	(void)state;
	assert_string_equal(line_of(&record),
		"app.test - [2026-11-20T12:51:21.846675894Z] \"GET / HTTP/1.1\" 200 0 2 \"-\" \"ua\" "
		"\"127.0.0.1:33778\" \"127.0.0.1:39577\" x_forwarded_for:\"127.0.0.1\" "
		"x_forwarded_proto:\"http\" vcap_request_id:\"f87d971a-59f1-4c4d-5462-d5bbc74b6896\" "
		"response_time:0.001427 gorouter_time:0.000299 "
		"app_id:\"aaaaaaaa-1111-2222-3333-bbbbbbbbbbbb\" app_index:\"0\" "
		"instance_id:\"inst-39577\" x_cf_routererror:\"-\"\n");
}

static void what_is_not_known_is_a_dash(void **state)
{
	struct access_record record = { .started_wall_ns = STARTED_NS, .router_ns = -1 };

	(void)state;
	assert_string_equal(line_of(&record),
		" - [2026-11-20T12:51:21.846675894Z] \"-\" \"-\" 0 0 \"-\" \"-\" \"-\" \"-\" "
		"x_forwarded_for:\"-\" x_forwarded_proto:\"-\" vcap_request_id:\"-\" "
		"response_time:0.000000 gorouter_time:\"-\" app_id:\"-\" app_index:\"-\" "
		"instance_id:\"-\" x_cf_routererror:\"-\"\n");
}

/* The text between the first two double quotes that stand for themselves. */
static const char *request_line_of(const struct access_record *record)
{
	static char found[ACCESS_LINE_MAX];
	const char *from = strchr(line_of(record), '"') + 1, *to = from;

	while (*to != '"')
		to += *to == '\\' ? 2 : 1;
	snprintf(found, sizeof(found), "%.*s", (int)(to - from), from);
	return found;
}

static void the_target_is_rendered_as_go_renders_a_parsed_one(void **state)
{
	static const struct { const char *method, *target, *line; } cases[] = {
		{ "GET", "/a/b?x=1&y=%zz", "GET /a/b?x=1&y=%zz HTTP/1.1" },
		{ "GET", "http://other.test:80/a?b", "GET /a?b HTTP/1.1" },
		{ "GET", "http://other.test", "GET / HTTP/1.1" },
		{ "GET", "http://other.test?b", "GET /?b HTTP/1.1" },
		{ "GET", "urn:isbn:1?q", "GET isbn:1?q HTTP/1.1" },
		{ "GET", "//a//b/../c", "GET //a//b/../c HTTP/1.1" },
		{ "GET", "/x?", "GET /x? HTTP/1.1" },
		{ "GET", "/x??", "GET /x?? HTTP/1.1" },
		{ "OPTIONS", "*", "OPTIONS * HTTP/1.1" },
		{ "CONNECT", "a.test:443", "CONNECT / HTTP/1.1" },
		{ "CONNECT", "/a.test:443", "CONNECT /a.test:443 HTTP/1.1" },
		{ "GET", "/%41%2f%e4!*'()[]", "GET /%41%2f%e4!*'()[] HTTP/1.1" },
		{ "GET", "/\303\244/%41!", "GET /%C3%A4/A%21 HTTP/1.1" },
		{ "GET", "/a\"b#c", "GET /a%22b%23c HTTP/1.1" },
		{ "GET", "/a%2Fb\"", "GET /a/b%22 HTTP/1.1" },
		{ "GET", "/a%4", "GET /a%254 HTTP/1.1" },
		{ "GET", "/a?\"\\\303\244", "GET /a?\\\"\\\\\303\244 HTTP/1.1" },
		{ "G\"", "/", "G\\\" / HTTP/1.1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct access_record record = example();

		record.method = str_of(cases[i].method);
		record.target = str_of(cases[i].target);
		assert_string_equal(request_line_of(&record), cases[i].line);
	}
}

static void texts_are_quoted_as_go_quotes(void **state)
{
	static const struct { const char *text, *quoted; } cases[] = {
		{ "plain, with 'blanks'", "plain, with 'blanks'" },
		{ "a\"b\\c", "a\\\"b\\\\c" },
		{ "\a\b\f\n\r\t\v", "\\a\\b\\f\\n\\r\\t\\v" },
		{ "\001\033\177", "\\x01\\x1b\\x7f" },
		{ "gr\303\274n \342\202\254 \360\237\230\200", "gr\303\274n \342\202\254 \360\237\230\200" },
		{ "\303", "\\xc3" },
		{ "\300\200", "\\xc0\\x80" },
		{ "\355\240\200", "\\xed\\xa0\\x80" },
		{ "\364\220\200\200", "\\xf4\\x90\\x80\\x80" },
		{ "\302\240\302\255", "\\u00a0\\u00ad" },
		{ "\342\200\250\357\273\277", "\\u2028\\ufeff" },
		{ "\357\277\275", "\357\277\275" },
		{ "\363\240\200\201", "\\U000e0001" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct access_record record = example();
		char wanted[128];

		record.user_agent = str_of(cases[i].text);
		snprintf(wanted, sizeof(wanted), " 200 0 2 \"-\" \"%s\" \"127.0.0.1:", cases[i].quoted);
		assert_non_null(strstr(line_of(&record), wanted));
	}
}

static void a_host_cannot_break_the_line(void **state)
{
	struct access_record record = example();

	(void)state;
	record.host = STR("a\nb c\"\377:80");
	assert_true(strncmp(line_of(&record), "a?b?c??:80 - [", 14) == 0);
}

static void times_are_seconds_rounded_to_six_decimals(void **state)
{
	struct access_record record = example();

	(void)state;
	record.elapsed_ns = 61000000499ull;
	record.router_ns = 999999500;
	record.minor = 0;
	assert_non_null(strstr(line_of(&record), "\"GET / HTTP/1.0\" "));
	assert_non_null(strstr(line_of(&record), " response_time:61.000000 gorouter_time:1.000000 "));
}

static void an_overlong_line_is_cut_inside_its_texts_only(void **state)
{
	static char much[100000];
	struct access_record record = example();
	const char *line;

	(void)state;
	memset(much, '\\', sizeof(much));
	record.target = (struct str){ "/\"", 2 };
	record.user_agent = record.referer = record.host = record.request_id = record.router_error =
		record.forwarded_for = record.forwarded_proto = record.backend = record.method =
		record.app_id = record.app_index = record.instance_id =
		(struct str){ much, sizeof(much) };
	line = line_of(&record);
	assert_non_null(strstr(line, "\\\\...USER-AGENT-TOO-LONG-TO-LOG--TRUNCATED\" \"127.0.0.1:33778\""));
	assert_non_null(strstr(line, "...X-CF-ROUTERERROR-TOO-LONG-TO-LOG--TRUNCATED\"\n"));
	assert_null(strstr(line, "REQUEST-URI"));
	record = example();
	memset(much, 'x', sizeof(much));
	much[0] = '/';
	record.target = (struct str){ much, sizeof(much) };
	assert_non_null(strstr(line_of(&record), "xx...REQUEST-URI-TOO-LONG-TO-LOG--TRUNCATED HTTP/1.1\" 200 "));
	record.target.len = 60000;
	assert_null(strstr(line_of(&record), "TRUNCATED"));
}

/* --- the way to the file --- */

struct writing {
	struct shm_table *table;
	uint64_t *counters;
	char path[64];
};

static void open_file(struct writing *w)
{
	int fd;

	snprintf(w->path, sizeof(w->path), "/tmp/wye-access-XXXXXX");
	fd = mkstemp(w->path);
	assert_true(fd >= 0);
	close(fd);
	fd = open(w->path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(dup2(fd, PROCESS_FD_ACCESS_LOG), PROCESS_FD_ACCESS_LOG);
	close(fd);
}

static int set_up(void **state)
{
	struct writing *w = calloc(1, sizeof(*w));
	int null = open("/dev/null", O_WRONLY);

	dup2(null, PROCESS_FD_ACCESS_LOG);    /* the number is taken before others come */
	w->table = shm_table_create(0);
	w->counters = counters_row(w->table->board, SLOT_WORKER);
	open_file(w);
	close(null);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct writing *w = *state;

	unlink(w->path);
	shm_table_destroy(w->table);
	close(PROCESS_FD_ACCESS_LOG);
	free(w);
	return 0;
}

static size_t lines_in(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[ACCESS_LINE_MAX];
	size_t n = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		size_t len = strlen(line);

		assert_int_equal(strncmp(line, "app.test - [2026-11-20T12:51:21.", 32), 0);
		assert_true(len > 40);
		assert_string_equal(line + len - 22, " x_cf_routererror:\"-\"\n");
		n++;
	}
	fclose(file);
	return n;
}

static size_t lines_soon_in(const char *path, size_t wanted)
{
	size_t n = 0;

	for (int i = 0; i < 300 && (n = lines_in(path)) < wanted; i++)
		usleep(10000);
	return n;
}

static void lines_reach_the_file_soon_and_all_of_them_by_the_end(void **state)
{
	struct writing *w = *state;
	struct access_log *log = access_log_create(w->table->board, SLOT_WORKER, w->counters, &settings);
	struct access_record record = example();

	assert_non_null(log);
	access_log_write(log, &record);
	assert_int_equal(lines_soon_in(w->path, 1), 1);
	for (int i = 0; i < 1000; i++) {       /* a ring of 4 KiB: wraps, fills, is woken */
		access_log_write(log, &record);
		if (i % 4 == 0)
			usleep(200);
	}
	access_log_destroy(log);
	assert_int_equal(lines_in(w->path), w->counters[COUNTER_access_log_lines]);
	assert_int_equal(w->counters[COUNTER_access_log_lines] +
			 w->counters[COUNTER_access_log_dropped], 1001);
	assert_true(w->counters[COUNTER_access_log_lines] > 100);
}

static void a_replaced_descriptor_is_written_from_then_on(void **state)
{
	struct writing *w = *state;
	struct access_log *log = access_log_create(w->table->board, SLOT_WORKER, w->counters, &settings);
	struct access_record record = example();
	char old[64];

	access_log_write(log, &record);
	assert_int_equal(lines_soon_in(w->path, 1), 1);
	memcpy(old, w->path, sizeof(old));
	open_file(w);
	access_log_follow_descriptors(log);
	access_log_write(log, &record);
	assert_int_equal(lines_soon_in(w->path, 1), 1);
	access_log_destroy(log);
	assert_int_equal(lines_in(old), 1);
	unlink(old);
}

static void a_full_disk_keeps_the_lines_and_counts_what_no_longer_fits(void **state)
{
	struct writing *w = *state;
	int full = open("/dev/full", O_WRONLY);
	struct access_record record = example();
	struct access_log *log;

	assert_true(full >= 0);
	dup2(full, PROCESS_FD_ACCESS_LOG);
	close(full);
	log = access_log_create(w->table->board, SLOT_WORKER, w->counters, &settings);
	for (int i = 0; i < 100; i++)
		access_log_write(log, &record);
	usleep(20000);
	assert_true(w->counters[COUNTER_access_log_dropped] > 0);
	open_file(w);                          /* somebody made room */
	access_log_follow_descriptors(log);
	assert_int_equal(lines_soon_in(w->path, w->counters[COUNTER_access_log_lines]),
			 w->counters[COUNTER_access_log_lines]);
	access_log_destroy(log);
}

static void what_could_not_be_written_stays_on_the_board(void **state)
{
	struct writing *w = *state;
	int full = open("/dev/full", O_WRONLY);
	struct access_record record = example();
	struct access_log *log;
	struct iovec parts[2];

	dup2(full, PROCESS_FD_ACCESS_LOG);
	close(full);
	log = access_log_create(w->table->board, SLOT_WORKER, w->counters, &settings);
	access_log_write(log, &record);
	access_log_destroy(log);
	assert_int_equal(log_ring_peek_all(log_ring_of(w->table->board, SLOT_WORKER), parts), 1);
	assert_int_equal(parts[0].iov_len, strlen(line_of(&record)));
}

static void *write_raw(void *arg)
{
	struct access_log *log = arg;

	for (int i = 0; i < 2000; i++) {
		struct access_record record = example();

		access_log_write(log, &record);
		if (i % 8 == 7)
			usleep(100);
	}
	return NULL;
}

static void lines_of_two_workers_never_mix(void **state)
{
	struct writing *w = *state;
	uint64_t *other = counters_row(w->table->board, SLOT_WORKER + 1);
	struct access_log *logs[2] = {
		access_log_create(w->table->board, SLOT_WORKER, w->counters, &settings),
		access_log_create(w->table->board, SLOT_WORKER + 1, other, &settings),
	};
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_raw, logs[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 2; i++)
		access_log_destroy(logs[i]);
	assert_int_equal(lines_in(w->path), w->counters[COUNTER_access_log_lines] +
			 other[COUNTER_access_log_lines]);
}

static void without_a_descriptor_there_is_no_log_and_writing_is_nothing(void **state)
{
	struct writing *w = *state;
	struct access_record record = example();

	close(PROCESS_FD_ACCESS_LOG);
	assert_null(access_log_create(w->table->board, SLOT_WORKER, w->counters, &settings));
	access_log_write(NULL, &record);
	access_log_destroy(NULL);
}

#define WRITING(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_published_example_is_written_byte_for_byte),
		cmocka_unit_test(what_is_not_known_is_a_dash),
		cmocka_unit_test(the_target_is_rendered_as_go_renders_a_parsed_one),
		cmocka_unit_test(texts_are_quoted_as_go_quotes),
		cmocka_unit_test(a_host_cannot_break_the_line),
		cmocka_unit_test(times_are_seconds_rounded_to_six_decimals),
		cmocka_unit_test(an_overlong_line_is_cut_inside_its_texts_only),
		WRITING(lines_reach_the_file_soon_and_all_of_them_by_the_end),
		WRITING(a_replaced_descriptor_is_written_from_then_on),
		WRITING(a_full_disk_keeps_the_lines_and_counts_what_no_longer_fits),
		WRITING(what_could_not_be_written_stays_on_the_board),
		WRITING(lines_of_two_workers_never_mix),
		WRITING(without_a_descriptor_there_is_no_log_and_writing_is_nothing),
	};

	plain = access_format_create(&settings);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
