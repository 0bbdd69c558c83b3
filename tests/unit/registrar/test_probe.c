/*
 * tests/unit/registrar/test_probe.c - the probe matrix with a clock of our own: who lost
 * whom, how soon it is found, and who is not blamed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "registrar/probe.h"

#define TICK_MS 100

struct net {
	struct probe probe;
	uint64_t now_ms;
	unsigned count;
	bool is_cut[SOURCES_MAX][SOURCES_MAX];        /* [from][to] */
};

static struct net net_of(unsigned count)
{
	struct net net = { .now_ms = 1000, .count = count };

	probe_init(&net.probe, 2000, 3);
	for (unsigned i = 0; i < count; i++)
		probe_note_up(&net.probe, i, true, net.now_ms);
	return net;
}

/* Servers that do what the cuts say, for so long. */
static void live(struct net *net, uint64_t ms)
{
	for (uint64_t end = net->now_ms + ms; net->now_ms < end; net->now_ms += TICK_MS) {
		if (!probe_tick(&net->probe, net->now_ms))
			continue;
		for (unsigned i = 0; i < net->count; i++)
			for (unsigned j = 0; j < net->count; j++)
				if (!net->is_cut[i][j])
					probe_note_heard(&net->probe, i, j, 300, net->now_ms);
	}
}

static void cut(struct net *net, unsigned from, unsigned to, bool is_cut)
{
	net->is_cut[from][to] = is_cut;
}

static void servers_that_hear_one_another_are_one_island(void **state)
{
	struct net net = net_of(3);

	(void)state;
	live(&net, 30000);
	assert_int_equal(probe_islands(&net.probe), 1);
	for (unsigned i = 0; i < 3; i++)
		assert_false(probe_is_broken(&net.probe, i));
	assert_int_equal(probe_verdict(&net.probe, 0, 2), PROBE_OK);
}

static void a_loss_in_one_direction_is_found_within_eight_seconds(void **state)
{
	struct net net = net_of(3);

	(void)state;
	live(&net, 10000);
	cut(&net, 0, 1, true);
	live(&net, 5000);
	assert_int_equal(probe_verdict(&net.probe, 0, 1), PROBE_OK);
	live(&net, 3000);
	assert_int_equal(probe_verdict(&net.probe, 0, 1), PROBE_LOST);
	assert_int_equal(probe_verdict(&net.probe, 1, 0), PROBE_OK);
	assert_true(probe_is_broken(&net.probe, 0));
	assert_true(probe_is_broken(&net.probe, 1));
	assert_false(probe_is_broken(&net.probe, 2));
}

static void servers_without_a_route_are_two_islands(void **state)
{
	struct net net = net_of(2);

	(void)state;
	cut(&net, 0, 1, true);
	cut(&net, 1, 0, true);
	live(&net, 8000);
	assert_int_equal(probe_islands(&net.probe), 2);
}

static void one_lost_probe_is_no_loss(void **state)
{
	struct net net = net_of(2);

	(void)state;
	live(&net, 10000);
	cut(&net, 0, 1, true);
	live(&net, 4000);
	cut(&net, 0, 1, false);
	live(&net, 10000);
	assert_int_equal(probe_verdict(&net.probe, 0, 1), PROBE_OK);
}

static void a_lost_pair_is_whole_again_after_two_probes(void **state)
{
	struct net net = net_of(2);

	(void)state;
	live(&net, 4000);
	cut(&net, 0, 1, true);
	live(&net, 10000);
	probe_note_heard(&net.probe, 0, 1, 300, net.now_ms);
	assert_int_equal(probe_verdict(&net.probe, 0, 1), PROBE_LOST);
	cut(&net, 0, 1, false);
	live(&net, 2100);
	assert_int_equal(probe_verdict(&net.probe, 0, 1), PROBE_OK);
}

static void a_frozen_server_is_blamed_alone(void **state)
{
	struct net net = net_of(3);

	(void)state;
	live(&net, 10000);
	for (unsigned i = 0; i < 3; i++) {
		cut(&net, i, 1, true);
		cut(&net, 1, i, true);
	}
	live(&net, 8000);
	assert_true(probe_is_broken(&net.probe, 1));
	assert_false(probe_is_broken(&net.probe, 0));
	assert_false(probe_is_broken(&net.probe, 2));
}

static void a_server_that_forbids_probes_is_not_judged(void **state)
{
	struct net net = net_of(2);

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		cut(&net, 1, i, true);        /* may not publish */
	live(&net, 60000);
	assert_int_equal(probe_verdict(&net.probe, 1, 0), PROBE_UNKNOWN);
	assert_int_equal(probe_verdict(&net.probe, 0, 1), PROBE_OK);
	assert_false(probe_is_broken(&net.probe, 0));
	assert_int_equal(probe_islands(&net.probe), 1);
}

static void a_new_connection_is_not_judged_by_the_old_one(void **state)
{
	struct net net = net_of(2);

	(void)state;
	cut(&net, 0, 1, true);
	live(&net, 10000);
	probe_note_up(&net.probe, 1, false, net.now_ms);
	assert_int_equal(probe_islands(&net.probe), 1);
	probe_note_up(&net.probe, 1, true, net.now_ms);
	assert_int_equal(probe_verdict(&net.probe, 0, 1), PROBE_UNKNOWN);
	assert_true(probe_tick(&net.probe, net.now_ms));
}

static void a_registrar_that_stood_still_blames_nobody(void **state)
{
	struct net net = net_of(2);

	(void)state;
	live(&net, 10000);
	net.now_ms += 60000;
	probe_tick(&net.probe, net.now_ms);
	assert_int_equal(probe_verdict(&net.probe, 0, 1), PROBE_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(servers_that_hear_one_another_are_one_island),
		cmocka_unit_test(a_loss_in_one_direction_is_found_within_eight_seconds),
		cmocka_unit_test(servers_without_a_route_are_two_islands),
		cmocka_unit_test(one_lost_probe_is_no_loss),
		cmocka_unit_test(a_lost_pair_is_whole_again_after_two_probes),
		cmocka_unit_test(a_frozen_server_is_blamed_alone),
		cmocka_unit_test(a_server_that_forbids_probes_is_not_judged),
		cmocka_unit_test(a_new_connection_is_not_judged_by_the_old_one),
		cmocka_unit_test(a_registrar_that_stood_still_blames_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
