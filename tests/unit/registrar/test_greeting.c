/*
 * tests/unit/registrar/test_greeting.c - the start message as emitters read it
 * (spec control 1.2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <jansson.h>

#include "registrar/greeting.h"

static json_t *greeting_of(const struct registrar_settings *settings)
{
	char text[GREETING_SIZE];
	json_t *root;

	memset(text, 'x', sizeof(text));
	greeting_make(settings, text);
	root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	return root;
}

static const char *id_of(const json_t *greeting)
{
	const char *id = json_string_value(json_object_get(greeting, "id"));

	assert_non_null(id);
	return id;
}

/* Go emitters panic at an interval of 0, which must never be said. */
static void the_intervals_are_whole_seconds_and_never_zero(void **state)
{
	static const struct { uint64_t interval_ms, threshold_ms; int interval_s, threshold_s; }
	cases[] = {
		{ 20000,   120000,   20,   120   },
		{ 5999,    120999,   5,    120   },
		{ 1999,    1000,     1,    1     },
		{ 999,     999,      1,    1     },
		{ 0,       0,        1,    1     },
		{ 3600000, 86400000, 3600, 86400 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct registrar_settings settings = {
			.minimum_register_interval_ms = cases[i].interval_ms,
			.droplet_stale_threshold_ms = cases[i].threshold_ms,
		};
		json_t *root = greeting_of(&settings);
		json_t *interval = json_object_get(root, "minimumRegisterIntervalInSeconds");
		json_t *threshold = json_object_get(root, "pruneThresholdInSeconds");

		assert_true(json_is_integer(interval) && json_is_integer(threshold));
		assert_int_equal(json_integer_value(interval), cases[i].interval_s);
		assert_int_equal(json_integer_value(threshold), cases[i].threshold_s);
		assert_int_equal(json_object_size(root), 4);
		json_decref(root);
	}
}

/* xxxxxxxx-xxxx-4xxx-Nxxx-xxxxxxxxxxxx, N one of 8, 9, a, b */
static bool is_uuid_v4(const char *uuid)
{
	static const char form[] = "xxxxxxxx-xxxx-4xxx-Nxxx-xxxxxxxxxxxx";

	if (strlen(uuid) != sizeof(form) - 1)
		return false;
	for (size_t i = 0; i < sizeof(form) - 1; i++) {
		const char *may_be = form[i] == 'x' ? "0123456789abcdef" :
				     form[i] == 'N' ? "89ab" : form[i] == '4' ? "4" : "-";

		if (!strchr(may_be, uuid[i]))
			return false;
	}
	return true;
}

static void the_id_is_the_index_and_a_new_uuid_each_time(void **state)
{
	static const struct { uint64_t index; const char *prefix; } cases[] = {
		{ 0, "0-" }, { 17, "17-" }, { 1000000, "1000000-" },
		{ UINT64_MAX, "18446744073709551615-" },
	};
	char before[64] = "";

	(void)state;
	for (unsigned round = 0; round < 100; round++)
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			struct registrar_settings settings = { .index = cases[i].index };
			json_t *root = greeting_of(&settings);
			const char *id = id_of(root);

			assert_true(str_has_prefix(str_of(id), str_of(cases[i].prefix)));
			id += strlen(cases[i].prefix);
			if (!is_uuid_v4(id))
				fail_msg("%s is no random UUID", id);
			assert_string_not_equal(id, before);
			assert_true(str_copy_z(str_of(id), before, sizeof(before)));
			json_decref(root);
		}
}

static void the_only_host_is_an_address_of_this_machine(void **state)
{
	struct registrar_settings settings = { 0 };
	json_t *root = greeting_of(&settings), *hosts = json_object_get(root, "hosts");
	const char *host = json_string_value(json_array_get(hosts, 0));
	struct in_addr ip;

	(void)state;
	assert_int_equal(json_array_size(hosts), 1);
	assert_non_null(host);
	assert_int_equal(inet_pton(AF_INET, host, &ip), 1);
	assert_int_not_equal(ip.s_addr, htonl(INADDR_ANY));
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_intervals_are_whole_seconds_and_never_zero),
		cmocka_unit_test(the_id_is_the_index_and_a_new_uuid_each_time),
		cmocka_unit_test(the_only_host_is_an_address_of_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
