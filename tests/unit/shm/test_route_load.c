/*
 * tests/unit/shm/test_route_load.c - a table filled at once from records is what
 * registering each of them would have made of it; and what does not come to its end
 * leaves no trace.
 */
#include "tests/unit/fixture/shm_table.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "shm/history.h"
#include "shm/route_writer_load.h"
#include "shm/tags.h"

#define RECORDS_MAX (4u << 20)

/* Records of a table that is gone. */
struct records {
	char *bytes;                  /* owned */
	size_t used;
	uint64_t count;
};

static enum entry_verdict save(void *context, const struct entry_view *view)
{
	struct records *r = context;
	size_t bytes = route_image_bytes(view->inst, view->packed_tags, view->key);

	assert_true(r->used + bytes <= RECORDS_MAX);
	route_image_write(view->inst, view->packed_tags, view->key, 0, r->bytes + r->used);
	r->used += bytes;
	r->count++;
	return ENTRY_KEEP;
}

static void save_all(struct shm_table *t, struct records *r)
{
	for (unsigned slice = 0; slice < ROUTE_WRITER_SLICES; slice++)
		route_writer_sweep(t->writer, slice, t->tick, save, r);
}

static struct str all_of(const struct records *r)
{
	return (struct str){ r->bytes, r->used };
}

/* --- tables with a little of everything */

static void put(struct shm_table *t, const char *uri, unsigned number, const char *app,
		const char *tags)
{
	struct endpoint e;
	char address[32];

	snprintf(address, sizeof(address), "10.0.%u.%u:%u", number / 200, number % 200 + 1,
		 61000 + number % 3);
	shm_table_describe(&e, address, number % 5 ? "an-instance" : "");
	e.app_id = str_of(app);
	e.tags = str_of(tags);
	e.flags = *tags ? ENDPOINT_HAS_TAGS : 0;
	e.balancing = (uint8_t)(number % 3);
	e.updated_at_ns = number * 1000;
	assert_int_equal(shm_table_add(t, uri, &e, NULL), WRITE_ADDED);
}

static void fill(struct shm_table *t)
{
	char uri[64], app[16];

	for (unsigned i = 0; i < 400; i++) {
		snprintf(app, sizeof(app), "app-%u", i / 4);
		snprintf(uri, sizeof(uri), "%s.example", app);
		put(t, uri, i, app, "{\"component\":\"route-emitter\",\"process_type\":\"web\"}");
		snprintf(uri, sizeof(uri), "also-%s.example", app);        /* the same block */
		put(t, uri, i, app, "{\"component\":\"route-emitter\",\"process_type\":\"web\"}");
		snprintf(uri, sizeof(uri), "other-%s.example", app);       /* the same row */
		put(t, uri, i, app, "");
	}
	for (unsigned i = 0; i < 100; i++) {
		snprintf(uri, sizeof(uri), "only-paths-%u.example/a/b/%u", i / 3, i);
		put(t, uri, 1000 + i, "paths", "{}");
		snprintf(uri, sizeof(uri), "app-%u.example/deep", i);
		put(t, uri, 1000 + i, "paths", "{}");
	}
	put(t, "*.wild.example", 2000, "wild", "");
	put(t, "a../b//", 2001, "odd", "");
	for (unsigned i = 0; i < 300; i++)
		put(t, "large.example", 3000 + i, "large", "{\"space_name\":\"s\"}");
}

static int setup(void **state)
{
	struct records *r = mem_zalloc(sizeof(*r));
	struct shm_table *t = shm_table_create(0);

	r->bytes = mem_alloc(RECORDS_MAX);
	fill(t);
	save_all(t, r);
	shm_table_destroy(t);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct records *r = *state;

	free(r->bytes);
	free(r);
	return 0;
}

/* --- the two ways into a table */

static void put_records(struct shm_table *t, struct route_load *load, struct str records)
{
	struct route_load_entry *run = mem_alloc(100 * sizeof(*run));
	unsigned count = 0;
	int rc;

	do {
		rc = route_image_next(&records, &run[count].image);
		if (rc == 0)
			route_load_prepare(load, &run[count++]);
		if (count == 100 || rc) {
			route_load_put(load, run, count, t->tick);
			count = 0;
		}
	} while (rc == 0);
	assert_int_equal(rc, -ENODATA);
	free(run);
}

