/*
 * tests/unit/net/test_tls_wire.c - TLS over a wire on which somebody stands: bytes
 * come one by one, are cut off, changed, or never were sent by an honest peer.
 */
#include "../fixture/net_certificates.h"
#include "../fixture/net_tls_pair.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- somebody on the wire */

static size_t most;                   /* bytes a turn and direction */
static size_t passed;                 /* from the server to the client, since it was zeroed */
static size_t limit, flip;            /* pass no more than so many; change this one */
static bool holds;                    /* what the client says waits */

static size_t move(int from, int to, bool is_counted)
{
	char bytes[4096];
	size_t cap = most < sizeof(bytes) ? most : sizeof(bytes);
	ssize_t got;

	if (is_counted && limit && cap > limit - passed)
		cap = limit - passed;
	got = cap ? recv(from, bytes, cap, MSG_PEEK) : 0;
	if (got <= 0)
		return 0;
	if (is_counted && flip && flip >= passed && flip < passed + (size_t)got)
		bytes[flip - passed] ^= 0x10;
	got = send(to, bytes, (size_t)got, MSG_NOSIGNAL);
	if (got <= 0)
		return 0;
	assert_int_equal(recv(from, bytes, (size_t)got, 0), got);
	passed += is_counted ? (size_t)got : 0;
	return (size_t)got;
}

static size_t wire(struct tls_pair *pair)
{
	return (holds ? 0 : move(pair->client_far, pair->server_far, false)) +
	       move(pair->server_far, pair->client_far, true);
}

static void open_over_wire(struct tls_pair *pair, int version, size_t at_once)
{
	static struct tls_ticket_keys keys;
	struct tls_server *s = tls_server_with((struct tls_server_settings){
		.min_version = (enum tls_version)version, .max_version = (enum tls_version)version });
	struct tls_client *c = tls_client_with((struct tls_client_settings){ 0 });

	tls_ticket_keys_rotate(&keys);
	tls_server_set_ticket_keys(s, &keys);
	most = at_once;
	passed = limit = flip = 0;
	tls_pair_open_apart(pair, wire);
	tls_pair_start(pair, s, c, &a_example);
	tls_server_destroy(s);
	tls_client_destroy(c);
}

