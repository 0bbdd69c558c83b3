/*
 * net/tls_material.h - from files and words in settings to OpenSSL's objects, each
 * fault with the file's name and a reason.  For tls_server.c and tls_client.c.
 */
#ifndef NET_TLS_MATERIAL_H
#define NET_TLS_MATERIAL_H

#include <openssl/ssl.h>

#include "net/tls_context.h"

struct tls_certificate {
	X509 *leaf;                   /* owned, all three */
	STACK_OF(X509) *chain;        /* its issuers; may be empty */
	EVP_PKEY *key;
};

/* 0, or -errno with a reason and nothing kept: missing, no PEM, another
 * certificate's key, out of its dates, too weak. */
int tls_certificate_load(struct tls_certificate *certificate,
			 const struct tls_certificate_files *files, struct reason *reason);
void tls_certificate_fini(struct tls_certificate *certificate);

/* Makes it the context's only certificate. */
int tls_certificate_use(const struct tls_certificate *certificate, SSL_CTX *ctx,
			const char *file, struct reason *reason);

/* Trusts the CA certificates in these files and, if asked, the system's.  Those of the
 * files are also given to the caller, who frees them with sk_X509_pop_free(). */
int tls_trust(SSL_CTX *ctx, const char *const *files, size_t count, bool with_system,
	      STACK_OF(X509) **authorities, struct reason *reason);

/* Versions and ciphers of either side's settings, and what we never do. */
int tls_limits(SSL_CTX *ctx, enum tls_version min, enum tls_version max, const char *ciphers,
	       struct reason *reason);

/* A list as ALPN sends it; "" for NONE. */
struct str tls_alpn_list(enum tls_alpn alpn);

#endif
