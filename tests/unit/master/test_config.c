/*
 * tests/unit/master/test_config.c - what the master takes from the file, and
 * what it says about faults.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "master/config.h"

static char path[64];

static int load(const char *text, struct master_config **out, struct reason *reason)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	return master_config_load(path, out, reason);
}

static void an_empty_file_gives_the_documented_defaults(void **state)
{
	struct master_config *config;
	struct reason reason;

	(void)state;
	assert_int_equal(load("", &config, &reason), 0);
	assert_string_equal(config->instance.name, "wye");
	assert_int_equal(config->arena_bytes, 256u << 20);
	assert_int_equal(config->worker_slots, 16);
	assert_int_equal(config->start_delay_ms, 20000);
	assert_int_equal(config->stuck_timeout_ms, 10000);
	assert_in_range(config->workers, 1, 8);
	assert_int_equal(config->listener_count, 2);
	assert_string_equal(config->listeners[0].kind, "http");
	assert_int_equal(addr_port(&config->listeners[0].addr), 8081);
	assert_string_equal(config->listeners[1].kind, "status");
	assert_int_equal(addr_port(&config->listeners[1].addr), 8080);
	master_config_free(config);
}

/* Each fault is named with its line; lines are counted from 1. */
static void a_fault_is_refused_with_file_line_and_reason(void **state)
{
	static const struct { const char *text, *where, *reason; } cases[] = {
		{ "master = {\n workers = 9;\n};", ":2: ", "holds two generations of at most 8" },
		{ "master = {\n wokers = 2;\n};", ":2: ", "did you mean \"workers\"?" },
		{ "mastr = { };", ":1: ", "did you mean \"master\"?" },
		{ "table = {\n\n size = \"5M\";\n};", ":3: ", "multiple of 2M" },
		{ "table = { size = \"2M\"; };", ":1: ", "out of range" },
		{ "table = { log_ring = 100000; };", ":1: ", "power of two" },
		{ "master = { drain_wait = 20; };", ":1: ", "duration in quotes" },
		{ "master = { worker_stuck_timeout = \"1s\"; };", ":1: ", "at least \"2s\"" },
		{ "master = { daemonize = true; };", ":1: ", "needs \"log.file\"" },
		{ "master = { user = \"no-such-user\"; };", ":1: ", "no user \"no-such-user\"" },
		{ "master = { group = \"no-such-group\"; };", ":1: ", "no group \"no-such-group\"" },
		{ "master = { restart_delay_min = \"1m\"; };", "", "less than" },
		{ "master = {\n listeners = 3; };", ":2: ", "must be a list" },
		{ "master = {\n listeners = ( ); };", ":2: ", "must be a list" },
		{ "master = { listeners = ( 3 ); };", ":1: ", "must be a group" },
		{ "master = { listeners = (\n { address = \"127.0.0.1\"; } ); };", ":2: ", "127.0.0.1" },
		{ "master = { listeners = (\n { address = \"0.0.0.0:70000\"; } ); };", ":2: ", "70000" },
		{ "master = { listeners = ( { address = \"0.0.0.0:0\"; } ); };", ":1: ", "no port" },
		{ "master = { listeners = ( { address = \"localhost:80\"; } ); };", ":1: ", "localhost" },
		{ "master = { listeners = ( { kind = \"htpp\"; address = \"[::]:80\"; } ); };", ":1: ",
		  "http|status|https" },
		{ "master = { listeners = ( { addres = \"[::]:80\"; } ); };", ":1: ", "\"address\"?" },
		{ "master = { listeners = ( { address = \"[::]:80\"; },\n { address = \"[::]:80\"; } ); };",
		  ":2: ", "twice" },
		{ "master = {", ":1: ", "syntax error" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct master_config *config;
		struct reason reason;

		assert_true(load(cases[i].text, &config, &reason) < 0);
		assert_null(config);
		if (!strstr(reason.text, cases[i].reason) || !strstr(reason.text, cases[i].where) ||
		    strncmp(reason.text, path, strlen(path)) != 0)
			fail_msg("%s: %s", cases[i].text, reason.text);
	}
}

static void a_reload_cannot_change_what_the_running_processes_share(void **state)
{
	static const struct { const char *text, *name; } cases[] = {
		{ "", NULL },
		{ "master = { workers = 3; user = \"root\"; };", NULL },
		{ "instance = \"other\";", "instance" },
		{ "table = { size = \"8M\"; };", "table.size" },
		{ "table = { worker_slots = 20; };", "table.worker_slots" },
		{ "table = { log_ring = \"64K\"; };", "table.log_ring" },
		{ "master = { pid_file = \"/x\"; };", "master.pid_file" },
	};
	struct master_config *old, *new;
	struct reason reason;

	(void)state;
	assert_int_equal(load("", &old, &reason), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(load(cases[i].text, &new, &reason), 0);
		assert_int_equal(master_config_can_replace(old, new, &reason),
				 cases[i].name ? -EINVAL : 0);
		if (cases[i].name)
			assert_non_null(strstr(reason.text, cases[i].name));
		master_config_free(new);
	}
	master_config_free(old);
}

static int choose_path(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/tmp/wye-test-config-%d", (int)getpid());
	return 0;
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_gives_the_documented_defaults),
		cmocka_unit_test(a_fault_is_refused_with_file_line_and_reason),
		cmocka_unit_test(a_reload_cannot_change_what_the_running_processes_share),
	};

	return cmocka_run_group_tests(tests, choose_path, remove_file);
}
