/*
 * tests/unit/base/test_log.c - log lines are JSON, whatever is put into them; and
 * what a child takes from its environment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"

static char line[2 * LOG_LINE_MAX];

/* Runs the statement with descriptor 1 on a pipe and keeps what it wrote. */
#define CAPTURE(statement) \
	do { \
		int saved = dup(1), ends[2]; \
		ssize_t n; \
		assert_int_equal(pipe(ends), 0); \
		dup2(ends[1], 1); \
		close(ends[1]); \
		statement; \
		dup2(saved, 1); \
		close(saved); \
		n = read(ends[0], line, sizeof(line) - 1); \
		close(ends[0]); \
		line[n < 0 ? 0 : n] = '\0'; \
	} while (0)

static void pairs_become_a_data_object(void **state)
{
	(void)state;
	CAPTURE(log_line(LOG_LEVEL_WARN, NULL, "endpoint-failed", "endpoint=%s attempt=%u", "10.0.0.1:80", 3u));
	assert_non_null(strstr(line, "\"log_level\":2"));
	assert_non_null(strstr(line, "\"message\":\"endpoint-failed\""));
	assert_non_null(strstr(line, "\"data\":{\"endpoint\":\"10.0.0.1:80\",\"attempt\":3}"));
	assert_int_equal(line[strlen(line) - 1], '\n');
}

#define HEAD "{\"log_level\":1,\"timestamp\":\"2026-11-21T10:00:00.000000042Z\"," \
	     "\"message\":\"x\",\"source\":\"src\""

static uint64_t fixed_time(void)
{
	return 1795255200000000042u;
}

static int begin_fixed(void **state)
{
	static const struct clock_source fixed = { fixed_time, fixed_time };
	static const struct log_settings usual = { LOG_LEVEL_INFO, false, "src" };

	(void)state;
	clock_set_source(&fixed);
	log_configure(&usual);
	return 0;
}

static int end_fixed(void **state)
{
	(void)state;
	clock_set_source(NULL);
	log_set_component(NULL);
	return 0;
}

#define ASSERT_DATA(data, ...) \
	do { \
		CAPTURE(log_line(LOG_LEVEL_INFO, NULL, "x", __VA_ARGS__)); \
		assert_string_equal(line, HEAD ",\"data\":{" data "}}\n"); \
	} while (0)

static void every_conversion_becomes_json_of_its_type(void **state)
{
	static const char open_end[3] = { 'a', 'b', 'c' };
	const char *volatile none = NULL;     /* or gcc complains */

	(void)state;
	ASSERT_DATA("\"a\":\"text\",\"b\":\"abc\"", "a=%s b=%.*s", "text", 3, open_end);
	ASSERT_DATA("\"a\":\"all\",\"b\":\"\",\"c\":\"\"", "a=%.*s b=%s c=%.*s", -1, "all", none, 0, none);
	ASSERT_DATA("\"a\":\"c\",\"b\":\"\\\"\",\"c\":\"\\u0000\"", "a=%c b=%c c=%c", 'c', '"', 0);
	ASSERT_DATA("\"a\":-2147483648,\"b\":2147483647,\"c\":0,\"d\":-1", "a=%d b=%i c=%hd d=%hhd",
		    INT_MIN, INT_MAX, 0, -1);
	ASSERT_DATA("\"a\":-9223372036854775808,\"b\":9223372036854775807,\"c\":-7",
		    "a=%ld b=%lld c=%zd", LONG_MIN, LLONG_MAX, (ssize_t)-7);
	ASSERT_DATA("\"a\":4294967295,\"b\":10,\"c\":255", "a=%u b=%hu c=%hhu", UINT_MAX, 10, 255);
	ASSERT_DATA("\"a\":18446744073709551615,\"b\":0,\"c\":100", "a=%lu b=%llu c=%zu",
		    ULONG_MAX, 0ull, (size_t)100);
	ASSERT_DATA("\"a\":\"0x0\",\"b\":\"0x10\",\"c\":\"0xffffffffffffffff\",\"d\":\"0xabc\"",
		    "a=%x b=%lx c=%llx d=%zx", 0u, 16ul, ULLONG_MAX, (size_t)0xabc);
	ASSERT_DATA("\"a\":1.500000,\"b\":-0.333333", "a=%f b=%.6f", 1.5, -1.0 / 3);
	ASSERT_DATA("\"a\":7,\"b\":\"0x7\"", "a=%5d b=%04x", 7, 7u);       /* JSON has no width */
}

