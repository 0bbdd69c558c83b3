/*
 * tests/unit/net/test_loop.c - tasks, deadlines and connections on a real loop
 * with a clock that the test moves.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/buf.h"
#include "net/conn.h"

static uint64_t fake_now_ns;

static uint64_t read_fake(void)
{
	return fake_now_ns;
}

static const struct clock_source fake_clock = { read_fake, read_fake };

struct probe {
	struct task task;
	struct loop *loop;
	unsigned runs;
	struct probe *wakes;          /* woken when this one runs; may be itself */
};

static void probe_run(struct task *task)
{
	struct probe *p = caa_container_of(task, struct probe, task);

	p->runs++;
	if (p->wakes && p->runs < 3)
		task_wake(p->loop, &p->wakes->task);
}

static struct probe probe_on(struct loop *loop)
{
	return (struct probe){ .loop = loop };
}

static int set_up(void **state)
{
	fake_now_ns = 1000 * 1000000000ull;
	clock_set_source(&fake_clock);
	*state = loop_create();
	return 0;
}

static int tear_down(void **state)
{
	loop_destroy(*state);
	clock_set_source(NULL);
	return 0;
}

static void a_task_woken_twice_runs_once(void **state)
{
	struct loop *loop = *state;
	struct probe p = probe_on(loop);

	task_init(&p.task, probe_run);
	task_wake(loop, &p.task);
	task_wake(loop, &p.task);
	loop_turn(loop, 0);
	assert_int_equal(p.runs, 1);
}

static void a_task_may_wake_itself_while_it_runs(void **state)
{
	struct loop *loop = *state;
	struct probe p = probe_on(loop);

	task_init(&p.task, probe_run);
	p.wakes = &p;
	task_wake(loop, &p.task);
	loop_turn(loop, 0);
	assert_int_equal(p.runs, 3);
}

static void a_deadline_wakes_once_and_never_early(void **state)
{
	static const uint64_t distances_ms[] = { 1, 15, 16, 17, 1000, 16383, 16384, 16400, 90000 };
	struct loop *loop = *state;

	for (size_t i = 0; i < ARRAY_SIZE(distances_ms); i++) {
		struct probe p = probe_on(loop);
		uint64_t deadline_ms = loop_now_ms(loop) + distances_ms[i];

		task_init(&p.task, probe_run);
		task_set_deadline(loop, &p.task, deadline_ms);
		while (!p.runs) {
			fake_now_ns += 1000000;
			loop_turn(loop, 0);
			assert_true(loop_now_ms(loop) <= deadline_ms + 16);
		}
		assert_true(loop_now_ms(loop) >= deadline_ms);
		assert_true(task_is_due(loop, &p.task));
		task_fini(loop, &p.task);
	}
}

static void a_deadline_can_be_moved_and_called_off(void **state)
{
	struct loop *loop = *state;
	struct probe later = probe_on(loop), sooner = probe_on(loop), never = probe_on(loop);
	uint64_t now_ms = loop_now_ms(loop);

	task_init(&later.task, probe_run);
	task_init(&sooner.task, probe_run);
	task_init(&never.task, probe_run);
	task_set_deadline(loop, &later.task, now_ms + 50);
	task_set_deadline(loop, &later.task, now_ms + 500);
	task_set_deadline(loop, &sooner.task, now_ms + 500);
	task_set_deadline(loop, &sooner.task, now_ms + 50);
	task_set_deadline(loop, &never.task, now_ms + 50);
	task_set_deadline(loop, &never.task, 0);
	fake_now_ns += 100 * 1000000ull;
	loop_turn(loop, 0);
	assert_int_equal(sooner.runs, 1);
	assert_int_equal(later.runs, 0);
	fake_now_ns += 20000 * 1000000ull;     /* more than a round of the wheel at once */
	loop_turn(loop, 0);
	assert_int_equal(later.runs, 1);
	assert_int_equal(never.runs, 0);
	task_fini(loop, &later.task);
	task_fini(loop, &sooner.task);
	task_fini(loop, &never.task);
}

