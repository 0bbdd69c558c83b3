/*
 * net/tls_material.c - certificates, keys, trusted roots, versions and ciphers.
 */
#include "net/tls_material.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "net/tls_system.h"

/* Cheap ones first, as Go does: AES-128 has no known weakness that AES-256 mends. */
#define GOOD_CIPHERS "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
		     "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
		     "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GOOD_SUITES  "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define ALL_CIPHERS  "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
#define ALL_SUITES   "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:" \
		     "TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256"
#define GROUPS       "X25519:P-256:P-384:P-521"
#define READ_AHEAD   (SSL3_RT_MAX_PLAIN_LENGTH + 512)     /* a record in one recv(); more costs cache */
#define RSA_BITS_MIN 2048
#define EC_BITS_MIN  224

bool tls_version_parse(struct str name, enum tls_version *version)
{
	static const struct str names[] = {
		[TLS_DEFAULT] = STR_INIT(""), [TLS_1_0] = STR_INIT("TLSv1.0"),
		[TLS_1_1] = STR_INIT("TLSv1.1"), [TLS_1_2] = STR_INIT("TLSv1.2"),
		[TLS_1_3] = STR_INIT("TLSv1.3"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_equal(name, names[i])) {
			*version = (enum tls_version)i;
			return true;
		}
	return false;
}

/* Keys under a pass phrase are refused: nobody could type it. */
static int no_pass_phrase(char *out, int cap, int is_writing, void *unused)
{
	(void)out;
	(void)cap;
	(void)is_writing;
	(void)unused;
	return -1;
}

static BIO *open_file(const char *path, const char *what, struct reason *reason)
{
	FILE *file = path ? fopen(path, "re") : NULL;

	if (!file) {
		reason_set(reason, -errno, "%s %s: %s", what, path ? path : "(none)",
			   path ? strerror(errno) : "no file is named");
		return NULL;
	}
	return BIO_new_fp(file, BIO_CLOSE);
}

/* All certificates of a file; NULL with a reason. */
static STACK_OF(X509) *read_certificates(const char *path, const char *what, struct reason *reason)
{
	BIO *bio = open_file(path, what, reason);
	STACK_OF(X509) *all = sk_X509_new_null();
	X509 *one;
	int why;

	if (!bio || !all) {
		sk_X509_free(all);
		return NULL;
	}
	while ((one = PEM_read_bio_X509(bio, NULL, no_pass_phrase, NULL)))
		sk_X509_push(all, one);
	why = ERR_GET_REASON(ERR_peek_last_error());
	ERR_clear_error();
	BIO_free(bio);
	if (why == PEM_R_NO_START_LINE && sk_X509_num(all))
		return all;
	reason_set(reason, -EINVAL, "%s %s: %s", what, path, why == PEM_R_NO_START_LINE ?
		   "holds no PEM certificate" : "holds a damaged PEM certificate");
	sk_X509_pop_free(all, X509_free);
	return NULL;
}

static EVP_PKEY *read_key(const char *path, struct reason *reason)
{
	BIO *bio = open_file(path, "private key", reason);
	EVP_PKEY *key = NULL;

	if (!bio)
		return NULL;
	key = PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL);
	if (!key)
		reason_set(reason, -EINVAL, "private key %s: holds no PEM key without a pass phrase",
			   path);
	ERR_clear_error();
	BIO_free(bio);
	return key;
}

static int check_dates(X509 *leaf, const char *path, struct reason *reason)
{
	time_t now = time(NULL);
	bool is_past = X509_cmp_time(X509_get0_notAfter(leaf), &now) <= 0;
	bool is_future = X509_cmp_time(X509_get0_notBefore(leaf), &now) > 0;
	struct tm tm;
	char text[32] = "?";

	if (!is_past && !is_future)
		return 0;
	if (ASN1_TIME_to_tm(is_past ? X509_get0_notAfter(leaf) : X509_get0_notBefore(leaf), &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return reason_set(reason, -EINVAL, "certificate %s: %s %s", path,
			  is_past ? "expired at" : "is not valid before", text);
}

static int check_strength(EVP_PKEY *key, const char *path, struct reason *reason)
{
	int type = EVP_PKEY_get_base_id(key), bits = EVP_PKEY_get_bits(key);
	int least = type == EVP_PKEY_RSA || type == EVP_PKEY_RSA_PSS ? RSA_BITS_MIN : EC_BITS_MIN;

	if (bits >= least)
		return 0;
	return reason_set(reason, -EINVAL, "private key %s: %d bits are too weak, at least %d",
			  path, bits, least);
}

int tls_certificate_load(struct tls_certificate *certificate,
			 const struct tls_certificate_files *files, struct reason *reason)
{
	int rc = -EINVAL;

	*certificate = (struct tls_certificate){ NULL, NULL, NULL };
	certificate->chain = read_certificates(files->chain, "certificate", reason);
	if (!certificate->chain)
		return rc;
	certificate->leaf = sk_X509_shift(certificate->chain);
	certificate->key = read_key(files->key, reason);
	if (certificate->key && !X509_check_private_key(certificate->leaf, certificate->key)) {
		ERR_clear_error();
		reason_set(reason, rc, "private key %s: does not belong to certificate %s",
			   files->key, files->chain);
	} else if (certificate->key) {
		rc = check_strength(certificate->key, files->key, reason);
		rc = rc ? rc : check_dates(certificate->leaf, files->chain, reason);
	}
	if (rc)
		tls_certificate_fini(certificate);
	return rc;
}

void tls_certificate_fini(struct tls_certificate *certificate)
{
	X509_free(certificate->leaf);
	sk_X509_pop_free(certificate->chain, X509_free);
	EVP_PKEY_free(certificate->key);
}

int tls_certificate_use(const struct tls_certificate *certificate, SSL_CTX *ctx,
			const char *file, struct reason *reason)
{
	const char *why;

	if (SSL_CTX_use_cert_and_key(ctx, certificate->leaf, certificate->key, certificate->chain,
				     1) == 1)
		return 0;
	why = ERR_reason_error_string(ERR_peek_error());
	reason_set(reason, -EINVAL, "certificate %s: %s", file, why ? why : "cannot be used");
	ERR_clear_error();
	return -EINVAL;
}

int tls_trust(SSL_CTX *ctx, const char *const *files, size_t count, bool with_system,
	      STACK_OF(X509) **authorities, struct reason *reason)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);

	*authorities = sk_X509_new_null();
	/* a named certificate is an anchor, whoever signed it */
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	for (size_t i = 0; i < count; i++) {
		STACK_OF(X509) *more = read_certificates(files[i], "CA file", reason);

		if (!more)
			return -EINVAL;
		while (sk_X509_num(more)) {
			X509 *one = sk_X509_shift(more);

			X509_STORE_add_cert(store, one);
			sk_X509_push(*authorities, one);
		}
		sk_X509_free(more);
	}
	if (with_system)
		tls_trust_system(store);
	ERR_clear_error();
	return 0;
}

