/*
 * tests/unit/shm/test_route_writer_offer.c - an offer that another thread might have made
 * does what the writer's own way does.
 */
#include "tests/unit/fixture/shm_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "shm/route_writer_offer.h"

struct made {
	struct route_offer offer;
	struct arena arena;
	char key[ROUTE_KEY_MAX];
};

static bool make(struct shm_table *t, struct made *m, const char *uri, struct endpoint *endpoint)
{
	struct route_hash_seed seed = route_writer_seed(t->writer);
	struct route_key key = shm_table_key(uri, m->key);

	arena_init(&m->arena, NULL, 0);
	return route_offer_make(&seed, &key, endpoint, &m->arena, &m->offer);
}

static void describe(struct endpoint *out, unsigned port)
{
	shm_table_describe(out, "10.0.0.1:0", "an instance");
	out->port = (uint16_t)port;
	out->tags = STR("{\"app_id\":\"x\",\"n\":\"v\"}");
	out->flags |= ENDPOINT_HAS_TAGS;
	out->balancing = BALANCE_ROUND_ROBIN;
}

static int take(struct shm_table *t, const char *uri, struct endpoint *endpoint,
		struct route_handle *handle, bool *is_new_route)
{
	struct made m;
	int rc;

	assert_true(make(t, &m, uri, endpoint));
	route_writer_fetch_offer(t->writer, &m.offer);
	rc = route_writer_add_offer(t->writer, &m.offer, t->tick, handle, is_new_route);
	arena_fini(&m.arena);
	return rc;
}

static void what_was_offered_is_what_would_have_been_added(void **state)
{
	static const char *const uris[] = { "a.example", "a.example/v1/x", "*.b.example" };
	struct shm_table *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(uris); i++) {
		struct route_handle offered, added;
		struct endpoint e, out;
		bool is_new_route;
		uint32_t seen;

		describe(&e, 80);
		assert_int_equal(take(t, uris[i], &e, &offered, &is_new_route), WRITE_ADDED);
		assert_true(is_new_route);
		describe(&e, 80);
		assert_int_equal(shm_table_add(t, uris[i], &e, &added), WRITE_UPDATED);
		assert_memory_equal(&offered, &added, sizeof(added)); /* the same block, the same row */
		assert_true(shm_table_entry(t, uris[i], 0, &out, &seen));
		assert_true(str_equal(out.instance_id, STR("an instance")));
		assert_int_equal(out.balancing, BALANCE_ROUND_ROBIN);
		assert_int_equal(take(t, uris[i], &e, &added, &is_new_route), WRITE_UPDATED);
		assert_memory_equal(&offered, &added, sizeof(added));
		assert_false(is_new_route);
	}
	shm_table_assert_sound(t);
}

static void the_digest_does_not_tell_how_an_entry_came(void **state)
{
	struct shm_table *t = *state, *other = shm_table_create(0);
	struct route_handle handle;
	struct endpoint e;
	bool is_new_route;

	for (unsigned port = 1; port <= 100; port++) {
		describe(&e, port);
		assert_int_equal(take(t, "a.example/x", &e, &handle, &is_new_route), WRITE_ADDED);
		describe(&e, port);
		assert_int_equal(shm_table_add(other, "a.example/x", &e, NULL), WRITE_ADDED);
		if (port % 2)
			continue;
		e.app_id = STR("another app");        /* takes the entry over */
		assert_int_equal(shm_table_add(other, "a.example/x", &e, NULL), WRITE_UPDATED);
		assert_int_equal(take(t, "a.example/x", &e, &handle, &is_new_route), WRITE_UPDATED);
	}
	assert_memory_equal(route_writer_digest(t->writer), route_writer_digest(other->writer),
			    sizeof(struct route_digest));
	shm_table_destroy(other);
}

static void a_change_that_was_offered_is_in_the_history_of_its_host(void **state)
{
	static struct history_record records[HISTORY_WAYS];
	struct shm_table *t = shm_table_create_with_history(1 << 20);
	struct route_handle handle;
	struct endpoint e;
	bool is_new_route, is_full;

	(void)state;
	route_writer_because(t->writer, HISTORY_REGISTERED, HISTORY_NO_SOURCE, STR_NONE);
	describe(&e, 80);
	assert_int_equal(take(t, "a.example/x", &e, &handle, &is_new_route), WRITE_ADDED);
	describe(&e, 80);
	e.zone = STR("z9");
	assert_int_equal(shm_table_add(t, "a.example/x", &e, NULL), WRITE_UPDATED);
	assert_int_equal(history_of_host(t->ro, STR("a.example"), records, &is_full), 2);
	assert_int_equal(records[0].what, HISTORY_REGISTERED);
	assert_int_equal(records[1].what, HISTORY_UPDATED);
	shm_table_destroy(t);
}

/* Its texts are in the arena then, so the message may go. */
static void an_endpoint_that_was_offered_says_the_same_from_the_block(void **state)
{
	char host[] = "10.0.0.1", id[] = "an instance";
	struct shm_table *t = *state;
	struct endpoint e;
	struct made m;

	describe(&e, 80);
	e.host = str_of(host);
	e.instance_id = str_of(id);
	assert_true(make(t, &m, "a.example", &e));
	memset(host, 'x', strlen(host));
	memset(id, 'x', strlen(id));
	assert_true(str_equal(e.host, STR("10.0.0.1")));
	assert_true(str_equal(e.instance_id, STR("an instance")));
	arena_fini(&m.arena);
}

static void what_is_too_large_is_not_offered(void **state)
{
	static char long_text[ENDPOINT_TEXT_MAX + 1];
	struct shm_table *t = *state;
	struct endpoint e;
	struct made m;

	memset(long_text, 'x', sizeof(long_text));
	describe(&e, 80);
	e.zone = (struct str){ long_text, sizeof(long_text) };
	assert_false(make(t, &m, "a.example", &e));
	arena_fini(&m.arena);
	assert_int_equal(shm_table_add(t, "a.example", &e, NULL), -EMSGSIZE);
}

static void a_full_table_refuses_an_offer_and_stays_as_it_was(void **state)
{
	struct shm_table *t = shm_table_create(0);
	struct route_handle handle;
	struct table_usage before, after;
	struct endpoint e;
	bool is_new_route;
	char uri[32];
	int rc = WRITE_ADDED;

	(void)state;
	for (unsigned i = 0; rc == WRITE_ADDED; i++) {
		route_writer_usage(t->writer, &before);
		snprintf(uri, sizeof(uri), "a%u.example", i);
		describe(&e, 1 + i % 60000);
		rc = take(t, uri, &e, &handle, &is_new_route);
	}
	assert_int_equal(rc, -ENOSPC);
	assert_false(is_new_route);
	route_writer_usage(t->writer, &after);
	assert_int_equal(after.entries, before.entries);
	shm_table_assert_sound(t);
	shm_table_destroy(t);
}

int main(void)
{
#define ON_TABLE(test) cmocka_unit_test_setup_teardown(test, shm_table_setup, shm_table_teardown)
	const struct CMUnitTest tests[] = {
		ON_TABLE(what_was_offered_is_what_would_have_been_added),
		ON_TABLE(the_digest_does_not_tell_how_an_entry_came),
		cmocka_unit_test(a_change_that_was_offered_is_in_the_history_of_its_host),
		ON_TABLE(an_endpoint_that_was_offered_says_the_same_from_the_block),
		ON_TABLE(what_is_too_large_is_not_offered),
		cmocka_unit_test(a_full_table_refuses_an_offer_and_stays_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
