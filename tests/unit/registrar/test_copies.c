/*
 * tests/unit/registrar/test_copies.c - who lost whom by registrations alone: emitters that
 * repeat themselves every 20 s through servers that do what the cuts say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "registrar/copies.h"

#define SECOND 10u                    /* ticks */
#define EMIT (20 * SECOND)
#define CYCLE (25 * SECOND)
#define SETTLE (6 * SECOND)
#define ROWS 300u

struct net {
	struct copies copies;
	struct probe probe;           /* none ever came */
	struct seen *seen;
	unsigned servers, rows;
	uint32_t tick, losses;
	unsigned loss_percent;        /* of each path */
	bool is_cut[SOURCES_MAX][SOURCES_MAX];
	unsigned home[ROWS];          /* the server of its emitter */
	bool is_gone[ROWS];
};

static struct net *net_of(unsigned servers, unsigned rows)
{
	struct net *net = calloc(1, sizeof(*net));

	*net = (struct net){ .seen = seen_create(servers), .servers = servers, .rows = rows,
			     .tick = 1000 };
	probe_init(&net->probe, 2000, 3);
	copies_init(&net->copies, net->seen, CYCLE, SETTLE);
	for (unsigned row = 0; row < rows; row++) {
		seen_claim(net->seen, row, row + 1);
		seen_row(net->seen, row)->routes = 1;
		net->home[row] = row % servers;
	}
	srand(1);
	return net;
}

static void net_free(struct net *net)
{
	seen_destroy(net->seen);
	free(net);
}

static void emit(struct net *net, unsigned row)
{
	unsigned home = net->home[row];

	for (unsigned i = 0; i < net->servers; i++) {
		unsigned to = (home + i) % net->servers;      /* its own one is the first */

		if (!net->is_cut[home][to] && (unsigned)rand() % 100 >= net->loss_percent)
			seen_note(net->seen, row, to, net->tick);
	}
}

static unsigned lost_pairs(const struct net *net)
{
	unsigned lost = 0;

	for (unsigned i = 0; i < net->servers; i++)
		for (unsigned j = 0; j < net->servers; j++)
			lost += net->copies.pair[i][j].is_lost;
	return lost;
}

static bool is_lost(const struct net *net, unsigned from, unsigned to)
{
	return net->copies.pair[from][to].is_lost;
}

static void live(struct net *net, uint32_t ticks)
{
	for (uint32_t end = net->tick + ticks; net->tick < end; net->tick++) {
		for (unsigned i = 0; i < net->servers; i++)
			copies_note_hearing(&net->copies, i, true, net->tick);
		for (unsigned row = 0; row < net->rows; row++)
			if (!net->is_gone[row] && net->tick % EMIT == row * 7 % EMIT)
				emit(net, row);
		if (copies_look(&net->copies, &net->probe, net->tick))
			net->losses += lost_pairs(net);
	}
}

static void servers_that_hear_one_another_are_never_blamed(void **state)
{
	(void)state;
	for (unsigned rows = 1; rows <= ROWS; rows += 23) {
		struct net *net = net_of(3, rows);

		live(net, 600 * SECOND);
		assert_int_equal(net->losses, 0);
		net_free(net);
	}
}

static void a_loss_is_named_within_a_cycle_with_its_direction_and_healed_within_one(void **state)
{
	struct net *net = net_of(2, ROWS);

	(void)state;
	live(net, 60 * SECOND);
	net->is_cut[0][1] = true;
	live(net, EMIT + 5 * SECOND);
	assert_true(is_lost(net, 0, 1));
	assert_int_equal(lost_pairs(net), 1);
	live(net, 600 * SECOND);
	assert_int_equal(lost_pairs(net), 1);
	net->is_cut[0][1] = false;
	live(net, EMIT + 5 * SECOND);
	assert_int_equal(lost_pairs(net), 0);
	net_free(net);
}

static void servers_that_never_heard_one_another_are_named_after_they_settled(void **state)
{
	struct net *net = net_of(2, ROWS);

	(void)state;
	net->is_cut[0][1] = net->is_cut[1][0] = true;
	live(net, SETTLE + EMIT + 5 * SECOND);
	assert_int_equal(lost_pairs(net), 2);
	net_free(net);
}

static void of_three_the_two_that_lost_one_another_are_named(void **state)
{
	struct net *net = net_of(3, ROWS);

	(void)state;
	live(net, 60 * SECOND);
	net->is_cut[0][1] = net->is_cut[1][0] = true;
	live(net, EMIT + 5 * SECOND);
	assert_true(is_lost(net, 0, 1) && is_lost(net, 1, 0));
	live(net, 300 * SECOND);
	assert_int_equal(lost_pairs(net), 2);
	net->is_cut[0][1] = net->is_cut[1][0] = false;
	live(net, EMIT + 5 * SECOND);
	assert_int_equal(lost_pairs(net), 0);
	net_free(net);
}

/* It came through the third, too: who brings it first is to blame, once it is missed again. */
static void of_three_the_one_that_is_not_heard_by_another_is_named(void **state)
{
	struct net *net = net_of(3, ROWS);

	(void)state;
	live(net, 60 * SECOND);
	net->is_cut[0][1] = true;
	live(net, 2 * EMIT + 5 * SECOND);
	assert_true(is_lost(net, 0, 1));
	live(net, 300 * SECOND);
	assert_int_equal(lost_pairs(net), 1);
	net->is_cut[0][1] = false;
	live(net, EMIT + 5 * SECOND);
	assert_int_equal(lost_pairs(net), 0);
	net_free(net);
}

