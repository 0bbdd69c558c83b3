/*
 * tests/unit/net/test_tls_faults.c - each way in which TLS goes wrong has its word
 * and its line, on the side that finds out.
 */
#include "../fixture/net_certificates.h"
#include "../fixture/net_tls_pair.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#define VERIFY "tls: failed to verify certificate: x509: "

static struct issued stranger;

static int set_up(void **state)
{
	stranger = certificate_issue(&(struct wanted){ .common_name = "ca2", .is_authority = true });
	return example_set_up(state);
}

static int tear_down(void **state)
{
	certificate_free(&stranger);
	return example_tear_down(state);
}

static void assert_fault(const struct tls_end *end, enum tls_fault fault, const char *prefix)
{
	assert_string_equal(tls_fault_name(conn_tls_fault(&end->conn)), tls_fault_name(fault));
	if (strncmp(conn_tls_error(&end->conn), prefix, strlen(prefix)) != 0)
		assert_string_equal(conn_tls_error(&end->conn), prefix);
}

/* Certificates that tls_server_create() refuses go through a context by hand. */
struct far_server {
	SSL_CTX *ctx;
	SSL *ssl;
};

static void far_server_open(struct far_server *far, const struct wanted *wanted, int fd)
{
	struct issued issued = certificate_issue(wanted);

	far->ctx = SSL_CTX_new(TLS_server_method());
	assert_int_equal(SSL_CTX_use_certificate(far->ctx, issued.certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(far->ctx, issued.key), 1);
	far->ssl = SSL_new(far->ctx);
	SSL_set_fd(far->ssl, fd);
	SSL_set_accept_state(far->ssl);
	certificate_free(&issued);
}

static void far_server_close(struct far_server *far)
{
	SSL_free(far->ssl);
	SSL_CTX_free(far->ctx);
}

/* The pair's server end is replaced by OpenSSL on the bare descriptor. */
static void shake_with_far(struct tls_pair *pair, struct far_server *far)
{
	for (int i = 0; i < 10; i++) {
		SSL_do_handshake(far->ssl);
		tls_pair_settle(pair);
	}
}

static void a_bad_server_certificate_is_named(void **state)
{
	static const struct {
		struct wanted wanted;
		const char *name, *ip;
		enum tls_fault fault;
		const char *error;
	} cases[] = {
		{ { .names = "DNS:a.example", .is_expired = true }, "a.example", "", TLS_FAULT_EXPIRED,
		  VERIFY "certificate has expired or is not yet valid: current time 20" },
		{ { .names = "DNS:a.example", .is_early = true }, "a.example", "", TLS_FAULT_EXPIRED,
		  VERIFY "certificate has expired or is not yet valid: current time 20" },
		{ { .names = "DNS:b.example,DNS:c.example" }, "a.example", "", TLS_FAULT_WRONG_NAME,
		  VERIFY "certificate is valid for b.example, c.example, not a.example" },
		{ { .names = NULL }, "a.example", "", TLS_FAULT_WRONG_NAME,
		  VERIFY "certificate is not valid for any names, but wanted to match a.example" },
		{ { .common_name = "a.example" }, "a.example", "", TLS_FAULT_WRONG_NAME,
		  VERIFY "certificate relies on legacy Common Name field, use SANs instead" },
		{ { .names = "DNS:a.example" }, "", "10.0.0.1", TLS_FAULT_WRONG_NAME,
		  VERIFY "cannot validate certificate for 10.0.0.1 because it doesn't contain any "
		  "IP SANs" },
		{ { .names = "IP:10.0.0.2,IP:2001:db8::1" }, "", "10.0.0.1", TLS_FAULT_WRONG_NAME,
		  VERIFY "certificate is valid for 10.0.0.2, 2001:db8::1, not 10.0.0.1" },
		{ { .names = "DNS:*.example" }, "x.a.example", "", TLS_FAULT_WRONG_NAME,
		  VERIFY "certificate is valid for *.example, not x.a.example" },
		{ { .names = "DNS:a.example", .usage = "clientAuth" }, "a.example", "",
		  TLS_FAULT_UNTRUSTED, VERIFY "certificate specifies an incompatible key usage" },
		{ { .names = "DNS:a.example", .issuer = &stranger }, "a.example", "",
		  TLS_FAULT_UNTRUSTED, VERIFY "certificate signed by unknown authority" },
		/* dates before the name before trust */
		{ { .names = "DNS:b.example", .is_expired = true, .issuer = &stranger }, "a.example",
		  "", TLS_FAULT_EXPIRED, VERIFY "certificate has expired" },
		{ { .names = "DNS:b.example", .issuer = &stranger }, "a.example", "",
		  TLS_FAULT_WRONG_NAME, VERIFY "certificate is valid for b.example, not a.example" },
		{ { .names = "DNS:*.example" }, "a.example", "", TLS_FAULT_NONE, "" },
		{ { .names = "DNS:A.Example" }, "a.example.", "", TLS_FAULT_NONE, "" },
		{ { .names = "IP:10.0.0.1" }, "", "10.0.0.1", TLS_FAULT_NONE, "" },
		{ { .names = "IP:2001:db8::1" }, "", "2001:db8::1", TLS_FAULT_NONE, "" },
		{ { .names = "IP:10.0.0.1" }, "10.0.0.1", "", TLS_FAULT_NONE, "" },
		{ { .names = "DNS:a.example", .kind = KEY_RSA }, "a.example", "10.0.0.1",
		  TLS_FAULT_NONE, "" },
	};
	struct tls_client *client = tls_client_with((struct tls_client_settings){ 0 });

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct wanted wanted = cases[i].wanted;
		struct tls_peer expected = { .name = str_of(cases[i].name) };
		struct far_server far;
		struct tls_pair pair;

		wanted.issuer = wanted.issuer ? wanted.issuer : &example.authority;
		if (cases[i].ip[0])
			assert_true(addr_from_ip(str_of(cases[i].ip), 443, &expected.ip));
		tls_pair_open(&pair, 0);
		far_server_open(&far, &wanted, pair.server.conn.watch.fd);
		tls_pair_start_client(&pair, client, &expected);
		tls_pair_settle(&pair);
		shake_with_far(&pair, &far);
		assert_fault(&pair.client, cases[i].fault, cases[i].error);
		assert_int_equal(pair.client.handshake, cases[i].fault ? IO_ERROR : IO_OK);
		far_server_close(&far);
		tls_pair_close(&pair);
	}
	tls_client_destroy(client);
}

