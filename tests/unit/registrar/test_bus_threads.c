/*
 * tests/unit/registrar/test_bus_threads.c - what comes over NATS connections reaches the
 * loop in order, counted and once, from threads that are really there.  Also built with
 * the thread sanitizer.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "registrar/bus.h"
#include "registrar/reading.h"
#include "tests/unit/fixture/base_log.h"
#include "tests/unit/fixture/registrar_peer.h"

#define PEERS 2
#define LIMIT 20000                   /* of bytes that may wait, of one server */
#define RUN 7
#define WAIT_MS 60000

struct bed {
	struct nats_settings settings;
	struct peer *peers[PEERS];
	char *urls[PEERS];
	struct greets greets;
	struct bus *bus;
};

static char nothing[] = "";

/* For what takes as long as it takes. */
#define WAIT_FOR(condition) \
	do { \
		for (unsigned ms_ = 0; !(condition); ms_++) { \
			if (ms_ == WAIT_MS) \
				fail_msg("never came true: %s", #condition); \
			usleep(1000); \
		} \
	} while (0)

static struct bus_source state_of(struct bed *b, unsigned source)
{
	struct bus_source state;

	bus_sources(b->bus);
	bus_source(b->bus, source, &state);
	return state;
}

static void open_bus(struct bed *b, uint64_t pending_limit)
{
	struct reason reason;

	b->settings.pending_limit = PEERS * pending_limit;      /* of all together */
	greets_init(&b->greets, "the answer");
	if (bus_open(&b->settings, "unit", &b->greets, &b->bus, &reason))
		fail_msg("%s", reason.text);
	for (unsigned i = 0; i < PEERS; i++)
		WAIT_FOR(state_of(b, i).is_connected);
}

static int setup(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));

	b->settings = (struct nats_settings){
		.servers = { b->urls, PEERS }, .user = nothing, .password = nothing,
		.ping_interval_ms = 500, .connect_timeout_ms = 20000,
		.tls = { .ca = nothing, .certificate = nothing, .key = nothing,
			 .server_name = nothing },
	};
	for (unsigned i = 0; i < PEERS; i++) {
		b->peers[i] = peer_start();
		b->urls[i] = peer_url(b->peers[i]);
	}
	log_catch_begin();
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bed *b = *state;

	if (b->bus)
		bus_close(b->bus);
	for (unsigned i = 0; i < PEERS; i++)
		peer_stop(b->peers[i]);
	log_catch_end();
	free(b);
	return 0;
}

/* The next run, waited for; each message only seen by `see`. */
static unsigned take_run(struct bed *b, void (*see)(void *, const struct bus_message *), void *context)
{
	const struct bus_message *run;
	unsigned count = bus_next_run(b->bus, &run, RUN);

	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(run[i].source, run[0].source);
		if (see)
			see(context, &run[i]);
	}
	return count;
}

static unsigned take_all(struct bed *b)
{
	unsigned all = 0, count;

	while ((count = take_run(b, NULL, NULL)))
		all += count;
	return all;
}

/* What was sent before has been handed over, or dropped, when this one is there: the reader
 * hands over registrations first. */
static void pass_probe(struct bed *b, unsigned source)
{
	const struct bus_message *message;

	assert_true(peer_send(b->peers[source], "_r.probe.unit.1", STR("")));
	WAIT_FOR((message = bus_next_urgent(b->bus)) && message->subject != BUS_START);
	assert_int_equal(message->subject, BUS_PROBE);
	assert_int_equal(message->source, source);
}

static void send_registrations(struct bed *b, unsigned source, unsigned count, size_t bytes)
{
	static const char payload[1000];

	for (unsigned i = 0; i < count; i++)
		assert_true(peer_send(b->peers[source], "router.register",
				      (struct str){ payload, bytes }));
}

/* --- order --- */

#define SENT 4000

struct counting {
	unsigned next[PEERS], taken;
};

static bool is_for_us(unsigned number)
{
	return number % 5 != 3;
}

