/*
 * net/tls_fault.c - what went wrong with a TLS connection: from OpenSSL's error
 * queue, the socket and the peer's alert to one word of the closed list and one
 * line that operators know from Go.
 */
#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/tls_conn.h"

static const char *const names[TLS_FAULT_COUNT] = {
	[TLS_FAULT_NONE]            = "none",
	[TLS_FAULT_CONNECT]         = "connect",
	[TLS_FAULT_NOT_TLS]         = "not_tls",
	[TLS_FAULT_PLAIN_HTTP]      = "plain_http",
	[TLS_FAULT_EXPIRED]         = "expired",
	[TLS_FAULT_WRONG_NAME]      = "wrong_name",
	[TLS_FAULT_UNTRUSTED]       = "untrusted",
	[TLS_FAULT_NO_CERTIFICATE]  = "no_certificate",
	[TLS_FAULT_SUBJECT]         = "subject",
	[TLS_FAULT_REFUSED_US]      = "refused_us",
	[TLS_FAULT_HANDSHAKE_ALERT] = "handshake_alert",
	[TLS_FAULT_OTHER_ALERT]     = "other_alert",
	[TLS_FAULT_NO_PROTOCOL]     = "no_protocol",
	[TLS_FAULT_PROTOCOL]        = "protocol",
	[TLS_FAULT_RESET]           = "reset",
	[TLS_FAULT_EOF]             = "eof",
	[TLS_FAULT_LOCAL]           = "local",
};

const char *tls_fault_name(enum tls_fault fault)
{
	return names[fault];
}

/* Of RFC 8446 section 6 and its predecessors; the words are Go's. */
static const struct alert {
	const char *words;
	enum tls_fault fault;         /* NONE: OTHER_ALERT */
} alerts[] = {
	[0]   = { "close notify" },
	[10]  = { "unexpected message" },
	[20]  = { "bad record MAC" },
	[21]  = { "decryption failed" },
	[22]  = { "record overflow" },
	[30]  = { "decompression failure" },
	[40]  = { "handshake failure", TLS_FAULT_HANDSHAKE_ALERT },
	[42]  = { "bad certificate", TLS_FAULT_REFUSED_US },
	[43]  = { "unsupported certificate" },
	[44]  = { "revoked certificate" },
	[45]  = { "expired certificate" },
	[46]  = { "unknown certificate", TLS_FAULT_REFUSED_US },
	[47]  = { "illegal parameter" },
	[48]  = { "unknown certificate authority", TLS_FAULT_REFUSED_US },
	[49]  = { "access denied" },
	[50]  = { "error decoding message" },
	[51]  = { "error decrypting message" },
	[60]  = { "export restriction" },
	[70]  = { "protocol version not supported" },
	[71]  = { "insufficient security level" },
	[80]  = { "internal error" },
	[86]  = { "inappropriate fallback" },
	[90]  = { "user canceled" },
	[100] = { "no renegotiation" },
	[109] = { "missing extension" },
	[110] = { "unsupported extension" },
	[111] = { "certificate unobtainable" },
	[112] = { "unrecognized name" },
	[113] = { "bad certificate status response" },
	[114] = { "bad certificate hash value" },
	[115] = { "unknown PSK identity" },
	[116] = { "certificate required", TLS_FAULT_REFUSED_US },
	[120] = { "no application protocol" },
};

/* What OpenSSL finds wrong with a peer; all else is PROTOCOL in its own words. */
static const struct {
	int reason;
	enum tls_fault fault;
	const char *words;
} reasons[] = {
	{ SSL_R_NO_SHARED_CIPHER, TLS_FAULT_PROTOCOL,
	  "tls: no cipher suite supported by both client and server" },
	{ SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, TLS_FAULT_PROTOCOL,
	  "tls: peer doesn't support any of the certificate's signature algorithms" },
	{ SSL_R_UNSUPPORTED_PROTOCOL, TLS_FAULT_PROTOCOL, "tls: unsupported protocol version" },
	{ SSL_R_WRONG_SSL_VERSION, TLS_FAULT_PROTOCOL, "tls: unsupported protocol version" },
	{ SSL_R_WRONG_VERSION_NUMBER, TLS_FAULT_PROTOCOL, "tls: unsupported protocol version" },
	{ SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, TLS_FAULT_PROTOCOL,
	  "local error: tls: bad record MAC" },
	{ SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, TLS_FAULT_NO_CERTIFICATE,
	  "tls: client didn't provide a certificate" },
	{ ERR_R_MALLOC_FAILURE, TLS_FAULT_LOCAL, "tls: out of memory" },
	{ ERR_R_INTERNAL_ERROR, TLS_FAULT_LOCAL, "tls: internal error" },
	{ SSL_R_CERT_CB_ERROR, TLS_FAULT_LOCAL, "tls: no certificate could be used" },
};

void tls_set_fault(struct tls *tls, enum tls_fault fault, const char *format, ...)
{
	va_list args;

	if (tls->fault)
		return;
	tls->fault = fault;
	va_start(args, format);
	if (vasprintf(&tls->error, format, args) < 0)
		tls->error = NULL;
	va_end(args);
}

static void classify_alert(struct tls *tls, unsigned number)
{
	const struct alert *alert = number < ARRAY_SIZE(alerts) ? &alerts[number] : NULL;

	if (alert && alert->words)
		tls_set_fault(tls, alert->fault ? alert->fault : TLS_FAULT_OTHER_ALERT,
			      "remote error: tls: %s", alert->words);
	else
		tls_set_fault(tls, TLS_FAULT_OTHER_ALERT, "remote error: tls: alert(%u)", number);
}

static void classify_reason(struct tls *tls, unsigned long error)
{
	int reason = ERR_GET_REASON(error);
	const char *words = ERR_reason_error_string(error);

	if (reason >= SSL_AD_REASON_OFFSET && ERR_GET_LIB(error) == ERR_LIB_SSL) {
		classify_alert(tls, (unsigned)(reason - SSL_AD_REASON_OFFSET));
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].reason == reason)
			tls_set_fault(tls, reasons[i].fault, "%s", reasons[i].words);
	tls_set_fault(tls, TLS_FAULT_PROTOCOL, "tls: %s", words ? words : "unknown failure");
}

/* What the protocol said, before what the layers below it said.  Empties the queue. */
static unsigned long first_error(void)
{
	unsigned long error, found = 0;

	while ((error = ERR_get_error()))
		if (!found || (ERR_GET_LIB(found) != ERR_LIB_SSL &&
			       ERR_GET_LIB(error) == ERR_LIB_SSL))
			found = error;
	return found;
}

void tls_classify(struct tls *tls)
{
	static const char foreign[] = "tls: first record does not look like a TLS handshake";
	unsigned long error = first_error();
	int number = tls->conn->error;

	if (tls->is_foreign)
		tls_set_fault(tls, tls->is_plain_http ? TLS_FAULT_PLAIN_HTTP : TLS_FAULT_NOT_TLS,
			      "%s", foreign);
	else if (error && ERR_GET_LIB(error) != ERR_LIB_SYS)
		classify_reason(tls, error);
	else if (number)
		tls_set_fault(tls, TLS_FAULT_RESET, "%s",
			      number == ECONNRESET ? "connection reset by peer" : strerror(number));
	else if (tls->saw_end)
		tls_set_fault(tls, TLS_FAULT_EOF, "EOF");
	else
		tls_set_fault(tls, TLS_FAULT_LOCAL, "tls: failed without a reason");
}
