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
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

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
	unsigned lines = 0;

	(void)state;
	CAPTURE(log_many_held());
	for (const char *at = line; (at = strstr(at, "\"many\"")); at++)
		lines++;
	assert_int_equal(lines, 60);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_become_a_data_object),
		cmocka_unit_test(neighbours_with_one_prefix_become_an_inner_object),
		cmocka_unit_test(hostile_text_is_escaped),
		cmocka_unit_test(lines_that_are_held_come_together_whole_and_in_order),
		cmocka_unit_test(more_than_a_pipe_takes_at_once_does_not_wait_for_the_end),
		cmocka_unit_test(levels_below_the_configured_one_are_not_written),
		cmocka_unit_test(a_line_that_is_too_long_is_still_json),
		cmocka_unit_test(a_child_reads_its_contract_from_the_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
