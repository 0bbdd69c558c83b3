/*
 * tests/unit/shm/test_route_writer.c - what adding, refreshing, removing and sweeping
 * mean; a full table.
 */
#include "tests/unit/fixture/shm_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "shm/alloc.h"
#include "shm/endpoint_live.h"
#include "shm/tags.h"

static void an_endpoint_leaves_the_table_as_it_was_registered(void **state)
{
	struct shm_table *t = *state;
	struct endpoint in = {
		.flags = ENDPOINT_TLS | ENDPOINT_HAS_TAGS, .stale_s = 33, .port = 61001,
		.balancing = BALANCE_LEAST_CONNECTION, .updated_at_ns = 12345, .ip = { [10] = 255, 255, 10, 1, 2, 3 },
		.host = STR("10.1.2.3"), .app_id = STR("app-1"), .instance_id = STR("inst-1"),
		.instance_index = STR("7"), .san = STR("san.example"), .zone = STR("z9"),
		.route_service_url = STR("https://rs.example/x"), .protocol = STR("http2"),
		.isolation_segment = STR("seg"), .process_id = STR("pid"), .component = STR("comp"),
		.tags = STR("{\"a\":\"b\"}"),
	}, out;
	char buffer[ROUTE_KEY_MAX];
	struct route_key key = shm_table_key("a.example.com", buffer);
	const struct route *route;
	char tags[ENDPOINT_TAGS_MAX];
	struct str unpacked;

	assert_int_equal(shm_table_add(t, "a.example.com", &in, NULL), WRITE_ADDED);
	assert_true(shm_table_entry(t, "a.example.com", 0, &out, NULL));
#define X(name) assert_true(str_equal(in.name, out.name));
	ENDPOINT_TEXTS(X)
#undef X
	assert_int_equal(out.flags, in.flags);
	assert_int_equal(out.stale_s, 33);
	assert_int_equal(out.port, 61001);
	assert_int_equal(out.updated_at_ns, 12345);
	assert_memory_equal(out.ip, in.ip, 16);
	assert_int_not_equal(out.serial, 0);
	route = route_find_exact(t->reader, &key);
	assert_int_equal(route_balancing(route), BALANCE_LEAST_CONNECTION);
	assert_true(tags_unpack(route_entry(t->reader, route, 0, NULL),
				inst_packed_tags(t->reader, route_entry(t->reader, route, 0, NULL)),
				tags, &unpacked));
	assert_true(str_equal(unpacked, in.tags));
}

static void changed_attributes_keep_the_row_and_its_counts(void **state)
{
	struct shm_table *t = *state;
	struct endpoint in, before, after;

	shm_table_describe(&in, "10.0.0.1:80", "id");
	assert_int_equal(shm_table_add(t, "a.example.com", &in, NULL), WRITE_ADDED);
	assert_true(shm_table_entry(t, "a.example.com", 0, &before, NULL));
	assert_true(live_begin(t->board, before.row, SLOT_WORKER));
	in.zone = STR("z2");
	assert_int_equal(shm_table_add(t, "a.example.com", &in, NULL), WRITE_UPDATED);
	assert_true(shm_table_entry(t, "a.example.com", 0, &after, NULL));
	assert_int_equal(after.row, before.row);
	assert_int_not_equal(after.serial, before.serial);
	assert_int_equal(live_in_flight(t->board, after.row), 1);
	assert_true(str_equal(after.zone, STR("z2")));
}

static void routes_of_one_instance_share_its_block_and_row(void **state)
{
	struct shm_table *t = *state;
	struct endpoint one, two;
	struct table_usage usage;

	shm_table_register(t, "a.example.com", "10.0.0.1:80");
	shm_table_register(t, "b.example.com", "10.0.0.1:80");
	assert_true(shm_table_entry(t, "a.example.com", 0, &one, NULL));
	assert_true(shm_table_entry(t, "b.example.com", 0, &two, NULL));
	assert_int_equal(one.serial, two.serial);
	assert_int_equal(one.row, two.row);
	route_writer_usage(t->writer, &usage);
	assert_int_equal(usage.endpoints, 1);
	assert_int_equal(usage.entries, 2);
}

