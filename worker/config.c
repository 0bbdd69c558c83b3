/*
 * worker/config.c - tables of the worker's settings.
 */
#include "worker/config.h"

#include <errno.h>

#include "base/mem.h"

#include "proxy/access_syslog.h"
#include "worker/config_headers.h"

#define W(KIND, ...) SETTING_##KIND(struct worker_config, __VA_ARGS__)
#define P(KIND, ...) SETTING_##KIND(struct proxy_settings, __VA_ARGS__)
#define U(KIND, ...) SETTING_##KIND(struct upstream_settings, __VA_ARGS__)
#define R(KIND, ...) SETTING_##KIND(struct retry_settings, __VA_ARGS__)
#define A(KIND, ...) SETTING_##KIND(struct access_settings, __VA_ARGS__)
#define B(KIND, ...) SETTING_##KIND(struct balancer_settings, __VA_ARGS__)

static const struct setting worker_rows[] = {
	W(MS, orphan_timeout_ms, "orphan_timeout", "60s", "0s", "1d"),
	SETTING_GROUP("proxy"),
	SETTING_GROUP("retry"),
	SETTING_GROUP("upstream"),
	SETTING_GROUP("balancer"),
	SETTING_GROUP("tls"),
	SETTING_GROUP("access_log"),
	SETTING_END,
};

static const struct setting proxy_rows[] = {
	P(MS, header_timeout_ms, "header_timeout", "60s", "10ms", "1h"),
	P(MS, idle_timeout_ms, "idle_timeout", "900s", "10ms", "1d"),
	P(MS, response_timeout_ms, "response_timeout", "900s", "0s", "1d"),
	P(MS, body_timeout_ms, "body_timeout", "900s", "0s", "1d"),
	P(MS, endpoint_timeout_ms, "endpoint_timeout", "900s", "0s", "1d"),
	P(BOOL, gateway_timeout_504, "gateway_timeout_504", "false"),
	P(BOOL, proxy_status, "proxy_status", "false"),
	P(BOOL, short_router_errors, "short_router_errors", "false"),
	P(MS, drain_idle_ms, "drain_idle", "10s", "0s", "1h"),
	P(BYTES, replay_limit_bytes, "replay_limit", "64K", "0", "16M"),
	P(N, max_connections, "max_connections", 20000, 1, 1000000),
	P(BYTES, buffer_limit_bytes, "buffer_limit", "1G", "1M", "64G"),
	P(BYTES, mux.line_limit, "line_limit", "1028K", "256", "16M"),
	P(BYTES, mux.head_limit, "head_limit", "1028K", "256", "16M"),
	P(N, mux.field_limit, "field_limit", 1000, 1, 100000),
	P(BYTES, max_request_header_bytes, "max_request_header_bytes", "1M", "256", "1M"),
	P(N, max_request_headers, "max_request_headers", 0, 0, 100000),
	P(N, max_response_headers, "max_response_headers", 0, 0, 100000),
	P(BOOL, empty_pool_response_code_503, "empty_pool_response_code_503", "true"),
	P(MS, registry_untrusted_ms, "registry_untrusted_after", "120s", "0s", "1d"),
	P(BOOL, force_forwarded_proto_https, "force_forwarded_proto_https", "false"),
	P(BOOL, sanitize_forwarded_proto, "sanitize_forwarded_proto", "false"),
	P(TEXT, healthcheck_user_agent, "healthcheck_user_agent", "HTTP-Monitor/1.1"),

	P(CHOICE, headers.forwarded_client_cert, "forwarded_client_cert", "always_forward",
	  "always_forward|forward|sanitize_set"),
	P(TEXTS, headers.hop_by_hop_headers_to_filter, "hop_by_hop_headers_to_filter",
	  "X-Forwarded-For,X-Forwarded-Proto,B3,X-B3,X-B3-SpanID,X-B3-TraceID,X-Request-Start,"
	  "X-Forwarded-Client-Cert"),
	P(BOOL, headers.send_http_start_stop_server_event, "send_http_start_stop_server_event",
	  "true"),
	P(TEXTS, headers.sticky_session_cookie_names, "sticky_session_cookie_names", "JSESSIONID"),
	P(BOOL, headers.sticky_sessions_for_auth_negotiate, "sticky_sessions_for_auth_negotiate",
	  "false"),
	P(BOOL, headers.secure_cookies, "secure_cookies", "false"),
	P(TEXT, headers.trace_key, "trace_key", ""),
	SETTING_GROUP("tracing"),
	SETTING_GROUP("http_rewrite"),
	SETTING_END,
};

