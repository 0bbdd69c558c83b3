/*
 * tests/unit/base/test_config.c - settings, and what is said about wrong ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/config.h"

struct sample {
	uint64_t timeout_ms, count, limit;
	bool on;
	char *name;
	struct texts list;
	int colour;
};

static const struct setting rows[] = {
	SETTING_MS(struct sample, timeout_ms, "timeout", "5s", "1ms", "1m"),
	SETTING_N(struct sample, count, "count", 3, 1, 10),
	SETTING_BYTES(struct sample, limit, "limit", "64K", "0", "1M"),
	SETTING_BOOL(struct sample, on, "on", "true"),
	SETTING_TEXT(struct sample, name, "name", "x"),
	SETTING_TEXTS(struct sample, list, "list", "a,b"),
	SETTING_CHOICE(struct sample, colour, "colour", "red", "red|green"),
	SETTING_GROUP("inner"),
	SETTING_END
};

static char path[64];

/* Writes the text to a file and opens it. */
static int open_text(const char *text, struct config **config, struct reason *reason)
{
	FILE *file;
	int fd;

	snprintf(path, sizeof(path), "/tmp/wye-config-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	file = fdopen(fd, "w");
	fputs(text, file);
	fclose(file);
	return config_open(path, config, reason);
}

static void an_absent_group_gives_the_defaults(void **state)
{
	struct config *config;
	struct reason reason;
	struct sample s;

	(void)state;
	assert_int_equal(open_text("", &config, &reason), 0);
	assert_int_equal(settings_read(config, "worker", rows, &s, &reason), 0);
	assert_int_equal(s.timeout_ms, 5000);
	assert_int_equal(s.count, 3);
	assert_int_equal(s.limit, 65536);
	assert_true(s.on);
	assert_string_equal(s.name, "x");
	assert_int_equal(s.list.count, 2);
	assert_int_equal(s.colour, 0);
	settings_free(rows, &s);
	config_close(config);
	unlink(path);
}

static void values_are_read_in_their_units(void **state)
{
	struct config *config;
	struct reason reason;
	struct sample s;

	(void)state;
	assert_int_equal(open_text("worker = { timeout = \"250ms\"; count = 7; limit = \"1M\"; on = false;\n"
				   "  name = \"n\"; list = [ \"p\", \"q\", \"r\" ]; colour = \"green\"; };\n",
				   &config, &reason), 0);
	assert_int_equal(settings_read(config, "worker", rows, &s, &reason), 0);
	assert_int_equal(s.timeout_ms, 250);
	assert_int_equal(s.count, 7);
	assert_int_equal(s.limit, 1 << 20);
	assert_false(s.on);
	assert_int_equal(s.list.count, 3);
	assert_int_equal(s.colour, 1);
	settings_free(rows, &s);
	config_close(config);
	unlink(path);
}

static void mistakes_are_named_with_file_and_line(void **state)
{
	static const struct { const char *text, *where, *says; } cases[] = {
		{ "worker = {\n  timeuot = \"1s\";\n};\n", ":2", "did you mean \"timeout\"" },
		{ "worker = {\n\n  timeout = \"2m\";\n};\n", ":3", "1m" },
		{ "worker = {\n  timeout = \"15\";\n};\n", ":2", "timeout" },
		{ "worker = {\n  count = 11;\n};\n", ":2", "10" },
		{ "worker = {\n  count = \"x\";\n};\n", ":2", "count" },
		{ "worker = {\n  limit = \"2M\";\n};\n", ":2", "1M" },
		{ "worker = {\n  on = 1;\n};\n", ":2", "on" },
		{ "worker = {\n  colour = \"blue\";\n};\n", ":2", "green" },
		{ "wroker = { };\n", ":1", "did you mean \"worker\"" },
		{ "worker = {\n  count = ;\n};\n", ":2", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config *config = NULL;
		struct reason reason = { "" };
		struct sample s;
		int rc = open_text(cases[i].text, &config, &reason);

		if (!rc)
			rc = settings_read(config, "worker", rows, &s, &reason);
		if (rc >= 0 || strncmp(reason.text, path, strlen(path)) != 0 ||
		    !strstr(reason.text, cases[i].where) || !strstr(reason.text, cases[i].says))
			fail_msg("%s -> %d %s", cases[i].text, rc, reason.text);
		config_close(config);
		unlink(path);
	}
}

static void a_file_that_is_not_there_is_a_reason(void **state)
{
	struct config *config;
	struct reason reason;

	(void)state;
	assert_true(config_open("/nonexistent/wye.conf", &config, &reason) < 0);
	assert_non_null(strstr(reason.text, "/nonexistent/wye.conf"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_absent_group_gives_the_defaults),
		cmocka_unit_test(values_are_read_in_their_units),
		cmocka_unit_test(mistakes_are_named_with_file_and_line),
		cmocka_unit_test(a_file_that_is_not_there_is_a_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