static void a_server_that_is_cut_off_has_lost_all(void **state)
{
	struct net *net = net_of(3, ROWS);

	(void)state;
	live(net, 60 * SECOND);
	for (unsigned i = 0; i < 2; i++)
		net->is_cut[i][2] = net->is_cut[2][i] = true;
	live(net, EMIT + 5 * SECOND);
	assert_true(is_lost(net, 0, 2) && is_lost(net, 1, 2));
	assert_true(is_lost(net, 2, 0) && is_lost(net, 2, 1));
	assert_int_equal(lost_pairs(net), 4);
	net_free(net);
}

static void what_probes_know_is_not_blamed_on_others(void **state)
{
	struct net *net = net_of(3, ROWS);

	(void)state;
	for (unsigned i = 1; i < 3; i++)
		for (unsigned j = 0; j < 3; j++) {
			net->probe.of[i].is_heard = net->probe.of[j].is_hearing = true;
			net->probe.pair[i][j].verdict = PROBE_OK;
		}
	live(net, 60 * SECOND);
	net->is_cut[1][0] = true;
	net->probe.pair[1][0].verdict = PROBE_LOST;
	live(net, 60 * SECOND);
	assert_int_equal(lost_pairs(net), 0);
	net->is_cut[0][2] = true;
	live(net, EMIT + 5 * SECOND);
	assert_true(is_lost(net, 0, 2));
	assert_int_equal(lost_pairs(net), 1);
	net_free(net);
}

static void an_only_endpoint_must_be_missed_twice(void **state)
{
	struct net *net = net_of(2, 1);

	(void)state;
	live(net, 60 * SECOND);
	net->is_cut[0][1] = true;
	live(net, EMIT);
	net->is_cut[0][1] = false;
	live(net, 60 * SECOND);
	assert_int_equal(net->losses, 0);
	net->is_cut[0][1] = true;
	live(net, 2 * EMIT + 5 * SECOND);
	assert_true(is_lost(net, 0, 1));
	net_free(net);
}

static void endpoints_that_leave_in_the_midst_of_their_copies_are_not_missed(void **state)
{
	struct net *net = net_of(2, 40);

	(void)state;
	live(net, 60 * SECOND);
	for (unsigned row = 0; row < 20; row++) {
		net->is_gone[row] = true;
		seen_note(net->seen, row, 0, net->tick + 15);
		seen_row(net->seen, row)->routes = 0;
	}
	live(net, 60 * SECOND);
	assert_int_equal(net->losses, 0);
	net_free(net);
}

static void a_message_lost_here_and_there_is_no_loss_of_a_server(void **state)
{
	struct net *net = net_of(3, ROWS);

	(void)state;
	net->loss_percent = 2;
	live(net, 600 * SECOND);
	assert_int_equal(net->losses, 0);
	net_free(net);
}

static void a_registrar_that_stood_still_accuses_nobody(void **state)
{
	struct net *net = net_of(2, ROWS);

	(void)state;
	live(net, 60 * SECOND);
	net->tick += 300 * SECOND;
	for (unsigned row = 0; row < ROWS; row++)
		seen_note(net->seen, row, 0, net->tick);      /* of the other one nothing yet */
	live(net, 3 * SECOND);
	for (unsigned row = 0; row < ROWS; row++)
		emit(net, row);
	live(net, 60 * SECOND);
	assert_int_equal(net->losses, 0);
	net_free(net);
}

static void a_loss_whose_last_witness_has_gone_is_forgotten(void **state)
{
	struct net *net = net_of(2, 20);

	(void)state;
	live(net, 60 * SECOND);
	net->is_cut[0][1] = true;
	live(net, 2 * CYCLE);
	assert_int_equal(lost_pairs(net), 1);
	for (unsigned row = 0; row < 20; row += 2)
		net->is_gone[row] = true;
	live(net, 3 * CYCLE);
	assert_int_equal(lost_pairs(net), 1);
	live(net, 3 * CYCLE);
	assert_int_equal(lost_pairs(net), 0);
	net_free(net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(servers_that_hear_one_another_are_never_blamed),
		cmocka_unit_test(a_loss_is_named_within_a_cycle_with_its_direction_and_healed_within_one),
		cmocka_unit_test(servers_that_never_heard_one_another_are_named_after_they_settled),
		cmocka_unit_test(of_three_the_two_that_lost_one_another_are_named),
		cmocka_unit_test(of_three_the_one_that_is_not_heard_by_another_is_named),
		cmocka_unit_test(a_server_that_is_cut_off_has_lost_all),
		cmocka_unit_test(what_probes_know_is_not_blamed_on_others),
		cmocka_unit_test(an_only_endpoint_must_be_missed_twice),
		cmocka_unit_test(endpoints_that_leave_in_the_midst_of_their_copies_are_not_missed),
		cmocka_unit_test(a_message_lost_here_and_there_is_no_loss_of_a_server),
		cmocka_unit_test(a_registrar_that_stood_still_accuses_nobody),
		cmocka_unit_test(a_loss_whose_last_witness_has_gone_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
