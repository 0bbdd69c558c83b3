/*
 * worker/tls_config.h - the groups worker.tls and worker.upstream.tls of the
 * configuration file, as net/tls_context.h wants them.  Only paths and words are
 * checked here; the files are read when the contexts are made.
 */
#ifndef WORKER_TLS_CONFIG_H
#define WORKER_TLS_CONFIG_H

#include "base/config.h"
#include "net/tls_context.h"

struct tls_front_rows {
	char *cipher_suites;
	int min_version, max_version; /* 0: TLSv1.0 */
	int client_auth;              /* enum tls_client_auth */
	struct texts client_ca_certs;
	bool only_trust_client_ca_certs;
};

struct tls_back_rows {
	struct texts ca_certs;
	char *cert_chain, *private_key, *cipher_suites;
	uint64_t handshake_timeout_ms, session_limit;
};

struct tls_certificate_row {
	char *cert_chain, *private_key;
};

struct tls_rule_row {
	char *issuer_in_chain;
	struct texts valid_cert_subjects;
};

struct tls_config {
	struct tls_front_rows front;
	struct tls_back_rows back;
	struct tls_certificate_row *certificate_rows;
	struct tls_rule_row *rule_rows;
	unsigned certificate_count, rule_count;
	struct tls_certificate_files *certificates;   /* owned views of the rows */
	struct tls_subject_rule *rules;
};

/* 0; or -EINVAL with a reason and nothing to free. */
int tls_config_read(const struct config *file, struct tls_config *out, struct reason *reason);
void tls_config_free(struct tls_config *config);

/* Reads certificates, keys and trust.  *server is NULL if no certificates are
 * configured.  0; or -EINVAL with a reason and nothing to destroy. */
int tls_config_load(const struct tls_config *config, struct tls_server **server,
		    struct tls_client **client, struct reason *reason);

#endif
