/*
 * tests/unit/registrar/test_config.c - the registrar's section: its defaults, what
 * an operator can get wrong, and that no message shows a password.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "registrar/config.h"

static char path[] = "/tmp/wye-registrar-config-XXXXXX";

static int create_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	close(fd);
	return fd < 0;
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

/* Reads this text from a file into a struct that held anything. */
static int read_file(const char *text, struct registrar_config *config, struct reason *reason)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	memset(config, 0xee, sizeof(*config));
	reason->text[0] = '\0';
	return registrar_config_read(path, config, reason);
}

static void assert_read(const char *text, struct registrar_config *config)
{
	struct reason reason;

	if (read_file(text, config, &reason) != 0)
		fail_msg("%s: %s", text, reason.text);
}

/* Refused at this line of the file (0: none), with these words. */
static void assert_refused(const char *text, unsigned line, const char *words)
{
	struct registrar_config config;
	struct reason reason;
	char where[64];

	if (read_file(text, &config, &reason) != -EINVAL)
		fail_msg("not refused: %s", text);
	snprintf(where, sizeof(where), line ? "%s:%u: " : "%s: ", path, line);
	if (!str_has_prefix(str_of(reason.text), str_of(where)) || !strstr(reason.text, words))
		fail_msg("%s\nis refused with\n%s\nnot\n%s...%s", text, reason.text, where, words);
}

static void an_empty_file_gives_the_defaults(void **state)
{
	struct registrar_config config;

	(void)state;
	assert_read("", &config);
	assert_string_equal(config.instance.name, "wye");
	assert_int_equal(config.settings.minimum_register_interval_ms, 20000);
	assert_int_equal(config.settings.droplet_stale_threshold_ms, 120000);
	assert_int_equal(config.settings.prune_interval_ms, 30000);
	assert_int_equal(config.settings.empty_pool_timeout_ms, 0);
	assert_true(config.settings.suspend_pruning_if_nats_unavailable);
	assert_int_equal(config.settings.sharding, SHARDING_ALL);
	assert_int_equal(config.settings.isolation_segments.count, 0);
	assert_int_equal(config.settings.index, 0);
	assert_int_equal(config.nats.servers.count, 1);
	assert_string_equal(config.nats.servers.items[0], "nats://127.0.0.1:4222");
	assert_string_equal(config.nats.user, "");
	assert_string_equal(config.nats.password, "");
	assert_int_equal(config.nats.ping_interval_ms, 5000);
	assert_int_equal(config.nats.connect_timeout_ms, 2000);
	assert_int_equal(config.nats.pending_limit, 1 << 30);
	registrar_config_free(&config);
}

static void what_the_file_says_is_taken(void **state)
{
	struct registrar_config config;

	(void)state;
	assert_read("instance = \"other\"\nregistrar = {\n"
		    "nats = { servers = [\"tls://n1:1\", \"nats://n2:65535\"]; user = \"u\";\n"
		    "password = \"p\"; ping_interval = \"1m\"; connect_timeout = \"100ms\";\n"
		    "pending_limit = \"64K\"; };\n"
		    "minimum_register_interval = \"5s\"; droplet_stale_threshold = \"1m30s\";\n"
		    "prune_interval = \"100ms\"; empty_pool_timeout = \"1m\"; index = 7;\n"
		    "suspend_pruning_if_nats_unavailable = false;\n"
		    "routing_table_sharding_mode = \"segments\"; isolation_segments = [\"a\", \"\"]; };\n",
		    &config);
	assert_string_equal(config.instance.name, "other");
	assert_int_equal(config.nats.servers.count, 2);
	assert_string_equal(config.nats.servers.items[0], "tls://n1:1");
	assert_string_equal(config.nats.servers.items[1], "nats://n2:65535");
	assert_string_equal(config.nats.user, "u");
	assert_string_equal(config.nats.password, "p");
	assert_int_equal(config.nats.ping_interval_ms, 60000);
	assert_int_equal(config.nats.connect_timeout_ms, 100);
	assert_int_equal(config.nats.pending_limit, 65536);
	assert_int_equal(config.settings.minimum_register_interval_ms, 5000);
	assert_int_equal(config.settings.droplet_stale_threshold_ms, 90000);
	assert_int_equal(config.settings.prune_interval_ms, 100);
	assert_int_equal(config.settings.empty_pool_timeout_ms, 60000);
	assert_int_equal(config.settings.index, 7);
	assert_false(config.settings.suspend_pruning_if_nats_unavailable);
	assert_int_equal(config.settings.sharding, SHARDING_SEGMENTS);
	assert_int_equal(config.settings.isolation_segments.count, 2);
	registrar_config_free(&config);
}