static const struct setting retry_rows[] = {
	R(TEXT, on_words, "on",
	  "connect-failure,tls-failure,reset-before-request,reset,refused-stream"),
	R(TEXT, code_words, "retriable_status_codes", ""),
	R(N, attempts, "attempts", 3, 1, 10),
	R(MS, per_try_timeout_ms, "per_try_timeout", "0s", "0s", "1d"),
	R(MS, time_budget_ms, "time_budget", "60s", "0s", "1d"),
	R(N, budget_percent, "budget_percent", 20, 0, 100),
	R(N, min_retry_concurrency, "min_retry_concurrency", 3, 0, 1000000),
	R(BOOL, non_idempotent, "non_idempotent", "false"),
	SETTING_END,
};

static const struct setting upstream_rows[] = {
	U(MS, connect_timeout_ms, "connect_timeout", "5s", "1ms", "10m"),
	U(MS, idle_timeout_ms, "idle_timeout", "60s", "10ms", "1h"),
	U(N, max_idle, "max_idle", 4096, 1, 1000000),
	U(BYTES, mux.line_limit, "line_limit", "1M", "256", "16M"),
	U(BYTES, mux.head_limit, "head_limit", "10M", "256", "16M"),
	U(N, mux.field_limit, "field_limit", 10000, 1, 100000),
	SETTING_GROUP("tls"),
	SETTING_END,
};

static const struct setting balancer_rows[] = {
	B(CHOICE, algorithm, "algorithm", "round-robin", "round-robin|least-connection"),
	B(N, max_conns, "max_conns", 500, 0, 1000000),
	B(MS, failed_ms, "failed_time", "30s", "0s", "1h"),
	B(TEXT, zone, "zone", ""),
	B(CHOICE, zone_preference, "zone_preference", "none", "none|locally-optimistic"),
	SETTING_END,
};

static int read_retry(const struct config *file, struct retry_settings *out, struct reason *reason)
{
	struct str fault;
	int rc = settings_read(file, "worker.retry", retry_rows, out, reason);

	if (rc < 0 || retry_settings_parse(out, &fault))
		return rc;
	rc = reason_set(reason, -EINVAL, "%s: \"worker.retry\" does not know \"%.*s\"",
			config_where(file, "worker.retry"), STR_ARG(fault));
	settings_free(retry_rows, out);
	return rc;
}


static const struct setting access_rows[] = {
	A(CHOICE, format, "format", "gorouter", "gorouter|json"),
	A(TEXTS, extra_fields, "extra_access_log_fields", ""),
	A(TEXTS, extra_headers, "extra_headers_to_log", ""),
	A(BOOL, disable_log_forwarded_for, "disable_log_forwarded_for", "false"),
	A(BOOL, disable_log_source_ip, "disable_log_source_ip", "false"),
	A(CHOICE, redact_query_params, "redact_query_params", "none", "none|all|hash"),
	A(BOOL, enable_streaming, "enable_streaming", "false"),
	A(CHOICE, syslog_network, "syslog_network", "udp", SYSLOG_NETWORKS),
	A(TEXT, syslog_addr, "syslog_addr", "127.0.0.1:514"),
	A(TEXT, syslog_tag, "syslog_tag", "vcap.gorouter"),
	A(CHOICE, syslog_form, "syslog_form", "rfc5424", "rfc5424|gorouter"),
	A(CHOICE, syslog_framing, "syslog_framing", "newline", "newline|octet-counting"),
	A(BYTES, syslog_truncate, "syslog_truncate", "0", "0", "64K"),
	A(BYTES, syslog_buffer_bytes, "syslog_buffer", "1M", "128K", "64M"),
	SETTING_END,
};