/* Numbers in the order of each server; those of another kind are left out. */
static void see_number(void *context, const struct bus_message *message)
{
	struct counting *c = context;
	unsigned *next = &c->next[message->source];
	uint64_t number;

	while (!is_for_us(*next))
		++*next;
	assert_true(str_parse_u64(message->payload, &number));
	assert_int_equal(number, *next);
	assert_int_equal(message->subject, number % 10 == 9 ? BUS_UNREGISTER : BUS_REGISTER);
	++*next;
	c->taken++;
}

static void *send_numbers(void *context)
{
	struct peer *peer = context;
	char text[24];

	for (unsigned i = 0; i < SENT; i++) {
		const char *subject = !is_for_us(i) ? "router.start" :
				      i % 10 == 9 ? "router.unregister" : "router.register";

		if (i % 100 == 0)
			peer_send(peer, "_r.digest", STR(""));
		peer_send(peer, subject, (struct str){ text, u64_format(i, text) });
	}
	return NULL;
}

static void each_servers_messages_come_once_in_order_and_digests_beside_them(void **state)
{
	struct bed *b = *state;
	struct counting counting = { .taken = 0 };
	unsigned digests = 0, wanted = PEERS * (SENT - SENT / 5);
	pthread_t threads[PEERS];

	open_bus(b, UINT64_MAX / 2);
	for (unsigned i = 0; i < PEERS; i++)
		pthread_create(&threads[i], NULL, send_numbers, b->peers[i]);
	while (counting.taken < wanted || digests < PEERS * SENT / 100) {
		struct pollfd ready = { .fd = bus_fd(b->bus), .events = POLLIN };

		assert_int_equal(poll(&ready, 1, WAIT_MS), 1);        /* no ring is missed */
		bus_acknowledge(b->bus);
		for (const struct bus_message *m; (m = bus_next_urgent(b->bus)); )
			digests += m->subject == BUS_DIGEST;
		while (take_run(b, see_number, &counting))
			;
	}
	for (unsigned i = 0; i < PEERS; i++) {
		pthread_join(threads[i], NULL);
		pass_probe(b, i);
		assert_int_equal(take_all(b), 0);
		assert_int_equal(state_of(b, i).pending_bytes, 0);
		assert_int_equal(state_of(b, i).dropped, 0);
	}
	assert_int_equal(counting.taken, wanted);
	assert_int_equal(digests, PEERS * SENT / 100);
}

/* --- readings --- */

struct reading_count {
	unsigned taken, read;
};

static void see_reading(void *context, const struct bus_message *message)
{
	struct reading_count *c = context;
	const struct registration *r = message->reading ? &message->reading->registration : NULL;
	uint64_t number;

	c->taken++;
	if (!r)
		return;
	c->read++;
	assert_int_equal(message->reading->result, 0);
	assert_true(message->reading->offer != NULL);
	assert_true(str_has_prefix(message->reading->key.text, STR("a.example/")));
	assert_true(str_parse_u64(str_sub(message->reading->key.text, 10, STR_REST), &number));
	assert_int_equal(r->endpoint.port, 1 + number);       /* it is the message's own */
}

static void *send_apps(void *context)
{
	struct peer *peer = context;
	char text[128];

	for (unsigned i = 0; i < SENT; i++) {
		int len = snprintf(text, sizeof(text), "{\"host\":\"10.0.0.1\",\"port\":%u,"
				   "\"uris\":[\"a.example/%u\"]}", 1 + i, i);

		peer_send(peer, "router.register", (struct str){ text, (size_t)len });
	}
	return NULL;
}

/* The rules come and go while messages do, and the thread is now behind and now before us. */
static void registrations_that_wait_are_read_meanwhile_if_there_are_rules(void **state)
{
	static const struct registrar_settings settings = { .droplet_stale_threshold_ms = 1000 };
	static const struct reading_rules rules = { .settings = &settings, .key = { 1, 2 },
						    .seed = { 3, 4 } };
	struct bed *b = *state;
	struct reading_count count = { 0, 0 };
	pthread_t threads[PEERS];

	open_bus(b, UINT64_MAX / 2);
	for (unsigned i = 0; i < PEERS; i++)
		pthread_create(&threads[i], NULL, send_apps, b->peers[i]);
	for (unsigned i = 0; count.taken < PEERS * SENT; i++) {
		bus_set_rules(b->bus, 0, &rules);
		bus_set_rules(b->bus, 1, i / 100 % 2 ? &rules : NULL);
		if (take_run(b, see_reading, &count) && i % 16 == 0)
			usleep(1000);
	}
	for (unsigned i = 0; i < PEERS; i++)
		pthread_join(threads[i], NULL);
	assert_in_range(count.read, 1, PEERS * SENT);
}