/* Otherwise every endpoint would leave between two of its heartbeats. */
static void the_lifetime_is_raised_to_the_interval_and_that_is_said(void **state)
{
	static const struct { const char *threshold; uint64_t is_ms; bool is_raised; } cases[] = {
		{ "19s", 20000, true }, { "1s", 20000, true },
		{ "20s", 20000, false }, { "21s", 21000, false }, { "1d", 86400000, false },
	};
	struct registrar_config config;
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text), "registrar = { droplet_stale_threshold = \"%s\"; };",
			 cases[i].threshold);
		assert_read(text, &config);
		assert_int_equal(config.settings.droplet_stale_threshold_ms, cases[i].is_ms);
		assert_int_equal(config.is_threshold_raised, cases[i].is_raised);
		registrar_config_free(&config);
	}
}

static void a_wrong_setting_is_refused_where_it_stands(void **state)
{
	static const struct { const char *text; unsigned line; const char *words; } cases[] = {
		{ "registrar = {\nminimum_register_interval = \"999ms\"; };", 2,
		  "\"registrar.minimum_register_interval\" is out of range (default 20s, from 1s" },
		{ "registrar = { minimum_register_interval = 20; };", 1, "must be a duration in quotes" },
		{ "registrar = { droplet_stale_threshold = \"25h\"; };", 1, "out of range" },
		{ "registrar = { prune_interval = \"0s\"; };", 1, "out of range" },
		{ "registrar = {\n\nindex = -1; };", 3, "must be a whole number" },
		{ "registrar = { index = \"1\"; };", 1, "must be a whole number" },
		{ "registrar = { routing_table_sharding_mode = \"segment\"; };", 1,
		  "must be one of all|shared-and-segments|segments" },
		{ "registrar = { isolation_segments = \"gold\"; };", 1, "must be a list of texts" },
		{ "registrar = { suspend_pruning_if_nats_unavailable = \"true\"; };", 1,
		  "must be true or false" },
		{ "registrar = { prune_intervall = \"1s\"; };", 1, "did you mean \"prune_interval\"?" },
		{ "registrar = { nats = { server = []; }; };", 1, "did you mean \"servers\"?" },
		{ "registrar = { nats = { pending_limit = \"1K\"; }; };", 1, "out of range" },
		{ "registrar = { nats = {\npassword = 1; }; };", 2, "must be a text in quotes" },
		{ "registrar = { nats = [\"nats://a:1\"]; };", 1, "must be a group" },
		{ "registrar = { nats = { servers = \"nats://a:1\"; }; };", 1, "must be a list of texts" },
		{ "registrar = { nats = {\nservers = [ ]; }; };", 2, "\"registrar.nats.servers\" is empty" },
		{ "registrar = {\nrouting_table_sharding_mode = \"segments\"; };", 2,
		  "needs \"isolation_segments\"" },
		{ "registrar = {", 1, "syntax error" },
		{ "instance = \"a b\"", 1, "\"instance\" must be" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_refused(cases[i].text, cases[i].line, cases[i].words);
}

static void only_the_segments_mode_needs_segments(void **state)
{
	static const char *const modes[] = { "all", "shared-and-segments" };
	struct registrar_config config;
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		snprintf(text, sizeof(text), "registrar = { routing_table_sharding_mode = \"%s\"; };",
			 modes[i]);
		assert_read(text, &config);
		assert_int_equal(config.settings.sharding, (int)i);
		registrar_config_free(&config);
	}
}

static void servers_text(char out[256], const char *url)
{
	snprintf(out, 256, "registrar = { nats = {\nservers = [ \"nats://good:4222\",\n\"%s\" ]; }; };",
		 url);
}

static void a_server_is_a_scheme_a_host_and_a_port(void **state)
{
	static const char *const good[] = {
		"nats://n:4222", "tls://n.example:1", "nats://10.0.0.1:65535", "nats://[::1]:4222",
		"nats://u:p@n:4222", "nats://u@n:4222", "tls://u:p:q@n_1-a.example:4222",
		"nats://u:p@ss@n:4222", "nats://u:p/q@[fe80::1]:4222",
	};
	static const char *const bad[] = {
		"", "n:4222", "nats:n:4222", "nats:/n:4222", "nats://", "nats://n", "nats://n:",
		"nats://:4222", "nats://u:p@:4222", "nats://u:p@n", "nats://n:0", "nats://n:65536",
		"nats://n:99999999999999999999", "nats://n:-1", "nats://n:+1", "nats://n:4222/",
		"nats://n:4222 ", "nats://n:4222?x", "NATS://n:4222", "http://n:4222", "ws://n:4222",
		"nats://[::1]", "nats://[::1]4222", "xnats://n:4222",
		/* several in one text, a path, an IPv6 address without brackets, blanks */
		"nats://a:4222,nats://b:4222", "nats://a:4222,b:4222", "nats://n/x:4222",
		"nats://::1:4222", "nats://[]:4222", "nats://[::1:4222", "nats:// n:4222",
		"nats://a b:4222", "nats://u:p@[n]:4222", "nats://u:p@a:1,nats://u:p@b:1",
		"nats://a,b:4222",
	};
	struct registrar_config config;
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		servers_text(text, good[i]);
		assert_read(text, &config);
		assert_string_equal(config.nats.servers.items[1], good[i]);
		registrar_config_free(&config);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		servers_text(text, bad[i]);
		assert_refused(text, 2, "server 2 of \"registrar.nats.servers\" is not "
			       "nats://[USER:PASSWORD@]HOST:PORT");
	}
}

