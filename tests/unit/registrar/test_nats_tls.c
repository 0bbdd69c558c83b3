/*
 * tests/unit/registrar/test_nats_tls.c - key files for TLS to NATS: what cannot work is
 * refused at the start, by the name of the file, and nothing of it is kept.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <nats/nats.h>

#include "base/mem.h"
#include "registrar/nats_tls.h"

/* Made for this test; good until 2126. */
static const char certificate[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBcjCCARmgAwIBAgIUPzmWVqONhydOwE1LkyPxB/O1U6UwCgYIKoZIzj0EAwIw\n"
	"DjEMMAoGA1UEAwwDd3llMCAXDTI2MTEyMTE0NDkwNloYDzIxMjYxMDI4MTQ0OTA2\n"
	"WjAOMQwwCgYDVQQDDAN3eWUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARdT772\n"
	"rcgyWUpO0H7Xkw+wvpOdAfCNejXCJMR3ljvHCLNSLRlMsfAr31Gibj5UJiqQHnhk\n"
	"iJ2rhT/JsUvvk8gso1MwUTAdBgNVHQ4EFgQUVfDeeWqNo1vuDRbu/4qbYTtmFW0w\n"
	"HwYDVR0jBBgwFoAUVfDeeWqNo1vuDRbu/4qbYTtmFW0wDwYDVR0TAQH/BAUwAwEB\n"
	"/zAKBggqhkjOPQQDAgNHADBEAiBAgf8AMTs/e/Y4EQU4wuv/tNNSjyj2eop+lHnM\n"
	"REFTmQIgO1T/op8rLZI/7sDI+RKrgySU+Fye+9i8wLyRYNSUBVQ=\n"
	"-----END CERTIFICATE-----\n";

static const char key[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg+DyX5PHgsMg8MH9R\n"
	"i6GMBIfPi/hXu8EtV4PfQABeLi2hRANCAARdT772rcgyWUpO0H7Xkw+wvpOdAfCN\n"
	"ejXCJMR3ljvHCLNSLRlMsfAr31Gibj5UJiqQHnhkiJ2rhT/JsUvvk8gs\n"
	"-----END PRIVATE KEY-----\n";

static const char key_of_another[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgioU8s/Za3iS0XVwa\n"
	"/rFFZWOFbY18O7D5MdIvfHdqaNChRANCAASVlmegIZLbVk78NyMWAAmD92DTgAWG\n"
	"8ZXcBiK2s6vSIG4njWUgsIPWGJ0loQNu/6x3C7G45o2u8Oy8Ls0W4tvR\n"
	"-----END PRIVATE KEY-----\n";

#define MIB (1u << 20)

struct folder {
	char path[64];
	struct nats_tls_settings tls;
	char names[4][128];
	unsigned count;
};

static char nothing[] = "";

static int setup(void **state)
{
	struct folder *f = calloc(1, sizeof(*f));

	strcpy(f->path, "/tmp/wye-unit-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	f->tls = (struct nats_tls_settings){ .ca = nothing, .certificate = nothing, .key = nothing,
					     .server_name = nothing };
	*state = f;
	return 0;
}

static void forget(struct folder *f)
{
	free(f->tls.ca_pem);
	free(f->tls.certificate_pem);
	free(f->tls.key_pem);
	f->tls = (struct nats_tls_settings){ .ca = nothing, .certificate = nothing, .key = nothing,
					     .server_name = nothing };
	while (f->count)
		remove(f->names[--f->count]);
}

static int teardown(void **state)
{
	struct folder *f = *state;

	forget(f);
	rmdir(f->path);
	free(f);
	return 0;
}

/* A file of its own that holds this; its name. */
static char *file_of(struct folder *f, const char *bytes, size_t len)
{
	char *name = f->names[f->count];
	FILE *file;

	assert_true(f->count < ARRAY_SIZE(f->names));
	stpcpy(stpcpy(name, f->path), "/file-0.pem")[-5] += (char)f->count++;
	file = fopen(name, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	fclose(file);
	return name;
}

#define TEXT_FILE(f, text) file_of(f, text, strlen(text))

static void assert_load_fails(struct folder *f, int error, const char *said)
{
	struct reason reason = { "" };

	assert_int_equal(nats_tls_load(&f->tls, &reason), error);
	if (!strstr(reason.text, said))
		fail_msg("\"%s\" does not say \"%s\"", reason.text, said);
	forget(f);
}

static void assert_loads(struct folder *f)
{
	struct reason reason;

	if (nats_tls_load(&f->tls, &reason))
		fail_msg("%s", reason.text);
}

static void without_files_there_is_nothing_to_load(void **state)
{
	struct folder *f = *state;

	assert_loads(f);
	assert_null(f->tls.ca_pem);
	assert_null(f->tls.key_pem);
}

static void a_certificate_without_a_key_is_refused_and_the_other_way_round(void **state)
{
	struct folder *f = *state;

	f->tls.certificate = TEXT_FILE(f, certificate);
	assert_load_fails(f, -EINVAL, "go together");
	f->tls.key = TEXT_FILE(f, key);
	assert_load_fails(f, -EINVAL, "go together");
}

static void a_file_that_is_not_there_is_named(void **state)
{
	struct folder *f = *state;
	char missing[] = "/tmp/wye-unit-there-is-no-such-file";

	f->tls.ca = missing;
	assert_load_fails(f, -ENOENT, missing);
	f->tls.certificate = missing;
	f->tls.key = TEXT_FILE(f, key);
	assert_load_fails(f, -ENOENT, missing);
	f->tls.certificate = TEXT_FILE(f, certificate);
	f->tls.key = missing;
	assert_load_fails(f, -ENOENT, missing);
}

static void what_is_no_text_of_a_sane_length_is_no_pem_file(void **state)
{
	struct folder *f = *state;
	char *large = mem_zalloc(MIB + 1);

	memset(large, 'a', MIB + 1);
	f->tls.ca = file_of(f, "", 0);
	assert_load_fails(f, -EINVAL, "not a PEM file");
	f->tls.ca = file_of(f, "a\0b", 3);
	assert_load_fails(f, -EINVAL, "not a PEM file");
	f->tls.ca = file_of(f, large, MIB);
	assert_load_fails(f, -EINVAL, "not a PEM file");
	f->tls.ca = file_of(f, large, MIB + 1);
	assert_load_fails(f, -EINVAL, "not a PEM file");
	f->tls.ca = f->path;
	assert_load_fails(f, -EINVAL, "not a PEM file");
	free(large);
}

static void what_cannot_be_used_is_refused_by_name(void **state)
{
	const struct { const char *ca, *certificate, *key; unsigned blamed; } cases[] = {
		{ .ca = "no certificate", .blamed = 0 },
		{ .ca = key, .blamed = 0 },
		{ .certificate = "no certificate", .key = key, .blamed = 0 },
		{ .certificate = certificate, .key = "no key", .blamed = 0 },
		{ .certificate = certificate, .key = key_of_another, .blamed = 0 },
		{ .certificate = key, .key = certificate, .blamed = 0 },
		{ .ca = certificate, .certificate = certificate, .key = key_of_another, .blamed = 1 },
	};
	struct folder *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (cases[i].ca)
			f->tls.ca = TEXT_FILE(f, cases[i].ca);
		if (cases[i].certificate)
			f->tls.certificate = TEXT_FILE(f, cases[i].certificate);
		if (cases[i].key)
			f->tls.key = TEXT_FILE(f, cases[i].key);
		assert_load_fails(f, -EINVAL, f->names[cases[i].blamed]);
	}
}

static int apply(struct folder *f, bool is_tls_url)
{
	struct nats_settings settings = { .tls = f->tls };
	char host[] = "nats.example";
	struct server_name server = { .host = host, .is_tls = is_tls_url };
	natsOptions *options;
	int rc;

	assert_int_equal(natsOptions_Create(&options), NATS_OK);
	rc = nats_tls_apply(&settings, &server, options);
	natsOptions_Destroy(options);
	return rc;
}

/* A registrar that connects anew has long lost the right to read them. */
static void what_was_read_at_the_start_serves_when_the_files_are_gone(void **state)
{
	struct folder *f = *state;

	f->tls.ca = TEXT_FILE(f, certificate);
	f->tls.certificate = TEXT_FILE(f, certificate);
	f->tls.key = TEXT_FILE(f, key);
	assert_loads(f);
	while (f->count)
		remove(f->names[--f->count]);
	assert_string_equal(f->tls.ca_pem, certificate);
	assert_string_equal(f->tls.certificate_pem, certificate);
	assert_string_equal(f->tls.key_pem, key);
	assert_int_equal(apply(f, false), NATS_OK);
	assert_int_equal(apply(f, true), NATS_OK);
}

static void material_that_the_library_refuses_ends_the_attempt(void **state)
{
	struct folder *f = *state;
	char any[] = "/any";

	assert_int_equal(apply(f, true), NATS_OK);
	f->tls.ca = any;
	f->tls.ca_pem = mem_strdup(STR("no certificate"));
	assert_int_not_equal(apply(f, false), NATS_OK);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(without_files_there_is_nothing_to_load),
		IN_FOLDER(a_certificate_without_a_key_is_refused_and_the_other_way_round),
		IN_FOLDER(a_file_that_is_not_there_is_named),
		IN_FOLDER(what_is_no_text_of_a_sane_length_is_no_pem_file),
		IN_FOLDER(what_cannot_be_used_is_refused_by_name),
		IN_FOLDER(what_was_read_at_the_start_serves_when_the_files_are_gone),
		IN_FOLDER(material_that_the_library_refuses_ends_the_attempt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