static struct route_load_counts load_all(struct shm_table *t, const struct records *r)
{
	struct route_load *load;

	assert_int_equal(route_load_begin(t->writer, r->count, &load), 0);
	put_records(t, load, all_of(r));
	return route_load_commit(load);
}

/* How many of them were new. */
static uint64_t register_all(struct shm_table *t, const struct records *r)
{
	struct endpoint *e = mem_alloc(sizeof(*e));
	struct str records = all_of(r);
	char tags[ENDPOINT_TAGS_MAX];
	struct route_handle handle;
	struct route_image image;
	uint64_t added = 0;
	bool is_new;

	while (route_image_next(&records, &image) == 0) {
		int rc;

		assert_true(route_image_endpoint(&image, e, tags));
		rc = route_writer_add(t->writer, &image.key, e, t->tick, &handle, &is_new);
		assert_true(rc == WRITE_ADDED || rc == WRITE_UPDATED);
		added += rc == WRITE_ADDED;
	}
	free(e);
	return added;
}

static void unregister_all(struct shm_table *t, const struct records *r)
{
	struct endpoint *e = mem_alloc(sizeof(*e));
	struct str records = all_of(r);
	char tags[ENDPOINT_TAGS_MAX];
	struct route_image image;
	bool is_gone;

	while (route_image_next(&records, &image) == 0) {
		assert_true(route_image_endpoint(&image, e, tags));
		assert_int_equal(route_writer_remove(t->writer, &image.key, e->host, e->port,
						     e->instance_id, &is_gone), 0);
	}
	free(e);
}

static void assert_usage(struct shm_table *t, uint64_t routes, uint64_t entries, uint64_t endpoints)
{
	struct table_usage usage;

	route_writer_usage(t->writer, &usage);
	assert_int_equal(usage.routes, routes);
	assert_int_equal(usage.entries, entries);
	assert_int_equal(usage.endpoints, endpoints);
	assert_int_equal(route_digest_total(route_writer_digest(t->writer)), entries);
}

/* --- equal tables */

struct comparison {
	struct shm_table *other;
	uint64_t entries;
};

/* Of the other table, the same entry of the same pool. */
static void find(struct comparison *c, struct str name, const struct endpoint *e,
		 struct endpoint *out, char tags[ENDPOINT_TAGS_MAX])
{
	struct route_handle handle;
	struct route_key key;

	assert_true(route_key_read(name, &key));
	assert_true(route_writer_find(c->other->writer, &key, e->host, e->port, out, &handle));
	assert_true(route_writer_endpoint(c->other->writer, handle.row, handle.serial, out, tags));
}

static enum entry_verdict compare(void *context, const struct entry_view *view)
{
	struct endpoint *mine = mem_alloc(2 * sizeof(*mine)), *others = mine + 1;
	char tags[ENDPOINT_TAGS_MAX], others_tags[ENDPOINT_TAGS_MAX];
	struct comparison *c = context;

	assert_true(inst_copy(view->inst, mine));
	assert_true(tags_unpack(view->inst, view->packed_tags, tags, &mine->tags));
	find(c, view->key, mine, others, others_tags);
	assert_true(str_equal(mine->tags, others->tags));
#define X(name) assert_true(str_equal(mine->name, others->name));
	ENDPOINT_TEXTS(X)
#undef X
	assert_int_equal(mine->flags, others->flags);
	assert_int_equal(mine->stale_s, others->stale_s);
	assert_int_equal(mine->updated_at_ns, others->updated_at_ns);
	assert_int_equal(mine->balancing, others->balancing);
	assert_memory_equal(mine->ip, others->ip, sizeof(mine->ip));
	assert_int_equal(view->last_seen, c->other->tick);
	free(mine);
	c->entries++;
	return ENTRY_KEEP;
}

static bool compare_pool(void *context, struct route_reader *reader, const struct route *route)
{
	struct comparison *c = context;
	const struct route *other;
	struct route_key key;

	(void)reader;
	assert_true(route_key_read(route_name(route), &key));
	other = route_find_exact(c->other->reader, &key);
	assert_non_null(other);
	assert_int_equal(route_balancing(route), route_balancing(other));
	return true;
}

