/*
 * net/tls.c - the TLS kind of conn.  OpenSSL talks to the socket through a BIO of
 * ours that never refuses a write: what the socket does not take waits in the
 * backlog, which an event sends on.  So nothing that OpenSSL itself says (alerts,
 * key updates, tickets) can block a read, and a read never waits for a write.
 * The BIO also knows when the socket is empty, which saves the recv() that would
 * only say "not yet".
 */
#include "net/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/must.h"
#include "net/base64.h"
#include "net/tls_conn.h"

#define BACKLOG_MAX (1 << 20)         /* a peer that makes us talk and does not listen */

static const char plain_http_answer[] = "HTTP/1.0 400 Bad Request\r\n\r\n"
					"Client sent an HTTP request to an HTTPS server.\n";

/* --- the socket */

/* Returns what the socket took; a failure is noted and takes all, because
 * what the peer said before it can still be read. */
static size_t send_now(struct tls *tls, const char *bytes, size_t len)
{
	struct iovec part = { (char *)bytes, len };
	ssize_t sent;

	if (!tls->can_send)
		return 0;
	sent = conn_socket_send(tls->conn, &part, 1);
	if (sent < 0 && errno != EAGAIN) {
		tls->is_deaf = true;
		tls->conn->ready |= CONN_READABLE;
		conn_note_broken(tls->conn, errno);
		return len;
	}
	tls->can_send = sent == (ssize_t)len;
	return sent < 0 ? 0 : (size_t)sent;
}

static void keep(struct tls *tls, const char *bytes, size_t len)
{
	if (tls->backlog_end + len > BACKLOG_MAX) {
		tls->is_deaf = true;
		conn_note_broken(tls->conn, ENOBUFS);
		return;
	}
	tls->backlog = mem_resize(tls->backlog, tls->backlog_end + len);
	memcpy(tls->backlog + tls->backlog_end, bytes, len);
	tls->backlog_end += len;
}

/* True when nothing is left. */
static bool flush(struct tls *tls)
{
	size_t left = tls->backlog_end - tls->backlog_from;

	if (left && !tls->is_deaf)
		tls->backlog_from += send_now(tls, tls->backlog + tls->backlog_from, left);
	if (tls->backlog_from < tls->backlog_end && !tls->is_deaf) {
		tls->conn->ready &= (uint8_t)~CONN_WRITABLE;
		return false;
	}
	free(tls->backlog);
	tls->backlog = NULL;
	tls->backlog_from = tls->backlog_end = 0;
	if (tls->owes_fin) {
		tls->owes_fin = false;
		shutdown(tls->conn->watch.fd, SHUT_WR);
	}
	return true;
}

static bool looks_like_http(const uint8_t first[TLS_HEADER])
{
	static const char methods[][TLS_HEADER + 1] = { "GET /", "HEAD ", "POST ", "PUT /", "OPTIO" };

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (memcmp(first, methods[i], TLS_HEADER) == 0)
			return true;
	return false;
}

/* The first record is a handshake or an alert of version 0.x to 15.x: what Go asks
 * before it believes the length that follows. */
static bool is_foreign(struct tls *tls, const char *bytes, size_t len)
{
	while (len-- && tls->first_len < TLS_HEADER)
		tls->first[tls->first_len++] = (uint8_t)*bytes++;
	if (tls->first_len < TLS_HEADER)
		return false;
	return (tls->first[0] != SSL3_RT_HANDSHAKE && tls->first[0] != SSL3_RT_ALERT) ||
	       tls->first[1] >= 0x10;
}

static int bio_read(BIO *bio, char *out, int cap)
{
	struct tls *tls = BIO_get_data(bio);
	struct conn *conn = tls->conn;
	ssize_t got = -1;

	BIO_clear_retry_flags(bio);
	errno = EAGAIN;
	if (tls->can_recv)
		got = conn_socket_recv(conn, out, (size_t)cap);
	if (got < cap && !(conn->ready & CONN_PEER_CLOSED))
		tls->can_recv = false;        /* emptied: what comes later is a new event */
	if (got < 0 && errno == EAGAIN) {
		BIO_set_retry_read(bio);
		return -1;
	}
	if (got < 0)
		conn_note_broken(conn, errno);
	if (got == 0)
		tls->saw_end = true;
	if (got <= 0)                         /* SO_ERROR was read already: no end but a reset */
		return got < 0 || conn->error ? -1 : 0;
	if (tls->first_len < TLS_HEADER && is_foreign(tls, out, (size_t)got)) {
		tls->is_foreign = true;
		tls->is_plain_http = tls->server && looks_like_http(tls->first);
		return -1;
	}
	return (int)got;
}

