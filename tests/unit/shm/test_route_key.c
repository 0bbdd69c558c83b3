/*
 * tests/unit/shm/test_route_key.c - canonical keys, and their hashes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "shm/route_hash.h"
#include "shm/route_key.h"

static void registered_uris_become_keys(void **state)
{
	static const struct { const char *uri, *key; unsigned host_len, segments; } cases[] = {
		{ "App.Example.com", "app.example.com", 15, 0 },
		{ "a.com/", "a.com", 5, 0 },
		{ "a.com//", "a.com/", 5, 1 },
		{ "/a.com/X/y?q=1", "a.com/x/y", 5, 2 },
		{ "a.com./x", "a.com/x", 5, 1 },
		{ "a.com//x", "a.com//x", 5, 2 },
		{ "*.a.com/v1/", "*.a.com/v1", 7, 1 },
		{ "a.com:8080/x", "a.com:8080/x", 10, 1 },
	};
	char buffer[ROUTE_KEY_MAX];
	struct route_key key;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(route_key_parse(str_of(cases[i].uri), buffer, &key, NULL), 0);
		assert_true(str_equal(key.text, str_of(cases[i].key)));
		assert_int_equal(key.host_len, cases[i].host_len);
		assert_int_equal(key.segments, cases[i].segments);
	}
}

static void uris_that_cannot_be_keys_are_refused(void **state)
{
	static const char *const bad[] = { "", "/", "//x", ".", "?x", "./x", "a\nb.com", "a.com/\x7f" };
	char buffer[ROUTE_KEY_MAX], text[ROUTE_KEY_MAX + 10];
	struct reason reason;
	struct route_key key;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(route_key_parse(str_of(bad[i]), buffer, &key, &reason), -EINVAL);
	memset(text, 'a', sizeof(text));
	assert_int_equal(route_key_parse((struct str){ text, 255 }, buffer, &key, NULL), 0);
	assert_int_equal(route_key_parse((struct str){ text, 256 }, buffer, &key, NULL), -EINVAL);
	text[10] = '/';
	assert_int_equal(route_key_parse((struct str){ text, ROUTE_KEY_MAX }, buffer, &key, NULL), 0);
	assert_int_equal(route_key_parse((struct str){ text, ROUTE_KEY_MAX + 1 }, buffer, &key, NULL), -EINVAL);
}

/* Also behind bytes that are not ASCII, a quote or a backslash. */
static void control_characters_are_refused_at_any_place(void **state)
{
	static const char *const texts[] = { "a-host.of.apps.example.com/path", "a\"b\\c\xc3\xa4-ABCD" };
	char buffer[ROUTE_KEY_MAX], text[64];
	struct route_key key;

	(void)state;
	for (size_t t = 0; t < ARRAY_SIZE(texts); t++)
		for (size_t at = 0; texts[t][at]; at++)
			for (int c = 1; c < 256; c++) {
				bool is_control = c < 0x20 || c == 0x7f;

				strcpy(text, texts[t]);
				text[at] = (char)c;
				if (strchr("/?.", c))
					continue;
				assert_int_equal(route_key_parse(str_of(text), buffer, &key, NULL),
						 is_control ? -EINVAL : 0);
			}
}

static void requests_become_keys(void **state)
{
	static const struct { const char *host, *path, *key; } cases[] = {
		{ "A.com:80", "/", "a.com" },
		{ "a.com.", "/X/?y", "a.com/x" },
		{ "a.com.:443", "/x//", "a.com/x/" },
		{ "[::1]:80", "/", "[::1]" },
		{ "[::1]", "/a", "[::1]/a" },
		{ "a.com", "*", "a.com" },
		{ "a.com", "", "a.com" },
		{ "", "/a", NULL },
		{ ":80", "/a", NULL },
		{ ".", "/a", NULL },
		{ "a/b", "/a", NULL },
	};
	char buffer[ROUTE_KEY_MAX];
	struct route_key key;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool ok = route_key_from_request(str_of(cases[i].host), str_of(cases[i].path), buffer, &key);

		assert_int_equal(ok, cases[i].key != NULL);
		if (ok)
			assert_true(str_equal(key.text, str_of(cases[i].key)));
	}
}

