/*
 * proxy/verdict.c - the table of failures.
 */
#include "proxy/verdict.h"

#include <stdio.h>

#include "base/must.h"
#include "counters.h"

#define BAD_GATEWAY_BODY "502 Bad Gateway: Registered endpoint failed to handle the request."

/* Short names for the table: what the client gets and what is counted. */
#define BAD_GATEWAY NULL, BAD_GATEWAY_BODY, COUNTER_bad_gateways
#define NO_TLS      NULL, "525 SSL Handshake Failed", COUNTER_backend_tls_handshake_failed
#define WRONG_ID    NULL, "503 Service Unavailable", COUNTER_backend_invalid_id
#define BAD_CERT    NULL, "526 Invalid SSL Certificate", COUNTER_backend_invalid_tls_cert
#define NO_CERT     NULL, "496 SSL Certificate Required", -1
#define BAD_REQUEST "", "400 Bad Request", COUNTER_malformed_requests
#define CANCELLED   NULL, "499 Request Cancelled", COUNTER_client_disconnects
#define TIMED_OUT   NULL, "408 Request Timeout", -1
#define UNAVAILABLE NULL, "503 Service Unavailable", -1
#define BAD_UPGRADE "", "", -1
#define REFUSED(router_error) router_error, NULL, -1

enum {
	NEVER = RETRY_NEVER, IF_SAFE = RETRY_IF_REPLAYABLE, ALWAYS = RETRY_ALWAYS,
	NONE = MARK_NONE, FAILED = MARK_FAILED, PRUNE = MARK_PRUNE,
	NO = ON_NOTHING, CONN = ON_CONNECT_FAILURE, TLS = ON_TLS_FAILURE, RESET = ON_RESET,
	STREAM = ON_REFUSED_STREAM,
};