static int number_of(enum tls_version version, int otherwise)
{
	static const int numbers[] = {
		0, TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION,
	};

	return version ? numbers[version] : otherwise;
}

/* OpenSSL's name, IANA's, or Go's older one without the hash. */
static bool is_cipher(const SSL_CIPHER *cipher, struct str name)
{
	struct str iana = str_of(SSL_CIPHER_standard_name(cipher));

	return str_equal(name, str_of(SSL_CIPHER_get_name(cipher))) || str_equal(name, iana) ||
	       (str_has_suffix(name, STR("_POLY1305")) && str_has_prefix(iana, name) &&
		str_equal(str_sub(iana, name.len, STR_REST), STR("_SHA256")));
}

static const SSL_CIPHER *find_cipher(STACK_OF(SSL_CIPHER) *all, struct str name)
{
	for (int i = 0; i < sk_SSL_CIPHER_num(all); i++)
		if (is_cipher(sk_SSL_CIPHER_value(all, i), name))
			return sk_SSL_CIPHER_value(all, i);
	return NULL;
}

/* Sorts the list into both kinds, in OpenSSL's names. */
static int sort_ciphers(const char *list, struct arena *arena, struct str *old, struct str *suites,
			struct reason *reason)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	struct str rest = str_of(list), name;
	int rc = 0;

	SSL_CTX_set_ciphersuites(ctx, ALL_SUITES);
	SSL_CTX_set_cipher_list(ctx, ALL_CIPHERS);
	while (rc == 0 && str_next_item(&rest, ':', &name)) {
		const SSL_CIPHER *cipher = find_cipher(SSL_CTX_get_ciphers(ctx), name);
		struct str *into;

		if (!cipher) {
			rc = reason_set(reason, -EINVAL, "unknown cipher suite \"%.*s\"",
					STR_ARG(name));
			break;
		}
		into = SSL_CIPHER_get_kx_nid(cipher) == NID_kx_any ? suites : old;
		*into = arena_format(arena, "%.*s%s%s", STR_ARG(*into), into->len ? ":" : "",
				     SSL_CIPHER_get_name(cipher));
	}
	SSL_CTX_free(ctx);
	return rc;
}

static int set_ciphers(SSL_CTX *ctx, const char *list, struct reason *reason)
{
	struct str old = STR_NONE, suites = STR_NONE;
	struct arena arena;
	bool is_good = true;
	int rc = 0;

	arena_init(&arena, NULL, 0);
	if (list && *list)
		rc = sort_ciphers(list, &arena, &old, &suites, reason);
	if (!old.len)
		old = STR(GOOD_CIPHERS);
	old = arena_format(&arena, "%.*s%s", STR_ARG(old),
			   SSL_CTX_get_min_proto_version(ctx) < TLS1_2_VERSION ? ":@SECLEVEL=0" : "");
	if (rc == 0)
		is_good = SSL_CTX_set_cipher_list(ctx, arena_format(&arena, "%.*s%c",
								     STR_ARG(old), 0).p);
	if (!suites.len)
		suites = STR(GOOD_SUITES);
	if (rc == 0)
		is_good = is_good && SSL_CTX_set_ciphersuites(ctx, arena_format(&arena, "%.*s%c",
									STR_ARG(suites), 0).p);
	if (!is_good)
		rc = reason_set(reason, -EINVAL, "none of the cipher suites \"%s\" can be used", list);
	ERR_clear_error();
	arena_fini(&arena);
	return rc;
}

int tls_limits(SSL_CTX *ctx, enum tls_version min, enum tls_version max, const char *ciphers,
	       struct reason *reason)
{
	int from = number_of(min, TLS1_2_VERSION), to = number_of(max, TLS1_3_VERSION);

	if (from > to)
		return reason_set(reason, -EINVAL,
				  "the least TLS version is above the greatest");
	SSL_CTX_set_min_proto_version(ctx, from);
	SSL_CTX_set_max_proto_version(ctx, to);
	/* an end without close_notify is judged by tls.c; the error would close our
	 * direction too */
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
			    SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, READ_AHEAD);
	SSL_CTX_set1_groups_list(ctx, GROUPS);
	return set_ciphers(ctx, ciphers, reason);
}

struct str tls_alpn_list(enum tls_alpn alpn)
{
	switch (alpn) {
	case TLS_ALPN_HTTP1: return STR("\x08http/1.1");
	case TLS_ALPN_HTTP2: return STR("\x02h2\x08http/1.1");
	default:             return STR("");
	}
}
