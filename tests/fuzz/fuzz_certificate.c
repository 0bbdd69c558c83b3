/*
 * tests/fuzz/fuzz_certificate.c - a peer's certificate, in DER, through all that
 * reads its names: the expected name, the server name's choice, the rules about
 * clients' subjects.  One that names nobody is for nobody.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/x509.h>

#include "base/must.h"
#include "net/tls_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct subject_rules *rules(void)
{
	static const char *const subjects[] = { "CN=client,O=org" };
	static const struct tls_subject_rule rule = { "CN=ca", subjects, 1 };
	struct reason reason;

	return subject_rules_create(&rule, 1, &reason);
}

static void check_names(X509 *certificate)
{
	struct tls_names *names = tls_names_create(certificate);
	struct addr none = { .len = 0 };
	bool is_named = false;
	char *why = NULL;

	for (size_t i = 0; i < tls_names_count(names); i++) {
		struct str name = tls_names_dns(names, i);

		must(name.len == 0 || memchr(name.p, '\0', name.len) == NULL);
		is_named = is_named || tls_name_matches(name, STR("instance-1"));
	}
	must(tls_certificate_is_for(certificate, STR("instance-1"), &none, &why) == is_named);
	free(why);
	tls_names_destroy(names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct subject_rules *about_clients;
	const unsigned char *at = data;
	X509 *certificate = d2i_X509(NULL, &at, (long)size);
	STACK_OF(X509) *chain;

	if (!certificate)
		return 0;
	if (!about_clients)
		about_clients = rules();
	check_names(certificate);
	tls_common_name(certificate);
	chain = sk_X509_new_null();
	sk_X509_push(chain, certificate);
	subject_rules_allow(about_clients, chain);
	sk_X509_free(chain);
	X509_free(certificate);
	return 0;
}