/* What a backend that knows no TLS answers, and what happens to be in the air. */
static void first_bytes_that_are_no_tls_are_told_apart(void **state)
{
	static const struct { const char *bytes; size_t len; enum tls_fault fault; const char *error; }
	cases[] = {
		{ "HTTP/1.1 400 Bad Request\r\n\r\n", 28, TLS_FAULT_NOT_TLS,
		  "tls: first record does not look like a TLS handshake" },
		{ "\0\0\0\0\0\0\0\0", 8, TLS_FAULT_NOT_TLS,
		  "tls: first record does not look like a TLS handshake" },
		{ "\x15\x03\x03\0\x02\x02\x28", 7, TLS_FAULT_HANDSHAKE_ALERT,
		  "remote error: tls: handshake failure" },
		{ "\x15\x03\x03\0\x02\x02\x2a", 7, TLS_FAULT_REFUSED_US,
		  "remote error: tls: bad certificate" },
		{ "\x15\x03\x03\0\x02\x02\x2e", 7, TLS_FAULT_REFUSED_US,
		  "remote error: tls: unknown certificate" },
		{ "\x15\x03\x03\0\x02\x02\x30", 7, TLS_FAULT_REFUSED_US,
		  "remote error: tls: unknown certificate authority" },
		{ "\x15\x03\x03\0\x02\x02\x74", 7, TLS_FAULT_REFUSED_US,
		  "remote error: tls: certificate required" },
		{ "\x15\x03\x03\0\x02\x02\x46", 7, TLS_FAULT_OTHER_ALERT,
		  "remote error: tls: protocol version not supported" },
		{ "\x15\x03\x03\0\x02\x02\xc8", 7, TLS_FAULT_OTHER_ALERT,
		  "remote error: tls: alert(200)" },
		{ "\x16\x03\x03\0\x04\x02\xff\xff\xff", 9, TLS_FAULT_PROTOCOL, "tls: " },
		{ "\x16\x03\x03\xff\xff\x02\xff\xff\xff", 9, TLS_FAULT_PROTOCOL, "tls: " },
		{ "\x16\x03", 2, TLS_FAULT_EOF, "EOF" },
		{ "HTT", 3, TLS_FAULT_EOF, "EOF" },
		{ "", 0, TLS_FAULT_EOF, "EOF" },
	};
	struct tls_client *client = tls_client_with((struct tls_client_settings){ 0 });

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct iovec part = { (char *)cases[i].bytes, cases[i].len };
		struct tls_pair pair;
		char hello[4096];
		size_t n;

		tls_pair_open(&pair, 0);
		tls_pair_start_client(&pair, client, &a_example);
		tls_pair_settle(&pair);
		assert_int_equal(conn_read(&pair.server.conn, hello, sizeof(hello), &n), IO_OK);
		if (part.iov_len)
			assert_int_equal(conn_writev(&pair.server.conn, &part, 1, &n), IO_OK);
		conn_shutdown(&pair.server.conn);
		tls_pair_settle(&pair);
		assert_fault(&pair.client, cases[i].fault, cases[i].error);
		assert_int_equal(pair.client.handshake,
				 cases[i].fault == TLS_FAULT_EOF ? IO_EOF : IO_ERROR);
		tls_pair_close(&pair);
	}
	tls_client_destroy(client);
}

