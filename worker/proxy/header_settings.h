/*
 * proxy/header_settings.h - what operators say about header fields: the part of
 * the proxy's settings that worker/config_headers.c reads and the steps obey.
 */
#ifndef PROXY_HEADER_SETTINGS_H
#define PROXY_HEADER_SETTINGS_H

#include "base/config.h"
#include "proxy/rewrite.h"

enum forwarded_client_cert {          /* in the order of the setting's choices */
	CERT_ALWAYS_FORWARD,          /* the field is passed on as it came */
	CERT_FORWARD,                 /* only from a client with a certificate */
	CERT_SANITIZE_SET,            /* never; ours says what the certificate is */
};

struct header_settings {
	int forwarded_client_cert;
	struct texts hop_by_hop_headers_to_filter;
	bool send_http_start_stop_server_event;
	struct texts sticky_session_cookie_names;     /* of apps; these begin sessions */
	bool sticky_sessions_for_auth_negotiate;
	bool secure_cookies;          /* our own always say Secure */
	char *trace_key;              /* "": nobody is told about the way of a request */
	bool enable_zipkin, enable_w3c;       /* tracing.* */
	char *w3c_tenant_id;
	struct rewrite_settings responses;    /* http_rewrite.responses */
};

#endif
