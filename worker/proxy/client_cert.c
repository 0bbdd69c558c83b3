/*
 * proxy/client_cert.c - X-Forwarded-Client-Cert: what the app learns about the
 * client's certificate (spec proxy 5.11).
 */
#include "proxy/steps.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Base64 of RFC 4648 with padding: a PEM body without its line ends. */
static struct str base64(struct arena *arena, struct str der)
{
	const unsigned char *from = (const unsigned char *)der.p, *end = from + der.len;
	char *text = arena_alloc(arena, (der.len + 2) / 3 * 4), *to = text;

	for (; end - from >= 3; from += 3) {
		*to++ = alphabet[from[0] >> 2];
		*to++ = alphabet[(from[0] & 3) << 4 | from[1] >> 4];
		*to++ = alphabet[(from[1] & 15) << 2 | from[2] >> 6];
		*to++ = alphabet[from[2] & 63];
	}
	if (from < end) {
		unsigned second = end - from > 1 ? from[1] : 0;

		*to++ = alphabet[from[0] >> 2];
		*to++ = alphabet[(from[0] & 3) << 4 | second >> 4];
		*to++ = end - from > 1 ? alphabet[(second & 15) << 2] : '=';
		*to++ = '=';
	}
	return str_range(text, to);
}

bool step_forward_client_cert(struct exchange *x)
{
	int mode = x->proxy->settings->headers.forwarded_client_cert;
	bool has_certificate = x->is_tls && x->client_certificate.len;

	if (mode == CERT_ALWAYS_FORWARD || (mode == CERT_FORWARD && has_certificate))
		return true;
	http_head_remove(&x->request, STR("X-Forwarded-Client-Cert"));
	if (mode == CERT_SANITIZE_SET && has_certificate)
		http_head_add(&x->request, STR("X-Forwarded-Client-Cert"),
			      base64(&x->arena, x->client_certificate));
	return true;
}