static void bytes_may_come_one_by_one(void **state)
{
	static const struct { size_t at_once, up, down; } cases[] = {
		{ 1, 1000, 20000 }, { 7, 40000, 100 }, { 1000, 300000, 300000 }, { 4096, 1 << 20, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (int version = TLS_1_2; version <= TLS_1_3; version++) {
			struct tls_pair pair;

			open_over_wire(&pair, version, cases[i].at_once);
			tls_pair_shake(&pair);
			tls_pair_exchange(&pair, cases[i].up, cases[i].down);
			tls_pair_close(&pair);
		}
}

/* One recv() then brings both: nothing more will come to wake anybody. */
static void a_request_right_behind_the_handshake_is_noticed(void **state)
{
	struct tls_pair pair;

	(void)state;
	open_over_wire(&pair, TLS_1_3, 4096);
	while (!passed) {             /* until the server has answered the hello */
		wire(&pair);
		loop_turn(pair.loop, 0);
	}
	holds = true;
	tls_pair_settle(&pair);
	assert_int_equal(pair.client.handshake, IO_OK);
	assert_int_equal(pair.server.handshake, IO_AGAIN);
	tls_end_write(&pair.client, "at once");
	holds = false;
	tls_pair_settle(&pair);
	assert_int_equal(pair.server.handshake, IO_OK);
	assert_true(pair.server.conn.ready & CONN_READABLE);
	tls_end_expect(&pair, &pair.server, "at once");
	tls_pair_close(&pair);
}

/* The end comes as an end, and the difference is remembered. */
static void a_cut_connection_ends_and_is_known_to_be_truncated(void **state)
{
	(void)state;
	for (int version = TLS_1_2; version <= TLS_1_3; version++)
		for (size_t cut = 0; cut < 60; cut += 29) {
			struct tls_pair pair;
			char bytes[100];
			size_t n = 0;

			open_over_wire(&pair, version, 4096);
			tls_pair_shake(&pair);
			tls_end_write(&pair.server, "whole");
			tls_end_expect(&pair, &pair.client, "whole");
			passed = 0;
			limit = cut ? cut : 1;
			tls_end_write(&pair.server, "this record is longer than what passes, so it is cut");
			tls_pair_settle(&pair);
			shutdown(pair.client_far, SHUT_WR);
			tls_pair_settle(&pair);
			assert_int_equal(conn_read(&pair.client.conn, bytes, sizeof(bytes), &n), IO_EOF);
			assert_true(conn_tls_is_truncated(&pair.client.conn));
			assert_true(pair.client.conn.ready & CONN_PEER_CLOSED);
			tls_end_write(&pair.client, "still here");     /* our direction stays */
			tls_end_expect(&pair, &pair.server, "still here");
			tls_pair_close(&pair);
		}
}

static void a_changed_byte_breaks_the_connection(void **state)
{
	(void)state;
	for (int version = TLS_1_2; version <= TLS_1_3; version++) {
		struct tls_pair pair;
		char bytes[100];
		size_t n = 0;

		open_over_wire(&pair, version, 4096);
		tls_pair_shake(&pair);
		tls_end_write(&pair.server, "first");
		tls_end_expect(&pair, &pair.client, "first");
		passed = 0;
		flip = 12;
		tls_end_write(&pair.server, "second");
		tls_pair_settle(&pair);
		assert_int_equal(conn_read(&pair.client.conn, bytes, sizeof(bytes), &n), IO_ERROR);
		assert_int_equal(conn_read(&pair.client.conn, bytes, sizeof(bytes), &n), IO_ERROR);
		assert_int_equal(conn_tls_fault(&pair.client.conn), TLS_FAULT_PROTOCOL);
		assert_string_equal(conn_tls_error(&pair.client.conn),
				    "local error: tls: bad record MAC");
		tls_pair_settle(&pair);
		assert_int_equal(conn_read(&pair.server.conn, bytes, sizeof(bytes), &n), IO_ERROR);
		assert_string_equal(conn_tls_error(&pair.server.conn),
				    "remote error: tls: bad record MAC");
		tls_pair_close(&pair);
	}
}

static void a_handshake_cut_anywhere_is_an_end(void **state)
{
	(void)state;
	for (int version = TLS_1_2; version <= TLS_1_3; version++)
		for (size_t cut = 1; cut < 400; cut += 37) {
			struct tls_pair pair;

			open_over_wire(&pair, version, 4096);
			limit = cut;
			tls_pair_settle(&pair);
			shutdown(pair.client_far, SHUT_WR);
			tls_pair_settle(&pair);
			assert_int_equal(pair.client.handshake, IO_EOF);
			assert_int_equal(conn_tls_fault(&pair.client.conn), TLS_FAULT_EOF);
			assert_string_equal(conn_tls_error(&pair.client.conn), "EOF");
			tls_pair_close(&pair);
		}
}

/* --- over TCP */

static void every_byte_arrives_over_tcp_as_well(void **state)
{
	static const int buffers[] = { 0, 2304, 20000 };

	(void)state;
	for (size_t b = 0; b < ARRAY_SIZE(buffers); b++)
		for (int version = TLS_1_2; version <= TLS_1_3; version++) {
			struct tls_server *server = tls_server_with((struct tls_server_settings){
				.max_version = (enum tls_version)version });
			struct tls_client *client = tls_client_with((struct tls_client_settings){ 0 });
			struct tls_pair pair;

			tls_pair_open_tcp(&pair, buffers[b]);
			tls_pair_start(&pair, server, client, &a_example);
			tls_pair_shake(&pair);
			tls_pair_exchange(&pair, 1, 16385);
			tls_pair_exchange(&pair, 400000, 300000);
			pair.server.shuts = true;
			tls_pair_exchange(&pair, 0, 100000);
			assert_int_equal(pair.client.input, IO_EOF);
			assert_false(conn_tls_is_truncated(&pair.client.conn));
			tls_pair_close(&pair);
			tls_server_destroy(server);
			tls_client_destroy(client);
		}
}

/* TLS is begun before TCP is there: what an attempt to an endpoint does. */
static void a_client_may_begin_while_it_still_connects(void **state)
{
	struct tls_server *server = tls_server_with((struct tls_server_settings){ .max_version = TLS_1_3 });
	struct tls_client *client = tls_client_with((struct tls_client_settings){ 0 });
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd;
	struct tls_pair pair;
	struct addr addr;

	(void)state;
	assert_true(addr_from_ip(STR("127.0.0.1"), 0, &addr));
	assert_int_equal(bind(listener, &addr.sa, addr.len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, &addr.sa, &addr.len), 0);
	tls_pair_open(&pair, 0);
	conn_close(&pair.client.conn);
	conn_close(&pair.server.conn);
	assert_int_equal(conn_connect(&pair.client.conn, pair.loop, &pair.client.task, &addr), 0);
	assert_int_equal(conn_begin_tls_client(&pair.client.conn, client, &a_example), 0);
	assert_int_equal(conn_handshake(&pair.client.conn), IO_AGAIN);
	pair.client.is_plain = pair.server.is_plain = false;
	tls_pair_settle(&pair);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	assert_int_equal(conn_accepted(&pair.server.conn, pair.loop, &pair.server.task, fd), 0);
	assert_int_equal(conn_begin_tls_server(&pair.server.conn, server), 0);
	task_wake(pair.loop, &pair.server.task);
	tls_pair_shake(&pair);
	tls_pair_exchange(&pair, 1000, 100000);
	assert_true(conn_is_quiet(&pair.client.conn));
	tls_pair_close(&pair);
	close(listener);
	tls_server_destroy(server);
	tls_client_destroy(client);
}

static void a_reset_during_the_handshake_is_a_reset(void **state)
{
	struct tls_server *server = tls_server_with((struct tls_server_settings){ .max_version = TLS_1_3 });
	struct tls_pair pair;

	(void)state;
	tls_pair_open_tcp(&pair, 0);
	assert_int_equal(conn_begin_tls_server(&pair.server.conn, server), 0);
	pair.server.is_plain = false;
	tls_pair_settle(&pair);
	conn_close_reset(&pair.client.conn);
	tls_pair_settle(&pair);
	assert_int_equal(pair.server.handshake, IO_ERROR);
	assert_int_equal(conn_tls_fault(&pair.server.conn), TLS_FAULT_RESET);
	assert_int_equal(pair.server.conn.error, ECONNRESET);
	assert_string_equal(conn_tls_error(&pair.server.conn), "connection reset by peer");
	tls_pair_close(&pair);
	tls_server_destroy(server);
}

/* --- an OpenSSL client that asks for what we do not do */

struct far_client {
	SSL_CTX *ctx;
	SSL *ssl;
};

static void far_shake(struct tls_pair *pair, struct far_client *far, struct tls_server *server)
{
	far->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_clear_options(far->ctx, SSL_OP_NO_RENEGOTIATION);
	far->ssl = SSL_new(far->ctx);
	tls_pair_open(pair, 0);
	SSL_set_fd(far->ssl, pair->client.conn.watch.fd);
	SSL_set_connect_state(far->ssl);
	pair->server.is_plain = false;
	assert_int_equal(conn_begin_tls_server(&pair->server.conn, server), 0);
	for (int i = 0; i < 6; i++) {
		SSL_do_handshake(far->ssl);
		tls_pair_settle(pair);
	}
	assert_int_equal(pair->server.handshake, IO_OK);
}

static void far_close(struct tls_pair *pair, struct far_client *far)
{
	SSL_free(far->ssl);
	SSL_CTX_free(far->ctx);
	tls_pair_close(pair);
}

static void renegotiation_is_refused_and_the_connection_goes_on(void **state)
{
	struct tls_server *server = tls_server_with((struct tls_server_settings){ .max_version = TLS_1_2 });
	struct far_client far;
	struct tls_pair pair;
	char bytes[10];
	size_t n = 0;

	(void)state;
	far_shake(&pair, &far, server);
	assert_int_equal(SSL_renegotiate(far.ssl), 1);
	SSL_do_handshake(far.ssl);
	tls_pair_settle(&pair);
	assert_int_equal(conn_read(&pair.server.conn, bytes, sizeof(bytes), &n), IO_AGAIN);
	assert_int_equal(conn_tls_fault(&pair.server.conn), TLS_FAULT_NONE);
	tls_end_write(&pair.server, "on");
	assert_true(SSL_read(far.ssl, bytes, 10) <= 0);       /* told no_renegotiation, it gives up */
	far_close(&pair, &far);
	tls_server_destroy(server);
}

static void a_key_update_is_answered_without_anybody_writing(void **state)
{
	struct tls_server *server = tls_server_with((struct tls_server_settings){ .max_version = TLS_1_3 });
	struct far_client far;
	struct tls_pair pair;
	char bytes[10];
	size_t n = 0;

	(void)state;
	far_shake(&pair, &far, server);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(SSL_key_update(far.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(far.ssl), 1);
		tls_pair_settle(&pair);
		assert_int_equal(conn_read(&pair.server.conn, bytes, sizeof(bytes), &n), IO_AGAIN);
		assert_int_equal(SSL_write(far.ssl, "new", 3), 3);
		tls_end_expect(&pair, &pair.server, "new");
		tls_end_write(&pair.server, "keys");
		assert_int_equal(SSL_read(far.ssl, bytes, 10), 4);
	}
	far_close(&pair, &far);
	tls_server_destroy(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_may_come_one_by_one),
		cmocka_unit_test(a_request_right_behind_the_handshake_is_noticed),
		cmocka_unit_test(a_cut_connection_ends_and_is_known_to_be_truncated),
		cmocka_unit_test(a_changed_byte_breaks_the_connection),
		cmocka_unit_test(a_handshake_cut_anywhere_is_an_end),
		cmocka_unit_test(every_byte_arrives_over_tcp_as_well),
		cmocka_unit_test(a_client_may_begin_while_it_still_connects),
		cmocka_unit_test(a_reset_during_the_handshake_is_a_reset),
		cmocka_unit_test(renegotiation_is_refused_and_the_connection_goes_on),
		cmocka_unit_test(a_key_update_is_answered_without_anybody_writing),
	};

	return cmocka_run_group_tests(tests, example_set_up, example_tear_down);
}