static void pair_of(struct loop *loop, struct conn *near, struct probe *owner, int *far)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	task_init(&owner->task, probe_run);
	assert_int_equal(conn_accepted(near, loop, &owner->task, fds[0]), 0);
	*far = fds[1];
}

static void bytes_before_a_close_are_read_and_then_the_end(void **state)
{
	struct loop *loop = *state;
	struct probe owner = probe_on(loop);
	struct conn near;
	char bytes[16];
	size_t n;
	int far;

	pair_of(loop, &near, &owner, &far);
	assert_int_equal(write(far, "hello", 5), 5);
	close(far);
	loop_turn(loop, 0);
	assert_true(owner.runs > 0);
	assert_int_equal(conn_read(&near, bytes, sizeof(bytes), &n), IO_OK);
	assert_int_equal(n, 5);
	assert_int_equal(conn_read(&near, bytes, sizeof(bytes), &n), IO_EOF);
	conn_close(&near);
	conn_close(&near);
	task_fini(loop, &owner.task);
}

static void a_quiet_connection_is_one_on_which_nothing_happened(void **state)
{
	struct loop *loop = *state;
	struct probe owner = probe_on(loop);
	struct conn near;
	char bytes[16];
	size_t n;
	int far;

	pair_of(loop, &near, &owner, &far);
	assert_int_equal(conn_read(&near, bytes, sizeof(bytes), &n), IO_AGAIN);
	loop_turn(loop, 0);
	assert_true(conn_is_quiet(&near));
	close(far);
	loop_turn(loop, 0);
	assert_false(conn_is_quiet(&near));
	conn_close(&near);
	task_fini(loop, &owner.task);
}

static void a_full_socket_takes_part_and_wakes_when_there_is_room(void **state)
{
	struct loop *loop = *state;
	struct probe owner = probe_on(loop);
	static char much[1 << 20], sink[1 << 20];
	struct iovec part = { much, sizeof(much) };
	struct conn near;
	unsigned runs;
	size_t n = 0;
	int far;

	pair_of(loop, &near, &owner, &far);
	loop_turn(loop, 0);
	assert_int_equal(conn_writev(&near, &part, 1, &n), IO_OK);
	assert_true(n > 0 && n < sizeof(much));
	assert_int_equal(conn_writev(&near, &part, 1, &n), IO_AGAIN);
	loop_turn(loop, 0);
	runs = owner.runs;
	while (read(far, sink, sizeof(sink)) > 0)
		;
	loop_turn(loop, 0);
	assert_true(owner.runs > runs);
	assert_int_equal(conn_writev(&near, &part, 1, &n), IO_OK);
	conn_close(&near);
	close(far);
	task_fini(loop, &owner.task);
}

static void a_refused_connect_is_broken_with_its_errno(void **state)
{
	struct loop *loop = *state;
	struct probe owner = probe_on(loop);
	struct addr addr;
	struct conn conn;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(addr_from_ip(STR("127.0.0.1"), 0, &addr));
	assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
	assert_int_equal(getsockname(fd, &addr.sa, &addr.len), 0);    /* bound, not listening */
	task_init(&owner.task, probe_run);
	assert_int_equal(conn_connect(&conn, loop, &owner.task, &addr), 0);
	for (int i = 0; i < 100 && (conn.ready & CONN_CONNECTING); i++) {
		usleep(1000);
		loop_turn(loop, 0);
	}
	assert_true(conn.ready & CONN_BROKEN);
	assert_int_equal(conn.error, ECONNREFUSED);
	conn_close(&conn);
	close(fd);
	task_fini(loop, &owner.task);
}

struct pair_end {
	struct watch watch;
	struct loop *loop;
	struct pair_end *other;
	unsigned events;
};