static int bio_write(BIO *bio, const char *bytes, int len)
{
	struct tls *tls = BIO_get_data(bio);
	size_t sent = 0;

	BIO_clear_retry_flags(bio);
	if (tls->is_deaf)
		return len;
	if (!tls->backlog)
		sent = send_now(tls, bytes, (size_t)len);
	if (sent < (size_t)len)
		keep(tls, bytes + sent, (size_t)len - sent);
	return len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	const struct tls *tls = BIO_get_data(bio);

	(void)number;
	(void)pointer;
	if (command == BIO_CTRL_EOF)
		return tls->saw_end && !tls->conn->error;
	return command == BIO_CTRL_FLUSH;
}

static BIO *bio_over(struct tls *tls)
{
	static BIO_METHOD *method;            /* one for the life of the process */
	BIO *bio;

	if (!method) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "conn");
		must(method);
		BIO_meth_set_read(method, bio_read);
		BIO_meth_set_write(method, bio_write);
		BIO_meth_set_ctrl(method, bio_ctrl);
	}
	bio = BIO_new(method);
	if (bio) {
		BIO_set_data(bio, tls);
		BIO_set_init(bio, 1);
	}
	return bio;
}

static void tls_on_event(struct watch *watch, uint32_t events)
{
	struct conn *conn = caa_container_of(watch, struct conn, watch);
	struct tls *tls = conn->tls;

	conn_note_event(conn, events);
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		tls->can_recv = true;
		if (tls->write_wants_read)
			conn->ready |= CONN_WRITABLE;
		tls->write_wants_read = false;
	}
	if (events & EPOLLOUT) {
		tls->can_send = true;
		if (tls->backlog)     /* here, because the owner may have nothing left to write */
			flush(tls);
	}
}

/* --- moving bytes */

/* What else is read or written fails with it. */
static void break_conn(struct tls *tls)
{
	tls->conn->ready &= (uint8_t)~CONN_WRITABLE;
	tls->conn->ready |= CONN_BROKEN | CONN_READABLE;
	if (!tls->conn->error && tls->fault != TLS_FAULT_EOF)
		tls->conn->error = EPROTO;
}

/* A read or write ended without bytes.  IO_AGAIN: it may go on later. */
static enum io why_not(struct tls *tls, int rc)
{
	struct conn *conn = tls->conn;

	switch (SSL_get_error(tls->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		return IO_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		tls->is_ended = true;
		conn->ready |= CONN_PEER_CLOSED;
		return IO_EOF;
	default:
		tls_classify(tls);
		break_conn(tls);
		return IO_ERROR;
	}
}

static enum io tls_read(struct conn *conn, void *out, size_t cap, size_t *n)
{
	struct tls *tls = conn->tls;
	enum io io = tls->fault ? IO_ERROR : tls->is_done ? IO_OK : IO_AGAIN;
	size_t got = 0;

	while (io == IO_OK && got < cap) {
		size_t more = 0;
		int rc = SSL_read_ex(tls->ssl, (char *)out + got, cap - got, &more);

		got += more;
		if (rc <= 0)
			io = why_not(tls, rc);
	}
	if (io == IO_AGAIN && !tls->can_recv)
		conn->ready &= (uint8_t)~CONN_READABLE;
	if (!got)
		return io;
	*n = got;
	return IO_OK;
}

static void tls_settle(struct conn *conn)
{
	struct tls *tls = conn->tls;
	size_t n;
	char byte;
	int rc;

	if (!tls->is_done || tls->fault)
		return;
	rc = SSL_peek_ex(tls->ssl, &byte, 1, &n);
	if (rc <= 0 && why_not(tls, rc) == IO_AGAIN && !tls->can_recv)
		conn->ready &= (uint8_t)~CONN_READABLE;
}

struct cursor {
	const struct iovec *part, *end;
	size_t from;                  /* in *part */
};

static void skip(struct cursor *at, size_t n)
{
	at->from += n;
	while (at->part < at->end && at->from >= at->part->iov_len) {
		at->from -= at->part->iov_len;
		at->part++;
	}
}

/* What goes into the next record: from where it lies if it fills one or is
 * all there is, else gathered. */
static struct str next_record(struct cursor at, char gathered[TLS_RECORD_MAX])
{
	size_t here = at.part->iov_len - at.from, len = 0;

	if (here >= TLS_RECORD_MAX || at.part + 1 == at.end)
		return (struct str){ (char *)at.part->iov_base + at.from,
				     here < TLS_RECORD_MAX ? here : TLS_RECORD_MAX };
	for (; at.part < at.end && len < TLS_RECORD_MAX; at.part++, at.from = 0) {
		here = at.part->iov_len - at.from;
		if (here > TLS_RECORD_MAX - len)
			here = TLS_RECORD_MAX - len;
		memcpy(gathered + len, (char *)at.part->iov_base + at.from, here);
		len += here;
	}
	return (struct str){ gathered, len };
}

/* Adds what was sent to *taken.  A record that stays in the backlog is owed:
 * reported as taken when it is gone, so that a close after the last byte loses
 * nothing. */
static enum io write_record(struct tls *tls, struct str bytes, size_t *taken)
{
	size_t n = 0;
	int rc = SSL_write_ex(tls->ssl, bytes.p, bytes.len, &n);

