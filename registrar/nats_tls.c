/*
 * registrar/nats_tls.c - TLS to NATS.  Each connection gets a context of its own: the
 * library holds a context's lock during the handshake.
 */
#include "registrar/nats_tls.h"

#include <errno.h>
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define PEM_MOST (1u << 20)

static int read_file(const char *path, char **out, struct reason *reason)
{
	FILE *file;
	size_t len;
	int rc = 0;

	if (!*path)
		return 0;
	file = fopen(path, "re");
	if (!file)
		return reason_set(reason, -errno, "%s: %s", path, strerror(errno));
	*out = mem_alloc(PEM_MOST + 1);
	len = fread(*out, 1, PEM_MOST, file);
	(*out)[len] = '\0';
	if (ferror(file) || len == 0 || len == PEM_MOST || strlen(*out) != len)
		rc = reason_set(reason, -EINVAL, "%s: not a PEM file", path);
	fclose(file);
	if (!rc)
		*out = mem_resize(*out, len + 1);
	return rc;
}

/* The library's own word, without its stack of functions. */
static int refuse(struct reason *reason, const char *path, const char *what)
{
	const char *why = nats_GetLastError(NULL);

	return reason_set(reason, -EINVAL, "%s: %s: %s", path, what,
			  why && *why ? why : "not PEM, or not what it should be");
}

static int try_out(const struct nats_tls_settings *tls, struct reason *reason)
{
	natsOptions *options = NULL;
	int rc = 0;

	if (natsOptions_Create(&options) != NATS_OK)
		return reason_set(reason, -ENOMEM, "no memory");
	if (tls->ca_pem && !strstr(tls->ca_pem, "CERTIFICATE-----"))  /* the library would take it */
		rc = reason_set(reason, -EINVAL, "%s: there is no certificate in it", tls->ca);
	else if (tls->ca_pem && natsOptions_SetCATrustedCertificates(options, tls->ca_pem) != NATS_OK)
		rc = refuse(reason, tls->ca, "no usable certificate");
	else if (tls->key_pem && natsOptions_SetCertificatesChain(options, tls->certificate_pem,
								   tls->key_pem) != NATS_OK)
		rc = refuse(reason, tls->certificate, "unusable, or not of the key");
	natsOptions_Destroy(options);
	return rc;
}

int nats_tls_load(struct nats_tls_settings *tls, struct reason *reason)
{
	int rc;

	if (!*tls->certificate != !*tls->key)
		return reason_set(reason, -EINVAL, "\"certificate\" and \"key\" go together");
	if ((rc = read_file(tls->ca, &tls->ca_pem, reason)) < 0 ||
	    (rc = read_file(tls->certificate, &tls->certificate_pem, reason)) < 0 ||
	    (rc = read_file(tls->key, &tls->key_pem, reason)) < 0)
		return rc;
	return tls->ca_pem || tls->key_pem ? try_out(tls, reason) : 0;
}

bool nats_tls_is_wanted(const struct nats_settings *settings, const struct server_name *server)
{
	return server->is_tls || nats_requires_tls(settings);
}

int nats_tls_apply(const struct nats_settings *settings, const struct server_name *server,
		   natsOptions *options)
{
	const struct nats_tls_settings *tls = &settings->tls;
	natsStatus rc;

	if (!nats_tls_is_wanted(settings, server))
		return NATS_OK;
	rc = natsOptions_SetSecure(options, true);    /* a server without TLS is refused */
	if (rc == NATS_OK && tls->ca_pem)
		rc = natsOptions_SetCATrustedCertificates(options, tls->ca_pem);
	if (rc == NATS_OK && tls->key_pem)
		rc = natsOptions_SetCertificatesChain(options, tls->certificate_pem, tls->key_pem);
	if (rc == NATS_OK)
		rc = natsOptions_SetExpectedHostname(options, *tls->server_name ?
						     tls->server_name : server->host);
	return (int)rc;
}