static void nothing_is_read_without_rules(void **state)
{
	struct reading_count count = { 0, 0 };
	struct bed *b = *state;

	open_bus(b, UINT64_MAX / 2);
	send_apps(b->peers[0]);
	pass_probe(b, 0);
	while (count.taken < SENT)
		take_run(b, see_reading, &count);
	assert_int_equal(count.read, 0);
}

/* At the end some is read, some waits to be, and some is in the inbox. */
static void what_was_read_for_nobody_is_freed_at_the_end(void **state)
{
	static const struct registrar_settings settings = { .droplet_stale_threshold_ms = 1000 };
	static const struct reading_rules rules = { .settings = &settings };
	struct bed *b = *state;

	open_bus(b, UINT64_MAX / 2);
	bus_set_rules(b->bus, 0, &rules);
	bus_set_rules(b->bus, 1, &rules);
	for (unsigned i = 0; i < PEERS; i++) {
		for (unsigned round = 0; round < 3; round++)
			send_apps(b->peers[i]);
		pass_probe(b, i);
	}
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(take_run(b, NULL, NULL) > 0, true);
}

/* --- greets --- */

#define ASKED 200

static unsigned count_published(struct bed *b)
{
	char subject[64], payload[64];
	unsigned sum = 0;

	for (unsigned i = 0; i < PEERS; i++)
		sum += peer_published(b->peers[i], subject, payload);
	return sum;
}

static void *ask(void *argument)
{
	struct peer *peer = argument;
	char reply[32];

	for (unsigned i = 0; i < ASKED; i++) {
		snprintf(reply, sizeof(reply), "_INBOX.%u", i);
		peer_ask(peer, "router.greet", reply);
	}
	return NULL;
}

/* Nobody takes anything meanwhile, as if the loop were busy. */
static void each_greet_is_answered_once_though_every_server_brings_it(void **state)
{
	struct bed *b = *state;
	pthread_t threads[PEERS];
	char subject[64], payload[64];

	open_bus(b, UINT64_MAX / 2);
	for (unsigned i = 0; i < PEERS; i++)
		pthread_create(&threads[i], NULL, ask, b->peers[i]);
	for (unsigned i = 0; i < PEERS; i++)
		pthread_join(threads[i], NULL);
	WAIT_FOR(count_published(b) >= ASKED);
	for (unsigned i = 0; i < PEERS; i++) {
		pass_probe(b, i);
		if (peer_published(b->peers[i], subject, payload))
			assert_string_equal(payload, "the answer");
	}
	assert_int_equal(count_published(b), ASKED);
	assert_int_equal(atomic_load(&b->greets.answered), ASKED);
}

/* --- the limit --- */

static void what_is_beyond_the_limit_is_dropped_counted_and_leaves_room_again(void **state)
{
	struct bed *b = *state;

	open_bus(b, LIMIT);
	for (unsigned round = 1; round <= 3; round++) {
		uint64_t before = bus_dropped(b->bus), dropped;

		send_registrations(b, 0, 5, 100);
		pass_probe(b, 0);
		assert_in_range(state_of(b, 0).pending_bytes, 5 * 100, LIMIT);
		assert_int_equal(bus_dropped(b->bus), before);
		send_registrations(b, 0, 300, 100);
		pass_probe(b, 0);
		dropped = bus_dropped(b->bus) - before;
		assert_in_range(dropped, 1, 300);
		assert_in_range(state_of(b, 0).pending_bytes, 5 * 100, LIMIT);
		assert_int_equal(take_all(b), 305 - dropped);
		assert_int_equal(state_of(b, 0).pending_bytes, 0);
	}
	assert_int_equal(state_of(b, 1).dropped, 0);
}

