/*
 * tests/unit/net/test_tls_server.c - what a server makes of its settings: which
 * certificate for whom, which clients, which protocol, whose tickets.
 */
#include "../fixture/net_certificates.h"
#include "../fixture/net_tls_pair.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/tls_conn.h"

static struct issued client_authority, middle;
static const char *client_authority_file;

/* By the example's authority unless somebody else signs. */
static struct tls_certificate_files issue(const char *name, struct wanted wanted)
{
	wanted.issuer = wanted.issuer ? wanted.issuer : &example.authority;
	return certificates_issue(name, &wanted);
}

static int set_up(void **state)
{
	example_set_up(state);
	client_authority = certificate_issue(&(struct wanted){
		.common_name = "clients", .organization = "Org", .is_authority = true });
	middle = certificate_issue(&(struct wanted){
		.common_name = "middle", .issuer = &client_authority, .is_authority = true });
	client_authority_file = certificates_write("clients.pem", &client_authority, NULL);
	return 0;
}

static int tear_down(void **state)
{
	certificate_free(&client_authority);
	certificate_free(&middle);
	return example_tear_down(state);
}

/* --- server names */

enum kind { ANY, ONLY_EC, ONLY_RSA };

/* A client that trusts all and only tells which certificate it was given. */
static void given_certificate(struct tls_server *server, const char *name, enum kind kind,
			      int version, char out[64])
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;
	X509 *peer;
	struct tls_pair pair;

	SSL_CTX_set_max_proto_version(ctx, version);
	if (kind != ANY)
		SSL_CTX_set1_sigalgs_list(ctx, kind == ONLY_EC ? "ECDSA+SHA256" :
					  "RSA-PSS+SHA256:RSA+SHA256");
	ssl = SSL_new(ctx);
	tls_pair_open(&pair, 0);
	SSL_set_fd(ssl, pair.client.conn.watch.fd);
	if (name)
		SSL_set_tlsext_host_name(ssl, name);
	SSL_set_connect_state(ssl);
	tls_pair_start_server(&pair, server);
	for (int i = 0; i < 10; i++) {
		SSL_do_handshake(ssl);
		tls_pair_settle(&pair);
	}
	assert_int_equal(pair.server.handshake, IO_OK);
	peer = SSL_get1_peer_certificate(ssl);
	assert_non_null(peer);
	X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, out, 64);
	X509_free(peer);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	tls_pair_close(&pair);
}

static void the_server_name_chooses_the_certificate(void **state)
{
	static const struct { const char *name; enum kind kind; const char *expected; } cases[] = {
		{ "a.example", ANY, "exact" },
		{ "A.EXAMPLE", ANY, "exact" },
		{ "b.example", ANY, "wild" },
		{ "x.b.example", ANY, "first-rsa" },          /* one label only */
		{ "twice.example", ANY, "twice-ec" },         /* the later one wins */
		{ "twice.example", ONLY_RSA, "twice-rsa" },   /* unless it cannot be used */
		{ "cn.example", ANY, "cn.example" },          /* the common name, no SAN */
		{ "not-san", ANY, "first-rsa" },              /* its CN counts for nothing */
		{ "unknown.test", ANY, "first-rsa" },
		{ "unknown.test", ONLY_EC, "exact" },         /* the first that can be used */
		{ NULL, ANY, "first-rsa" },
		{ NULL, ONLY_EC, "exact" },
		{ "a.example", ONLY_EC, "exact" },
	};
	struct tls_certificate_files files[] = {
		issue("n1", (struct wanted){ .common_name = "first-rsa", .names = "DNS:first.test",
					     .kind = KEY_RSA }),
		issue("n2", (struct wanted){ .common_name = "exact", .names = "DNS:z.test,DNS:a.example" }),
		issue("n3", (struct wanted){ .common_name = "wild", .names = "DNS:*.example" }),
		issue("n4", (struct wanted){ .common_name = "twice-rsa", .names = "DNS:twice.example",
					     .kind = KEY_RSA }),
		issue("n5", (struct wanted){ .common_name = "twice-ec", .names = "DNS:Twice.Example" }),
		issue("n6", (struct wanted){ .common_name = "cn.example" }),
		issue("n7", (struct wanted){ .common_name = "not-san", .names = "DNS:other.test" }),
	};
	struct tls_server *server = tls_server_with((struct tls_server_settings){
		.certificates = files, .certificate_count = ARRAY_SIZE(files) });

	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++)
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			char given[64] = "";

			given_certificate(server, cases[i].name, cases[i].kind, version, given);
			assert_string_equal(given, cases[i].expected);
		}
	tls_server_destroy(server);
}