static int read_access_log(const struct config *file, struct access_settings *out,
			   struct reason *reason)
{
	struct reason fault;
	int rc = settings_read(file, "worker.access_log", access_rows, out, reason);

	if (rc < 0)
		return rc;
	rc = access_settings_check(out, &fault);
	if (rc == 0)
		return 0;
	settings_free(access_rows, out);
	return reason_set(reason, rc, "%s: \"worker.access_log\": %s",
			  config_where(file, "worker.access_log"), fault.text);
}

static void add_text(struct texts *texts, const char *text)
{
	texts->items = mem_resize(texts->items, (texts->count + 1) * sizeof(*texts->items));
	texts->items[texts->count++] = mem_strdup(str_of(text));
}

/* What tracing reads and writes is logged with it (spec proxy 5.2, 5.3). */
static void log_tracing(const struct header_settings *headers, struct access_settings *access_log)
{
	static const char *const zipkin[] = { "X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId",
					      "b3" };
	static const char *const w3c[] = { "traceparent", "tracestate" };

	for (size_t i = 0; headers->enable_zipkin && i < ARRAY_SIZE(zipkin); i++)
		add_text(&access_log->extra_headers, zipkin[i]);
	for (size_t i = 0; headers->enable_w3c && i < ARRAY_SIZE(w3c); i++)
		add_text(&access_log->extra_headers, w3c[i]);
}

/* In order; what was read before a fault is freed by the caller. */
static int read_groups(const struct config *file, struct worker_config *out,
		       struct reason *reason)
{
	int rc;

	if ((rc = settings_read(file, "worker", worker_rows, out, reason)) < 0 ||
	    (rc = settings_read(file, "worker.proxy", proxy_rows, &out->proxy, reason)) < 0 ||
	    (rc = read_retry(file, &out->proxy.retry, reason)) < 0 ||
	    (rc = config_headers_read(file, &out->proxy.headers, reason)) < 0 ||
	    (rc = settings_read(file, "worker.upstream", upstream_rows, &out->upstream, reason)) < 0 ||
	    (rc = settings_read(file, "worker.balancer", balancer_rows, &out->balancer, reason)) < 0 ||
	    (rc = tls_config_read(file, &out->tls, reason)) < 0 ||
	    (rc = read_access_log(file, &out->access_log, reason)) < 0)
		return rc;
	out->upstream.handshake_timeout_ms = out->tls.back.handshake_timeout_ms;
	log_tracing(&out->proxy.headers, &out->access_log);
	return 0;
}

int worker_config_read(const char *path, struct worker_config *out, struct reason *reason)
{
	struct config *file;
	int rc = config_open(path, &file, reason);

	*out = (struct worker_config){ 0 };
	if (rc < 0)
		return rc;
	rc = instance_read(file, &out->instance, reason);
	if (rc == 0 && (rc = read_groups(file, out, reason)) < 0)
		worker_config_free(out);
	config_close(file);
	return rc;
}

void worker_config_free(struct worker_config *config)
{
	tls_config_free(&config->tls);
	settings_free(access_rows, &config->access_log);
	settings_free(balancer_rows, &config->balancer);
	settings_free(upstream_rows, &config->upstream);
	config_headers_free(&config->proxy.headers);
	settings_free(retry_rows, &config->proxy.retry);
	settings_free(proxy_rows, &config->proxy);
	settings_free(worker_rows, config);
	instance_free(&config->instance);
}