	if (rc <= 0) {
		enum io io = why_not(tls, rc);

		tls->write_wants_read = io == IO_AGAIN;
		tls->conn->ready &= (uint8_t)~CONN_WRITABLE;
		return io == IO_EOF ? IO_ERROR : io;
	}
	if (tls->is_deaf)
		return IO_ERROR;
	if (tls->backlog) {
		tls->owed = n;
		tls->conn->ready &= (uint8_t)~CONN_WRITABLE;
		return IO_AGAIN;
	}
	*taken += n;
	return IO_OK;
}

static enum io tls_writev(struct conn *conn, const struct iovec *parts, int count, size_t *n)
{
	struct tls *tls = conn->tls;
	struct cursor at = { parts, parts + count, 0 };
	enum io io = tls->fault || tls->is_deaf ? IO_ERROR : tls->is_done ? IO_OK : IO_AGAIN;
	char gathered[TLS_RECORD_MAX];
	size_t taken = 0;

	if (io == IO_OK && tls->backlog && !flush(tls))
		return IO_AGAIN;
	if (tls->is_deaf)
		return IO_ERROR;
	skip(&at, 0);
	while (io == IO_OK && at.part < at.end) {
		struct str bytes = next_record(at, gathered);
		size_t before = taken;

		if (tls->owed) {      /* sent long ago, as its caller still does not know */
			size_t known = tls->owed < bytes.len ? tls->owed : bytes.len;

			tls->owed -= known;
			taken += known;
		} else {
			io = write_record(tls, bytes, &taken);
		}
		skip(&at, taken - before);
	}
	if (!taken)
		return io == IO_OK ? IO_AGAIN : io;
	*n = taken;
	return IO_OK;
}

static void tls_shutdown(struct conn *conn)
{
	struct tls *tls = conn->tls;

	if (tls->is_done && !tls->fault && !tls->is_deaf) {
		SSL_shutdown(tls->ssl);
		ERR_clear_error();
	}
	tls->owes_fin = true;
	flush(tls);
}

static const struct conn_ops tls_ops = {
	.read = tls_read, .writev = tls_writev, .shutdown = tls_shutdown, .settle = tls_settle,
};

/* --- beginning and end */

static void tls_free(struct tls *tls)
{
	if (tls->ssl) {
		/* else SSL_free() takes the session for a broken one */
		SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		SSL_free(tls->ssl);
	}
	if (tls->server)
		tls_server_end(tls->server);
	if (tls->client)
		tls_client_end(tls->client);
	ERR_clear_error();
	free(tls->name);
	free(tls->error);
	free(tls->peer_text);
	free(tls->backlog);
	free(tls);
}

/* The conn changes only if all went well. */
static int attach(struct conn *conn, struct tls *tls)
{
	BIO *bio = tls->ssl ? bio_over(tls) : NULL;

	if (!bio) {
		tls_free(tls);
		return -ENOMEM;
	}
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_app_data(tls->ssl, tls);
	tls->can_recv = conn->ready & CONN_READABLE;
	tls->can_send = conn->ready & CONN_WRITABLE;
	conn->tls = tls;
	conn->ops = &tls_ops;
	conn->watch.on_event = tls_on_event;
	return 0;
}

int conn_begin_tls_server(struct conn *conn, struct tls_server *server)
{
	struct tls *tls = mem_zalloc(sizeof(*tls));

	must(!conn->tls);
	tls->conn = conn;
	tls->server = server;
	tls->ssl = tls_server_begin(server);
	return attach(conn, tls);
}

int conn_begin_tls_client(struct conn *conn, struct tls_client *client,
			  const struct tls_peer *expected)
{
	struct tls *tls = mem_zalloc(sizeof(*tls));

	must(!conn->tls);
	tls->conn = conn;
	tls->client = client;
	tls->name = mem_strdup(expected->name);
	tls->ip = expected->ip;
	tls->identity = expected->identity;
	tls->ssl = tls_client_begin(client, tls, expected->alpn);
	return attach(conn, tls);
}

void conn_tls_close(struct conn *conn)
{
	struct tls *tls = conn->tls;

	if (tls->is_done && tls->can_send && !conn->is_shut && !tls->fault && !tls->backlog &&
	    !(conn->ready & CONN_BROKEN))
		SSL_shutdown(tls->ssl);
	conn_become_plain(conn);
	conn->tls = NULL;
	tls_free(tls);
}

/* It gets its answer in the clear, and whoever lingers reads in the clear. */
static void answer_plain_http(struct tls *tls)
{
	struct iovec part = { (char *)plain_http_answer, sizeof(plain_http_answer) - 1 };

	conn_socket_send(tls->conn, &part, 1);
	conn_become_plain(tls->conn);
	tls->conn->ready |= CONN_READABLE | CONN_WRITABLE;
}

static enum io handshake_failed(struct tls *tls)
{
	tls_classify(tls);
	if (tls->client)
		tls_client_forget(tls->client, tls);
	if (tls->fault == TLS_FAULT_PLAIN_HTTP)
		answer_plain_http(tls);
	else
		break_conn(tls);
	return tls->fault == TLS_FAULT_EOF ? IO_EOF : IO_ERROR;
}

enum io conn_handshake(struct conn *conn)
{
	struct tls *tls = conn->tls;
	int rc;