/* --- clients' certificates */

struct client_case {
	enum tls_client_auth auth;
	const struct tls_certificate_files *gives;    /* NULL: none */
	enum tls_fault fault;
	const char *given_name;       /* "" none is seen */
};

/* The certificate is encoded when it is asked for, and then no more. */
static void expect_peer(const struct conn *conn, const char *name)
{
	unsigned char der[4096];
	const unsigned char *at = der;
	char given[64];
	struct str text;
	X509 *seen;
	int len;

	assert_int_equal(conn_has_peer_certificate(conn), name[0] != '\0');
	assert_null(conn->tls->peer_text);
	text = conn_peer_certificate(conn);
	if (!name[0]) {
		assert_int_equal(text.len, 0);
		return;
	}
	assert_ptr_equal(conn_peer_certificate(conn).p, text.p);
	assert_in_range(text.len, 1, sizeof(der));
	len = EVP_DecodeBlock(der, (const unsigned char *)text.p, (int)text.len);
	seen = d2i_X509(NULL, &at, len);
	assert_non_null(seen);
	X509_NAME_get_text_by_NID(X509_get_subject_name(seen), NID_commonName, given, 64);
	assert_string_equal(given, name);
	X509_free(seen);
}

static void run_client_case(const struct client_case *c, struct tls_server_settings settings)
{
	struct tls_server *server;
	struct tls_client *client;
	struct tls_pair pair;

	settings.client_auth = c->auth;
	settings.client_ca_files = &client_authority_file;
	settings.client_ca_count = 1;
	settings.only_trust_client_ca_files = true;
	server = tls_server_with(settings);
	client = tls_client_with((struct tls_client_settings){
		.certificate = c->gives ? *c->gives : (struct tls_certificate_files){ 0 } });
	tls_pair_begin(&pair, server, client, &a_example, 0);
	tls_pair_settle(&pair);
	assert_string_equal(tls_fault_name(conn_tls_fault(&pair.server.conn)),
			    tls_fault_name(c->fault));
	assert_int_equal(pair.server.handshake, c->fault ? IO_ERROR : IO_OK);
	expect_peer(&pair.server.conn, c->given_name);
	tls_pair_close(&pair);
	tls_server_destroy(server);
	tls_client_destroy(client);
}

static void client_certificates_are_asked_for_as_configured(void **state)
{
	struct tls_certificate_files good = issue("good", (struct wanted){
		.common_name = "good", .issuer = &client_authority, .usage = "clientAuth" });
	struct tls_certificate_files through = issue("through", (struct wanted){
		.common_name = "through", .issuer = &middle });
	struct tls_certificate_files foreign = issue("foreign", (struct wanted){ .common_name = "foreign" });
	const struct client_case cases[] = {
		{ TLS_CLIENT_AUTH_NONE,    NULL,     TLS_FAULT_NONE, "" },
		{ TLS_CLIENT_AUTH_NONE,    &good,    TLS_FAULT_NONE, "" },
		{ TLS_CLIENT_AUTH_REQUEST, NULL,     TLS_FAULT_NONE, "" },
		{ TLS_CLIENT_AUTH_REQUEST, &good,    TLS_FAULT_NONE, "good" },
		{ TLS_CLIENT_AUTH_REQUEST, &through, TLS_FAULT_NONE, "through" },
		{ TLS_CLIENT_AUTH_REQUEST, &foreign, TLS_FAULT_UNTRUSTED, "" },
		{ TLS_CLIENT_AUTH_REQUIRE, NULL,     TLS_FAULT_NO_CERTIFICATE, "" },
		{ TLS_CLIENT_AUTH_REQUIRE, &good,    TLS_FAULT_NONE, "good" },
		{ TLS_CLIENT_AUTH_REQUIRE, &foreign, TLS_FAULT_UNTRUSTED, "" },
	};

	(void)state;
	for (int version = TLS_1_2; version <= TLS_1_3; version++)
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
			run_client_case(&cases[i], (struct tls_server_settings){
				.max_version = (enum tls_version)version });
}