static void assert_same(struct shm_table *a, struct shm_table *b)
{
	struct comparison c = { .other = b };
	struct table_usage ua, ub;

	for (unsigned slice = 0; slice < ROUTE_WRITER_SLICES; slice++)
		route_writer_sweep(a->writer, slice, a->tick, compare, &c);
	route_each(a->reader, compare_pool, &c);
	route_writer_usage(a->writer, &ua);
	route_writer_usage(b->writer, &ub);
	assert_int_equal(c.entries, ub.entries);
	assert_int_equal(ua.entries, ub.entries);
	assert_int_equal(ua.routes, ub.routes);
	assert_int_equal(ua.endpoints, ub.endpoints);
	assert_memory_equal(route_writer_digest(a->writer), route_writer_digest(b->writer),
			    sizeof(struct route_digest));
	shm_table_assert_sound(a);
	shm_table_assert_sound(b);
}

static void a_loaded_table_is_what_registering_makes_of_it(void **state)
{
	struct shm_table *loaded = shm_table_create(0), *registered = shm_table_create(0);
	const struct records *r = *state;
	struct route_load_counts counts;

	loaded->tick = registered->tick = 77;
	counts = load_all(loaded, r);
	assert_int_equal(counts.entries, r->count);
	assert_int_equal(counts.full + counts.doubles, 0);
	assert_int_equal(register_all(registered, r), r->count);
	assert_int_equal(route_writer_changes(loaded->writer), route_writer_changes(registered->writer));
	assert_same(loaded, registered);
	shm_table_destroy(loaded);
	shm_table_destroy(registered);
}

