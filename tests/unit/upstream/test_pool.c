/*
 * tests/unit/upstream/test_pool.c - idle upstream connections: which one is
 * lent, and which ones go.  Real connections, a clock that the test moves.
 */
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/fixture/base_clock.h"
#include "tests/unit/fixture/net_backend.h"
#include "counters.h"
#include "upstream/pool.h"

#define LONG_MS  90000
#define LATE_MS  16                   /* how late a deadline may be seen */
#define BACKENDS 3

struct pool_test {
	struct loop *loop;
	struct buf_pool *bufs;
	struct mux_settings settings;
	struct task nobody;           /* owns muxes while they connect */
	struct backend backends[BACKENDS];
	struct pool *pool;
	uint64_t counters[COUNTER_COUNT];
};

/* One connection: our mux and its far end. */
struct line {
	struct mux *mux;
	int far;
};

static void do_nothing(struct task *task)
{
	(void)task;
}

static int set_up(void **state)
{
	struct pool_test *t = mem_zalloc(sizeof(*t));

	fake_clock_start();
	t->loop = loop_create();
	t->bufs = buf_pool_create(1u << 20);
	t->settings = (struct mux_settings){ .line_limit = 16384, .head_limit = 32768 };
	task_init(&t->nobody, do_nothing);
	backend_open(&t->backends[0], "127.0.0.1");
	backend_open(&t->backends[1], "127.0.0.1");
	backend_open(&t->backends[2], "127.0.0.2");
	t->pool = pool_create(t->loop, t->counters, 100);
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct pool_test *t = *state;
	uint64_t left;

	pool_destroy(t->pool);
	left = t->counters[COUNTER_upstream_idle];
	task_fini(t->loop, &t->nobody);
	left += buf_pool_used(t->bufs);
	buf_pool_destroy(t->bufs);
	loop_destroy(t->loop);
	for (int i = 0; i < BACKENDS; i++)
		backend_close(&t->backends[i]);
	fake_clock_stop();
	free(t);
	return left ? -1 : 0;
}

static void limit_pool(struct pool_test *t, unsigned idle_max)
{
	pool_destroy(t->pool);
	t->pool = pool_create(t->loop, t->counters, idle_max);
}

static struct target target_of(const struct pool_test *t, unsigned backend)
{
	return (struct target){ .addr = t->backends[backend].addr };
}

static struct line connect_to(struct pool_test *t, unsigned backend)
{
	struct line line;

	line.mux = mux_create_upstream(t->loop, t->bufs, &t->backends[backend].addr, &t->nobody,
				       &t->settings);
	assert_non_null(line.mux);
	line.far = backend_accept(&t->backends[backend]);
	fd_await(mux_conn(line.mux)->watch.fd, POLLOUT);
	loop_turn(t->loop, 0);
	assert_true(mux_is_quiet(line.mux));
	return line;
}

static struct line add_for(struct pool_test *t, unsigned backend, uint64_t idle_ms)
{
	struct target target = target_of(t, backend);
	struct line line = connect_to(t, backend);

	pool_add(t->pool, &target, line.mux, idle_ms);
	return line;
}

static struct line add(struct pool_test *t, unsigned backend)
{
	return add_for(t, backend, LONG_MS);
}

static struct mux *take(struct pool_test *t, unsigned backend)
{
	struct target target = target_of(t, backend);

	return pool_take(t->pool, &target);
}

/* The end of a test's connection, closed by us or by the pool. */
static void hang_up(struct line *line)
{
	mux_destroy(line->mux);
	close(line->far);
}

static void expect_gone(struct line *line)
{
	far_expect_end(line->far);
	close(line->far);
}

static void pass(struct pool_test *t, uint64_t ms)
{
	fake_clock_advance_ms(ms);
	loop_turn(t->loop, 0);
}

static void the_connection_that_was_used_last_is_lent_first(void **state)
{
	struct pool_test *t = *state;
	struct line first = add(t, 0), second = add(t, 0), third = add(t, 0);

	assert_int_equal(pool_count(t->pool), 3);
	assert_int_equal(t->counters[COUNTER_upstream_idle], 3);
	assert_ptr_equal(take(t, 0), third.mux);
	assert_ptr_equal(take(t, 0), second.mux);
	assert_int_equal(pool_count(t->pool), 1);
	pool_add(t->pool, &(struct target){ .addr = t->backends[0].addr }, third.mux, LONG_MS);
	assert_ptr_equal(take(t, 0), third.mux);
	assert_ptr_equal(take(t, 0), first.mux);
	assert_null(take(t, 0));
	hang_up(&first);
	hang_up(&second);
	hang_up(&third);
}

