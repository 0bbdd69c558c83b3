/*
 * net/tls_client.c - our side of TLS towards endpoints, and the sessions kept for
 * them.  A session is found only by the same target under the same expected
 * name, so that a certificate verified for one is never taken for another.
 */
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <time.h>
#include <urcu/list.h>

#include "base/mem.h"
#include "net/tls_conn.h"
#include "net/tls_material.h"

#define BUCKETS 256

struct kept_session {
	struct cds_list_head in_bucket, in_age;       /* in_age: newest first */
	uint64_t identity;
	char *name;                   /* owned; with ip as in struct tls */
	struct addr ip;
	SSL_SESSION *session;         /* counted */
};

struct tls_client {
	unsigned refs;                /* its creator and its connections */
	SSL_CTX *ctx;
	size_t session_limit, session_count;
	struct cds_list_head ages;
	struct cds_list_head buckets[BUCKETS];
};

static struct cds_list_head *bucket_of(struct tls_client *client, uint64_t identity)
{
	return &client->buckets[(identity * 0x9e3779b97f4a7c15ull) >> 56];
}

static void drop(struct tls_client *client, struct kept_session *kept)
{
	cds_list_del(&kept->in_bucket);
	cds_list_del(&kept->in_age);
	SSL_SESSION_free(kept->session);
	free(kept->name);
	free(kept);
	client->session_count--;
}

static bool is_for(const struct kept_session *kept, const struct tls *tls)
{
	uint8_t a[16] = { 0 }, b[16] = { 0 };

	if (kept->identity != tls->identity || strcmp(kept->name, tls->name) != 0)
		return false;
	if (kept->name[0] || (!kept->ip.len && !tls->ip.len))
		return true;
	if (!kept->ip.len || !tls->ip.len)
		return false;
	addr_to_bytes(&kept->ip, a);
	addr_to_bytes(&tls->ip, b);
	return memcmp(a, b, sizeof(a)) == 0;
}

static struct kept_session *find(struct tls_client *client, const struct tls *tls)
{
	struct kept_session *kept;

	cds_list_for_each_entry(kept, bucket_of(client, tls->identity), in_bucket)
		if (is_for(kept, tls))
			return kept;
	return NULL;
}

void tls_client_forget(struct tls_client *client, const struct tls *tls)
{
	struct kept_session *kept = tls->identity ? find(client, tls) : NULL;

	if (kept)
		drop(client, kept);
}

/* The certificate that was verified may have run out since. */
static bool is_usable(SSL_SESSION *session)
{
	X509 *peer = SSL_SESSION_get0_peer(session);
	time_t now = time(NULL);

	return SSL_SESSION_is_resumable(session) && peer &&
	       X509_cmp_time(X509_get0_notAfter(peer), &now) > 0 &&
	       SSL_SESSION_get_time(session) + SSL_SESSION_get_timeout(session) > now;
}

static void resume(struct tls_client *client, struct tls *tls, SSL *ssl)
{
	struct kept_session *kept = tls->identity ? find(client, tls) : NULL;
	SSL_SESSION *copy;

	if (!kept)
		return;
	if (!is_usable(kept->session)) {
		drop(client, kept);
		return;
	}
	cds_list_del(&kept->in_age);
	cds_list_add(&kept->in_age, &client->ages);
	copy = SSL_SESSION_dup(kept->session);        /* TLS 1.3 spoils what it used */
	if (copy)
		SSL_set_session(ssl, copy);
	SSL_SESSION_free(copy);
	tls->resumed = copy;
}

/* Takes the session over. */
static void keep(struct tls_client *client, const struct tls *tls, SSL_SESSION *session)
{
	struct kept_session *kept;

	tls_client_forget(client, tls);
	if (client->session_count == client->session_limit)
		drop(client, cds_list_entry(client->ages.prev, struct kept_session, in_age));
	kept = mem_zalloc(sizeof(*kept));
	kept->identity = tls->identity;
	kept->name = mem_strdup(str_of(tls->name));
	kept->ip = tls->ip;
	kept->session = session;
	cds_list_add(&kept->in_age, &client->ages);
	cds_list_add(&kept->in_bucket, bucket_of(client, kept->identity));
	client->session_count++;
}

