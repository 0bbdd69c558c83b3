/*
 * net/tls_server.c - our side of TLS towards clients: which certificate, which
 * protocol, whose tickets.
 */
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "base/mem.h"
#include "net/tls_conn.h"
#include "net/tls_index.h"
#include "net/tls_material.h"
#include "net/tls_name.h"

#define TICKET_LIFE_S 7200
#define CLIENT_CA_SENT_MAX 100
#define KEY_TYPES 8                   /* more than OpenSSL can sign with in TLS */

struct served {
	struct tls_certificate certificate;
	struct tls_names *names;      /* owned */
};

struct tls_server {
	unsigned refs;                /* its creator and its connections */
	SSL_CTX *ctx;
	struct served *served;        /* owned, in the order of the settings */
	size_t served_count;
	size_t firsts[KEY_TYPES];     /* the first served of each type of key, in their order */
	size_t first_count;
	struct tls_index index;       /* names to served */
	enum tls_alpn alpn;
	struct subject_rules *rules;  /* owned */
	const struct tls_ticket_keys *ticket_keys;    /* borrowed; NULL: no tickets */
	EVP_CIPHER *ticket_cipher;
};

static struct tls_server *server_of(const SSL *ssl)
{
	return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

/* --- which certificate */

static bool sigalgs_allow(SSL *ssl, int key_type)
{
	int count = SSL_get_shared_sigalgs(ssl, 0, NULL, NULL, NULL, NULL, NULL), sign;

	for (int i = 0; i < count; i++) {
		SSL_get_shared_sigalgs(ssl, i, &sign, NULL, NULL, NULL, NULL);
		if (sign == key_type || (sign == EVP_PKEY_RSA_PSS && key_type == EVP_PKEY_RSA))
			return true;
	}
	return count <= 0;            /* said nothing: TLS 1.2 without the extension */
}

/* TLS 1.3 suites leave the key open, older ones name it. */
static bool ciphers_allow(SSL *ssl, int key_type)
{
	STACK_OF(SSL_CIPHER) *offered = SSL_get_client_ciphers(ssl);
	bool is_13 = SSL_version(ssl) >= TLS1_3_VERSION;

	for (int i = 0; i < sk_SSL_CIPHER_num(offered); i++) {
		int auth = SSL_CIPHER_get_auth_nid(sk_SSL_CIPHER_value(offered, i));

		if (auth == NID_auth_any ? is_13 : !is_13 && auth == (key_type == EVP_PKEY_EC ?
						   NID_auth_ecdsa : NID_auth_rsa))
			return true;
	}
	return false;
}

static int key_type(const struct served *served)
{
	return EVP_PKEY_get_base_id(served->certificate.key);
}

static bool client_supports(SSL *ssl, const struct served *served)
{
	int type = key_type(served);

	if (type == EVP_PKEY_ED25519 || type == EVP_PKEY_ED448)
		return sigalgs_allow(ssl, type);
	return sigalgs_allow(ssl, type) && ciphers_allow(ssl, type);
}

/* Of those named so the last whose key the client can use; if it can use none of
 * them, the last. */
static const struct served *find_named(SSL *ssl, struct tls_server *server, struct str name)
{
	size_t count;
	const struct tls_named *named = tls_index_find(&server->index, name, &count);

	for (size_t i = 0; i < count; i++)
		if (client_supports(ssl, &server->served[named[i].certificate]))
			return &server->served[named[i].certificate];
	return count ? &server->served[named->certificate] : NULL;
}

static const struct served *choose(SSL *ssl, struct tls_server *server)
{
	struct str name = str_of(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
	const struct served *found = find_named(ssl, server, name);

	for (size_t i = 0; !found && i < server->first_count; i++)
		if (client_supports(ssl, &server->served[server->firsts[i]]))
			found = &server->served[server->firsts[i]];
	return found ? found : &server->served[0];
}

static int on_certificate(SSL *ssl, void *context)
{
	struct tls_server *server = context;
	const struct tls_certificate *it;

	if (server->served_count == 1)
		return 1;             /* the context has it */
	it = &choose(ssl, server)->certificate;
	SSL_certs_clear(ssl);         /* the context has one of each kind */
	return SSL_use_cert_and_key(ssl, it->leaf, it->key, it->chain, 1);
}

static int on_server_name(SSL *ssl, int *alert, void *context)
{
	(void)ssl;
	(void)alert;
	(void)context;
	return SSL_TLSEXT_ERR_OK;     /* known or not; said so that sessions remember it */
}

/* --- which protocol */

static void blame_protocols(struct tls *tls, struct str offered)
{
	struct arena arena;
	struct str list = STR("");

	arena_init(&arena, NULL, 0);
	while (offered.len) {
		struct str one = str_sub(offered, 1, (uint8_t)offered.p[0]);

		list = arena_format(&arena, "%.*s%s%.*s", STR_ARG(list), list.len ? " " : "",
				    STR_ARG(one));
		offered = str_sub(offered, 1 + one.len, STR_REST);
	}
	tls_set_fault(tls, TLS_FAULT_NO_PROTOCOL, "tls: client requested unsupported application "
		      "protocols ([%.*s])", STR_ARG(list));
	arena_fini(&arena);
}

static int on_protocols(SSL *ssl, const unsigned char **out, unsigned char *out_len,
			const unsigned char *in, unsigned in_len, void *context)
{
	struct str ours = tls_alpn_list(((const struct tls_server *)context)->alpn);
	unsigned char *chosen;

	if (SSL_select_next_proto(&chosen, out_len, (const unsigned char *)ours.p,
				  (unsigned)ours.len, in, in_len) == OPENSSL_NPN_NEGOTIATED) {
		*out = chosen;
		return SSL_TLSEXT_ERR_OK;
	}
	blame_protocols(tls_of(ssl), (struct str){ (const char *)in, in_len });
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* --- tickets */

static int arm_mac(EVP_MAC_CTX *mac, const struct tls_ticket_key *key)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->mac,
						  sizeof(key->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "sha256", 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params);
}

static int seal(const struct tls_server *server, const struct tls_ticket_key *key,
		unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	memcpy(name, key->name, sizeof(key->name));
	random_bytes(iv, 16);
	return EVP_EncryptInit_ex2(cipher, server->ticket_cipher, key->cipher, iv, NULL) &&
	       arm_mac(mac, key);
}

static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
		     EVP_MAC_CTX *mac, int is_sealing)
{
	const struct tls_server *server = server_of(ssl);
	const struct tls_ticket_key *key = NULL;
	struct tls_ticket_keys keys;
	int rc = 0;

	if (!server->ticket_keys || !tls_ticket_keys_read(server->ticket_keys, &keys))
		return 0;
	if (is_sealing)
		return seal(server, &keys.current, name, iv, cipher, mac);
	if (memcmp(name, keys.current.name, sizeof(keys.current.name)) == 0)
		key = &keys.current;
	else if (memcmp(name, keys.previous.name, sizeof(keys.previous.name)) == 0)
		key = &keys.previous;
	if (key && EVP_DecryptInit_ex2(cipher, server->ticket_cipher, key->cipher, iv, NULL) &&
	    arm_mac(mac, key))
		/* 2: and a new ticket, please; of TLS 1.3 clients use each but once */
		rc = key == &keys.current && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
	explicit_bzero(&keys, sizeof(keys));
	return rc;
}

/* A session does not outlive the client's certificate. */
static SSL_TICKET_RETURN on_ticket_opened(SSL *ssl, SSL_SESSION *session,
					  const unsigned char *name, size_t name_len,
					  SSL_TICKET_STATUS status, void *context)
{
	X509 *peer = session ? SSL_SESSION_get0_peer(session) : NULL;
	time_t now = time(NULL);

	(void)ssl;
	(void)name;
	(void)name_len;
	(void)context;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (peer && X509_cmp_time(X509_get0_notAfter(peer), &now) <= 0)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

void tls_server_set_ticket_keys(struct tls_server *server, const struct tls_ticket_keys *keys)
{
	server->ticket_keys = keys;
	SSL_CTX_set_num_tickets(server->ctx, keys ? 1 : 0);
	if (keys)
		SSL_CTX_clear_options(server->ctx, SSL_OP_NO_TICKET);
	else
		SSL_CTX_set_options(server->ctx, SSL_OP_NO_TICKET);
}

/* --- from settings */

/* A session is resumed only under the rules it was begun under: they are hashed
 * into what OpenSSL calls its context. */
static void bind_sessions(const struct tls_server *server,
			  const struct tls_server_settings *settings, STACK_OF(X509) *authorities)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	uint8_t flags[2] = { (uint8_t)settings->client_auth, settings->only_trust_client_ca_files };

	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	EVP_DigestUpdate(md, flags, sizeof(flags));
	for (int i = 0; i < sk_X509_num(authorities); i++) {
		unsigned char one[EVP_MAX_MD_SIZE];

		if (X509_digest(sk_X509_value(authorities, i), EVP_sha256(), one, &len))
			EVP_DigestUpdate(md, one, len);
	}
	for (size_t i = 0; i < settings->rule_count; i++) {
		const struct tls_subject_rule *rule = &settings->rules[i];

		EVP_DigestUpdate(md, rule->issuer, strlen(rule->issuer) + 1);
		for (size_t j = 0; j < rule->subject_count; j++)
			EVP_DigestUpdate(md, rule->subjects[j], strlen(rule->subjects[j]) + 1);
	}
	EVP_DigestFinal_ex(md, digest, &len);
	EVP_MD_CTX_free(md);
	SSL_CTX_set_session_id_context(server->ctx, digest, len);
}

/* With the system's roots anybody may have signed: then no list is sent, and
 * clients offer what they have. */
static void name_authorities(SSL_CTX *ctx, STACK_OF(X509) *authorities)
{
	STACK_OF(X509_NAME) *list = sk_X509_NAME_new_null();

	for (int i = 0; i < sk_X509_num(authorities) && i < CLIENT_CA_SENT_MAX; i++) {
		X509 *one = sk_X509_value(authorities, i);

		sk_X509_NAME_push(list, X509_NAME_dup(X509_get_subject_name(one)));
	}
	SSL_CTX_set_client_CA_list(ctx, list);
}

static int load_client_auth(struct tls_server *server, const struct tls_server_settings *settings,
			    struct reason *reason)
{
	bool is_asking = settings->client_auth != TLS_CLIENT_AUTH_NONE;
	bool with_system = is_asking && !settings->only_trust_client_ca_files;
	STACK_OF(X509) *authorities = NULL;
	int rc;