/* Byte by byte as well: the answer comes when the fifth is here. */
static void plain_http_on_the_tls_port_is_answered_in_the_clear(void **state)
{
	static const char *const requests[] = { "GET / HTTP/1.1\r\n\r\n", "HEAD / HTTP/1.1\r\n\r\n",
		"POST / HTTP/1.1\r\n\r\n", "PUT / HTTP/1.1\r\n\r\n", "OPTIONS * HTTP/1.1\r\n\r\n" };
	struct tls_server *server = tls_server_with((struct tls_server_settings){ 0 });

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(requests); i++) {
		const char *request = requests[i / 2];
		struct tls_pair pair;
		char one[2] = "";

		tls_pair_open(&pair, 0);
		tls_pair_start_server(&pair, server);
		if (i % 2 == 0)
			tls_end_write(&pair.client, request);
		for (const char *p = request; i % 2 && *p; p++) {
			one[0] = *p;
			tls_end_write(&pair.client, one);
			tls_pair_settle(&pair);
		}
		tls_end_expect(&pair, &pair.client, "HTTP/1.0 400 Bad Request\r\n\r\n"
			   "Client sent an HTTP request to an HTTPS server.\n");
		assert_fault(&pair.server, TLS_FAULT_PLAIN_HTTP,
			     "tls: first record does not look like a TLS handshake");
		conn_shutdown(&pair.server.conn);     /* lingering reads in the clear */
		conn_close(&pair.client.conn);
		tls_pair_settle(&pair);
		tls_pair_close(&pair);
	}
	tls_server_destroy(server);
}

static void garbage_to_a_server_is_refused_without_a_word(void **state)
{
	static const struct { const char *bytes; enum tls_fault fault; } cases[] = {
		{ "DELETE / HTTP/1.1\r\n\r\n", TLS_FAULT_NOT_TLS },
		{ "\x80\x2e\x01\x03\x01", TLS_FAULT_NOT_TLS },
		{ "\x17\x03\x03\x01\x01 application data first", TLS_FAULT_NOT_TLS },
		{ "\x16\x03\x01\x01\x02\x01 hello that is none, and it goes on so "
		  "...................................................................."
		  "...................................................................."
		  "...................................................................."
		  "....................................................................",
		  TLS_FAULT_PROTOCOL },
	};
	struct tls_server *server = tls_server_with((struct tls_server_settings){ 0 });

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tls_pair pair;

		tls_pair_open(&pair, 0);
		tls_pair_start_server(&pair, server);
		tls_end_write(&pair.client, cases[i].bytes);
		tls_pair_settle(&pair);
		assert_fault(&pair.server, cases[i].fault, "tls: ");
		assert_int_equal(pair.server.handshake, IO_ERROR);
		tls_pair_close(&pair);
	}
	tls_server_destroy(server);
}

