/*
 * tests/fuzz/fuzz_tls.h - what the fuzzers of TLS have in common: contexts with a
 * certificate made on the spot, and ends of ours that shake hands, write, read and
 * check with every result that the contract of net/conn.h and net/tls.h is kept.
 */
#ifndef TESTS_FUZZ_TLS_H
#define TESTS_FUZZ_TLS_H

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "net/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A few records' worth, in writes of odd sizes. */
#define FUZZ_TO_SEND 40000u
#define FUZZ_READS_MAX 10000          /* an end that reads on and on hangs */

struct fuzz_end {
	struct task task;
	struct conn conn;
	int far;                      /* the wire as the fuzzer has it */
	uint8_t seed;                 /* of what it sends; the other end's is seed ^ 1 */
	enum io shake, input;         /* the last results; IO_AGAIN at first */
	size_t sent, received;
};

static inline const char *fuzz_file(BIO *pem)
{
	static char paths[2][32];
	static unsigned count;
	char *bytes;
	long len = BIO_get_mem_data(pem, &bytes);
	int fd = memfd_create("pem", 0);

	must(fd >= 0 && write(fd, bytes, (size_t)len) == len && count < 2);
	snprintf(paths[count], sizeof(paths[0]), "/proc/self/fd/%d", fd);
	BIO_free(pem);
	return paths[count++];
}

/* For "a.example", signed by itself; it is also the only authority. */
static inline const struct tls_certificate_files *fuzz_certificate(void)
{
	static struct tls_certificate_files files;
	BIO *chain = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_mem());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *made = X509_new();
	X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name,
						    "DNS:a.example");

	X509_set_version(made, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
	X509_gmtime_adj(X509_getm_notBefore(made), -3600);
	X509_gmtime_adj(X509_getm_notAfter(made), 30 * 86400);
	X509_set_pubkey(made, key);
	X509_add_ext(made, names, -1);
	must(X509_sign(made, key, EVP_sha256()) > 0);
	PEM_write_bio_X509(chain, made);
	PEM_write_bio_PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL);
	files.chain = fuzz_file(chain);
	files.key = fuzz_file(key_pem);
	X509_EXTENSION_free(names);
	X509_free(made);
	EVP_PKEY_free(key);
	return &files;
}

/* What an input chooses of a connection. */
struct fuzz_kind {
	unsigned is_tls_12 : 1, is_mutual : 1, has_protocols : 1;
};

static inline struct fuzz_kind fuzz_kind(uint8_t bits)
{
	return (struct fuzz_kind){ bits & 1, bits >> 1 & 1, bits >> 2 & 1 };
}

struct fuzz_contexts {
	struct tls_server *server;
	struct tls_client *client;
};

/* One of each kind, for the life of the process. */
static inline const struct fuzz_contexts *fuzz_contexts(struct fuzz_kind kind)
{
	static struct fuzz_contexts all[8];
	static const struct tls_certificate_files *own;
	static struct tls_ticket_keys keys;
	struct fuzz_contexts *it = &all[kind.is_tls_12 | kind.is_mutual << 1 |
					kind.has_protocols << 2];
	enum tls_version version = kind.is_tls_12 ? TLS_1_2 : TLS_1_3;

	if (it->server)
		return it;
	if (!own) {
		own = fuzz_certificate();
		tls_ticket_keys_rotate(&keys);
	}
	it->server = tls_server_create(&(struct tls_server_settings){
		.certificates = own, .certificate_count = 1, .min_version = version,
		.max_version = version, .alpn = kind.has_protocols ? TLS_ALPN_HTTP2 : TLS_ALPN_NONE,
		.client_auth = kind.is_mutual ? TLS_CLIENT_AUTH_REQUIRE : TLS_CLIENT_AUTH_NONE,
		.client_ca_files = &own->chain, .client_ca_count = 1,
		.only_trust_client_ca_files = true }, NULL);
	it->client = tls_client_create(&(struct tls_client_settings){
		.ca_files = &own->chain, .ca_count = 1, .only_trust_ca_files = true,
		.certificate = kind.is_mutual ? *own : (struct tls_certificate_files){ NULL, NULL },
		.min_version = version, .max_version = version }, NULL);
	must(it->server && it->client);
	tls_server_set_ticket_keys(it->server, &keys);
	return it;
}

