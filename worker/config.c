/*
 * worker/config.c - tables of the worker's settings.
 */
#include "worker/config.h"

#include <errno.h>

#define W(KIND, ...) SETTING_##KIND(struct worker_config, __VA_ARGS__)
#define P(KIND, ...) SETTING_##KIND(struct proxy_settings, __VA_ARGS__)
#define U(KIND, ...) SETTING_##KIND(struct upstream_settings, __VA_ARGS__)
#define R(KIND, ...) SETTING_##KIND(struct retry_settings, __VA_ARGS__)
#define B(KIND, ...) SETTING_##KIND(struct balancer_settings, __VA_ARGS__)

static const struct setting worker_rows[] = {
	W(MS, orphan_timeout_ms, "orphan_timeout", "60s", "0s", "1d"),
	SETTING_GROUP("proxy"),
	SETTING_GROUP("retry"),
	SETTING_GROUP("upstream"),
	SETTING_GROUP("balancer"),
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

static int read_groups(const struct config *file, struct worker_config *out,
		       struct reason *reason)
{
	int rc;

	if ((rc = settings_read(file, "worker", worker_rows, out, reason)) < 0)
		return rc;
	if ((rc = settings_read(file, "worker.proxy", proxy_rows, &out->proxy, reason)) < 0)
		goto free_worker;
	if ((rc = read_retry(file, &out->proxy.retry, reason)) < 0)
		goto free_proxy;
	if ((rc = settings_read(file, "worker.upstream", upstream_rows, &out->upstream, reason)) < 0)
		goto free_retry;
	if ((rc = settings_read(file, "worker.balancer", balancer_rows, &out->balancer, reason)) < 0)
		goto free_upstream;
	return 0;
free_upstream:
	settings_free(upstream_rows, &out->upstream);
free_retry:
	settings_free(retry_rows, &out->proxy.retry);
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
	settings_free(balancer_rows, &config->balancer);
	settings_free(upstream_rows, &config->upstream);
	settings_free(retry_rows, &config->proxy.retry);
	settings_free(proxy_rows, &config->proxy);
	settings_free(worker_rows, config);
	instance_free(&config->instance);
}
