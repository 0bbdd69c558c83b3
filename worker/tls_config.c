/*
 * worker/tls_config.c - tables of the TLS settings.
 */
#include "worker/tls_config.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"

#define F(KIND, ...) SETTING_##KIND(struct tls_front_rows, __VA_ARGS__)
#define B(KIND, ...) SETTING_##KIND(struct tls_back_rows, __VA_ARGS__)

#define VERSIONS "TLSv1.0|TLSv1.1|TLSv1.2|TLSv1.3"

static const struct setting front_rows[] = {
	SETTING_GROUP("certificates"),
	F(CHOICE, min_version, "min_tls_version", "TLSv1.2", VERSIONS),
	F(CHOICE, max_version, "max_tls_version", "TLSv1.3", VERSIONS),
	F(TEXT, cipher_suites, "cipher_suites", ""),
	F(CHOICE, client_auth, "client_cert_validation", "none", "none|request|require"),
	F(TEXTS, client_ca_certs, "client_ca_certs", ""),
	F(BOOL, only_trust_client_ca_certs, "only_trust_client_ca_certs", "false"),
	SETTING_GROUP("verify_client_certificate_metadata"),
	SETTING_END,
};

static const struct setting certificate_rows[] = {
	SETTING_TEXT(struct tls_certificate_row, cert_chain, "cert_chain", ""),
	SETTING_TEXT(struct tls_certificate_row, private_key, "private_key", ""),
	SETTING_END,
};

static const struct setting rule_rows[] = {
	SETTING_TEXT(struct tls_rule_row, issuer_in_chain, "issuer_in_chain", ""),
	SETTING_TEXTS(struct tls_rule_row, valid_cert_subjects, "valid_cert_subjects", ""),
	SETTING_END,
};

static const struct setting back_rows[] = {
	B(TEXTS, ca_certs, "ca_certs", ""),
	B(TEXT, cert_chain, "cert_chain", ""),
	B(TEXT, private_key, "private_key", ""),
	B(TEXT, cipher_suites, "cipher_suites", ""),
	B(MS, handshake_timeout_ms, "handshake_timeout", "10s", "10ms", "10m"),
	B(N, session_limit, "session_limit", 10000, 0, 1000000),
	SETTING_END,
};

#define CERTIFICATES "worker.tls.certificates"
#define RULES        "worker.tls.verify_client_certificate_metadata"

static int read_certificates(const struct config *file, struct tls_config *c,
			     struct reason *reason)
{
	unsigned count = config_list_length(file, CERTIFICATES);

	c->certificate_rows = mem_zalloc((count + 1) * sizeof(*c->certificate_rows));
	c->certificates = mem_zalloc((count + 1) * sizeof(*c->certificates));
	for (unsigned i = 0; i < count; i++) {
		struct tls_certificate_row *row = &c->certificate_rows[i];
		int rc = settings_read_item(file, CERTIFICATES, i, certificate_rows, row, reason);

		if (rc < 0)
			return rc;
		c->certificate_count++;
		if (!*row->cert_chain || !*row->private_key)
			return reason_set(reason, -EINVAL, "%s: \"" CERTIFICATES
					  "\" needs cert_chain and private_key in each entry",
					  config_where(file, CERTIFICATES));
		c->certificates[i] = (struct tls_certificate_files){ row->cert_chain,
								     row->private_key };
	}
	return 0;
}

static int read_rules(const struct config *file, struct tls_config *c, struct reason *reason)
{
	unsigned count = config_list_length(file, RULES);

	c->rule_rows = mem_zalloc((count + 1) * sizeof(*c->rule_rows));
	c->rules = mem_zalloc((count + 1) * sizeof(*c->rules));
	for (unsigned i = 0; i < count; i++) {
		struct tls_rule_row *row = &c->rule_rows[i];
		int rc = settings_read_item(file, RULES, i, rule_rows, row, reason);

		if (rc < 0)
			return rc;
		c->rule_count++;
		c->rules[i] = (struct tls_subject_rule){
			row->issuer_in_chain, (const char *const *)row->valid_cert_subjects.items,
			row->valid_cert_subjects.count,
		};
	}
	return 0;
}