static inline uint8_t fuzz_byte(uint8_t seed, size_t position)
{
	return (uint8_t)(position * 7 + seed + position / 251);
}

/* A result that ends the handshake names its fault, and is given again. */
static inline void fuzz_shake(struct fuzz_end *end)
{
	enum io io = conn_handshake(&end->conn);

	end->shake = io;
	if (io == IO_OK || io == IO_AGAIN) {
		must(conn_tls_fault(&end->conn) == TLS_FAULT_NONE);
		return;
	}
	must(conn_tls_fault(&end->conn) != TLS_FAULT_NONE && conn_tls_error(&end->conn)[0]);
	must(conn_handshake(&end->conn) == io);
}

/* What comes is what the other end sent, as far as it comes. */
static inline void fuzz_read(struct fuzz_end *end)
{
	uint8_t bytes[3000];
	size_t n = 0;

	for (int i = 0; end->input == IO_OK || end->input == IO_AGAIN; i++) {
		must(i < FUZZ_READS_MAX);
		end->input = conn_read(&end->conn, bytes, sizeof(bytes), &n);
		if (end->input != IO_OK)
			break;
		must(n > 0 && n <= sizeof(bytes));
		for (size_t at = 0; at < n; at++)
			must(bytes[at] == fuzz_byte(end->seed ^ 1, end->received + at));
		end->received += n;
	}
	must(end->input != IO_ERROR || end->conn.ready & CONN_BROKEN);
	must(end->input != IO_EOF || conn_tls_fault(&end->conn) == TLS_FAULT_NONE);
}

static inline void fuzz_write(struct fuzz_end *end)
{
	static uint8_t bytes[FUZZ_TO_SEND];

	while (end->sent < FUZZ_TO_SEND) {
		size_t left = FUZZ_TO_SEND - end->sent, first = left / 3, n = 0;
		struct iovec parts[] = { { bytes, first }, { bytes + first, left - first } };
		enum io io;

		for (size_t i = 0; i < left; i++)
			bytes[i] = fuzz_byte(end->seed, end->sent + i);
		io = conn_writev(&end->conn, parts, 2, &n);
		if (io != IO_OK) {
			must(io == IO_AGAIN || (io == IO_ERROR && end->conn.ready & CONN_BROKEN));
			return;
		}
		must(n > 0 && n <= left);
		end->sent += n;
	}
	conn_shutdown(&end->conn);
}

static inline bool fuzz_is_over(const struct fuzz_end *end)
{
	return (end->shake != IO_OK && end->shake != IO_AGAIN) || end->input == IO_EOF ||
	       end->input == IO_ERROR;
}

/* Acts only when it was woken. */
static inline void fuzz_end_run(struct task *task)
{
	struct fuzz_end *end = caa_container_of(task, struct fuzz_end, task);

	if (end->shake == IO_AGAIN)
		fuzz_shake(end);
	if (end->shake != IO_OK)
		return;
	fuzz_read(end);
	fuzz_write(end);
}

static inline void fuzz_end_open(struct fuzz_end *end, struct loop *loop, uint8_t seed,
				 struct fuzz_kind kind)
{
	const struct fuzz_contexts *contexts = fuzz_contexts(kind);
	struct tls_peer peer = { .name = STR("a.example"),
				 .alpn = kind.has_protocols ? TLS_ALPN_HTTP2 : TLS_ALPN_NONE };
	int fds[2];

	*end = (struct fuzz_end){ .seed = seed, .shake = IO_AGAIN, .input = IO_AGAIN };
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
	end->far = fds[1];
	task_init(&end->task, fuzz_end_run);
	must(conn_accepted(&end->conn, loop, &end->task, fds[0]) == 0);
	must((seed ? conn_begin_tls_client(&end->conn, contexts->client, &peer) :
		     conn_begin_tls_server(&end->conn, contexts->server)) == 0);
	task_wake(loop, &end->task);
}

static inline void fuzz_end_close(struct fuzz_end *end, struct loop *loop)
{
	conn_close(&end->conn);
	task_fini(loop, &end->task);
	close(end->far);
}

#endif