static void at_the_bound_the_one_that_was_idle_longest_goes_whatever_its_target(void **state)
{
	struct pool_test *t = *state;
	struct line oldest, old, older_but_used, newest;
	struct target target = target_of(t, 0);

	limit_pool(t, 3);
	older_but_used = add(t, 0);
	oldest = add(t, 1);
	old = add(t, 2);
	assert_ptr_equal(take(t, 0), older_but_used.mux);
	pool_add(t->pool, &target, older_but_used.mux, LONG_MS);
	assert_true(far_is_open(oldest.far));
	newest = add(t, 0);
	expect_gone(&oldest);
	assert_int_equal(pool_count(t->pool), 3);
	assert_null(take(t, 1));
	assert_ptr_equal(take(t, 2), old.mux);
	assert_ptr_equal(take(t, 0), newest.mux);
	assert_ptr_equal(take(t, 0), older_but_used.mux);
	hang_up(&old);
	hang_up(&newest);
	hang_up(&older_but_used);
}

static void a_pool_of_none_holds_one(void **state)
{
	struct pool_test *t = *state;
	struct line first, second;

	limit_pool(t, 0);
	first = add(t, 0);
	assert_int_equal(pool_count(t->pool), 1);
	second = add(t, 1);
	expect_gone(&first);
	assert_int_equal(pool_count(t->pool), 1);
	assert_ptr_equal(take(t, 1), second.mux);
	hang_up(&second);
}

/* Every other port is asked for, so that some share the bucket. */
static void a_connection_is_lent_to_its_own_target_only(void **state)
{
	struct pool_test *t = *state;
	struct line line = add(t, 0);
	struct target other = target_of(t, 0);
	unsigned port = addr_port(&other.addr);

	for (unsigned i = 1; i < 65536; i++) {
		other.addr.in.sin_port = htons((uint16_t)i);
		if (i != port)
			assert_null(pool_take(t->pool, &other));
	}
	other.addr.in.sin_port = htons((uint16_t)port);
	for (uint32_t i = 2; i < 65536; i++) {
		other.addr.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + i);
		assert_null(pool_take(t->pool, &other));
	}
	assert_int_equal(pool_count(t->pool), 1);
	assert_ptr_equal(take(t, 0), line.mux);
	hang_up(&line);
}

static void leave(struct line *line, int way)
{
	if (way == 0) {
		close(line->far);
		line->far = -1;
	} else if (way == 1) {
		far_reset(line->far);
		line->far = -1;
	} else {
		far_send(line->far, "HTTP/1.1 408 Request Timeout\r\n\r\n");
	}
	fd_await(mux_conn(line->mux)->watch.fd, POLLIN);
}

static void an_idle_connection_that_ends_or_speaks_is_gone_in_the_same_turn(void **state)
{
	struct pool_test *t = *state;

	for (int way = 0; way < 3; way++) {
		struct line good = add(t, 0), line = add(t, 0);

		leave(&line, way);
		loop_turn(t->loop, 0);
		assert_int_equal(pool_count(t->pool), 1);
		if (line.far >= 0)
			expect_gone(&line);
		assert_ptr_equal(take(t, 0), good.mux);
		assert_null(take(t, 0));
		hang_up(&good);
	}
}

struct taker {
	struct task task;
	struct pool_test *test;
	struct mux *taken;
	bool has_run;
};

static void taker_run(struct task *task)
{
	struct taker *taker = caa_container_of(task, struct taker, task);

	taker->has_run = true;
	taker->taken = take(taker->test, 0);
}

/* The taker was woken first, so it runs before the pool's own task. */
static void one_that_has_just_ended_is_not_lent_even_before_the_pool_has_seen_it(void **state)
{
	struct pool_test *t = *state;

	for (int way = 0; way < 3; way++) {
		struct taker taker = { .test = t };
		struct line good = add(t, 0), line = add(t, 0);

		task_init(&taker.task, taker_run);
		leave(&line, way);
		task_wake(t->loop, &taker.task);
		loop_turn(t->loop, 0);
		assert_true(taker.has_run);
		assert_ptr_equal(taker.taken, good.mux);
		assert_int_equal(pool_count(t->pool), 0);
		if (line.far >= 0)
			expect_gone(&line);
		hang_up(&good);
	}
}

