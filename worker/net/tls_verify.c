/*
 * net/tls_verify.c - judges the peer's certificate.  Where several things are
 * wrong, dates are named first, then the name, then trust, as Go does.
 */
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <time.h>

#include "net/tls_conn.h"
#include "net/tls_name.h"

#define FAILED "tls: failed to verify certificate: x509: "

static const struct {
	int code;
	const char *words;
} refusals[] = {
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "certificate signed by unknown authority" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "certificate signed by unknown authority" },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, "certificate signed by unknown authority" },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "certificate signed by unknown authority" },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "certificate signed by unknown authority" },
	{ X509_V_ERR_CERT_SIGNATURE_FAILURE, "certificate signed by unknown authority" },
	{ X509_V_ERR_CERT_UNTRUSTED, "certificate signed by unknown authority" },
	{ X509_V_ERR_INVALID_PURPOSE, "certificate specifies an incompatible key usage" },
	{ X509_V_ERR_INVALID_CA, "certificate is not authorized to sign other certificates" },
	{ X509_V_ERR_PATH_LENGTH_EXCEEDED, "too many intermediates for path length constraint" },
};

static void format_time(const struct tm *tm, char out[32])
{
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", tm);
}

/* True if `certificate` holds now; else the fault is set. */
static bool is_in_time(struct tls *tls, X509 *certificate)
{
	time_t now = time(NULL);
	const ASN1_TIME *limit = NULL;
	const char *side = "after";
	struct tm tm;
	char now_text[32], limit_text[32];

	if (X509_cmp_time(X509_get0_notAfter(certificate), &now) <= 0)
		limit = X509_get0_notAfter(certificate);
	if (X509_cmp_time(X509_get0_notBefore(certificate), &now) > 0) {
		limit = X509_get0_notBefore(certificate);
		side = "before";
	}
	if (!limit)
		return true;
	format_time(gmtime_r(&now, &tm), now_text);
	if (ASN1_TIME_to_tm(limit, &tm))
		format_time(&tm, limit_text);
	else
		limit_text[0] = '\0';
	tls_set_fault(tls, TLS_FAULT_EXPIRED, FAILED "certificate has expired or is not yet valid: "
		      "current time %s is %s %s", now_text, side, limit_text);
	return false;
}

static bool is_expected(struct tls *tls, X509 *leaf)
{
	char *why = NULL;

	if (tls_certificate_is_for(leaf, str_of(tls->name), &tls->ip, &why))
		return true;
	tls_set_fault(tls, TLS_FAULT_WRONG_NAME, FAILED "%s", why);
	free(why);
	return false;
}

static void blame_chain(struct tls *tls, X509_STORE_CTX *store)
{
	int code = X509_STORE_CTX_get_error(store);

	if (code == X509_V_ERR_CERT_HAS_EXPIRED || code == X509_V_ERR_CERT_NOT_YET_VALID)
		is_in_time(tls, X509_STORE_CTX_get_current_cert(store));
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (refusals[i].code == code)
			tls_set_fault(tls, TLS_FAULT_UNTRUSTED, FAILED "%s", refusals[i].words);
	tls_set_fault(tls, TLS_FAULT_UNTRUSTED, FAILED "%s", X509_verify_cert_error_string(code));
}

static int refuse(X509_STORE_CTX *store, int code)
{
	X509_STORE_CTX_set_error(store, code);
	return 0;
}

int tls_verify_peer(X509_STORE_CTX *store, void *unused)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *tls = tls_of(ssl);
	X509 *leaf = X509_STORE_CTX_get0_cert(store);

	(void)unused;
	if (!is_in_time(tls, leaf))
		return refuse(store, X509_V_ERR_CERT_HAS_EXPIRED);
	if (tls->client && !is_expected(tls, leaf))
		return refuse(store, X509_V_ERR_HOSTNAME_MISMATCH);
	if (X509_verify_cert(store) <= 0) {
		blame_chain(tls, store);
		return 0;
	}
	if (tls->server && !subject_rules_allow(tls_server_rules(tls->server),
						X509_STORE_CTX_get0_chain(store))) {
		tls_set_fault(tls, TLS_FAULT_SUBJECT,
			      "tls: subject of the client certificate is not allowed by a rule");
		return refuse(store, X509_V_ERR_APPLICATION_VERIFICATION);
	}
	return 1;
}