/* Returns 1 if it keeps the session, which then is ours to free. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *tls = tls_of(ssl);

	if (!tls->identity || !tls->client->session_limit)
		return 0;
	keep(tls->client, tls, session);
	return 1;
}

/* OpenSSL says nothing of a ticket that TLS 1.2 renewed while it resumed. */
void tls_client_done(const struct tls *tls)
{
	SSL_SESSION *session = SSL_get0_session(tls->ssl);

	if (tls->identity && SSL_session_reused(tls->ssl) &&
	    SSL_version(tls->ssl) < TLS1_3_VERSION && session != tls->resumed &&
	    on_session(tls->ssl, session))
		SSL_SESSION_up_ref(session);
}

size_t tls_client_session_count(const struct tls_client *client)
{
	return client->session_count;
}

static int load(struct tls_client *client, const struct tls_client_settings *settings,
		struct reason *reason)
{
	STACK_OF(X509) *authorities = NULL;
	struct tls_certificate own;
	int rc = tls_limits(client->ctx, settings->min_version, settings->max_version,
			    settings->ciphers, reason);

	if (rc == 0) {
		rc = tls_trust(client->ctx, settings->ca_files, settings->ca_count,
			       !settings->only_trust_ca_files, &authorities, reason);
		sk_X509_pop_free(authorities, X509_free);
	}
	if (rc == 0 && settings->certificate.chain) {
		rc = tls_certificate_load(&own, &settings->certificate, reason);
		if (rc)
			return rc;
		rc = tls_certificate_use(&own, client->ctx, settings->certificate.chain, reason);
		tls_certificate_fini(&own);
	}
	return rc;
}

struct tls_client *tls_client_create(const struct tls_client_settings *settings,
				     struct reason *reason)
{
	struct tls_client *client = mem_zalloc(sizeof(*client));

	client->refs = 1;
	client->session_limit = settings->session_limit;
	CDS_INIT_LIST_HEAD(&client->ages);
	for (size_t i = 0; i < BUCKETS; i++)
		CDS_INIT_LIST_HEAD(&client->buckets[i]);
	client->ctx = SSL_CTX_new(TLS_client_method());
	if (!client->ctx)
		reason_set(reason, -ENOMEM, "OpenSSL cannot make a context");
	if (!client->ctx || load(client, settings, reason) < 0) {
		tls_client_destroy(client);
		return NULL;
	}
	SSL_CTX_set_verify(client->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(client->ctx, tls_verify_peer, NULL);
	SSL_CTX_set_session_cache_mode(client->ctx, SSL_SESS_CACHE_CLIENT |
				       SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(client->ctx, on_session);
	return client;
}

void tls_client_destroy(struct tls_client *client)
{
	if (client)
		tls_client_end(client);
}

SSL *tls_client_begin(struct tls_client *client, struct tls *tls, enum tls_alpn alpn)
{
	SSL *ssl = SSL_new(client->ctx);
	struct str protocols = tls_alpn_list(alpn), name = str_of(tls->name);
	struct addr ip;

	client->refs++;
	if (!ssl)
		return NULL;
	SSL_set_connect_state(ssl);
	if (name.len && name.p[name.len - 1] != '.' && !addr_from_ip(name, 0, &ip))
		SSL_set_tlsext_host_name(ssl, tls->name);
	if (protocols.len)
		SSL_set_alpn_protos(ssl, (const unsigned char *)protocols.p,
				    (unsigned)protocols.len);
	resume(client, tls, ssl);
	return ssl;
}

void tls_client_end(struct tls_client *client)
{
	if (--client->refs)
		return;
	while (!cds_list_empty(&client->ages))
		drop(client, cds_list_first_entry(&client->ages, struct kept_session, in_age));
	SSL_CTX_free(client->ctx);
	free(client);
}