static void a_number_of_any_size_is_written_whole(void **state)
{
	char expected[400];

	(void)state;
	CAPTURE(log_line(LOG_LEVEL_INFO, NULL, "x", "a=%f", -DBL_MAX));
	snprintf(expected, sizeof(expected), "\"a\":%.6f}}\n", -DBL_MAX);
	assert_non_null(strstr(line, expected));
}

static void ready_json_and_fixed_words_are_written_as_they_are(void **state)
{
	(void)state;
	ASSERT_DATA("\"a\":{\"b\":[1]},\"c\":nul", "a:=%s c:=%.*s", "{\"b\":[1]}", 3, "null");
	ASSERT_DATA("\"a\":\"word\",\"b\":true,\"c\":{\"d\":0},\"e\":\"\"",
		    "a=word b:=true c:={\"d\":0} e=");
	ASSERT_DATA("\"a\":1,\"b\":2", "a:=%d  b=%u ", 1, 2u);
	CAPTURE(log_line(LOG_LEVEL_INFO, NULL, "x", LOG_NO_DATA));
	assert_string_equal(line, HEAD "}\n");
}

static void groups_open_and_close_between_other_members(void **state)
{
	(void)state;
	ASSERT_DATA("\"g\":{\"a\":1,\"b\":\"w\",\"c\":\"s\"}", "g.a=%d g.b=w g.c=%s", 1, "s");
	ASSERT_DATA("\"g\":{\"a\":1},\"h\":{\"a\":2},\"i\":3,\"g\":{\"b.c\":4}",
		    "g.a=%d h.a=%d i=%d g.b.c=%d", 1, 2, 3, 4);
}

/* Everything in front of the data, also where the place shares its format with another. */
static void the_head_names_level_time_event_and_source(void **state)
{
	static const struct log_settings epoch = { LOG_LEVEL_DEBUG, true, "a\"b" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		ASSERT_DATA("\"a\":5", "a=%d", 5);
		CAPTURE(log_line(LOG_LEVEL_ERROR, "part", "y", "a=%d", 6));
		assert_string_equal(line, "{\"log_level\":3,\"timestamp\":\"2026-11-21T10:00:00.000000042Z\","
				    "\"message\":\"y\",\"source\":\"src.part\",\"data\":{\"a\":6}}\n");
	}
	log_configure(&epoch);
	log_set_component("thread");
	CAPTURE(log_line(LOG_LEVEL_DEBUG, NULL, "x", "a=%d", 7));
	assert_string_equal(line, "{\"log_level\":0,\"timestamp\":1795255200.000000042,\"message\":\"x\","
			    "\"source\":\"a\\\"b.thread\",\"data\":{\"a\":7}}\n");
}

#define MANY_FORMATS(F) \
	F("a") F("b") F("c") F("d") F("e") F("f") F("g") F("h") F("i") F("j") F("k") F("l") F("m") \
	F("n") F("o") F("p") F("q") F("r") F("s") F("t") F("u") F("v") F("w") F("x") F("y") F("z")

static void formats_are_not_mistaken_for_each_other(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
#define F(key) ASSERT_DATA("\"" key "\":0,\"of\":\"0x1\"", key "=%d of=%x", 0, 1u);
		MANY_FORMATS(F)
#undef F
	}
}

static int waiting_in_the_pipe(void)
{
	int n = -1;

	ioctl(1, FIONREAD, &n);
	return n;
}