/* The message goes to a log that more people read than the file. */
static void a_refusal_does_not_show_the_password(void **state)
{
	static const char *const urls[] = {
		"nats://user:hunter2@n", "nats:user:hunter2@n:4222", "nats://user:hunter2@n:0",
		"http://user:hunter2@n:4222", "nats://n:hunter2",
	};
	struct registrar_config config;
	struct reason reason;
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		servers_text(text, urls[i]);
		assert_int_equal(read_file(text, &config, &reason), -EINVAL);
		assert_null(strstr(reason.text, "hunter2"));
	}
	assert_int_equal(read_file("registrar = { nats = { password = \"hunter2\"; port = 1; }; };",
				   &config, &reason), -EINVAL);
	assert_null(strstr(reason.text, "hunter2"));
}

static void a_file_that_is_not_there_is_said(void **state)
{
	struct registrar_config config;
	struct reason reason;

	(void)state;
	assert_int_equal(registrar_config_read("/nonexistent/wye.conf", &config, &reason), -ENOENT);
	assert_true(str_has_prefix(str_of(reason.text), STR("/nonexistent/wye.conf: cannot be read")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_gives_the_defaults),
		cmocka_unit_test(what_the_file_says_is_taken),
		cmocka_unit_test(the_lifetime_is_raised_to_the_interval_and_that_is_said),
		cmocka_unit_test(a_wrong_setting_is_refused_where_it_stands),
		cmocka_unit_test(only_the_segments_mode_needs_segments),
		cmocka_unit_test(a_server_is_a_scheme_a_host_and_a_port),
		cmocka_unit_test(a_refusal_does_not_show_the_password),
		cmocka_unit_test(a_file_that_is_not_there_is_said),
	};

	return cmocka_run_group_tests(tests, create_file, remove_file);
}