/* name, flag, RFC 9209 error; status, retried on, retry, endpoint, answer */
static const struct verdict verdicts[FAIL_COUNT] = {
	[FAIL_NONE]                = { "none", "", "",
				       502, NO,     NEVER,   NONE,   BAD_GATEWAY },
	[FAIL_CONNECT]             = { "connect_failed", "UF", "connection_refused",
				       502, CONN,   ALWAYS,  PRUNE,  BAD_GATEWAY },
	[FAIL_CONNECT_TIMEOUT]     = { "connect_timeout", "UF", "connection_timeout",
				       502, CONN,   ALWAYS,  PRUNE,  BAD_GATEWAY },
	[FAIL_RESOLVE]             = { "resolve_failed", "DF", "dns_error",
				       502, CONN,   ALWAYS,  FAILED, BAD_GATEWAY },
	[FAIL_LOCAL]               = { "local_fault", "LR", "proxy_internal_error",
				       502, CONN,   ALWAYS,  NONE,   BAD_GATEWAY },
	[FAIL_TLS_NOT_TLS]         = { "tls_not_tls", "UF", "tls_protocol_error",
				       525, TLS,    ALWAYS,  PRUNE,  NO_TLS },
	[FAIL_TLS_NAME]            = { "tls_wrong_name", "UF", "tls_certificate_error",
				       503, TLS,    ALWAYS,  PRUNE,  WRONG_ID },
	[FAIL_TLS_UNTRUSTED]       = { "tls_untrusted", "UF", "tls_certificate_error",
				       526, TLS,    ALWAYS,  FAILED, BAD_CERT },
	[FAIL_TLS_EXPIRED]         = { "tls_expired", "UF", "tls_certificate_error",
				       526, TLS,    ALWAYS,  FAILED, BAD_CERT },
	[FAIL_TLS_REFUSED_BY_PEER] = { "tls_our_certificate_refused", "UF", "tls_alert_received",
				       496, TLS,    ALWAYS,  FAILED, NO_CERT },
	[FAIL_TLS_HANDSHAKE]       = { "tls_handshake_failed", "UF", "tls_alert_received",
				       525, TLS,    ALWAYS,  FAILED, NO_TLS },
	[FAIL_TLS_TIMEOUT]         = { "tls_timeout", "UF", "connection_timeout",
				       502, TLS,    ALWAYS,  PRUNE,  BAD_GATEWAY },
	[FAIL_TLS_RESET]           = { "tls_reset", "UF", "connection_terminated",
				       502, TLS,    ALWAYS,  FAILED, BAD_GATEWAY },
	[FAIL_REFUSED_STREAM]      = { "stream_refused", "UR", "http_protocol_error",
				       502, STREAM, ALWAYS,  NONE,   BAD_GATEWAY },
	[FAIL_STALE]               = { "stale_connection", "UC", "connection_terminated",
				       502, RESET,  IF_SAFE, NONE,   BAD_GATEWAY },
	[FAIL_RESET_BEFORE_HEAD]   = { "reset_before_response", "UC", "connection_terminated",
				       502, RESET,  IF_SAFE, FAILED, BAD_GATEWAY },
	[FAIL_EOF_BEFORE_HEAD]     = { "closed_before_response", "UC", "connection_terminated",
				       502, RESET,  IF_SAFE, NONE,   BAD_GATEWAY },
	[FAIL_WRITE]               = { "request_not_written", "UC", "connection_terminated",
				       502, RESET,  IF_SAFE, NONE,   BAD_GATEWAY },
	[FAIL_TRUNCATED_HEAD]      = { "truncated_response_head", "UC", "http_response_incomplete",
				       502, NO,     NEVER,   NONE,   BAD_GATEWAY },
	[FAIL_BAD_RESPONSE]        = { "malformed_response", "UPE", "http_protocol_error",
				       502, NO,     NEVER,   NONE,   BAD_GATEWAY },
	[FAIL_RESPONSE_TOO_LARGE]  = { "response_head_too_large", "UPE",
				       "http_response_header_section_size",
				       502, NO,     NEVER,   NONE,   BAD_GATEWAY },
	[FAIL_TOO_MANY_FIELDS]     = { "too_many_response_headers", "UPE",
				       "http_response_header_section_size",
				       502, NO,     NEVER,   NONE,   BAD_GATEWAY },
	[FAIL_UPGRADE]             = { "upgrade_refused", "UPE", "http_upgrade_failed",
				       502, NO,     NEVER,   NONE,   BAD_UPGRADE },
	[FAIL_TRY_TIMEOUT]         = { "per_try_timeout", "UT", "http_response_timeout",
				       502, RESET,  IF_SAFE, NONE,   BAD_GATEWAY },
	[FAIL_RESPONSE_TIMEOUT]    = { "response_timeout", "UT", "http_response_timeout",
				       502, NO,     NEVER,   NONE,   BAD_GATEWAY },
	[FAIL_TOTAL_TIMEOUT]       = { "total_timeout", "UT", "http_response_timeout",
				       502, NO,     NEVER,   NONE,   BAD_GATEWAY },
	[FAIL_TRUNCATED_BODY]      = { "truncated_response_body", "UC", "http_response_incomplete",
				       502, NO,     NEVER,   NONE,   BAD_GATEWAY },
	[FAIL_BAD_BODY]            = { "malformed_response_body", "UPE",
				       "http_response_transfer_coding",
				       502, NO,     NEVER,   NONE,   BAD_GATEWAY },
	[FAIL_IDLE_TIMEOUT]        = { "idle_timeout", "SI", "connection_read_timeout",
				       502, NO,     NEVER,   NONE,   BAD_GATEWAY },
	[FAIL_BAD_REQUEST]         = { "malformed_request", "DPE", "http_request_error",
				       400, NO,     NEVER,   NONE,   BAD_REQUEST },
	[FAIL_BAD_REQUEST_BODY]    = { "malformed_request_body", "DPE", "http_request_error",
				       502, NO,     NEVER,   NONE,   BAD_GATEWAY },
	[FAIL_CLIENT_GONE]         = { "client_disconnected", "DC", "http_request_error",
				       499, NO,     NEVER,   NONE,   CANCELLED },
	[FAIL_CLIENT_TIMEOUT]      = { "client_timeout", "SI", "http_request_error",
				       408, NO,     NEVER,   NONE,   TIMED_OUT },
	[FAIL_EMPTY_HOST]          = { "empty_host", "DPE", "http_request_error",
				       400, NO,     NEVER,   NONE,   REFUSED("empty_host") },
	[FAIL_REQUEST_TOO_LARGE]   = { "request_head_too_large", "DPE", "http_request_denied",
				       431, NO,     NEVER,   NONE,
				       REFUSED("max-request-size-exceeded") },
	[FAIL_UNKNOWN_ROUTE]       = { "unknown_route", "NR", "destination_not_found",
				       404, NO,     NEVER,   NONE,   REFUSED("unknown_route") },
	[FAIL_REGISTRY_UNTRUSTED]  = { "registry_untrusted", "NR", "destination_unavailable",
				       503, NO,     NEVER,   NONE,   REFUSED("registry_untrusted") },
	[FAIL_BAD_APP_INSTANCE]    = { "bad_app_instance", "DPE", "http_request_error",
				       400, NO,     NEVER,   NONE,
				       REFUSED("invalid_cf_app_instance_header") },
	[FAIL_BAD_PROCESS_INSTANCE] = { "bad_process_instance", "DPE", "http_request_error",
				       400, NO,     NEVER,   NONE,
				       REFUSED("invalid_cf_process_instance_header") },
	[FAIL_NO_INSTANCE]         = { "no_instance", "NR", "destination_not_found",
				       400, NO,     NEVER,   NONE,   REFUSED("unknown_route") },
	[FAIL_NO_ENDPOINTS]        = { "no_endpoints", "UH", "destination_unavailable",
				       503, NO,     NEVER,   NONE,   REFUSED("no_endpoints") },
	[FAIL_CONNECTION_LIMIT]    = { "connection_limit", "UO", "connection_limit_reached",
				       503, NO,     NEVER,   NONE,
				       REFUSED("Connection Limit Reached") },
	[FAIL_NO_ENDPOINT]         = { "no_endpoint_left", "UH", "destination_unavailable",
				       502, NO,     NEVER,   NONE,   BAD_GATEWAY },
	[FAIL_DRAINED]             = { "drained", "LR", "proxy_internal_error",
				       503, NO,     NEVER,   NONE,   UNAVAILABLE },
	[FAIL_OVERLOAD]            = { "worker_overloaded", "OM", "proxy_internal_error",
				       503, NO,     NEVER,   NONE,   UNAVAILABLE },
};