static void log_three_held(void)
{
	log_hold();
	log_info("first", LOG_NO_DATA);
	log_info("second", LOG_NO_DATA);
	assert_int_equal(waiting_in_the_pipe(), 0);
	log_release();
	assert_int_not_equal(waiting_in_the_pipe(), 0);
	log_info("third", LOG_NO_DATA);
}

static void lines_that_are_held_come_together_whole_and_in_order(void **state)
{
	const char *first, *second, *third;

	(void)state;
	CAPTURE(log_three_held());
	first = strstr(line, "\"first\"");
	second = strstr(line, "\"second\"");
	third = strstr(line, "\"third\"");
	assert_true(first && second && third && first < second && second < third);
	assert_int_equal(line[strlen(line) - 1], '\n');
}

static void log_many_held(void)
{
	log_hold();
	for (int i = 0; i < 60; i++)
		log_info("many", "number=%d fill=%s", i, "0123456789012345678901234567890123456789");
	assert_int_not_equal(waiting_in_the_pipe(), 0);
	log_release();
}

static void more_than_a_pipe_takes_at_once_does_not_wait_for_the_end(void **state)
{
	const char *at = line;
	char number[32];

	(void)state;
	CAPTURE(log_many_held());
	for (int i = 0; i < 60; i++) {
		snprintf(number, sizeof(number), "\"number\":%d,", i);
		at = strchr(at, '\n');
		assert_non_null(at);
		at++;
		assert_true(strstr(line, number) < at);
		assert_true(i == 59 ? *at == '\0' : strncmp(at, "{\"log_level\"", 12) == 0);
	}
}

static void neighbours_with_one_prefix_become_an_inner_object(void **state)
{
	(void)state;
	CAPTURE(log_line(LOG_LEVEL_INFO, NULL, "x", "e.a=%s e.b:=%s c=%u", "1", "null", 2u));
	assert_non_null(strstr(line, "\"data\":{\"e\":{\"a\":\"1\",\"b\":null},\"c\":2}}\n"));
	CAPTURE(log_line(LOG_LEVEL_INFO, NULL, "x", "c=%u e.a=%s f.a=fixed f.b:=false",
			 2u, "1"));
	assert_non_null(strstr(line, "\"data\":{\"c\":2,\"e\":{\"a\":\"1\"},\"f\":{\"a\":\"fixed\",\"b\":false}}}\n"));
}

static void hostile_text_is_escaped(void **state)
{
	(void)state;
	CAPTURE(log_line(LOG_LEVEL_INFO, NULL, "x", "a=%s b=%.*s", "q\"\\\n\x01", 2, "\xff" "e"));
	assert_null(strstr(line, "q\"\\\n"));
	assert_int_equal(strchr(line, '\n') - line, (int)strlen(line) - 1);
	assert_non_null(strstr(line, "q\\\"\\\\\\u000a\\u0001\",\"b\":\"\\ufffde\""));
	CAPTURE(log_line(LOG_LEVEL_INFO, NULL, "x", "tags:=%s", "{\"a\":1}"));
	assert_non_null(strstr(line, "\"tags\":{\"a\":1}"));
	CAPTURE(log_line(LOG_LEVEL_INFO, NULL, "x", LOG_NO_DATA));
	assert_null(strstr(line, "\"data\""));
}

static void levels_below_the_configured_one_are_not_written(void **state)
{
	static const struct log_settings quiet = { LOG_LEVEL_ERROR, false, "src" }, usual = {
		LOG_LEVEL_INFO, false, "src" };

	(void)state;
	log_configure(&quiet);
	assert_false(log_is_on(LOG_LEVEL_WARN));
	assert_true(log_is_on(LOG_LEVEL_ERROR));
	CAPTURE(log_error("x", LOG_NO_DATA));
	assert_non_null(strstr(line, "\"source\":\"src\""));
	log_configure(&usual);
}