static void a_server_beyond_its_limit_takes_nothing_from_another(void **state)
{
	struct bed *b = *state;

	open_bus(b, LIMIT);
	send_registrations(b, 0, 500, 900);
	pass_probe(b, 0);
	assert_true(state_of(b, 0).dropped > 0);
	send_registrations(b, 1, 10, 900);
	pass_probe(b, 1);
	assert_int_equal(state_of(b, 1).dropped, 0);
	assert_int_equal(take_all(b), 500 - state_of(b, 0).dropped + 10);
}

static void what_nobody_took_is_freed_at_the_end(void **state)
{
	struct bed *b = *state;

	open_bus(b, UINT64_MAX / 2);
	for (unsigned i = 0; i < PEERS; i++) {
		send_registrations(b, i, 1000, 300);
		pass_probe(b, i);
	}
	assert_int_equal(take_run(b, NULL, NULL), RUN);
	assert_true(peer_send(b->peers[0], "router.greet", STR("")));
}

/* --- connections --- */

static void a_lost_connection_is_made_anew_and_brings_messages_again(void **state)
{
	struct bed *b = *state;

	open_bus(b, UINT64_MAX / 2);
	for (unsigned round = 1; round <= 2; round++) {
		peer_hang_up(b->peers[0]);
		WAIT_FOR(state_of(b, 0).connects == round + 1 && state_of(b, 0).is_connected);
		send_registrations(b, 0, 20, 100);
		pass_probe(b, 0);
		assert_int_equal(take_all(b), 20);
		assert_int_equal(bus_reconnects(b->bus), round);
	}
	assert_int_equal(state_of(b, 1).connects, 1);
}

static void an_error_that_nobody_knows_makes_a_new_connection(void **state)
{
	struct bed *b = *state;

	open_bus(b, UINT64_MAX / 2);
	peer_say(b->peers[1], "-ERR 'Unheard Of'");
	WAIT_FOR(state_of(b, 1).connects == 2 && state_of(b, 1).is_connected);
	assert_int_equal(state_of(b, 0).connects, 1);
}

static void what_a_server_does_not_permit_is_counted_and_the_rest_goes_on(void **state)
{
	struct bed *b = *state;

	open_bus(b, UINT64_MAX / 2);
	peer_say(b->peers[0], "-ERR 'Permissions Violation for Publish to \"router.start\"'");
	WAIT_FOR(state_of(b, 0).refused == 1);
	peer_say(b->peers[0], "-ERR 'Permissions Violation for Subscription to \"_r.digest\"'");
	WAIT_FOR(state_of(b, 0).refused == 2);
	send_registrations(b, 0, 3, 100);
	pass_probe(b, 0);
	assert_int_equal(take_all(b), 3);
	assert_int_equal(state_of(b, 0).connects, 1);
}

/* The library calls back from a thread of its own, late. */
static void a_stop_waits_for_what_the_library_has_yet_to_say(void **state)
{
	struct bed *b = *state;

	open_bus(b, UINT64_MAX / 2);
	for (unsigned i = 0; i < 20000; i++)
		peer_say(b->peers[0], "-ERR 'Permissions Violation for Publish to \"router.start\"'");
	WAIT_FOR(state_of(b, 0).refused > 0);
}

static void a_server_that_says_it_will_go_is_lame_until_it_is_connected_again(void **state)
{
	struct bed *b = *state;

	open_bus(b, UINT64_MAX / 2);
	peer_say(b->peers[0], "INFO {\"server_id\":\"peer\",\"version\":\"2.9.10\",\"proto\":1,"
			      "\"max_payload\":1048576,\"headers\":false,\"ldm\":true}");
	WAIT_FOR(state_of(b, 0).is_lame);
	assert_false(state_of(b, 1).is_lame);
	peer_hang_up(b->peers[0]);
	WAIT_FOR(state_of(b, 0).connects == 2 && !state_of(b, 0).is_lame);
}