static const struct { enum retry_on on; const char *name; } conditions[] = {
	{ ON_CONNECT_FAILURE,      "connect-failure" },
	{ ON_TLS_FAILURE,          "tls-failure" },
	{ ON_RESET_BEFORE_REQUEST, "reset-before-request" },
	{ ON_RESET,                "reset" },
	{ ON_REFUSED_STREAM,       "refused-stream" },
	{ ON_GATEWAY_ERROR,        "gateway-error" },
	{ ON_5XX,                  "5xx" },
	{ ON_STATUS_CODES,         "retriable-status-codes" },
};

const char *retry_on_name(enum retry_on on)
{
	for (size_t i = 0; i < ARRAY_SIZE(conditions); i++)
		if (conditions[i].on == on)
			return conditions[i].name;
	return "-";
}

enum retry_on retry_on_find(struct str word)
{
	for (size_t i = 0; i < ARRAY_SIZE(conditions); i++)
		if (str_equal(word, str_of(conditions[i].name)))
			return conditions[i].on;
	return ON_NOTHING;
}

const struct verdict *verdict_of(enum failure failure)
{
	must(failure < FAIL_COUNT);
	return &verdicts[failure];
}

/* Made once: they never change. */
const char *verdict_code(enum failure failure)
{
	static char codes[FAIL_COUNT][48];
	char *code = codes[failure];
	const struct verdict *v = verdict_of(failure);

	if (failure && !code[0])
		snprintf(code, sizeof(codes[0]), "%s:%s", v->flag, v->name);
	return code;
}

enum failure verdict_of_refusal(struct str router_error)
{
	for (int i = 1; router_error.len && i < FAIL_COUNT; i++)
		if (verdicts[i].router_error &&
		    str_equal(router_error, str_of(verdicts[i].router_error)))
			return (enum failure)i;
	return FAIL_NONE;
}

/* "gateway-error" and "5xx" include endpoints that do not answer, as in Envoy. */
bool verdict_allows_retry(enum failure failure, unsigned on, bool is_untouched, bool is_replayable)
{
	const struct verdict *v = verdict_of(failure);
	unsigned wanted = v->on | ON_GATEWAY_ERROR | ON_5XX;

	if (is_untouched && v->on == ON_RESET)
		wanted |= ON_RESET_BEFORE_REQUEST;
	if (v->retry == RETRY_NEVER || !(on & wanted))
		return false;
	return v->retry == RETRY_ALWAYS || is_untouched || is_replayable;
}

bool verdict_is_retriable_status(unsigned status, unsigned on, const uint16_t *codes,
				 unsigned count)
{
	if (on & ON_5XX && status >= 500 && status <= 599)
		return true;
	if (on & ON_GATEWAY_ERROR && status >= 502 && status <= 504)
		return true;
	for (unsigned i = 0; on & ON_STATUS_CODES && i < count; i++)
		if (codes[i] == status)
			return true;
	return false;
}