	if (is_asking && !with_system && !settings->client_ca_count)
		return reason_set(reason, -EINVAL, "client certificates are asked for, but no CA "
				  "is trusted to sign them");
	rc = tls_trust(server->ctx, settings->client_ca_files, settings->client_ca_count,
		       with_system, &authorities, reason);
	server->rules = rc ? NULL : subject_rules_create(settings->rules, settings->rule_count,
							 reason);
	if (rc == 0)
		rc = server->rules ? subject_rules_check(server->rules, authorities, reason) :
				     -EINVAL;
	if (rc == 0) {
		bind_sessions(server, settings, authorities);
		if (is_asking && !with_system)
			name_authorities(server->ctx, authorities);
		SSL_CTX_set_verify(server->ctx, !is_asking ? SSL_VERIFY_NONE : SSL_VERIFY_PEER |
				   (settings->client_auth == TLS_CLIENT_AUTH_REQUIRE ?
				    SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
	}
	sk_X509_pop_free(authorities, X509_free);
	return rc;
}

/* Whether a client can use a certificate depends on its type of key alone: an unknown
 * name asks one of each. */
static void note_first_of_type(struct tls_server *server, size_t number)
{
	for (size_t i = 0; i < server->first_count; i++)
		if (key_type(&server->served[server->firsts[i]]) ==
		    key_type(&server->served[number]))
			return;
	if (server->first_count < KEY_TYPES)
		server->firsts[server->first_count++] = number;
}

/* Its DNS names; its common name if it has none. */
static size_t list_names(const struct served *served, size_t number, struct tls_named *out)
{
	size_t count = tls_names_count(served->names);

	for (size_t i = 0; i < count; i++)
		out[i] = (struct tls_named){ tls_names_dns(served->names, i), number };
	if (!count)
		*out = (struct tls_named){ tls_common_name(served->certificate.leaf), number };
	return count ? count : 1;
}

static void index_names(struct tls_server *server)
{
	struct tls_named *all;
	size_t room = 0, count = 0;

	for (size_t i = 0; i < server->served_count; i++)
		room += tls_names_count(server->served[i].names) + 1;
	all = mem_alloc(room * sizeof(*all));
	for (size_t i = 0; i < server->served_count; i++) {
		count += list_names(&server->served[i], i, all + count);
		note_first_of_type(server, i);
	}
	tls_index_init(&server->index, all, count);
}

static int load_certificates(struct tls_server *server, const struct tls_server_settings *settings,
			     struct reason *reason)
{
	int rc = 0;

	if (!settings->certificate_count)
		return reason_set(reason, -EINVAL, "TLS needs at least one certificate");
	server->served = mem_zalloc(settings->certificate_count * sizeof(*server->served));
	for (size_t i = 0; i < settings->certificate_count && rc == 0; i++) {
		struct served *served = &server->served[i];

		rc = tls_certificate_load(&served->certificate, &settings->certificates[i], reason);
		if (rc)
			break;
		server->served_count++;
		served->names = tls_names_create(served->certificate.leaf);
		/* each goes through the context once, which knows what it refuses */
		rc = tls_certificate_use(&served->certificate, server->ctx,
					 settings->certificates[i].chain, reason);
	}
	if (rc == 0)
		index_names(server);
	return rc;
}

static void set_callbacks(struct tls_server *server)
{
	SSL_CTX *ctx = server->ctx;

	SSL_CTX_set_app_data(ctx, server);
	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_cert_cb(ctx, on_certificate, server);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
	if (server->alpn != TLS_ALPN_NONE)
		SSL_CTX_set_alpn_select_cb(ctx, on_protocols, server);
	SSL_CTX_set_cert_verify_callback(ctx, tls_verify_peer, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_timeout(ctx, TICKET_LIFE_S);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
	SSL_CTX_set_session_ticket_cb(ctx, NULL, on_ticket_opened, NULL);
	tls_server_set_ticket_keys(server, NULL);
}

struct tls_server *tls_server_create(const struct tls_server_settings *settings,
				     struct reason *reason)
{
	struct tls_server *server = mem_zalloc(sizeof(*server));
	int rc;

	server->refs = 1;
	server->alpn = settings->alpn;
	server->ctx = SSL_CTX_new(TLS_server_method());
	server->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	rc = server->ctx && server->ticket_cipher ? 0 :
		     reason_set(reason, -ENOMEM, "OpenSSL cannot make a context");
	if (rc == 0)
		rc = tls_limits(server->ctx, settings->min_version, settings->max_version,
				settings->ciphers, reason);
	if (rc == 0)
		rc = load_certificates(server, settings, reason);
	if (rc == 0)
		rc = load_client_auth(server, settings, reason);
	if (rc) {
		tls_server_destroy(server);
		return NULL;
	}
	set_callbacks(server);
	return server;
}

void tls_server_destroy(struct tls_server *server)
{
	if (server)
		tls_server_end(server);
}

SSL *tls_server_begin(struct tls_server *server)
{
	SSL *ssl = SSL_new(server->ctx);

	server->refs++;
	if (ssl)
		SSL_set_accept_state(ssl);
	return ssl;
}

void tls_server_end(struct tls_server *server)
{
	if (--server->refs)
		return;
	for (size_t i = 0; i < server->served_count; i++) {
		tls_names_destroy(server->served[i].names);
		tls_certificate_fini(&server->served[i].certificate);
	}
	free(server->served);
	tls_index_fini(&server->index);
	subject_rules_destroy(server->rules);
	EVP_CIPHER_free(server->ticket_cipher);
	SSL_CTX_free(server->ctx);
	free(server);
}

const struct subject_rules *tls_server_rules(const struct tls_server *server)
{
	return server->rules;
}
