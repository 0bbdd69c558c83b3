/*
 * net/tls_name.h - the names in a certificate: its DNS and IP alternative names
 * for tls_verify.c and tls_server.c, its subject for the rules about clients.
 */
#ifndef NET_TLS_NAME_H
#define NET_TLS_NAME_H

#include <openssl/x509.h>

#include "base/addr.h"
#include "net/tls_context.h"

/* The i-th DNS name; false when there are no more. */
struct tls_names;
struct tls_names *tls_names_create(X509 *certificate);
void tls_names_destroy(struct tls_names *names);
size_t tls_names_count(const struct tls_names *names);
struct str tls_names_dns(const struct tls_names *names, size_t i);

/* The common name, where a certificate has one; lives as long as the certificate. */
struct str tls_common_name(X509 *certificate);

/* "a.example" against "A.Example." or "*.example": one whole label, the first. */
bool tls_name_matches(struct str pattern, struct str host);

/* Does the certificate hold for this DNS name (or, if that is an IP or empty, for
 * that IP or `ip`)?  False: *why says so in Go's words; the caller frees it. */
bool tls_certificate_is_for(X509 *certificate, struct str name, const struct addr *ip,
			    char **why);

/* Rules about clients' subjects, see struct tls_subject_rule. */
struct subject_rules;

/* NULL: `reason` says which name is no name. */
struct subject_rules *subject_rules_create(const struct tls_subject_rule *rules, size_t count,
					   struct reason *reason);
void subject_rules_destroy(struct subject_rules *rules);

/* Each rule's issuer is among these certificates.  0 or -EINVAL. */
int subject_rules_check(const struct subject_rules *rules, STACK_OF(X509) *authorities,
			struct reason *reason);

/* Do all rules hold for a verified chain, own certificate first? */
bool subject_rules_allow(const struct subject_rules *rules, STACK_OF(X509) *chain);

#endif