static int check(const struct config *file, const struct tls_config *c, struct reason *reason)
{
	if (c->front.min_version > c->front.max_version)
		return reason_set(reason, -EINVAL,
				  "%s: \"min_tls_version\" is above \"max_tls_version\"",
				  config_where(file, "worker.tls"));
	if (c->front.client_auth != TLS_CLIENT_AUTH_NONE &&
	    c->front.only_trust_client_ca_certs && !c->front.client_ca_certs.count)
		return reason_set(reason, -EINVAL, "%s: \"only_trust_client_ca_certs\" with no "
				  "\"client_ca_certs\" trusts nobody",
				  config_where(file, "worker.tls"));
	if (!*c->back.cert_chain != !*c->back.private_key)
		return reason_set(reason, -EINVAL, "%s: \"cert_chain\" and \"private_key\" need "
				  "each other", config_where(file, "worker.upstream.tls"));
	return 0;
}

int tls_config_read(const struct config *file, struct tls_config *out, struct reason *reason)
{
	int rc;

	*out = (struct tls_config){ 0 };
	if ((rc = settings_read(file, "worker.tls", front_rows, &out->front, reason)) < 0)
		return rc;
	rc = settings_read(file, "worker.upstream.tls", back_rows, &out->back, reason);
	if (rc < 0) {
		settings_free(front_rows, &out->front);
		return rc;
	}
	if ((rc = read_certificates(file, out, reason)) < 0 ||
	    (rc = read_rules(file, out, reason)) < 0 || (rc = check(file, out, reason)) < 0)
		tls_config_free(out);
	return rc;
}

void tls_config_free(struct tls_config *config)
{
	for (unsigned i = 0; i < config->certificate_count; i++)
		settings_free(certificate_rows, &config->certificate_rows[i]);
	for (unsigned i = 0; i < config->rule_count; i++)
		settings_free(rule_rows, &config->rule_rows[i]);
	free(config->certificate_rows);
	free(config->rule_rows);
	free(config->certificates);
	free(config->rules);
	settings_free(front_rows, &config->front);
	settings_free(back_rows, &config->back);
	*config = (struct tls_config){ 0 };
}

static enum tls_version version_of(int choice)
{
	return (enum tls_version)(TLS_1_0 + choice);
}

static struct tls_server_settings server_settings(const struct tls_config *config)
{
	const struct tls_front_rows *front = &config->front;

	return (struct tls_server_settings){
		.certificates = config->certificates,
		.certificate_count = config->certificate_count,
		.min_version = version_of(front->min_version),
		.max_version = version_of(front->max_version),
		.ciphers = front->cipher_suites, .alpn = TLS_ALPN_HTTP1,
		.client_auth = (enum tls_client_auth)front->client_auth,
		.client_ca_files = (const char *const *)front->client_ca_certs.items,
		.client_ca_count = front->client_ca_certs.count,
		.only_trust_client_ca_files = front->only_trust_client_ca_certs,
		.rules = config->rules, .rule_count = config->rule_count,
	};
}

static struct tls_client_settings client_settings(const struct tls_config *config)
{
	const struct tls_back_rows *back = &config->back;
	bool has_own = *back->cert_chain;

	return (struct tls_client_settings){
		.ca_files = (const char *const *)back->ca_certs.items,
		.ca_count = back->ca_certs.count,
		.certificate = { has_own ? back->cert_chain : NULL,
				 has_own ? back->private_key : NULL },
		.ciphers = back->cipher_suites, .session_limit = back->session_limit,
	};
}

int tls_config_load(const struct tls_config *config, struct tls_server **server,
		    struct tls_client **client, struct reason *reason)
{
	struct tls_server_settings front = server_settings(config);
	struct tls_client_settings back = client_settings(config);

	*server = NULL;
	*client = tls_client_create(&back, reason);
	if (!*client)
		return -EINVAL;
	if (!front.certificate_count || (*server = tls_server_create(&front, reason)) != NULL)
		return 0;
	tls_client_destroy(*client);
	return -EINVAL;
}
