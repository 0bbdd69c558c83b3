/*
 * tests/unit/net/test_tls_settings.c - settings that cannot work are refused when
 * they are read, with the file or word and the reason.
 */
#include "../fixture/net_certificates.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>

#include "net/tls_context.h"

static void expect_refused(struct tls_server_settings settings, const char *file, const char *why)
{
	struct reason reason = { "" };

	if (!settings.certificate_count) {
		settings.certificates = &example.files;
		settings.certificate_count = 1;
	}
	assert_null(tls_server_create(&settings, &reason));
	if (!strstr(reason.text, file) || !strstr(reason.text, why))
		assert_string_equal(reason.text, why);
	assert_int_equal(ERR_peek_error(), 0);
	assert_null(tls_server_create(&settings, NULL));
}

static struct tls_certificate_files files_of(const char *name, struct wanted wanted)
{
	return certificates_issue(name, &wanted);
}

static void a_pass_phrase(const char *path)
{
	FILE *file = fopen(path, "w");

	PEM_write_PrivateKey(file, example.leaf.key, EVP_aes_128_cbc(), (unsigned char *)"x", 1, NULL, NULL);
	fclose(file);
}

static void bad_certificates_and_keys_are_named(void **state)
{
	const char *text = certificates_write_text("text.pem", "no PEM at all\n");
	const char *half = certificates_write_text("half.pem",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	const char *locked = certificates_path("locked.key");
	struct tls_certificate_files other = files_of("other", (struct wanted){ .names = "DNS:o" });
	const struct { struct tls_certificate_files files; const char *file, *why; } cases[] = {
		{ { "/nowhere/x.pem", example.files.key }, "/nowhere/x.pem", "No such file" },
		{ { example.files.chain, "/nowhere/x.key" }, "/nowhere/x.key", "No such file" },
		{ { NULL, example.files.key }, "certificate", "no file is named" },
		{ { text, example.files.key }, text, "holds no PEM certificate" },
		{ { half, example.files.key }, half, "holds a damaged PEM certificate" },
		{ { example.files.chain, text }, text, "holds no PEM key" },
		{ { example.files.chain, locked }, locked, "without a pass phrase" },
		{ { example.files.chain, other.key }, other.key, "does not belong to certificate" },
		{ files_of("past", (struct wanted){ .is_expired = true }), "past.pem", "expired at 20" },
		{ files_of("early", (struct wanted){ .is_early = true }), "early.pem",
		  "is not valid before 20" },
		{ files_of("weak", (struct wanted){ .kind = KEY_WEAK }), "weak.key",
		  "1024 bits are too weak" },
	};

	(void)state;
	a_pass_phrase(locked);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tls_certificate_files both[] = { example.files, cases[i].files };
		struct tls_client_settings client = { .certificate = cases[i].files };
		struct reason reason = { "" };

		expect_refused((struct tls_server_settings){
			.certificates = both, .certificate_count = 2 },
			cases[i].file, cases[i].why);
		if (!cases[i].files.chain)
			continue;
		assert_null(tls_client_create(&client, &reason));
		assert_non_null(strstr(reason.text, cases[i].why));
	}
}

static void bad_words_are_named(void **state)
{
	static const char *const nobody[] = { "nobody" };
	static const struct tls_subject_rule unknown = { "CN=unknown", NULL, 0 };
	static const struct tls_subject_rule no_name = { "unknown", NULL, 0 };
	static const struct tls_subject_rule no_subject = { "CN=ca", nobody, 1 };
	const char *missing = "/nowhere/ca.pem";

	(void)state;
	expect_refused((struct tls_server_settings){
		.ciphers = "ECDHE-RSA-AES128-GCM-SHA256:NO-SUCH-CIPHER" }, "",
		"unknown cipher suite \"NO-SUCH-CIPHER\"");
	expect_refused((struct tls_server_settings){ .ciphers = "ALL" }, "",
		       "unknown cipher suite \"ALL\"");
	expect_refused((struct tls_server_settings){
		.min_version = TLS_1_3, .max_version = TLS_1_2 }, "", "above the greatest");
	expect_refused((struct tls_server_settings){
		.client_auth = TLS_CLIENT_AUTH_REQUIRE, .only_trust_client_ca_files = true }, "",
		"no CA is trusted");
	expect_refused((struct tls_server_settings){
		.client_auth = TLS_CLIENT_AUTH_REQUEST, .client_ca_files = &missing,
		.client_ca_count = 1 }, missing, "No such file");
	expect_refused((struct tls_server_settings){ .client_ca_files = &example.authority_file,
		.client_ca_count = 1, .rules = &unknown, .rule_count = 1 }, "unknown",
		"no client CA has the subject");
	expect_refused((struct tls_server_settings){ .client_ca_files = &example.authority_file,
		.client_ca_count = 1, .rules = &no_name, .rule_count = 1 }, "unknown",
		"is no distinguished name");
	expect_refused((struct tls_server_settings){ .client_ca_files = &example.authority_file,
		.client_ca_count = 1, .rules = &no_subject, .rule_count = 1 }, "nobody",
		"is no distinguished name");
}

static void ciphers_are_known_by_either_name(void **state)
{
	static const char *const lists[] = {
		"", "ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
		"ECDHE-RSA-AES128-GCM-SHA256:TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
		"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", "TLS_AES_256_GCM_SHA384",
		"AES128-SHA:TLS_RSA_WITH_AES_128_CBC_SHA",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (int min = TLS_1_0; min <= TLS_1_2; min++) {
			struct tls_server_settings settings = { .certificates = &example.files,
				.certificate_count = 1, .ciphers = lists[i],
				.min_version = (enum tls_version)min };
			struct reason reason = { "" };
			struct tls_server *server = tls_server_create(&settings, &reason);

			assert_string_equal(reason.text, "");
			tls_server_destroy(server);
		}
}

static void versions_are_known_by_name(void **state)
{
	enum tls_version version;

	(void)state;
	assert_true(tls_version_parse(STR("TLSv1.0"), &version) && version == TLS_1_0);
	assert_true(tls_version_parse(STR("TLSv1.3"), &version) && version == TLS_1_3);
	assert_true(tls_version_parse(STR(""), &version) && version == TLS_DEFAULT);
	assert_false(tls_version_parse(STR("SSLv3"), &version));
	assert_false(tls_version_parse(STR("tls1.2"), &version));
}

static void without_a_certificate_there_is_no_server(void **state)
{
	struct tls_server_settings settings = { 0 };
	struct reason reason = { "" };

	(void)state;
	assert_null(tls_server_create(&settings, &reason));
	assert_string_equal(reason.text, "TLS needs at least one certificate");
	tls_server_destroy(NULL);
	tls_client_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_certificates_and_keys_are_named),
		cmocka_unit_test(bad_words_are_named),
		cmocka_unit_test(ciphers_are_known_by_either_name),
		cmocka_unit_test(versions_are_known_by_name),
		cmocka_unit_test(without_a_certificate_there_is_no_server),
	};

	return cmocka_run_group_tests(tests, example_set_up, example_tear_down);
}