static void one_beyond_its_time_is_not_lent_even_before_the_pool_has_ended_it(void **state)
{
	struct pool_test *t = *state;
	struct taker taker = { .test = t };
	struct line line = add_for(t, 0, 200);

	task_init(&taker.task, taker_run);
	task_wake(t->loop, &taker.task);
	pass(t, 300);
	assert_true(taker.has_run);
	assert_null(taker.taken);
	expect_gone(&line);
}

static void each_connection_is_kept_for_its_own_time_and_not_longer(void **state)
{
	static const uint64_t idle_ms[] = { 100, 4000, 90000, 86400000 };
	struct pool_test *t = *state;
	struct line lines[ARRAY_SIZE(idle_ms)];
	uint64_t passed_ms = 0;

	for (size_t i = ARRAY_SIZE(idle_ms); i-- > 0;)
		lines[i] = add_for(t, (unsigned)i % BACKENDS, idle_ms[i]);
	for (size_t i = 0; i < ARRAY_SIZE(idle_ms); i++) {
		pass(t, idle_ms[i] - 1 - passed_ms);
		assert_int_equal(pool_count(t->pool), ARRAY_SIZE(idle_ms) - i);
		assert_true(far_is_open(lines[i].far));
		pass(t, 1 + LATE_MS);
		passed_ms = idle_ms[i] + LATE_MS;
		assert_int_equal(pool_count(t->pool), ARRAY_SIZE(idle_ms) - i - 1);
		expect_gone(&lines[i]);
	}
}

static void a_connection_that_was_lent_has_all_the_time_again(void **state)
{
	struct pool_test *t = *state;
	struct target target = target_of(t, 0);
	struct line line = add_for(t, 0, 1000);

	pass(t, 900);
	assert_ptr_equal(take(t, 0), line.mux);
	pass(t, 5000);                        /* a long answer */
	assert_true(far_is_open(line.far));
	pool_add(t->pool, &target, line.mux, 1000);
	pass(t, 900);
	assert_int_equal(pool_count(t->pool), 1);
	pass(t, 100 + LATE_MS);
	assert_int_equal(pool_count(t->pool), 0);
	expect_gone(&line);
}

/* Its events belong to whoever has it now. */
static void a_lent_connection_no_longer_wakes_the_pool(void **state)
{
	struct pool_test *t = *state;
	struct line line = add(t, 0);

	assert_ptr_equal(take(t, 0), line.mux);
	leave(&line, 2);
	loop_turn(t->loop, 0);
	assert_true(conn_is_open(mux_conn(line.mux)));
	assert_false(mux_is_quiet(line.mux));
	hang_up(&line);
}

static void destroying_the_pool_closes_every_connection(void **state)
{
	struct pool_test *t = *state;
	struct line lines[4];

	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++)
		lines[i] = add(t, i % BACKENDS);
	pool_destroy(t->pool);
	t->pool = NULL;
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++)
		expect_gone(&lines[i]);
	pass(t, 2 * LONG_MS);                 /* no deadline of it is left */
	pool_destroy(NULL);
}

/* A hot connection is not worth the question; one that rested is. */
static void one_that_rested_is_asked_for_its_end_before_it_is_lent(void **state)
{
	struct pool_test *t = *state;
	struct line line = add(t, 0);

	pass(t, 19);
	close(line.far);
	assert_ptr_equal(take(t, 0), line.mux);
	mux_destroy(line.mux);
	line = add(t, 0);
	pass(t, 20);
	close(line.far);
	assert_null(take(t, 0));
	assert_int_equal(pool_count(t->pool), 0);
}

#define OVER_A_POOL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVER_A_POOL(the_connection_that_was_used_last_is_lent_first),
		OVER_A_POOL(at_the_bound_the_one_that_was_idle_longest_goes_whatever_its_target),
		OVER_A_POOL(one_beyond_its_time_is_not_lent_even_before_the_pool_has_ended_it),
		OVER_A_POOL(a_pool_of_none_holds_one),
		OVER_A_POOL(a_connection_is_lent_to_its_own_target_only),
		OVER_A_POOL(an_idle_connection_that_ends_or_speaks_is_gone_in_the_same_turn),
		OVER_A_POOL(one_that_has_just_ended_is_not_lent_even_before_the_pool_has_seen_it),
		OVER_A_POOL(one_that_rested_is_asked_for_its_end_before_it_is_lent),
		OVER_A_POOL(each_connection_is_kept_for_its_own_time_and_not_longer),
		OVER_A_POOL(a_connection_that_was_lent_has_all_the_time_again),
		OVER_A_POOL(a_lent_connection_no_longer_wakes_the_pool),
		OVER_A_POOL(destroying_the_pool_closes_every_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
