/*
 * net/tls_conn.h - one TLS connection as the files of this layer share it: tls.c
 * moves its bytes, tls_server.c and tls_client.c answer OpenSSL's questions about
 * it, tls_verify.c judges certificates.  Nobody outside net/tls*.c.
 */
#ifndef NET_TLS_CONN_H
#define NET_TLS_CONN_H

#include <openssl/ssl.h>

#include "net/tls.h"

#define TLS_RECORD_MAX 16384          /* plain bytes in one record */
#define TLS_HEADER     5

struct tls {
	struct conn *conn;            /* borrowed: embeds us by pointer */
	SSL *ssl;                     /* owned; its app data is this struct */
	struct tls_server *server;    /* counted; one of the two */
	struct tls_client *client;
	char *name;                   /* owned: what the server must be called; "" by its ip */
	struct addr ip;
	uint64_t identity;
	const void *resumed;          /* the session it began with; compared, never followed */
	enum tls_fault fault;
	char *error;                  /* owned: the fault in words */
	char *peer_text;              /* owned: the peer's certificate, once it was asked for */
	char *backlog;                /* owned: records that the socket did not take yet */
	size_t backlog_from, backlog_end;
	size_t owed;                  /* bytes that are in the backlog, not yet reported as sent */
	uint8_t first[TLS_HEADER];    /* what the peer began with */
	uint8_t first_len;
	bool was_open;                /* TCP was there once */
	bool is_done;                 /* the handshake */
	bool can_recv, can_send;      /* the socket, as far as we know */
	bool saw_end;                 /* recv() said 0 */
	bool is_ended;                /* close_notify or FIN was reached by a reader */
	bool is_deaf;                 /* sending failed; the rest goes nowhere */
	bool owes_fin;                /* FIN follows the backlog */
	bool write_wants_read;
	bool is_foreign;              /* the first bytes are no TLS record */
	bool is_plain_http;           /* they are a request to us */
};

static inline struct tls *tls_of(const SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

/* The first one stays: later ones are its consequences. */
void tls_set_fault(struct tls *tls, enum tls_fault fault, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Finds the fault in OpenSSL's error queue and in what the socket did; empties
 * the queue. */
void tls_classify(struct tls *tls);

/* X509_STORE_CTX's callback for both sides: 1 good, 0 with fault and error set. */
int tls_verify_peer(X509_STORE_CTX *store, void *unused);

/* tls_server.c: a handle for one connection; NULL: no memory.  The server lives
 * until its last connection lets go. */
SSL *tls_server_begin(struct tls_server *server);
void tls_server_end(struct tls_server *server);
struct subject_rules;
const struct subject_rules *tls_server_rules(const struct tls_server *server);

/* tls_client.c: the same, prepared for tls->name, ip and identity. */
SSL *tls_client_begin(struct tls_client *client, struct tls *tls, enum tls_alpn alpn);
void tls_client_end(struct tls_client *client);
void tls_client_done(const struct tls *tls);
void tls_client_forget(struct tls_client *client, const struct tls *tls);

#endif