	if (tls->is_done)
		return IO_OK;
	if (tls->fault)
		return tls->fault == TLS_FAULT_EOF ? IO_EOF : IO_ERROR;
	if (!tls->was_open && conn->ready & CONN_BROKEN) {
		tls_set_fault(tls, TLS_FAULT_CONNECT, "%s", strerror(conn->error));
		return IO_ERROR;
	}
	if (conn->ready & CONN_CONNECTING)
		return IO_AGAIN;
	tls->was_open = true;
	rc = SSL_do_handshake(tls->ssl);
	if (rc != 1)
		return SSL_get_error(tls->ssl, rc) == SSL_ERROR_WANT_READ ? IO_AGAIN :
									  handshake_failed(tls);
	ERR_clear_error();
	tls->is_done = true;
	if (tls->client)
		tls_client_done(tls);
	conn->ready &= (uint8_t)~(CONN_READABLE | CONN_WRITABLE);
	if (tls->can_recv || SSL_has_pending(tls->ssl))
		conn->ready |= CONN_READABLE;
	if (!tls->backlog)            /* a full socket will say so at the first write */
		conn->ready |= CONN_WRITABLE;
	return IO_OK;
}

/* --- questions */

enum tls_fault conn_tls_fault(const struct conn *conn)
{
	return conn->tls ? conn->tls->fault : TLS_FAULT_NONE;
}

const char *conn_tls_error(const struct conn *conn)
{
	return conn->tls && conn->tls->error ? conn->tls->error : "";
}

bool conn_tls_is_truncated(const struct conn *conn)
{
	return conn->tls && conn->tls->is_ended && conn->tls->saw_end;
}

bool conn_tls_owes(const struct conn *conn)
{
	return conn->tls && conn->tls->owed;
}

struct str conn_tls_version(const struct conn *conn)
{
	return conn->tls ? str_of(SSL_get_version(conn->tls->ssl)) : STR_NONE;
}

struct str conn_tls_cipher(const struct conn *conn)
{
	const SSL_CIPHER *cipher = conn->tls ? SSL_get_current_cipher(conn->tls->ssl) : NULL;

	return cipher ? str_of(SSL_CIPHER_standard_name(cipher)) : STR_NONE;
}

struct str conn_tls_server_name(const struct conn *conn)
{
	if (!conn->tls)
		return STR_NONE;
	return str_of(SSL_get_servername(conn->tls->ssl, TLSEXT_NAMETYPE_host_name));
}

struct str conn_tls_protocol(const struct conn *conn)
{
	const unsigned char *name = NULL;
	unsigned len = 0;

	if (conn->tls)
		SSL_get0_alpn_selected(conn->tls->ssl, &name, &len);
	return (struct str){ (const char *)name, len };
}

bool conn_tls_is_resumed(const struct conn *conn)
{
	return conn->tls && SSL_session_reused(conn->tls->ssl);
}

static X509 *peer_leaf(const struct conn *conn)
{
	return conn->tls && conn->tls->is_done ? SSL_get0_peer_certificate(conn->tls->ssl) : NULL;
}

bool conn_has_peer_certificate(const struct conn *conn)
{
	return peer_leaf(conn);
}

struct str conn_peer_certificate(const struct conn *conn)
{
	X509 *leaf = peer_leaf(conn);
	unsigned char *der = NULL;
	int len;

	if (!leaf)
		return STR_NONE;
	if (!conn->tls->peer_text) {
		len = i2d_X509(leaf, &der);
		conn->tls->peer_text = base64_encode((struct str){ (char *)der,
								   len > 0 ? (size_t)len : 0 });
		OPENSSL_free(der);
	}
	return str_of(conn->tls->peer_text);
}