static void a_handle_refreshes_until_it_is_outdated(void **state)
{
	struct shm_table *t = *state;
	struct route_handle handle;
	struct endpoint in, out;
	uint32_t seen;

	shm_table_describe(&in, "10.0.0.1:80", "id");
	assert_int_equal(shm_table_add(t, "a.example.com/x", &in, &handle), WRITE_ADDED);
	assert_int_equal(route_writer_refresh(t->writer, &handle, 77), 0);
	assert_true(shm_table_entry(t, "a.example.com/x", 0, &out, &seen));
	assert_int_equal(seen, 77);
	assert_int_equal(shm_table_unregister(t, "a.example.com/x", "10.0.0.1:80"), 0);
	assert_int_equal(route_writer_refresh(t->writer, &handle, 78), -ENOENT);
	route_writer_tick(t->writer, 1);
	in.zone = STR("zz");          /* the same memory, somebody else */
	assert_int_equal(shm_table_add(t, "a.example.com/x", &in, NULL), WRITE_ADDED);
	assert_int_equal(route_writer_refresh(t->writer, &handle, 79), -ENOENT);
	handle = (struct route_handle){ 1, 2, UINT32_MAX, 0 };
	assert_int_equal(route_writer_refresh(t->writer, &handle, 79), -ENOENT);
}

