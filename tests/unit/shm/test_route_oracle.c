/*
 * tests/unit/shm/test_route_oracle.c - random registrations and lookups against a
 * naive table: every pool in an array, every lookup by comparing texts.
 */
#include "tests/unit/fixture/shm_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define KEYS 3000
#define ADDRESSES 5
#ifdef WYE_SANITIZED
#define OPERATIONS 60000
#else
#define OPERATIONS 1000000
#endif

struct naive {
	char keys[KEYS + 1][64];
	uint8_t has[KEYS][ADDRESSES];
	uint8_t is_kept[KEYS];        /* empty, but still there */
	unsigned count;
};

static uint64_t seed = 88172645463325252u;

static unsigned random_below(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 11) % n);
}

/* Few distinct labels, so that keys are prefixes and suffixes of each other. */
static void random_uri(char *out, size_t cap, bool is_request)
{
	static const char *const labels[] = { "a", "b", "cc", "longlabel9", "*" };
	static const char *const segments[] = { "", "x", "y", "v1", "segment-8", "v10" };
	unsigned n = 1 + random_below(4), depth = random_below(5);
	size_t len = 0;

	for (unsigned i = 0; i < n; i++)
		len += (size_t)snprintf(out + len, cap - len, "%s%s", i ? "." : "",
					labels[random_below(i || is_request ? 4 : 5)]);
	for (unsigned i = 0; i < depth; i++)
		len += (size_t)snprintf(out + len, cap - len, "/%s", segments[random_below(6)]);
}

/* Distinct ones, up to KEYS. */
static void make_keys(struct naive *naive)
{
	for (unsigned tries = 0; tries < 10 * KEYS && naive->count < KEYS; tries++) {
		char *new = naive->keys[naive->count], buffer[ROUTE_KEY_MAX], uri[64];
		unsigned i = 0;

		random_uri(uri, sizeof(uri), false);
		str_copy_z(shm_table_key(uri, buffer).text, new, sizeof(naive->keys[0]));
		while (strcmp(naive->keys[i], new) != 0)
			i++;
		naive->count += i == naive->count;
	}
}

static unsigned live_in(const struct naive *naive, unsigned k)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ADDRESSES; i++)
		n += naive->has[k][i];
	return n;
}

static int index_of(const struct naive *naive, const char *key, size_t len)
{
	for (unsigned i = 0; i < naive->count; i++)
		if (strlen(naive->keys[i]) == len && memcmp(naive->keys[i], key, len) == 0)
			return (int)i;
	return -1;
}

/* One form of the host: all prefixes of the text, longest first. */
static enum route_match naive_form(const struct naive *naive, const char *text, int *found)
{
	size_t len = strlen(text), host = strcspn(text, "/");
	int empty = -1;

	for (;;) {
		int k = index_of(naive, text, len);

		if (k >= 0 && live_in(naive, (unsigned)k)) {
			*found = k;
			return ROUTE_FOUND;
		}
		if (k >= 0 && naive->is_kept[k] && empty < 0)
			empty = k;
		if (len == host)
			break;
		while (text[--len] != '/')
			;
	}
	*found = empty;
	return empty < 0 ? ROUTE_NONE : ROUTE_EMPTY;
}

static enum route_match naive_find(const struct naive *naive, const char *request, int *found)
{
	enum route_match match = naive_form(naive, request, found);
	size_t host = strcspn(request, "/");
	char form[80];

	for (size_t i = 0; i < host && match == ROUTE_NONE; i++) {
		if (request[i] != '.')
			continue;
		snprintf(form, sizeof(form), "*%s", request + i);
		match = naive_form(naive, form, found);
	}
	return match;
}

static void compare_lookup(struct shm_table *t, const struct naive *naive)
{
	char request[64], host[64], path[64], key[ROUTE_KEY_MAX + 1], canonical[64], buffer[ROUTE_KEY_MAX];
	enum route_match match, expected;
	size_t cut;
	int k;

	random_uri(request, sizeof(request), true);
	cut = strcspn(request, "/");
	snprintf(host, sizeof(host), "%.*s", (int)cut, request);
	snprintf(path, sizeof(path), "%s", request[cut] ? request + cut : "/");
	str_copy_z(shm_table_key(request, buffer).text, canonical, sizeof(canonical));
	expected = naive_find(naive, canonical, &k);
	match = shm_table_find(t, host, path, key, sizeof(key));
	if (match != expected || (k >= 0 && strcmp(key, naive->keys[k]) != 0))
		fail_msg("%s: %d %s, expected %d %s", request, match, key, expected,
			 k >= 0 ? naive->keys[k] : "-");
}

static void change(struct shm_table *t, struct naive *naive, bool keeps_empty)
{
	unsigned k = random_below(naive->count), a = random_below(ADDRESSES);
	char address[32], uri[72];

	/* One slash is stripped from what is registered: a key may end in one. */
	snprintf(uri, sizeof(uri), "%s/", naive->keys[k]);
	snprintf(address, sizeof(address), "10.0.%u.%u:80", k % 250, a);
	t->tick++;
	if (random_below(2)) {
		int rc = shm_table_register(t, uri, address);

		assert_int_equal(rc, naive->has[k][a] ? WRITE_UPDATED : WRITE_ADDED);
		naive->has[k][a] = 1;
		naive->is_kept[k] = 0;
		return;
	}
	switch (shm_table_unregister(t, uri, address)) {
	case 0:
		assert_true(naive->has[k][a]);
		naive->has[k][a] = 0;
		naive->is_kept[k] = keeps_empty && !live_in(naive, k);
		break;
	case -ESRCH:
		assert_false(naive->has[k][a]);
		assert_true(live_in(naive, k) || naive->is_kept[k]);
		break;
	case -ENOENT:
		assert_false(live_in(naive, k) || naive->is_kept[k]);
		break;
	default:
		fail_msg("unexpected result");
	}
}

static void assert_counts(struct shm_table *t, const struct naive *naive)
{
	struct table_usage usage;
	uint64_t routes = 0, entries = 0;

	for (unsigned k = 0; k < naive->count; k++) {
		routes += live_in(naive, k) || naive->is_kept[k];
		entries += live_in(naive, k);
	}
	route_writer_usage(t->writer, &usage);
	assert_int_equal(usage.routes, routes);
	assert_int_equal(usage.entries, entries);
}

static void run(struct shm_table *t, bool keeps_empty)
{
	struct naive *naive = mem_zalloc(sizeof(*naive));

	make_keys(naive);
	route_writer_keep_empty(t->writer, keeps_empty ? 1u << 30 : 0);
	for (unsigned i = 0; i < OPERATIONS / 2; i++) {
		change(t, naive, keeps_empty);
		if (i % 16 == 0)
			compare_lookup(t, naive);
		if (i % 64 == 0)
			route_writer_tick(t->writer, i);
		if (i % (OPERATIONS / 10) == 0) {
			shm_table_restart_writer(t);
			route_writer_keep_empty(t->writer, keeps_empty ? 1u << 30 : 0);
			shm_table_assert_sound(t);
			assert_counts(t, naive);
		}
	}
	shm_table_assert_sound(t);
	assert_counts(t, naive);
	free(naive);
}

static void random_operations_agree_with_a_naive_table(void **state)
{
	run(*state, false);
}

static void empty_pools_that_are_kept_agree_with_a_naive_table(void **state)
{
	run(*state, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_operations_agree_with_a_naive_table,
						shm_table_setup, shm_table_teardown),
		cmocka_unit_test_setup_teardown(empty_pools_that_are_kept_agree_with_a_naive_table,
						shm_table_setup, shm_table_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