static void a_line_that_is_too_long_is_still_json(void **state)
{
	char *text = malloc(LOG_LINE_MAX * 2);

	(void)state;
	memset(text, 'a', LOG_LINE_MAX * 2);
	text[LOG_LINE_MAX * 2 - 1] = '\0';
	CAPTURE(log_line(LOG_LEVEL_INFO, NULL, "x", "a=%s", text));
	assert_in_range(strlen(line), 1, LOG_LINE_MAX);
	assert_string_equal(line + strlen(line) - 2, "}\n");
	free(text);
}

/* Lines that fit to the byte are whole; with one byte more they lose their data.  What
 * comes last is a text, an escape, a number, or text of the format. */
#define ASSERT_CLIPPED(text, ...) \
	do { \
		size_t frame = strlen(HEAD ",\"data\":{\"a\":\"\"" text "}}\n"); \
		size_t most = LOG_LINE_MAX - frame; \
		for (struct str fill = { filling, most - 40 }; fill.len < most + 40; fill.len++) { \
			CAPTURE(log_line(LOG_LEVEL_INFO, NULL, "x", __VA_ARGS__)); \
			if (fill.len > most) { \
				assert_string_equal(line, HEAD "}\n"); \
			} else { \
				assert_int_equal(strlen(line), frame + fill.len); \
				assert_string_equal(line + strlen(line) - strlen("a\"" text "}}\n"), \
						    "a\"" text "}}\n"); \
			} \
		} \
	} while (0)

static void a_line_keeps_its_data_if_it_fits_to_the_byte(void **state)
{
	static char filling[LOG_LINE_MAX];

	(void)state;
	memset(filling, 'a', sizeof(filling));
	ASSERT_CLIPPED("", "a=%.*s", STR_ARG(fill));
	ASSERT_CLIPPED(",\"b\":18446744073709551615", "a=%.*s b=%lu", STR_ARG(fill), ULONG_MAX);
	ASSERT_CLIPPED(",\"b\":-5", "a=%.*s b=%d", STR_ARG(fill), -5);
	ASSERT_CLIPPED(",\"b\":\"0xfff\"", "a=%.*s b=%x", STR_ARG(fill), 0xfffu);
	ASSERT_CLIPPED(",\"b\":\"\\u0001\"", "a=%.*s b=%s", STR_ARG(fill), "\001");
	ASSERT_CLIPPED(",\"b\":\"q\\\"\"", "a=%.*s b=%s", STR_ARG(fill), "q\"");
	ASSERT_CLIPPED(",\"b\":\"\\ufffdz\"", "a=%.*s b=%s", STR_ARG(fill), "\xffz");
	ASSERT_CLIPPED(",\"b\":null", "a=%.*s b:=%s", STR_ARG(fill), "null");
	ASSERT_CLIPPED(",\"b\":0.500000", "a=%.*s b=%f", STR_ARG(fill), 0.5);
	ASSERT_CLIPPED(",\"g\":{\"b\":\"fixed words are many\"}", "a=%.*s g.b=%s",
		       STR_ARG(fill), "fixed words are many");
}

static void log_in_a_child(const char *format)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		log_line(LOG_LEVEL_INFO, NULL, "x", format, "");
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void a_format_that_nobody_can_read_stops_the_process_with_a_line(void **state)
{
	static const char *const broken[] = { "a=%p", "a=%", "a=%s and no more", "no pair" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		CAPTURE(log_in_a_child(broken[i]));
		assert_non_null(strstr(line, "\"message\":\"invariant-broken\""));
		assert_non_null(strstr(line, "log_plan.c"));
	}
}

#define THREADS 4
#define THREAD_LINES 1500

#define THREAD_LINE "{\"log_level\":1,\"timestamp\":\"2026-11-21T10:00:00.000000042Z\"," \
		       "\"message\":\"thread\",\"source\":\"src\",\"data\":{" \
		       "\"number\":%d,\"i\":%d,\"fill\":\"0123456789012345678901234567\"}}\n%n"