static void publishing_goes_through_one_or_all_that_are_connected(void **state)
{
	struct bed *b = *state;
	char subject[64], payload[64];

	open_bus(b, UINT64_MAX / 2);
	assert_int_equal(bus_publish(b->bus, 1, "router.start", STR("one")), 1);
	WAIT_FOR(peer_published(b->peers[1], subject, payload) == 1);
	assert_string_equal(subject, "router.start");
	assert_string_equal(payload, "one");
	assert_int_equal(bus_publish(b->bus, BUS_ALL, "_r.digest", STR("")), PEERS);
	for (unsigned i = 0; i < PEERS; i++)
		WAIT_FOR(peer_published(b->peers[i], subject, payload) == 1 + i);
	assert_string_equal(subject, "_r.digest");
}

struct trouble {
	struct bed *bed;
	bool is_over;
};

static void *hang_up_again_and_again(void *context)
{
	struct trouble *t = context;

	while (!__atomic_load_n(&t->is_over, __ATOMIC_RELAXED))
		for (unsigned i = 0; i < PEERS; i++) {
			peer_hang_up(t->bed->peers[i]);
			usleep(20000);
		}
	return NULL;
}

/* No thread touches what another one is about to close. */
static void the_loop_goes_on_while_connections_come_and_go(void **state)
{
	struct bed *b = *state;
	struct trouble trouble = { .bed = b };
	pthread_t thread;

	open_bus(b, UINT64_MAX / 2);
	pthread_create(&thread, NULL, hang_up_again_and_again, &trouble);
	for (unsigned i = 0; state_of(b, 0).connects < 4 || state_of(b, 1).connects < 4; i++) {
		bus_publish(b->bus, BUS_ALL, "router.start", STR("{}"));
		bus_set_feed(b->bus, i % PEERS, i / PEERS % 2);
		peer_send(b->peers[i % PEERS], "router.register", STR("{}"));
		while (bus_next_urgent(b->bus))
			;
		take_all(b);
		assert_true(i < 5 * WAIT_MS);
		usleep(200);
	}
	__atomic_store_n(&trouble.is_over, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

static void registrations_come_only_while_they_are_wanted(void **state)
{
	struct bed *b = *state;

	open_bus(b, UINT64_MAX / 2);
	for (unsigned round = 0; round < 3; round++) {
		bus_set_feed(b->bus, 0, false);
		WAIT_FOR(!peer_is_subscribed(b->peers[0], "router.*"));
		assert_false(peer_send(b->peers[0], "router.register", STR("{}")));
		pass_probe(b, 0);
		bus_set_feed(b->bus, 0, true);
		WAIT_FOR(peer_is_subscribed(b->peers[0], "router.*"));
		send_registrations(b, 0, 3, 100);
		pass_probe(b, 0);
		assert_int_equal(take_all(b), 3);
	}
}

#define IN_BED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_BED(each_servers_messages_come_once_in_order_and_digests_beside_them),
		IN_BED(registrations_that_wait_are_read_meanwhile_if_there_are_rules),
		IN_BED(nothing_is_read_without_rules),
		IN_BED(what_was_read_for_nobody_is_freed_at_the_end),
		IN_BED(each_greet_is_answered_once_though_every_server_brings_it),
		IN_BED(what_is_beyond_the_limit_is_dropped_counted_and_leaves_room_again),
		IN_BED(a_server_beyond_its_limit_takes_nothing_from_another),
		IN_BED(what_nobody_took_is_freed_at_the_end),
		IN_BED(a_lost_connection_is_made_anew_and_brings_messages_again),
		IN_BED(an_error_that_nobody_knows_makes_a_new_connection),
		IN_BED(what_a_server_does_not_permit_is_counted_and_the_rest_goes_on),
		IN_BED(a_stop_waits_for_what_the_library_has_yet_to_say),
		IN_BED(a_server_that_says_it_will_go_is_lame_until_it_is_connected_again),
		IN_BED(publishing_goes_through_one_or_all_that_are_connected),
		IN_BED(the_loop_goes_on_while_connections_come_and_go),
		IN_BED(registrations_come_only_while_they_are_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
