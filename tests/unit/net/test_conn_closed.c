/*
 * tests/unit/net/test_conn_closed.c - what can be known of a peer that closes, in the
 * clear and over TLS: that it did, before the loop says so, and whether the kernel
 * proves that nobody has read what was sent to it.
 */
#include "../fixture/net_certificates.h"
#include "../fixture/net_tls_pair.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum kind { PLAIN, TLS };

/* Two ends over TCP that have spoken, so that their kernels owe each other nothing. */
static void open_used(struct tls_pair *pair, enum kind kind)
{
	struct tls_server *server = tls_server_with((struct tls_server_settings){ 0 });
	struct tls_client *client = tls_client_with((struct tls_client_settings){ 0 });

	tls_pair_open_tcp(pair, 0);
	if (kind == TLS) {
		tls_pair_start(pair, server, client, &a_example);
		tls_pair_shake(pair);
	}
	tls_server_destroy(server);
	tls_client_destroy(client);
	tls_end_write(&pair->client, "first");
	tls_end_expect(pair, &pair->server, "first");
	tls_end_write(&pair->server, "answer");
	tls_end_expect(pair, &pair->client, "answer");
}

/* `from` is where the client stands then. */
static void on_each_kind(void (*check)(struct tls_pair *pair, uint64_t from))
{
	for (enum kind kind = PLAIN; kind <= TLS; kind++) {
		struct tls_pair pair;

		open_used(&pair, kind);
		check(&pair, pair.client.conn.sent);
		tls_pair_close(&pair);
	}
}

static bool is_refused(struct tls_pair *pair, uint64_t from)
{
	tls_pair_settle(pair);
	return conn_was_refused_since(&pair->client.conn, from);
}

static void send_after_the_close(struct tls_pair *pair, uint64_t from)
{
	conn_close(&pair->server.conn);
	tls_end_write(&pair->client, "second");
	assert_true(is_refused(pair, from));
	/* of the first one that is not true */
	assert_false(conn_was_refused_since(&pair->client.conn, 0));
}

static void what_comes_after_the_close_was_read_by_nobody(void **state)
{
	(void)state;
	on_each_kind(send_after_the_close);
}

/* Several records in several writes: none of them was read. */
static void send_much_after_the_close(struct tls_pair *pair, uint64_t from)
{
	static char body[200000];
	struct iovec parts[] = { { (char *)"head", 4 }, { body, sizeof(body) } };
	size_t n;

	conn_close(&pair->server.conn);
	assert_int_equal(conn_writev(&pair->client.conn, parts, 2, &n), IO_OK);
	assert_true(is_refused(pair, from));
}

static void that_holds_for_all_that_was_sent_before_the_refusal_was_known(void **state)
{
	(void)state;
	on_each_kind(send_much_after_the_close);
}

/* The peer may have acted on it, whatever it did with the connection then. */
static void send_and_be_read(struct tls_pair *pair, uint64_t from)
{
	tls_end_write(&pair->client, "second");
	tls_end_expect(pair, &pair->server, "second");
	conn_close(&pair->server.conn);
	assert_false(is_refused(pair, from));
	tls_end_write(&pair->client, "third");         /* this one was */
	assert_false(is_refused(pair, from));
}

static void what_was_read_is_not_proved_unread(void **state)
{
	(void)state;
	on_each_kind(send_and_be_read);
}

/* It lies in the peer's kernel, which resets when its program closes: that could as
 * well have read it. */
static void send_before_the_close(struct tls_pair *pair, uint64_t from)
{
	tls_end_write(&pair->client, "second");
	conn_close(&pair->server.conn);
	assert_false(is_refused(pair, from));
}

static void what_was_there_at_the_close_is_not_proved_unread(void **state)
{
	(void)state;
	on_each_kind(send_before_the_close);
}

/* A peer that has only ended its own direction still reads; its kernel says so. */
static void send_to_a_silent_reader(struct tls_pair *pair, uint64_t from)
{
	int on = 1;

	conn_shutdown(&pair->server.conn);
	tls_pair_settle(pair);
	tls_end_write(&pair->client, "second");
	tls_end_expect(pair, &pair->server, "second");
	setsockopt(pair->server.conn.watch.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
	tls_end_write(&pair->client, "third");
	tls_pair_settle(pair);
	conn_close(&pair->server.conn);
	assert_false(is_refused(pair, from));
}

static void what_a_peer_reads_that_will_not_answer_is_not_proved_unread(void **state)
{
	(void)state;
	on_each_kind(send_to_a_silent_reader);
}

/* After a reset every write says EPIPE; that is no proof. */
static void the_first_error_is_the_one_that_counts(void **state)
{
	struct iovec part = { (char *)"third", 5 };
	struct tls_pair pair;
	uint64_t from;
	size_t n;

	(void)state;
	open_used(&pair, PLAIN);
	from = pair.client.conn.sent;
	tls_end_write(&pair.client, "second");
	conn_close_reset(&pair.server.conn);
	tls_pair_settle(&pair);
	assert_int_equal(pair.client.conn.error, ECONNRESET);
	pair.client.conn.ready |= CONN_WRITABLE;
	assert_int_equal(conn_writev(&pair.client.conn, &part, 1, &n), IO_ERROR);
	assert_int_equal(pair.client.conn.error, ECONNRESET);
	assert_false(is_refused(&pair, from));
	tls_pair_close(&pair);
}

/* The loop has not turned since. */
static void look_after_the_close(struct tls_pair *pair, uint64_t from)
{
	(void)from;
	conn_look(&pair->client.conn);
	assert_true(conn_is_quiet(&pair->client.conn));
	conn_close(&pair->server.conn);
	assert_true(conn_is_quiet(&pair->client.conn));
	conn_look(&pair->client.conn);
	assert_false(conn_is_quiet(&pair->client.conn));
	assert_true(pair->client.conn.ready & CONN_PEER_CLOSED);
}

static void a_close_is_seen_at_once_by_who_looks(void **state)
{
	(void)state;
	on_each_kind(look_after_the_close);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_after_the_close_was_read_by_nobody),
		cmocka_unit_test(that_holds_for_all_that_was_sent_before_the_refusal_was_known),
		cmocka_unit_test(what_was_read_is_not_proved_unread),
		cmocka_unit_test(what_was_there_at_the_close_is_not_proved_unread),
		cmocka_unit_test(what_a_peer_reads_that_will_not_answer_is_not_proved_unread),
		cmocka_unit_test(a_close_is_seen_at_once_by_who_looks),
		cmocka_unit_test(the_first_error_is_the_one_that_counts),
	};

	return cmocka_run_group_tests(tests, example_set_up, example_tear_down);
}