static void a_server_that_refuses_our_certificate_is_heard_after_the_handshake_too(void **state)
{
	struct tls_certificate_files ours = certificates_issue("c", &(struct wanted){ .common_name = "us" });

	(void)state;
	for (int version = TLS_1_2; version <= TLS_1_3; version++)
		for (int gives = 0; gives < 2; gives++) {
			struct tls_server *server = tls_server_with((struct tls_server_settings){
				.max_version = (enum tls_version)version,
				.client_auth = TLS_CLIENT_AUTH_REQUIRE,
				.client_ca_files = &example.authority_file, .client_ca_count = 1,
				.only_trust_client_ca_files = true });
			struct tls_client *client = tls_client_with((struct tls_client_settings){
				.certificate = gives ? ours : (struct tls_certificate_files){ 0 } });
			struct tls_pair pair;
			char bytes[10];
			size_t n;

			tls_pair_begin(&pair, server, client, &a_example, 0);
			tls_pair_settle(&pair);
			if (version == TLS_1_3) {
				assert_int_equal(pair.client.handshake, IO_OK);
				assert_int_equal(conn_read(&pair.client.conn, bytes, 10, &n), IO_ERROR);
			}
			assert_fault(&pair.server, gives ? TLS_FAULT_UNTRUSTED :
				     TLS_FAULT_NO_CERTIFICATE, gives ? VERIFY
				     "certificate signed by unknown authority" :
				     "tls: client didn't provide a certificate");
			if (!gives && version == TLS_1_2)
				assert_fault(&pair.client, TLS_FAULT_HANDSHAKE_ALERT,
					     "remote error: tls: handshake failure");
			else
				assert_fault(&pair.client, TLS_FAULT_REFUSED_US, gives ?
					     "remote error: tls: unknown certificate authority" :
					     "remote error: tls: certificate required");
			assert_true(pair.client.conn.ready & CONN_BROKEN);
			tls_pair_close(&pair);
			tls_server_destroy(server);
			tls_client_destroy(client);
		}
}

static void versions_and_ciphers_without_overlap_fail_on_both_sides(void **state)
{
	struct tls_server *server = tls_server_with((struct tls_server_settings){
		.max_version = TLS_1_2,
		.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" });
	struct tls_client *newer = tls_client_with((struct tls_client_settings){ .min_version = TLS_1_3 });
	struct tls_client *other = tls_client_with((struct tls_client_settings){
		.max_version = TLS_1_2, .ciphers = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" });
	struct tls_pair pair;

	(void)state;
	tls_pair_begin(&pair, server, newer, &a_example, 0);
	tls_pair_settle(&pair);
	assert_fault(&pair.server, TLS_FAULT_PROTOCOL, "tls: unsupported protocol version");
	assert_fault(&pair.client, TLS_FAULT_OTHER_ALERT,
		     "remote error: tls: protocol version not supported");
	tls_pair_close(&pair);
	tls_pair_begin(&pair, server, other, &a_example, 0);
	tls_pair_settle(&pair);
	assert_fault(&pair.server, TLS_FAULT_PROTOCOL,
		     "tls: no cipher suite supported by both client and server");
	assert_fault(&pair.client, TLS_FAULT_HANDSHAKE_ALERT, "remote error: tls: handshake failure");
	tls_pair_close(&pair);
	tls_server_destroy(server);
	tls_client_destroy(newer);
	tls_client_destroy(other);
}

static void a_connection_that_never_was_is_no_tls_fault(void **state)
{
	struct tls_client *client = tls_client_with((struct tls_client_settings){ 0 });
	struct tls_pair pair;
	struct addr addr;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	assert_true(addr_from_ip(STR("127.0.0.1"), 0, &addr));
	assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
	assert_int_equal(getsockname(fd, &addr.sa, &addr.len), 0);
	tls_pair_open(&pair, 0);
	conn_close(&pair.client.conn);
	assert_int_equal(conn_connect(&pair.client.conn, pair.loop, &pair.client.task, &addr), 0);
	tls_pair_start_client(&pair, client, &a_example);
	pair.client.handshake = conn_handshake(&pair.client.conn);
	tls_pair_settle(&pair);
	assert_fault(&pair.client, TLS_FAULT_CONNECT, "Connection refused");
	assert_int_equal(pair.client.conn.error, ECONNREFUSED);
	tls_pair_close(&pair);
	close(fd);
	tls_client_destroy(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bad_server_certificate_is_named),
		cmocka_unit_test(first_bytes_that_are_no_tls_are_told_apart),
		cmocka_unit_test(plain_http_on_the_tls_port_is_answered_in_the_clear),
		cmocka_unit_test(garbage_to_a_server_is_refused_without_a_word),
		cmocka_unit_test(a_server_that_refuses_our_certificate_is_heard_after_the_handshake_too),
		cmocka_unit_test(versions_and_ciphers_without_overlap_fail_on_both_sides),
		cmocka_unit_test(a_connection_that_never_was_is_no_tls_fault),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