static void *log_from_a_thread(void *arg)
{
	int number = (int)(intptr_t)arg;

	log_hold();
	for (int i = 0; i < THREAD_LINES; i++)
		log_info("thread", "number=%d i=%d fill=%s", number, i, "0123456789012345678901234567");
	log_release();
	return NULL;
}

/* Gathered in a file, where a hold is long, they stay whole and each thread's in order. */
static void threads_do_not_mix_their_lines(void **state)
{
	int next[THREADS] = { 0 }, saved = dup(1), number, i, end;
	pthread_t threads[THREADS];
	FILE *file = tmpfile();
	char text[512];

	(void)state;
	assert_non_null(file);
	fcntl(fileno(file), F_SETFL, O_APPEND);
	dup2(fileno(file), 1);
	for (intptr_t t = 0; t < THREADS; t++)
		pthread_create(&threads[t], NULL, log_from_a_thread, (void *)t);
	for (size_t t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	dup2(saved, 1);
	close(saved);
	rewind(file);
	while (fgets(text, sizeof(text), file)) {
		end = 0;
		sscanf(text, THREAD_LINE, &number, &i, &end);
		assert_int_equal(end, (int)strlen(text));
		assert_int_equal(i, next[number]++);
	}
	for (size_t t = 0; t < THREADS; t++)
		assert_int_equal(next[t], THREAD_LINES);
	fclose(file);
}

static void a_child_reads_its_contract_from_the_environment(void **state)
{
	struct process process;
	struct reason reason;
	int saved = dup(PROCESS_FD_STATUS);

	(void)state;
	assert_int_equal(dup2(0, PROCESS_FD_STATUS), PROCESS_FD_STATUS);
	unsetenv("WYE_SLOT");
	assert_int_equal(process_attach(&process, &reason), -EINVAL);
	assert_non_null(strstr(reason.text, "WYE_SLOT"));
	setenv("WYE_SLOT", "7", 1);
	setenv("WYE_GENERATION", "2", 1);
	setenv("WYE_LISTENERS", "http=0,status=60000", 1);
	assert_int_equal(process_attach(&process, &reason), -EINVAL);
	setenv("WYE_LISTENERS", "http=0", 1);
	assert_int_equal(process_attach(&process, &reason), 0);
	assert_int_equal(process.slot, 7);
	assert_int_equal(process.generation, 2);
	assert_int_equal(process.listener_count, 1);
	assert_string_equal(process.listeners[0].kind, "http");
	if (saved >= 0)
		dup2(saved, PROCESS_FD_STATUS);
	else
		close(PROCESS_FD_STATUS);
	unsetenv("WYE_LISTENERS");
	unsetenv("WYE_SLOT");
	unsetenv("WYE_GENERATION");
}

#define FIXED(test) cmocka_unit_test_setup_teardown(test, begin_fixed, end_fixed)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_become_a_data_object),
		cmocka_unit_test(neighbours_with_one_prefix_become_an_inner_object),
		FIXED(every_conversion_becomes_json_of_its_type),
		FIXED(a_number_of_any_size_is_written_whole),
		FIXED(ready_json_and_fixed_words_are_written_as_they_are),
		FIXED(groups_open_and_close_between_other_members),
		FIXED(the_head_names_level_time_event_and_source),
		FIXED(formats_are_not_mistaken_for_each_other),
		FIXED(a_line_keeps_its_data_if_it_fits_to_the_byte),
		FIXED(a_format_that_nobody_can_read_stops_the_process_with_a_line),
		FIXED(threads_do_not_mix_their_lines),
		cmocka_unit_test(hostile_text_is_escaped),
		cmocka_unit_test(lines_that_are_held_come_together_whole_and_in_order),
		cmocka_unit_test(more_than_a_pipe_takes_at_once_does_not_wait_for_the_end),
		cmocka_unit_test(levels_below_the_configured_one_are_not_written),
		cmocka_unit_test(a_line_that_is_too_long_is_still_json),
		cmocka_unit_test(a_child_reads_its_contract_from_the_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
