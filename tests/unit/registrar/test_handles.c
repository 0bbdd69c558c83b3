/*
 * tests/unit/registrar/test_handles.c - heartbeats recognised by their bytes: which
 * message is known, which makes room, and what is parsed again.
 */
#include "tests/unit/fixture/registrar_feed.h"

#include <stdio.h>

#include "registrar/handles.h"

#define ONE_SET 8

static struct handles *handles;

static int create_one_set(void **state)
{
	(void)state;
	handles = handles_create(ONE_SET, ONE_SET);
	return 0;
}

static int destroy(void **state)
{
	(void)state;
	handles_destroy(handles);
	return 0;
}

static struct str numbered(char text[16], unsigned number)
{
	return (struct str){ text, (size_t)snprintf(text, 16, "message %u", number) };
}

static struct known_message *find(struct str payload)
{
	return handles_find(handles, feed_hash(payload));
}

/* As the registry does after it put every URI of the message into the table. */
static struct known_message *remember(struct str payload, uint32_t count, uint64_t serial)
{
	struct route_handle places[1000];

	assert_true(count <= ARRAY_SIZE(places));
	for (uint32_t i = 0; i < count; i++)
		places[i] = (struct route_handle){ .route_hash = i, .serial = serial };
	handles_keep(handles, feed_hash(payload), places, count);
	return find(payload);
}

static bool is_known(struct str payload)
{
	return find(payload) != NULL;
}

static void a_repeated_message_gives_back_its_handles(void **state)
{
	char copy[] = "a message";
	struct known_message *known;

	(void)state;
	assert_null(find(STR("a message")));
	remember(STR("a message"), 1, 7);
	known = find(str_of(copy));
	assert_int_equal(known->count, 1);
	assert_true(known_handles(known)->serial == 7);
	assert_ptr_equal(find(str_of(copy)), known);
}

static void a_message_that_was_only_looked_for_is_not_known(void **state)
{
	char text[16];

	(void)state;
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < ONE_SET; i++)
			assert_false(is_known(numbered(text, i)));
}

static void any_change_makes_another_message(void **state)
{
	static const struct str others[] = {
		STR_INIT(""), STR_INIT("{\"port\":8}"), STR_INIT("{\"port\":81}"),
		STR_INIT("{\"port\":80} "), STR_INIT(" {\"port\":80}"), STR_INIT("{\"port\":80}\0"),
		STR_INIT("{\"Port\":80}"), STR_INIT("{\"port\":80"), STR_INIT("{\"port\":08}"),
	};

	(void)state;
	remember(STR("{\"port\":80}"), 1, 1);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (is_known(others[i]))
			fail_msg("\"%s\" is taken for another message", others[i].p);
		assert_true(is_known(STR("{\"port\":80}")));
	}
}

static void a_message_of_many_uris_keeps_every_handle(void **state)
{
	struct known_message *known;

	(void)state;
	remember(STR("many"), 1000, 5);
	known = find(STR("many"));
	assert_int_equal(known->count, 1000);
	for (uint32_t i = 0; i < 1000; i++)
		assert_true(known_handles(known)[i].route_hash == i);
	known = remember(STR("many"), 1, 6);          /* it was parsed again, and became short */
	assert_int_equal(known->count, 1);
	assert_ptr_equal(known_handles(known), &known->one);
	assert_true(known->one.serial == 6);
	known = remember(STR("many"), 2, 7);
	assert_true(known_handles(known)[1].serial == 7);
}

static void a_forgotten_message_is_parsed_again_and_can_be_known_again(void **state)
{
	static const uint32_t counts[] = { 1, 50 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		known_forget(handles, remember(STR("x"), counts[i], 1));
		assert_false(is_known(STR("x")));
		remember(STR("x"), counts[i], 2);
		assert_true(known_handles(find(STR("x")))[0].serial == 2);
	}
}

static void messages_that_share_a_set_are_all_known(void **state)
{
	char text[16];

	(void)state;
	for (unsigned i = 0; i < ONE_SET; i++)
		remember(numbered(text, i), 1 + i % 2, i);
	for (unsigned i = 0; i < ONE_SET; i++) {
		struct known_message *known = find(numbered(text, i));

		assert_int_equal(known->count, 1 + i % 2);
		assert_true(known_handles(known)->serial == i);
	}
}

static void the_message_not_repeated_for_longest_makes_room(void **state)
{
	char text[16];

	(void)state;
	for (unsigned i = 0; i < ONE_SET; i++)
		remember(numbered(text, i), 100, i);
	assert_true(is_known(numbered(text, 0)));     /* now 1 is the oldest */
	remember(numbered(text, 8), 1, 8);
	for (unsigned i = 0; i <= ONE_SET; i++)
		if (i != 1)
			assert_true(is_known(numbered(text, i)));
	assert_false(is_known(numbered(text, 1)));
	remember(numbered(text, 1), 1, 1);            /* in the place of 0, repeated before the rest */
	assert_false(is_known(numbered(text, 0)));
}

static void of_messages_that_never_repeat_the_newest_are_known(void **state)
{
	char text[16];

	(void)state;
	for (unsigned i = 0; i < 5 * ONE_SET; i++)
		remember(numbered(text, i), 1, i);
	for (unsigned i = 4 * ONE_SET; i < 5 * ONE_SET; i++)
		assert_true(is_known(numbered(text, i)));
}

static void a_free_place_is_taken_before_a_known_message(void **state)
{
	char text[16];

	(void)state;
	for (unsigned i = 0; i < ONE_SET; i++)
		remember(numbered(text, i), 1, i);
	known_forget(handles, find(numbered(text, 5)));
	remember(numbered(text, 9), 1, 9);
	for (unsigned i = 0; i < ONE_SET; i++)
		if (i != 5)
			assert_true(is_known(numbered(text, i)));
	assert_true(is_known(numbered(text, 9)));
}