static void subjects_are_held_to_the_rules_of_their_issuers(void **state)
{
	static const char *const both[] = { "CN=nobody", "O=Org\\, Inc,CN=good" };
	static const char *const other[] = { "CN=other" };
	struct tls_certificate_files good = issue("rgood", (struct wanted){
		.common_name = "good", .organization = "Org, Inc", .issuer = &middle });
	const struct { struct tls_subject_rule rule; enum tls_fault fault; } cases[] = {
		{ { "O=Org,CN=clients", both, 2 }, TLS_FAULT_NONE },
		{ { "CN=clients, O=Org", both, 2 }, TLS_FAULT_NONE },
		{ { "CN=clients,O=Org", both, 1 }, TLS_FAULT_SUBJECT },
		{ { "CN=clients,O=Org", other, 1 }, TLS_FAULT_SUBJECT },
		{ { "CN=clients,O=Org", other, 0 }, TLS_FAULT_SUBJECT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tls_server_settings settings = { .rules = &cases[i].rule, .rule_count = 1 };
		struct client_case given = { TLS_CLIENT_AUTH_REQUEST, &good, cases[i].fault,
					     cases[i].fault ? "" : "good" };
		struct client_case none = { TLS_CLIENT_AUTH_REQUEST, NULL, TLS_FAULT_NONE, "" };

		run_client_case(&given, settings);
		run_client_case(&none, settings);
	}
}

static void the_system_roots_count_unless_they_are_excluded(void **state)
{
	static const struct { bool client_excludes, server_excludes; enum io client, server; } cases[] = {
		{ false, false, IO_OK, IO_OK },
		{ true, false, IO_ERROR, IO_ERROR },
		{ false, true, IO_OK, IO_ERROR },
	};
	struct tls_certificate_files ours = issue("sys", (struct wanted){ .common_name = "us" });

	(void)state;
	assert_int_equal(setenv("SSL_CERT_FILE", example.authority_file, 1), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tls_server *server = tls_server_with((struct tls_server_settings){
			.max_version = TLS_1_2, .client_auth = TLS_CLIENT_AUTH_REQUIRE,
			.client_ca_files = &client_authority_file, .client_ca_count = 1,
			.only_trust_client_ca_files = cases[i].server_excludes });
		struct tls_client *client = tls_client_create(&(struct tls_client_settings){
			.certificate = ours, .only_trust_ca_files = cases[i].client_excludes }, NULL);
		struct tls_pair pair;

		tls_pair_begin(&pair, server, client, &a_example, 0);
		tls_pair_settle(&pair);
		assert_int_equal(pair.server.handshake, cases[i].server);
		assert_int_equal(pair.client.handshake == IO_OK,
				 cases[i].client == IO_OK && cases[i].server == IO_OK);
		tls_pair_close(&pair);
		tls_server_destroy(server);
		tls_client_destroy(client);
	}
	unsetenv("SSL_CERT_FILE");
}

/* --- protocols */

static void the_protocol_is_one_that_both_want(void **state)
{
	static const struct { enum tls_alpn server, client; const char *chosen; enum tls_fault fault; }
	cases[] = {
		{ TLS_ALPN_NONE,  TLS_ALPN_NONE,  "",         TLS_FAULT_NONE },
		{ TLS_ALPN_NONE,  TLS_ALPN_HTTP2, "",         TLS_FAULT_NONE },
		{ TLS_ALPN_HTTP1, TLS_ALPN_NONE,  "",         TLS_FAULT_NONE },
		{ TLS_ALPN_HTTP1, TLS_ALPN_HTTP2, "http/1.1", TLS_FAULT_NONE },
		{ TLS_ALPN_HTTP2, TLS_ALPN_HTTP1, "http/1.1", TLS_FAULT_NONE },
		{ TLS_ALPN_HTTP2, TLS_ALPN_HTTP2, "h2",       TLS_FAULT_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tls_server *server = tls_server_with((struct tls_server_settings){
			.alpn = cases[i].server });
		struct tls_client *client = tls_client_with((struct tls_client_settings){ 0 });
		struct tls_peer expected = a_example;
		struct tls_pair pair;

		expected.alpn = cases[i].client;
		tls_pair_begin(&pair, server, client, &expected, 0);
		tls_pair_shake(&pair);
		assert_true(str_equal(conn_tls_protocol(&pair.server.conn), str_of(cases[i].chosen)));
		assert_true(str_equal(conn_tls_protocol(&pair.client.conn), str_of(cases[i].chosen)));
		tls_pair_close(&pair);
		tls_server_destroy(server);
		tls_client_destroy(client);
	}
}

static void a_client_that_wants_another_protocol_gets_alert_120(void **state)
{
	struct tls_server *server = tls_server_with((struct tls_server_settings){ .alpn = TLS_ALPN_HTTP2 });
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	struct tls_pair pair;
	unsigned char alert[7] = "";
	size_t n = 0;

	(void)state;
	SSL_set_alpn_protos(ssl, (const unsigned char *)"\3foo\3bar", 8);
	tls_pair_open(&pair, 0);
	SSL_set_fd(ssl, pair.client.conn.watch.fd);
	SSL_set_connect_state(ssl);
	tls_pair_start_server(&pair, server);
	assert_int_equal(SSL_do_handshake(ssl), -1);
	tls_pair_settle(&pair);
	assert_int_equal(conn_tls_fault(&pair.server.conn), TLS_FAULT_NO_PROTOCOL);
	assert_string_equal(conn_tls_error(&pair.server.conn),
			    "tls: client requested unsupported application protocols ([foo bar])");
	assert_int_equal(conn_read(&pair.client.conn, alert, sizeof(alert), &n), IO_OK);
	assert_int_equal(n, 7);
	assert_memory_equal(alert, "\x15\x03\x03\0\x02\x02\x78", 7);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	tls_pair_close(&pair);
	tls_server_destroy(server);
}

/* --- sessions */

/* One connection with some bytes both ways; was it resumed? */
static bool visit(struct tls_server *server, struct tls_client *client, const struct tls_peer *peer)
{
	struct tls_pair pair;
	bool is_resumed;

	tls_pair_begin(&pair, server, client, peer, 0);
	tls_pair_shake(&pair);
	tls_pair_exchange(&pair, 100, 100);
	is_resumed = conn_tls_is_resumed(&pair.server.conn);
	assert_int_equal(is_resumed, conn_tls_is_resumed(&pair.client.conn));
	tls_pair_close(&pair);
	return is_resumed;
}

static void sessions_go_on_at_another_worker_and_after_one_rotation(void **state)
{
	static struct tls_ticket_keys keys;
	struct tls_peer peer = a_example;

	(void)state;
	peer.identity = 7;
	tls_ticket_keys_rotate(&keys);
	for (int version = TLS_1_2; version <= TLS_1_3; version++) {
		struct tls_server_settings settings = { .max_version = (enum tls_version)version };
		struct tls_server *one = tls_server_with(settings), *two = tls_server_with(settings);
		struct tls_client *client = tls_client_with((struct tls_client_settings){
			.session_limit = 8 });

		tls_server_set_ticket_keys(one, &keys);
		tls_server_set_ticket_keys(two, &keys);
		assert_false(visit(one, client, &peer));
		assert_true(visit(two, client, &peer));
		tls_ticket_keys_rotate(&keys);
		assert_true(visit(one, client, &peer));       /* the previous key; renewed */
		tls_ticket_keys_rotate(&keys);
		assert_true(visit(two, client, &peer));
		tls_ticket_keys_rotate(&keys);
		tls_ticket_keys_rotate(&keys);
		assert_false(visit(one, client, &peer));      /* nobody knows that key any more */
		assert_true(visit(one, client, &peer));
		tls_server_destroy(one);
		tls_server_destroy(two);
		tls_client_destroy(client);
	}
}

static void no_session_is_resumed_without_keys_or_under_other_rules(void **state)
{
	static struct tls_ticket_keys keys;
	struct tls_certificate_files good = issue("sgood", (struct wanted){
		.common_name = "good", .issuer = &client_authority });
	struct tls_server_settings strict = { .client_auth = TLS_CLIENT_AUTH_REQUIRE,
		.client_ca_files = &client_authority_file, .client_ca_count = 1,
		.only_trust_client_ca_files = true };
	struct tls_server *open = tls_server_with((struct tls_server_settings){ 0 });
	struct tls_server *closed = tls_server_with(strict);
	struct tls_client *client = tls_client_with((struct tls_client_settings){
		.session_limit = 8, .certificate = good });
	struct tls_peer peer = a_example;

	(void)state;
	peer.identity = 7;
	assert_false(visit(open, client, &peer));
	assert_false(visit(open, client, &peer));
	tls_ticket_keys_rotate(&keys);
	tls_server_set_ticket_keys(open, &keys);
	tls_server_set_ticket_keys(closed, &keys);
	assert_false(visit(open, client, &peer));
	assert_true(visit(open, client, &peer));
	assert_false(visit(closed, client, &peer));
	assert_true(visit(closed, client, &peer));
	tls_server_destroy(open);
	tls_server_destroy(closed);
	tls_client_destroy(client);
}

static void a_session_belongs_to_one_target_and_one_name(void **state)
{
	static struct tls_ticket_keys keys;
	struct tls_certificate_files files = issue("two", (struct wanted){
		.names = "DNS:a.example,DNS:b.example,IP:10.0.0.1,IP:10.0.0.2" });
	struct tls_server *server = tls_server_with((struct tls_server_settings){
		.certificates = &files, .certificate_count = 1 });
	struct tls_client *client = tls_client_with((struct tls_client_settings){ .session_limit = 3 });
	struct tls_peer a = a_example, b = a, other = a, none = a, ip = { .identity = 7 }, ip2 = ip;

	(void)state;
	tls_ticket_keys_rotate(&keys);
	tls_server_set_ticket_keys(server, &keys);
	a.identity = b.identity = 7;
	b.name = STR("b.example");
	other.identity = 8;
	assert_true(addr_from_ip(STR("10.0.0.1"), 1, &ip.ip));
	assert_true(addr_from_ip(STR("10.0.0.2"), 1, &ip2.ip));
	assert_false(visit(server, client, &a));
	assert_false(visit(server, client, &b));
	assert_false(visit(server, client, &other));
	assert_true(visit(server, client, &a));
	assert_true(visit(server, client, &b));
	assert_false(visit(server, client, &none));
	assert_false(visit(server, client, &none));
	assert_int_equal(tls_client_session_count(client), 3);
	assert_false(visit(server, client, &ip));     /* takes the place of the oldest */
	assert_false(visit(server, client, &ip2));
	assert_int_equal(tls_client_session_count(client), 3);
	assert_true(visit(server, client, &ip));
	assert_false(visit(server, client, &other));
	tls_server_destroy(server);
	tls_client_destroy(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_server_name_chooses_the_certificate),
		cmocka_unit_test(client_certificates_are_asked_for_as_configured),
		cmocka_unit_test(subjects_are_held_to_the_rules_of_their_issuers),
		cmocka_unit_test(the_system_roots_count_unless_they_are_excluded),
		cmocka_unit_test(the_protocol_is_one_that_both_want),
		cmocka_unit_test(a_client_that_wants_another_protocol_gets_alert_120),
		cmocka_unit_test(sessions_go_on_at_another_worker_and_after_one_rotation),
		cmocka_unit_test(no_session_is_resumed_without_keys_or_under_other_rules),
		cmocka_unit_test(a_session_belongs_to_one_target_and_one_name),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
