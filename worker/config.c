/*
 * worker/config.c - tables of the worker's settings.
 */
#include "worker/config.h"

#include "proxy/access_syslog.h"

#define W(KIND, ...) SETTING_##KIND(struct worker_config, __VA_ARGS__)
#define P(KIND, ...) SETTING_##KIND(struct proxy_settings, __VA_ARGS__)
#define U(KIND, ...) SETTING_##KIND(struct upstream_settings, __VA_ARGS__)
#define A(KIND, ...) SETTING_##KIND(struct access_settings, __VA_ARGS__)
#define B(KIND, ...) SETTING_##KIND(struct balancer_settings, __VA_ARGS__)

static const struct setting worker_rows[] = {
	W(MS, orphan_timeout_ms, "orphan_timeout", "60s", "0s", "1d"),
	SETTING_GROUP("proxy"),
	SETTING_GROUP("upstream"),
	SETTING_GROUP("balancer"),
	SETTING_GROUP("access_log"),
	SETTING_END,
};

static const struct setting proxy_rows[] = {
	P(MS, header_timeout_ms, "header_timeout", "60s", "10ms", "1h"),
	P(MS, idle_timeout_ms, "idle_timeout", "900s", "10ms", "1d"),
	P(MS, response_timeout_ms, "response_timeout", "900s", "0s", "1d"),
	P(MS, body_timeout_ms, "body_timeout", "900s", "0s", "1d"),
	P(MS, drain_idle_ms, "drain_idle", "10s", "0s", "1h"),
	P(N, max_attempts, "max_attempts", 3, 1, 10),
	P(BYTES, replay_limit_bytes, "replay_limit", "64K", "0", "16M"),
	P(N, max_connections, "max_connections", 20000, 1, 1000000),
	P(BYTES, buffer_limit_bytes, "buffer_limit", "1G", "1M", "64G"),
	P(BYTES, mux.line_limit, "line_limit", "1M", "256", "16M"),
	P(BYTES, mux.head_limit, "head_limit", "1028K", "256", "16M"),
	P(N, mux.field_limit, "field_limit", 1000, 1, 100000),
	P(BYTES, max_request_header_bytes, "max_request_header_bytes", "1M", "256", "1M"),
	P(N, max_request_headers, "max_request_headers", 0, 0, 100000),
	P(BOOL, empty_pool_response_code_503, "empty_pool_response_code_503", "true"),
	P(BOOL, force_forwarded_proto_https, "force_forwarded_proto_https", "false"),
	P(BOOL, sanitize_forwarded_proto, "sanitize_forwarded_proto", "false"),
	P(TEXT, healthcheck_user_agent, "healthcheck_user_agent", "HTTP-Monitor/1.1"),
	SETTING_END,
};

static const struct setting upstream_rows[] = {
	U(MS, connect_timeout_ms, "connect_timeout", "5s", "1ms", "10m"),
	U(MS, idle_timeout_ms, "idle_timeout", "60s", "10ms", "1h"),
	U(N, max_idle, "max_idle", 4096, 1, 1000000),
	U(BYTES, mux.line_limit, "line_limit", "1M", "256", "16M"),
	U(BYTES, mux.head_limit, "head_limit", "10M", "256", "16M"),
	U(N, mux.field_limit, "field_limit", 10000, 1, 100000),
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

static int read_groups(const struct config *file, struct worker_config *out,
		       struct reason *reason)
{
	int rc;

	if ((rc = settings_read(file, "worker", worker_rows, out, reason)) < 0)
		return rc;
	if ((rc = settings_read(file, "worker.proxy", proxy_rows, &out->proxy, reason)) < 0)
		goto free_worker;
	if ((rc = settings_read(file, "worker.upstream", upstream_rows, &out->upstream, reason)) < 0)
		goto free_proxy;
	if ((rc = settings_read(file, "worker.balancer", balancer_rows, &out->balancer, reason)) < 0)
		goto free_upstream;
	if ((rc = read_access_log(file, &out->access_log, reason)) < 0)
		goto free_balancer;
	return 0;
free_balancer:
	settings_free(balancer_rows, &out->balancer);
free_upstream:
	settings_free(upstream_rows, &out->upstream);
free_proxy:
	settings_free(proxy_rows, &out->proxy);
free_worker:
	settings_free(worker_rows, out);
	return rc;
}

int worker_config_read(const char *path, struct worker_config *out, struct reason *reason)
{
	struct config *file;
	int rc = config_open(path, &file, reason);

	if (rc < 0)
		return rc;
	rc = instance_read(file, &out->instance, reason);
	if (rc == 0) {
		rc = read_groups(file, out, reason);
		if (rc < 0)
			instance_free(&out->instance);
	}
	config_close(file);
	return rc;
}

void worker_config_free(struct worker_config *config)
{
	settings_free(access_rows, &config->access_log);
	settings_free(balancer_rows, &config->balancer);
	settings_free(upstream_rows, &config->upstream);
	settings_free(proxy_rows, &config->proxy);
	settings_free(worker_rows, config);
	instance_free(&config->instance);
}
