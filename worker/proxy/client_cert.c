/*
 * proxy/client_cert.c - X-Forwarded-Client-Cert: what the app learns about the
 * client's certificate (spec proxy 5.11).
 */
#include "net/tls.h"
#include "proxy/steps.h"

/* A copy, because the connection may go before the request is logged. */
static struct str certificate_text(struct exchange *x)
{
	return arena_copy(&x->arena, conn_peer_certificate(x->client_conn));
}

/* Sent as a PEM body without its line ends. */
bool step_forward_client_cert(struct exchange *x)
{
	int mode = x->proxy->settings->headers.forwarded_client_cert;
	bool has_certificate;

	if (mode == CERT_ALWAYS_FORWARD)
		return true;
	has_certificate = x->is_tls && conn_has_peer_certificate(x->client_conn);
	if (mode == CERT_FORWARD && has_certificate)
		return true;
	http_head_remove(&x->request, STR("X-Forwarded-Client-Cert"));
	if (mode == CERT_SANITIZE_SET && has_certificate)
		http_head_add(&x->request, STR("X-Forwarded-Client-Cert"),
			      certificate_text(x));
	return true;
}