static void registrations_find_what_was_loaded_and_change_nothing(void **state)
{
	struct shm_table *t = shm_table_create(0);
	const struct records *r = *state;
	struct table_usage before, after;
	uint64_t changes;

	load_all(t, r);
	route_writer_usage(t->writer, &before);
	changes = route_writer_changes(t->writer);
	assert_int_equal(register_all(t, r), 0);
	assert_int_equal(route_writer_changes(t->writer), changes);
	route_writer_usage(t->writer, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	shm_table_destroy(t);
}

static void all_that_was_loaded_can_go_again(void **state)
{
	struct shm_table *t = shm_table_create(0);
	const struct records *r = *state;

	load_all(t, r);
	unregister_all(t, r);
	for (unsigned i = 0; i < 10; i++)
		route_writer_tick(t->writer, i);
	assert_usage(t, 0, 0, 0);
	assert_int_equal(register_all(t, r), r->count);
	shm_table_assert_sound(t);
	shm_table_destroy(t);
}

static void what_was_loaded_survives_the_writer(void **state)
{
	struct shm_table *t = shm_table_create(0), *registered = shm_table_create(0);
	const struct records *r = *state;

	load_all(t, r);
	shm_table_restart_writer(t);
	assert_int_equal(t->recovery.endpoints, r->count);
	register_all(registered, r);
	assert_same(t, registered);
	shm_table_destroy(registered);
	shm_table_destroy(t);
}

/* --- all or nothing */

static void readers_find_nothing_before_the_end_and_all_after_it(void **state)
{
	struct shm_table *t = shm_table_create(0);
	const struct records *r = *state;
	struct route_load *load;
	char key[64];

	assert_int_equal(route_load_begin(t->writer, r->count, &load), 0);
	put_records(t, load, all_of(r));
	assert_int_equal(shm_table_find(t, "app-7.example", "/", key, sizeof(key)), ROUTE_NONE);
	shm_table_assert_sound(t);
	route_load_commit(load);
	assert_int_equal(shm_table_find(t, "app-7.example", "/", key, sizeof(key)), ROUTE_FOUND);
	assert_int_equal(shm_table_find(t, "app-7.example", "/deep/x", key, sizeof(key)), ROUTE_FOUND);
	assert_string_equal(key, "app-7.example/deep");
	assert_int_equal(shm_table_find(t, "x.wild.example", "/", key, sizeof(key)), ROUTE_FOUND);
	assert_int_equal(shm_table_find(t, "only-paths-3.example", "/a/b/9", key, sizeof(key)),
			 ROUTE_FOUND);
	shm_table_destroy(t);
}

static void an_abandoned_load_leaves_no_trace(void **state)
{
	struct shm_table *t = shm_table_create(0);
	const struct records *r = *state;
	struct endpoint out;
	struct route_load *load;

	assert_int_equal(route_load_begin(t->writer, r->count, &load), 0);
	put_records(t, load, all_of(r));
	route_load_abandon(load);
	assert_usage(t, 0, 0, 0);
	assert_int_equal(route_writer_changes(t->writer), 0);
	shm_table_assert_sound(t);
	assert_int_equal(shm_table_register(t, "first.example", "10.9.9.9:80"), WRITE_ADDED);
	assert_true(shm_table_entry(t, "first.example", 0, &out, NULL));
	assert_int_equal(out.row, 0);         /* the first row that was handed out is free again */
	assert_int_equal(shm_table_unregister(t, "first.example", "10.9.9.9:80"), 0);
	assert_int_equal(load_all(t, r).entries, r->count);
	shm_table_assert_sound(t);
	shm_table_destroy(t);
}

static void a_writer_that_dies_loading_leaves_an_empty_table(void **state)
{
	struct shm_table *t = shm_table_create(0);
	const struct records *r = *state;
	struct route_load *load;
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		if (route_load_begin(t->writer, r->count, &load) == 0)
			put_records(t, load, all_of(r));
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	shm_table_restart_writer(t);
	assert_usage(t, 0, 0, 0);
	assert_int_equal(load_all(t, r).entries, r->count);
	shm_table_assert_sound(t);
	shm_table_destroy(t);
}

static void a_table_that_holds_something_is_not_loaded_into(void **state)
{
	struct shm_table *t = shm_table_create(0);
	const struct records *r = *state;
	struct route_load *load;

	assert_int_equal(shm_table_register(t, "first.example", "10.9.9.9:80"), WRITE_ADDED);
	assert_int_equal(route_load_begin(t->writer, r->count, &load), -EEXIST);
	assert_usage(t, 1, 1, 1);
	shm_table_destroy(t);
}

/* --- records that do not fit */

/* Endpoints with tags that cannot be packed: more than the smallest table can hold. */
static void save_large(struct records *r)
{
	struct shm_table *t = shm_table_create(0);
	char uri[32], tags[10001] = "";

	for (unsigned i = 0; i < 300; i++) {
		for (size_t at = 0; at < sizeof(tags) - 1; at++)
			tags[at] = (char)('!' + random() % 90);
		snprintf(uri, sizeof(uri), "large-%u.example", i / 2);
		put(t, uri, i, "app", tags);
	}
	save_all(t, r);
	shm_table_destroy(t);
}

static void what_finds_no_room_is_counted_and_the_rest_is_served(void **state)
{
	struct shm_table *t = shm_table_create(2u << 20);
	struct records *r = *state;
	struct route_load_counts counts;
	struct table_usage usage;

	r->used = r->count = 0;
	save_large(r);
	counts = load_all(t, r);
	assert_true(counts.full > 0 && counts.entries > 0);
	assert_int_equal(counts.entries + counts.full, r->count);
	route_writer_usage(t->writer, &usage);
	assert_usage(t, usage.routes, counts.entries, usage.endpoints);
	shm_table_assert_sound(t);
	shm_table_destroy(t);
}

static void what_comes_twice_is_taken_once(void **state)
{
	struct shm_table *t = shm_table_create(0), *once = shm_table_create(0);
	const struct records *r = *state;
	struct records first = { .bytes = r->bytes };
	struct str rest = all_of(r);
	struct route_image image;
	struct route_load *load;
	struct route_load_counts counts;

	assert_int_equal(route_image_next(&rest, &image), 0);
	first.used = r->used - rest.len;
	assert_int_equal(route_load_begin(t->writer, r->count, &load), 0);
	put_records(t, load, all_of(&first));
	put_records(t, load, all_of(r));      /* the address again, in its pool */
	put_records(t, load, all_of(r));      /* and all pools again */
	counts = route_load_commit(load);
	assert_int_equal(counts.entries, r->count);
	assert_int_equal(counts.doubles, r->count + 1);
	register_all(once, r);
	assert_same(t, once);
	shm_table_destroy(once);
	shm_table_destroy(t);
}

/* --- what is said, what is kept */

static void the_history_of_a_small_table_says_what_was_loaded(void **state)
{
	struct shm_table *t = shm_table_create_with_history(1u << 20);
	struct history_record *found = mem_alloc(HISTORY_WAYS * sizeof(*found));
	bool is_full;

	load_all(t, *state);
	assert_int_equal(history_of_host(t->ro, STR("app-7.example"), found, &is_full), 5);
	assert_int_equal(found[0].what, HISTORY_LOADED);
	free(found);
	shm_table_destroy(t);
}

static void *run_ahead(void *load)
{
	route_load_run_ahead(load);
	return NULL;
}

/* Also where the arena is so small that both ends of it meet. */
static void somebody_who_gets_memory_ahead_changes_nothing_of_the_result(void **state)
{
	static const uint64_t arenas[] = { 2u << 20, 6u << 20, 32u << 20 };
	struct records *r = *state;

	for (size_t i = 0; i < ARRAY_SIZE(arenas); i++)
		for (unsigned stop_early = 0; stop_early < 2; stop_early++) {
			struct shm_table *plain = shm_table_create(arenas[i]);
			struct shm_table *t = shm_table_create(arenas[i]);
			struct route_load_counts usual = load_all(plain, r), counts;
			struct route_load *load;
			pthread_t id;

			assert_int_equal(route_load_begin(t->writer, r->count, &load), 0);
			assert_int_equal(pthread_create(&id, NULL, run_ahead, load), 0);
			if (stop_early)
				route_load_stop_ahead(load);
			put_records(t, load, all_of(r));
			route_load_stop_ahead(load);
			pthread_join(id, NULL);
			counts = route_load_commit(load);
			assert_int_equal(counts.entries, usual.entries);
			assert_int_equal(counts.full, usual.full);
			shm_table_assert_sound(t);
			shm_table_destroy(t);
			shm_table_destroy(plain);
		}
}

/* Files outlive programs: if this fails, SNAPSHOT_VERSION must go up, and the seed be made anew. */
static void a_record_of_today_is_read_for_ever(void **state)
{
	char bytes[512], tags[ENDPOINT_TAGS_MAX];
	FILE *file = fopen("tests/fuzz/corpus/snapshot/record-full", "rb");
	struct str records = { bytes, 0 };
	struct route_image image;
	struct endpoint e;

	(void)state;
	assert_non_null(file);
	records.len = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	assert_int_equal(route_image_next(&records, &image), 0);
	assert_true(str_equal(image.key.text, STR("full.example/with/path")));
	assert_int_equal(image.age_s, 9);
	assert_true(route_image_endpoint(&image, &e, tags));
	assert_int_equal(e.port, 61001);
	assert_int_equal(e.flags, ENDPOINT_TLS | ENDPOINT_HTTP2 | ENDPOINT_HAS_TAGS);
	assert_int_equal(e.updated_at_ns, 1234567890123u);
#define X(name) assert_true(str_equal(e.name, STR("the " #name)));
	ENDPOINT_TEXTS(X)
#undef X
	assert_true(str_equal(e.tags, STR("{\"app_id\":\"the app_id\",\"component\":\"route-emitter\","
					  "\"space_name\":\"s\"}")));
	assert_int_equal(route_image_next(&records, &image), -ENODATA);
}

int main(void)
{
#define WITH_RECORDS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_RECORDS(a_loaded_table_is_what_registering_makes_of_it),
		WITH_RECORDS(registrations_find_what_was_loaded_and_change_nothing),
		WITH_RECORDS(all_that_was_loaded_can_go_again),
		WITH_RECORDS(what_was_loaded_survives_the_writer),
		WITH_RECORDS(readers_find_nothing_before_the_end_and_all_after_it),
		WITH_RECORDS(an_abandoned_load_leaves_no_trace),
		WITH_RECORDS(a_writer_that_dies_loading_leaves_an_empty_table),
		WITH_RECORDS(a_table_that_holds_something_is_not_loaded_into),
		WITH_RECORDS(what_finds_no_room_is_counted_and_the_rest_is_served),
		WITH_RECORDS(what_comes_twice_is_taken_once),
		WITH_RECORDS(the_history_of_a_small_table_says_what_was_loaded),
		WITH_RECORDS(somebody_who_gets_memory_ahead_changes_nothing_of_the_result),
		cmocka_unit_test(a_record_of_today_is_read_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