/* Hints for what comes next: of a route that is gone, of another table, of nothing. */
static void fetching_ahead_takes_any_handle_and_changes_nothing(void **state)
{
	struct shm_table *t = *state;
	struct route_handle handles[64] = { { 0 } };
	struct table_usage before, after;
	struct route_digest digest;
	struct endpoint endpoint;
	uint64_t changes;

	for (unsigned i = 1; i < 32; i++) {
		char uri[32];

		snprintf(uri, sizeof(uri), "r%u.example", i);
		shm_table_describe(&endpoint, "10.0.0.1:80", "id");
		assert_int_equal(shm_table_add(t, uri, &endpoint, &handles[i]), WRITE_ADDED);
		handles[32 + i] = (struct route_handle){
			.route_hash = handles[i].route_hash ^ 1ull << 2 * i, .inst = UINT32_MAX >> i,
			.serial = UINT64_MAX, .row = UINT32_MAX,
		};
		if (i % 3 == 0)
			shm_table_unregister(t, uri, "10.0.0.1:80");
	}
	route_writer_usage(t->writer, &before);
	digest = *route_writer_digest(t->writer);
	changes = route_writer_changes(t->writer);
	for (size_t i = 0; i < ARRAY_SIZE(handles); i++) {
		route_writer_fetch(t->writer, &handles[i]);
		route_writer_fetch_route(t->writer, &handles[i]);
	}
	route_writer_usage(t->writer, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_memory_equal(&digest, route_writer_digest(t->writer), sizeof(digest));
	assert_int_equal(route_writer_changes(t->writer), changes);
	for (unsigned i = 1; i < 32; i++)
		assert_int_equal(route_writer_refresh(t->writer, &handles[i], 77), i % 3 ? 0 : -ENOENT);
	shm_table_assert_sound(t);
}

static void another_instance_at_the_same_address_is_not_unregistered(void **state)
{
	struct shm_table *t = *state;
	char buffer[ROUTE_KEY_MAX];
	struct route_key key = shm_table_key("a.example.com", buffer);
	struct endpoint in;
	bool gone;

	shm_table_describe(&in, "10.0.0.1:80", "new");
	shm_table_add(t, "a.example.com", &in, NULL);
	assert_int_equal(route_writer_remove(t->writer, &key, STR("10.0.0.1"), 80, STR("old"), &gone), -EEXIST);
	assert_int_equal(route_writer_remove(t->writer, &key, STR("10.0.0.1"), 81, STR("new"), &gone), -ESRCH);
	assert_int_equal(route_writer_remove(t->writer, &key, STR("10.0.0.1"), 80, STR("new"), &gone), 0);
	assert_true(gone);
	assert_int_equal(route_writer_remove(t->writer, &key, STR("10.0.0.1"), 80, STR("new"), &gone), -ENOENT);
}

static void a_row_is_not_recycled_while_a_request_is_in_flight(void **state)
{
	struct shm_table *t = *state;
	struct endpoint one, next;
	char address[32];

	shm_table_register(t, "a.example.com", "10.0.0.1:80");
	assert_true(shm_table_entry(t, "a.example.com", 0, &one, NULL));
	live_begin(t->board, one.row, SLOT_WORKER);
	live_mark_failed(t->board, one.row, 5);
	shm_table_unregister(t, "a.example.com", "10.0.0.1:80");
	route_writer_tick(t->writer, 1);
	for (int i = 2; i < 6; i++) {
		snprintf(address, sizeof(address), "10.0.0.%d:80", i);
		shm_table_register(t, "a.example.com", address);
		assert_true(shm_table_entry(t, "a.example.com", (unsigned)i - 2, &next, NULL));
		assert_int_not_equal(next.row, one.row);
	}
	live_end(t->board, one.row, SLOT_WORKER);
	shm_table_register(t, "a.example.com", "10.0.0.9:80");
	assert_true(shm_table_entry(t, "a.example.com", 4, &next, NULL));
	assert_int_equal(next.row, one.row);
	assert_int_equal(live_failed_at(t->board, next.row), 0);
}

struct sweeping {
	unsigned seen;
	uint32_t remove_before;
};

static enum entry_verdict remove_old(void *context, const struct entry_view *entry)
{
	struct sweeping *sweeping = context;

	sweeping->seen++;
	return entry->last_seen < sweeping->remove_before ? ENTRY_REMOVE : ENTRY_KEEP;
}

static void a_sweep_visits_every_entry_once_and_removes_what_it_is_told(void **state)
{
	struct shm_table *t = *state;
	struct sweeping sweeping = { 0, 150 };
	struct table_usage usage;
	unsigned removed = 0;
	char uri[40];

	for (int i = 0; i < 300; i++) {
		snprintf(uri, sizeof(uri), "r%d.example.com%s", i / 2, i % 2 ? "/path" : "");
		t->tick = (uint32_t)i;
		shm_table_register(t, uri, "10.0.0.1:80");
	}
	for (unsigned slice = 0; slice < ROUTE_WRITER_SLICES; slice++)
		removed += route_writer_sweep(t->writer, slice, 1000, remove_old, &sweeping);
	assert_int_equal(sweeping.seen, 300);
	assert_int_equal(removed, 150);
	route_writer_usage(t->writer, &usage);
	assert_int_equal(usage.routes, 150);
	shm_table_assert_sound(t);
}

static bool count_route(void *context, struct route_reader *reader, const struct route *route)
{
	(void)reader;
	(void)route;
	++*(unsigned *)context;
	return true;
}

static void each_route_is_visited_once(void **state)
{
	struct shm_table *t = *state;
	unsigned seen = 0;
	char uri[40];

	for (int i = 0; i < 2500; i++) {
		snprintf(uri, sizeof(uri), "r%d.example.com/path", i);
		shm_table_register(t, uri, "10.0.0.1:80");
	}
	route_each(t->reader, count_route, &seen);
	assert_int_equal(seen, 2500);
}

static enum entry_verdict remove_but_the_last(void *context, const struct entry_view *entry)
{
	const struct endpoint *bad = context;

	return entry->serial == bad->serial && !entry->is_last ? ENTRY_REMOVE : ENTRY_KEEP;
}

static void a_sweep_says_which_entry_is_the_last_of_its_pool(void **state)
{
	struct shm_table *t = *state;
	struct endpoint bad;
	struct table_usage usage;
	unsigned removed = 0;

	shm_table_register(t, "a.example.com", "10.0.0.1:80");
	shm_table_register(t, "b.example.com/x", "10.0.0.1:80");
	shm_table_register(t, "b.example.com/x", "10.0.0.2:80");
	assert_true(shm_table_entry(t, "a.example.com", 0, &bad, NULL));
	for (unsigned round = 0; round < 2; round++)
		for (unsigned slice = 0; slice < ROUTE_WRITER_SLICES; slice++)
			removed += route_writer_sweep(t->writer, slice, 1, remove_but_the_last, &bad);
	assert_int_equal(removed, 1);
	route_writer_usage(t->writer, &usage);
	assert_int_equal(usage.entries, 2);
	shm_table_assert_sound(t);
}

static void an_endpoint_is_found_by_its_route_and_address(void **state)
{
	struct shm_table *t = *state;
	char buffer[ROUTE_KEY_MAX];
	struct route_key key = shm_table_key("b.example.com/x", buffer);
	struct route_handle handle;
	struct endpoint found;

	shm_table_register(t, "a.example.com", "10.0.0.1:80");
	shm_table_register(t, "b.example.com/x", "10.0.0.2:80");
	assert_false(route_writer_find(t->writer, &key, STR("10.0.0.1"), 80, &found, &handle));
	assert_false(route_writer_find(t->writer, &key, STR("10.0.0.2"), 81, &found, &handle));
	assert_true(route_writer_find(t->writer, &key, STR("10.0.0.2"), 80, &found, &handle));
	assert_true(found.serial == handle.serial && found.row == handle.row);
	assert_int_equal(route_writer_refresh(t->writer, &handle, 7), 0);
}

static void kept_pools_go_when_their_time_is_over(void **state)
{
	struct shm_table *t = *state;
	struct sweeping sweeping = { 0, 0 };
	char key[ROUTE_KEY_MAX + 1];

	route_writer_keep_empty(t->writer, 50);
	shm_table_register(t, "a.example.com", "10.0.0.1:80");
	route_writer_sweep(t->writer, 0, 1000, remove_old, &sweeping);        /* sets the clock */
	shm_table_unregister(t, "a.example.com", "10.0.0.1:80");
	for (unsigned slice = 0; slice < ROUTE_WRITER_SLICES; slice++)
		route_writer_sweep(t->writer, slice, 1049, remove_old, &sweeping);
	assert_int_equal(shm_table_find(t, "a.example.com", "/", key, sizeof(key)), ROUTE_EMPTY);
	for (unsigned slice = 0; slice < ROUTE_WRITER_SLICES; slice++)
		route_writer_sweep(t->writer, slice, 1050, remove_old, &sweeping);
	assert_int_equal(shm_table_find(t, "a.example.com", "/", key, sizeof(key)), ROUTE_NONE);
}

/* --- a full table --- */

static unsigned fill(struct shm_table *t)
{
	char uri[40], address[40];
	unsigned n = 0;
	int rc;

	do {
		snprintf(uri, sizeof(uri), "r%u.example.com/path/%u", n, n);
		snprintf(address, sizeof(address), "10.1.%u.%u:80", n / 250 % 250, n % 250);
		rc = shm_table_register(t, uri, address);
	} while (rc == WRITE_ADDED && ++n < 100000);
	assert_int_equal(rc, -ENOSPC);
	return n;
}

static void a_full_table_refuses_and_heals(void **state)
{
	struct shm_table *t = shm_table_create(2u << 20);
	char uri[40], address[40];
	unsigned n = fill(t);

	(void)state;
	shm_table_assert_sound(t);
	assert_in_range(n, 1000, 20000);
	for (unsigned i = 0; i < n; i += 2) {
		snprintf(uri, sizeof(uri), "r%u.example.com/path/%u", i, i);
		snprintf(address, sizeof(address), "10.1.%u.%u:80", i / 250 % 250, i % 250);
		assert_int_equal(shm_table_register(t, uri, address), WRITE_UPDATED);
		assert_int_equal(shm_table_unregister(t, uri, address), 0);
	}
	route_writer_tick(t->writer, 100000);
	route_writer_tick(t->writer, 200000);
	assert_int_equal(shm_table_register(t, "new.example.com", "10.0.0.1:80"), WRITE_ADDED);
	shm_table_assert_sound(t);
	shm_table_restart_writer(t);
	assert_int_equal(t->recovery.damaged, 0);
	shm_table_destroy(t);
}

static void memory_that_the_machine_refuses_is_no_more_than_a_full_table(void **state)
{
	struct shm_table *t = *state;
	char uri[40];
	unsigned n = 0;
	int rc;

	alloc_commit_fails = true;
	do {
		snprintf(uri, sizeof(uri), "r%u.example.com", n);
		rc = shm_table_register(t, uri, "10.0.0.1:80");
	} while (rc == WRITE_ADDED && ++n < 100000);
	alloc_commit_fails = false;
	assert_int_equal(rc, -ENOSPC);
	shm_table_assert_sound(t);
	assert_int_equal(shm_table_register(t, uri, "10.0.0.1:80"), WRITE_ADDED);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, shm_table_setup, shm_table_teardown)
	const struct CMUnitTest tests[] = {
		CASE(an_endpoint_leaves_the_table_as_it_was_registered),
		CASE(changed_attributes_keep_the_row_and_its_counts),
		CASE(routes_of_one_instance_share_its_block_and_row),
		CASE(a_handle_refreshes_until_it_is_outdated),
		CASE(fetching_ahead_takes_any_handle_and_changes_nothing),
		CASE(another_instance_at_the_same_address_is_not_unregistered),
		CASE(a_row_is_not_recycled_while_a_request_is_in_flight),
		CASE(a_sweep_visits_every_entry_once_and_removes_what_it_is_told),
		CASE(each_route_is_visited_once),
		CASE(a_sweep_says_which_entry_is_the_last_of_its_pool),
		CASE(an_endpoint_is_found_by_its_route_and_address),
		CASE(kept_pools_go_when_their_time_is_over),
		cmocka_unit_test(a_full_table_refuses_and_heals),
		CASE(memory_that_the_machine_refuses_is_no_more_than_a_full_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
