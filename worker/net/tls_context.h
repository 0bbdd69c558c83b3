/*
 * net/tls_context.h - what all TLS connections of one kind share: certificates,
 * trust, versions, ciphers, session keys.  Made from settings when a worker
 * starts; new settings make new ones, and connections keep those they began with.
 */
#ifndef NET_TLS_CONTEXT_H
#define NET_TLS_CONTEXT_H

#include "base/addr.h"
#include "base/tls_ticket_keys.h"

struct tls_server;
struct tls_client;

enum tls_version { TLS_DEFAULT, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 };

/* "TLSv1.2"; "" is the default.  False: unknown. */
bool tls_version_parse(struct str name, enum tls_version *version);

/* Which protocols are offered (client) or accepted (server). */
enum tls_alpn {
	TLS_ALPN_NONE,                /* the extension is neither sent nor looked at */
	TLS_ALPN_HTTP1,               /* http/1.1 */
	TLS_ALPN_HTTP2,               /* h2, then http/1.1 */
};

enum tls_client_auth {
	TLS_CLIENT_AUTH_NONE,         /* not asked for */
	TLS_CLIENT_AUTH_REQUEST,      /* verified if given */
	TLS_CLIENT_AUTH_REQUIRE,
};

/* Two PEM files: the certificate, then its issuers; its key. */
struct tls_certificate_files {
	const char *chain, *key;
};

/* Where some CA certificate of a client's verified chain has the subject
 * `issuer`, the client's own subject must be one of `subjects`.  Names are written
 * as "CN=client,OU=a+OU=b,O=Org,C=US" (RFC 4514), in any order. */
struct tls_subject_rule {
	const char *issuer;
	const char *const *subjects;
	size_t subject_count;
};

struct tls_server_settings {
	/* At least one.  The server name chooses: exact DNS SAN, then wildcard (of equal
	 * names the last whose key type the client can use), else the first whose
	 * key type it can use, else the first. */
	const struct tls_certificate_files *certificates;
	size_t certificate_count;
	enum tls_version min_version; /* default 1.2 */
	enum tls_version max_version; /* default 1.3 */
	/* Colon list of OpenSSL or IANA names; NULL or "": forward-secret AEAD ones.
	 * TLS 1.3 suites in it limit TLS 1.3, else that has all. */
	const char *ciphers;
	enum tls_alpn alpn;           /* a client with nothing in common gets alert 120 */
	enum tls_client_auth client_auth;
	const char *const *client_ca_files;
	size_t client_ca_count;
	bool only_trust_client_ca_files;      /* else also the system's roots */
	const struct tls_subject_rule *rules;
	size_t rule_count;
};

/* Reads all files now.  NULL: `reason` names the file or setting and what is
 * wrong with it: missing, no PEM, another certificate's key, expired or not yet
 * valid, too weak, an unknown cipher, a rule whose issuer is no client CA. */
struct tls_server *tls_server_create(const struct tls_server_settings *settings,
				     struct reason *reason);

/* Connections begun with it keep it alive.  NULL is allowed. */
void tls_server_destroy(struct tls_server *server);

/* Where the ticket keys are; borrowed, also by connections, and read at each
 * handshake.  NULL, as at first: no session is ever resumed. */
void tls_server_set_ticket_keys(struct tls_server *server, const struct tls_ticket_keys *keys);

struct tls_client_settings {
	/* Trusted beside the system's roots: the file that SSL_CERT_FILE names, else
	 * the distribution's bundle. */
	const char *const *ca_files;
	size_t ca_count;
	bool only_trust_ca_files;
	struct tls_certificate_files certificate;     /* NULLs: none is given when asked */
	enum tls_version min_version; /* default 1.2 */
	enum tls_version max_version; /* default 1.3 */
	const char *ciphers;          /* as for servers */
	size_t session_limit;         /* sessions kept for resumption; 0: none */
};

/* As tls_server_create() and _destroy(). */
struct tls_client *tls_client_create(const struct tls_client_settings *settings,
				     struct reason *reason);
void tls_client_destroy(struct tls_client *client);

/* Whom we expect at the other end of one connection. */
struct tls_peer {
	struct str name;              /* SNI, and a DNS SAN must match it; empty: see ip */
	struct addr ip;               /* without a name an IP SAN must be this one */
	uint64_t identity;            /* of the target: sessions are resumed only where it and
				       * the name or ip are equal; 0: never */
	enum tls_alpn alpn;
};

/* Sessions kept now; for tests and metrics. */
size_t tls_client_session_count(const struct tls_client *client);

#endif
