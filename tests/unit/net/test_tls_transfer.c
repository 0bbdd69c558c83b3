/*
 * tests/unit/net/test_tls_transfer.c - bytes over TLS: all of them, in order, with
 * nobody waiting for a wake-up that never comes.
 */
#include "../fixture/net_certificates.h"
#include "../fixture/net_tls_pair.h"

#include <sys/socket.h>
#include <unistd.h>

static void open_pair(struct tls_pair *pair, enum tls_version version, int buffer_bytes)
{
	struct tls_server *s = tls_server_with((struct tls_server_settings){
		.min_version = version, .max_version = version });
	struct tls_client *c = tls_client_with((struct tls_client_settings){ 0 });

	tls_pair_begin(pair, s, c, &a_example, buffer_bytes);
	tls_server_destroy(s);        /* connections keep what they need */
	tls_client_destroy(c);
}

static void both_versions_shake_hands_and_talk(void **state)
{
	static const struct { enum tls_version version; const char *name; } cases[] = {
		{ TLS_1_2, "TLSv1.2" }, { TLS_1_3, "TLSv1.3" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tls_pair pair;

		open_pair(&pair, cases[i].version, 0);
		tls_pair_shake(&pair);
		assert_true(str_equal(conn_tls_version(&pair.server.conn), str_of(cases[i].name)));
		assert_true(str_has_prefix(conn_tls_cipher(&pair.client.conn), STR("TLS_")));
		assert_true(str_equal(conn_tls_server_name(&pair.server.conn), STR("a.example")));
		tls_end_write(&pair.client, "ping");
		tls_end_expect(&pair, &pair.server, "ping");
		tls_end_write(&pair.server, "pong");
		tls_end_expect(&pair, &pair.client, "pong");
		tls_pair_close(&pair);
	}
}

static void every_byte_arrives_in_both_directions_at_once(void **state)
{
	static const size_t sizes[] = { 0, 1, 100, 16383, 16384, 16385, 100000, 1 << 20 };
	static const int buffers[] = { 0, 2048, 4608, 65536 };

	(void)state;
	for (size_t b = 0; b < ARRAY_SIZE(buffers); b++)
		for (int version = TLS_1_2; version <= TLS_1_3; version++) {
			struct tls_pair pair;

			open_pair(&pair, (enum tls_version)version, buffers[b]);
			tls_pair_shake(&pair);
			for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
				tls_pair_exchange(&pair, sizes[i], sizes[ARRAY_SIZE(sizes) - 1 - i]);
			tls_pair_exchange(&pair, 1 << 20, 1 << 20);
			tls_pair_close(&pair);
		}
}

static void the_end_follows_the_last_byte(void **state)
{
	static const int buffers[] = { 0, 2048 };

	(void)state;
	for (size_t b = 0; b < ARRAY_SIZE(buffers); b++)
		for (int version = TLS_1_2; version <= TLS_1_3; version++) {
			struct tls_pair pair;

			open_pair(&pair, (enum tls_version)version, buffers[b]);
			tls_pair_shake(&pair);
			pair.server.shuts = true;
			tls_pair_exchange(&pair, 1000, 300000);
			assert_int_equal(pair.client.input, IO_EOF);
			assert_false(conn_tls_is_truncated(&pair.client.conn));
			assert_int_equal(pair.server.input, IO_AGAIN);
			tls_pair_exchange(&pair, 50000, 0);       /* the other direction stays */
			tls_pair_close(&pair);
		}
}

static void a_close_after_the_last_byte_loses_none(void **state)
{
	static const int buffers[] = { 0, 2048 };

	(void)state;
	for (size_t b = 0; b < ARRAY_SIZE(buffers); b++)
		for (int version = TLS_1_2; version <= TLS_1_3; version++)
			for (size_t size = 1; size < 400000; size *= 7) {
				struct tls_pair pair;

				open_pair(&pair, (enum tls_version)version, buffers[b]);
				tls_pair_shake(&pair);
				pair.server.closes = true;
				tls_pair_exchange(&pair, 0, size);
				assert_int_equal(pair.client.input, IO_EOF);
				tls_pair_close(&pair);
			}
}

static void an_idle_connection_is_quiet_whatever_tickets_came(void **state)
{
	static struct tls_ticket_keys keys;

	(void)state;
	tls_ticket_keys_rotate(&keys);
	for (int version = TLS_1_2; version <= TLS_1_3; version++) {
		struct tls_server_settings settings = {
			.certificates = &example.files, .certificate_count = 1,
			.max_version = (enum tls_version)version,
		};
		struct tls_client_settings trust = {
			.ca_files = &example.authority_file, .ca_count = 1, .only_trust_ca_files = true,
		};
		struct tls_server *server = tls_server_create(&settings, NULL);
		struct tls_client *client = tls_client_create(&trust, NULL);
		struct tls_pair pair;

		tls_server_set_ticket_keys(server, &keys);
		tls_pair_begin(&pair, server, client, &a_example, 0);
		tls_pair_shake(&pair);
		assert_true(conn_is_quiet(&pair.client.conn));
		assert_true(conn_is_quiet(&pair.server.conn));
		tls_end_write(&pair.server, "unasked");
		tls_pair_settle(&pair);
		assert_false(conn_is_quiet(&pair.client.conn));
		tls_end_expect(&pair, &pair.client, "unasked");
		conn_is_quiet(&pair.client.conn);
		assert_true(conn_is_quiet(&pair.client.conn));
		conn_shutdown(&pair.server.conn);
		tls_pair_settle(&pair);
		assert_false(conn_is_quiet(&pair.client.conn));
		assert_true(pair.client.conn.ready & CONN_PEER_CLOSED);
		tls_pair_close(&pair);
		tls_server_destroy(server);
		tls_client_destroy(client);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_versions_shake_hands_and_talk),
		cmocka_unit_test(every_byte_arrives_in_both_directions_at_once),
		cmocka_unit_test(the_end_follows_the_last_byte),
		cmocka_unit_test(a_close_after_the_last_byte_loses_none),
		cmocka_unit_test(an_idle_connection_is_quiet_whatever_tickets_came),
	};

	return cmocka_run_group_tests(tests, example_set_up, example_tear_down);
}
