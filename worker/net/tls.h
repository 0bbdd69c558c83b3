/*
 * net/tls.h - TLS over a conn, either side: begins it, finishes the handshake,
 * says what went wrong in one closed word and in one line.  Once the handshake
 * is done, conn_read(), conn_writev() and conn_shutdown() keep the contract of
 * net/conn.h; nobody above needs to know.
 *
 * Used by whoever accepts or connects (proxy/downstream.c, upstream).  It knows
 * no HTTP but the one answer to a client that speaks it in the clear.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/mem.h"
#include "net/conn.h"
#include "net/tls_context.h"

/* What ended a handshake, or a connection after it.  The text is beside it. */
enum tls_fault {
	TLS_FAULT_NONE,
	TLS_FAULT_CONNECT,            /* TCP was never there: conn->error says why */
	TLS_FAULT_NOT_TLS,            /* the first bytes are no TLS record */
	TLS_FAULT_PLAIN_HTTP,         /* they are an HTTP request; it is answered already */
	TLS_FAULT_EXPIRED,            /* the peer's certificate: dates */
	TLS_FAULT_WRONG_NAME,         /* the server's certificate is not for the expected name */
	TLS_FAULT_UNTRUSTED,          /* any other failed verification of the peer's certificate */
	TLS_FAULT_NO_CERTIFICATE,     /* the client gave none and must */
	TLS_FAULT_SUBJECT,            /* the client's breaks a subject rule */
	TLS_FAULT_REFUSED_US,         /* alerts 42, 46, 48, 116: the peer refused our certificate */
	TLS_FAULT_HANDSHAKE_ALERT,    /* alert 40: nothing in common */
	TLS_FAULT_OTHER_ALERT,
	TLS_FAULT_NO_PROTOCOL,        /* the ALPN lists have nothing in common */
	TLS_FAULT_PROTOCOL,           /* the peer broke the rules, or shares no version or cipher */
	TLS_FAULT_RESET,              /* the connection broke: conn->error says how */
	TLS_FAULT_EOF,                /* the peer went away during the handshake */
	TLS_FAULT_LOCAL,              /* our own doing: no memory, a fault in the library */
	TLS_FAULT_COUNT
};

/* "wrong_name": for logs. */
const char *tls_fault_name(enum tls_fault fault);

/* Turns an open plain conn on which nothing was read into TLS.  The conn
 * must not move in memory from then on.  `server` is kept as long as needed.  0 or
 * -errno, the conn as it was. */
int conn_begin_tls_server(struct conn *conn, struct tls_server *server);

/* The same towards a server; also while the conn is still connecting.
 * `expected` is copied. */
int conn_begin_tls_client(struct conn *conn, struct tls_client *client,
			  const struct tls_peer *expected);

/* Goes on with the handshake: to be called when the owner was woken, first of
 * all right after conn_begin_tls_x().  IO_OK: done, the conn can be read and written.
 * IO_AGAIN: the owner will be woken.  IO_ERROR, IO_EOF (the peer left): ask
 * conn_tls_fault().  There is no deadline in here: that is the owner's. */
enum io conn_handshake(struct conn *conn);

/* Why conn_handshake() failed, or a later conn_read() or conn_writev(): with TLS 1.3
 * a server refuses our certificate after our handshake is done.  NONE for a plain
 * conn and while all is well. */
enum tls_fault conn_tls_fault(const struct conn *conn);

/* The same as a line in Go's words: "remote error: tls: bad certificate"; "" if
 * all is well.  RESET and CONNECT give the plain words of the errno.  Lives as
 * long as the conn is open. */
const char *conn_tls_error(const struct conn *conn);

/* Bytes that no conn_writev() has reported as taken may have reached the peer: their
 * record waited for the socket, which took it later. */
bool conn_tls_owes(const struct conn *conn);

/* The peer's FIN came without close_notify: IO_EOF as always, but what came
 * before may have been cut by somebody. */
bool conn_tls_is_truncated(const struct conn *conn);

/* Each is empty for a plain conn and where there is none; they live as long as
 * the conn is open.  "TLSv1.3"; the IANA name of the cipher suite; the name the
 * client asked for, as it came; "h2", "http/1.1". */
struct str conn_tls_version(const struct conn *conn);
struct str conn_tls_cipher(const struct conn *conn);
struct str conn_tls_server_name(const struct conn *conn);
struct str conn_tls_protocol(const struct conn *conn);
bool conn_tls_is_resumed(const struct conn *conn);

/* It gave one, and that was verified. */
bool conn_has_peer_certificate(const struct conn *conn);

/* The peer's own certificate as a PEM body without its line ends; empty: it gave none.
 * Made when it is first asked for, once for a connection. */
struct str conn_peer_certificate(const struct conn *conn);

/* For conn_close() only: says farewell if it still can, and frees what conn->tls owns. */
void conn_tls_close(struct conn *conn);

#endif