static void close_the_other(struct watch *watch, uint32_t events)
{
	struct pair_end *end = caa_container_of(watch, struct pair_end, watch);

	assert_true(events & EPOLLOUT);
	end->events++;
	if (end->other->watch.fd >= 0)
		loop_close(end->loop, &end->other->watch);
}

static void a_closed_descriptor_has_no_event_that_was_collected_already(void **state)
{
	struct loop *loop = *state;
	struct pair_end a = { .loop = loop, .other = NULL }, b = { .loop = loop, .other = &a };
	int fds[2];

	a.other = &b;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	a.watch = (struct watch){ close_the_other, fds[0] };
	b.watch = (struct watch){ close_the_other, fds[1] };
	assert_int_equal(loop_watch(loop, &a.watch, EPOLLOUT | EPOLLET), 0);
	assert_int_equal(loop_watch(loop, &b.watch, EPOLLOUT | EPOLLET), 0);
	loop_turn(loop, 0);
	assert_int_equal(a.events + b.events, 1);
	assert_int_equal((a.watch.fd < 0) + (b.watch.fd < 0), 1);
	loop_close(loop, a.watch.fd < 0 ? &b.watch : &a.watch);
	loop_turn(loop, 0);
	assert_int_equal(a.events + b.events, 1);
}

static void a_large_buffer_leaves_half_of_the_pool_to_plain_ones(void **state)
{
	struct buf_pool *pool = buf_pool_create(4 * BUF_LARGE);
	struct buf *large[3], *plain;

	(void)state;
	for (int i = 0; i < 2; i++) {
		large[i] = buf_acquire_large(pool);
		assert_int_equal(large[i]->capacity, BUF_LARGE);
	}
	large[2] = buf_acquire_large(pool);
	assert_int_equal(large[2]->capacity, BUF_SIZE);
	plain = buf_acquire(pool, 0);
	assert_non_null(plain);
	buf_release(pool, plain);
	for (int i = 0; i < 3; i++)
		buf_release(pool, large[i]);
	buf_pool_destroy(pool);
}

static void buffers_grow_keep_their_bytes_and_stop_at_the_limit(void **state)
{
	struct buf_pool *pool = buf_pool_create(4 * BUF_SIZE);
	struct buf *buf = buf_acquire(pool, 0), *other;

	(void)state;
	memcpy(buf_tail(buf), "abcdef", 6);
	buf->end += 6;
	buf_consume(buf, 2);
	buf = buf_grow(pool, buf, 1 << 20);
	assert_non_null(buf);
	assert_int_equal(buf->capacity, 2 * BUF_SIZE);
	assert_memory_equal(buf_data(buf), "cdef", 4);
	assert_null(buf_grow(pool, buf, 1 << 20));
	assert_null(buf_grow(pool, buf, 2 * BUF_SIZE));
	other = buf_acquire(pool, BUF_SIZE);
	assert_non_null(other);
	assert_null(buf_acquire(pool, 2 * BUF_SIZE));
	buf_release(pool, other);
	buf_release(pool, buf);
	assert_int_equal(buf_pool_used(pool), 0);
	buf_pool_destroy(pool);
}

#define ON_A_LOOP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_A_LOOP(a_task_woken_twice_runs_once),
		ON_A_LOOP(a_task_may_wake_itself_while_it_runs),
		ON_A_LOOP(a_deadline_wakes_once_and_never_early),
		ON_A_LOOP(a_deadline_can_be_moved_and_called_off),
		ON_A_LOOP(bytes_before_a_close_are_read_and_then_the_end),
		ON_A_LOOP(a_quiet_connection_is_one_on_which_nothing_happened),
		ON_A_LOOP(a_full_socket_takes_part_and_wakes_when_there_is_room),
		ON_A_LOOP(a_refused_connect_is_broken_with_its_errno),
		ON_A_LOOP(a_closed_descriptor_has_no_event_that_was_collected_already),
		cmocka_unit_test(a_large_buffer_leaves_half_of_the_pool_to_plain_ones),
		cmocka_unit_test(buffers_grow_keep_their_bytes_and_stop_at_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