/* Four thousand million finds are a few days of a large platform. */
static void age_is_right_when_the_count_of_finds_starts_again(void **state)
{
	struct known_message *known[ONE_SET];
	char text[16];

	(void)state;
	for (unsigned i = 0; i < ONE_SET; i++)
		known[i] = remember(numbered(text, i), 1, i);
	for (unsigned i = 0; i < 4; i++)
		known[i]->used = UINT32_MAX - i;      /* before the count began anew: 3 is the oldest */
	remember(numbered(text, 8), 1, 8);
	for (unsigned i = 0; i < ONE_SET; i++)
		assert_int_equal(known[i]->one.serial, i == 3 ? 8 : i);
}

/* Half a hash in common is no reason to take one message for the other. */
static void both_halves_of_the_hash_must_match(void **state)
{
	(void)state;
	for (unsigned half = 0; half < 2; half++) {
		struct known_message *mine = remember(STR("mine"), 1, 1);

		*(half ? &mine->hash.b : &mine->hash.a) ^= 1;
		assert_false(is_known(STR("mine")));
		remember(STR("mine"), 1, 2);
		assert_true(find(STR("mine"))->one.serial == 2);
	}
}

static void many_messages_fit_into_many_sets(void **state)
{
	char text[16];

	(void)state;
	handles_destroy(handles);
	handles = handles_create(4096, 4096);
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < 200; i++) {
			assert_int_equal(is_known(numbered(text, i)), round);
			if (!round)
				remember(numbered(text, i), 1, i);
		}
}

/* A million routes' messages are known; what is only looked for takes no room. */
static void room_grows_with_what_is_known_up_to_its_limit(void **state)
{
	char text[16];

	(void)state;
	handles_destroy(handles);
	handles = handles_create(64, 4096);
	for (unsigned i = 0; i < 100000; i++)
		is_known(numbered(text, i));
	assert_int_equal(handles_room(handles), 64);
	for (unsigned i = 0; i < 2000; i++)
		remember(numbered(text, i), 1 + i % 3, i);
	assert_int_equal(handles_room(handles), 4096);
	assert_true(handles_known(handles) > 1990);
	for (unsigned i = 0; i < 20000; i++)
		remember(numbered(text, i), 1 + i % 3, i);
	assert_int_equal(handles_room(handles), 4096);
}

/* Messages of long ago go before memory is taken for new ones. */
static void history_is_forgotten_before_room_grows(void **state)
{
	char text[16];

	(void)state;
	handles_destroy(handles);
	handles = handles_create(1024, 65536);
	for (unsigned i = 0; i < 700; i++)
		remember(numbered(text, i), 1, i);
	for (unsigned i = 0; i < 20000; i++)
		is_known(numbered(text, i % 100));
	for (unsigned i = 700; i < 1100; i++)
		remember(numbered(text, i), 1, i);
	assert_int_equal(handles_room(handles), 1024);
	assert_true(is_known(numbered(text, 5)));
	assert_false(is_known(numbered(text, 300)));
}

#define THREE "{\"host\":\"10.0.0.1\",\"port\":80,\"uris\":[\"a.example\",\"b.example\",\"c.example\"]}"

/* A handle that leads nowhere any more costs one parse, not a route. */
static void a_heartbeat_whose_route_is_gone_registers_it_again(void **state)
{
	static struct registrar_settings settings = { .droplet_stale_threshold_ms = 120000 };
	struct shm_table *t = *state;
	struct feed *f = feed_create_with(t, &settings);
	const uint64_t *counters = f->counters;
	struct registry *r = f->registry;
	struct endpoint endpoint;
	uint32_t seen;

	feed_arrives(r, 0, STR(THREE), 5);
	assert_int_equal(shm_table_unregister(t, "b.example", "10.0.0.1:80"), 0);
	feed_arrives(r, 0, STR(THREE), 6);
	assert_int_equal(counters[COUNTER_registry_message_refreshed], 0);
	assert_int_equal(counters[COUNTER_registry_message_added], 4);
	feed_arrives(r, 0, STR(THREE), 7);
	assert_int_equal(counters[COUNTER_registry_message_refreshed], 1);
	assert_true(shm_table_entry(t, "b.example", 0, &endpoint, &seen));
	assert_int_equal(seen, 7);
	shm_table_assert_sound(t);
	feed_destroy(f);
}

int main(void)
{
#define ON_SET(test) cmocka_unit_test_setup_teardown(test, create_one_set, destroy)
#define ON_TABLE(test) cmocka_unit_test_setup_teardown(test, shm_table_setup, shm_table_teardown)
	const struct CMUnitTest tests[] = {
		ON_SET(a_repeated_message_gives_back_its_handles),
		ON_SET(a_message_that_was_only_looked_for_is_not_known),
		ON_SET(any_change_makes_another_message),
		ON_SET(a_message_of_many_uris_keeps_every_handle),
		ON_SET(a_forgotten_message_is_parsed_again_and_can_be_known_again),
		ON_SET(messages_that_share_a_set_are_all_known),
		ON_SET(the_message_not_repeated_for_longest_makes_room),
		ON_SET(of_messages_that_never_repeat_the_newest_are_known),
		ON_SET(a_free_place_is_taken_before_a_known_message),
		ON_SET(age_is_right_when_the_count_of_finds_starts_again),
		ON_SET(both_halves_of_the_hash_must_match),
		ON_SET(many_messages_fit_into_many_sets),
		ON_SET(room_grows_with_what_is_known_up_to_its_limit),
		ON_SET(history_is_forgotten_before_room_grows),
		ON_TABLE(a_heartbeat_whose_route_is_gone_registers_it_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