static void a_path_longer_than_any_key_is_cut_at_a_segment(void **state)
{
	char buffer[ROUTE_KEY_MAX], path[4000];
	struct route_key key;

	(void)state;
	memset(path, 'a', sizeof(path));
	path[0] = path[5] = '/';
	assert_true(route_key_from_request(STR("h"), (struct str){ path, sizeof(path) }, buffer, &key));
	assert_true(str_equal(key.text, STR("h/aaaa")));
	path[ROUTE_KEY_MAX - 1] = '/';        /* what is before it just fits */
	assert_true(route_key_from_request(STR("h"), (struct str){ path, sizeof(path) }, buffer, &key));
	assert_int_equal(key.text.len, ROUTE_KEY_MAX);
	assert_int_equal(key.segments, 2);
	path[5] = path[ROUTE_KEY_MAX - 1] = 'a';
	assert_true(route_key_from_request(STR("h"), (struct str){ path, sizeof(path) }, buffer, &key));
	assert_true(str_equal(key.text, STR("h")));
	memset(path, 'a', 256);
	assert_false(route_key_from_request((struct str){ path, 256 }, STR("/"), buffer, &key));
}

/* The state after each label is the hash of that suffix as a host of its own. */
static void hashes_of_suffixes_are_hashes_of_whole_hosts(void **state)
{
	static const char *const hosts[] = {
		"app.example.com", "a", "a.b", "..", ".", "eightlet.b", "ninelett9.x.eightlet", "a.b.c.d.e.f",
	};
	static const struct route_hash_seed seed = { 0x123456789abcdef1u, 0xfedcba9876543210u };
	uint64_t suffix[ROUTE_LABELS_MAX], whole[ROUTE_LABELS_MAX];
	uint16_t start[ROUTE_LABELS_MAX], unused[ROUTE_LABELS_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		struct str host = str_of(hosts[i]);
		unsigned labels = route_hash_host(&seed, host, suffix, start);

		for (unsigned k = 0; k < labels; k++) {
			struct str tail = str_sub(host, start[k], STR_REST);
			char wild[64];
			unsigned n = route_hash_host(&seed, tail, whole, unused);

			assert_int_equal(n, k + 1);
			assert_true(whole[n - 1] == suffix[k]);
			snprintf(wild, sizeof(wild), "*.%.*s", STR_ARG(tail));
			n = route_hash_host(&seed, str_of(wild), whole, unused);
			assert_true(whole[n - 1] == route_hash_wildcard(&seed, suffix[k]));
		}
	}
}

static void hashes_of_prefixes_are_hashes_of_whole_paths(void **state)
{
	static const struct route_hash_seed seed = { 1, 2 };
	struct str path = STR("/v1//longersegment/x/");
	uint64_t state_of[64], whole[64];
	uint16_t end[64], unused[64];
	unsigned segments = route_hash_path(&seed, path, state_of, end);

	(void)state;
	assert_int_equal(segments, 5);
	for (unsigned i = 0; i < segments; i++) {
		unsigned n = route_hash_path(&seed, str_sub(path, 0, end[i]), whole, unused);

		assert_int_equal(n, i + 1);
		assert_true(whole[n - 1] == state_of[i]);
	}
}

static void hosts_of_only_dots_and_many_labels_fit(void **state)
{
	static const struct route_hash_seed seed = { 5, 6 };
	uint64_t suffix[ROUTE_LABELS_MAX];
	uint16_t start[ROUTE_LABELS_MAX];
	char host[ROUTE_HOST_MAX];

	(void)state;
	memset(host, '.', sizeof(host));
	assert_int_equal(route_hash_host(&seed, (struct str){ host, sizeof(host) }, suffix, start), 256);
}

static void keys_are_read_again_as_they_were_made(void **state)
{
	static const char *const uris[] = { "a.example", "*.A.example/b/c", "a../b//", "a//b/", "x." };
	static const char *const others[] = { "", "/a", "A.example", "a/b?c", "a\tb", "a/\x7f" };
	char buffer[ROUTE_KEY_MAX];
	struct route_key made, again;

	(void)state;
	for (size_t i = 0; i < sizeof(uris) / sizeof(*uris); i++) {
		assert_int_equal(route_key_parse(str_of(uris[i]), buffer, &made, NULL), 0);
		assert_true(route_key_read(made.text, &again));
		assert_true(str_equal(again.text, made.text));
		assert_int_equal(again.host_len, made.host_len);
		assert_int_equal(again.segments, made.segments);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		assert_false(route_key_read(str_of(others[i]), &again));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registered_uris_become_keys),
		cmocka_unit_test(uris_that_cannot_be_keys_are_refused),
		cmocka_unit_test(keys_are_read_again_as_they_were_made),
		cmocka_unit_test(control_characters_are_refused_at_any_place),
		cmocka_unit_test(requests_become_keys),
		cmocka_unit_test(a_path_longer_than_any_key_is_cut_at_a_segment),
		cmocka_unit_test(hashes_of_suffixes_are_hashes_of_whole_hosts),
		cmocka_unit_test(hashes_of_prefixes_are_hashes_of_whole_paths),
		cmocka_unit_test(hosts_of_only_dots_and_many_labels_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
