/*
 * registrar/config.c - tables of the registrar's settings, and the checks that
 * compare several of them.
 */
#include "registrar/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "registrar/nats_tls.h"
#include "registrar/sources.h"

#define R(KIND, ...) SETTING_##KIND(struct registrar_settings, __VA_ARGS__)
#define T(KIND, ...) SETTING_##KIND(struct nats_tls_settings, __VA_ARGS__)
#define N(KIND, ...) SETTING_##KIND(struct nats_settings, __VA_ARGS__)

static const struct setting registrar_rows[] = {
	SETTING_GROUP("nats"),
	R(MS, minimum_register_interval_ms, "minimum_register_interval", "20s", "1s", "1h"),
	R(MS, droplet_stale_threshold_ms, "droplet_stale_threshold", "120s", "1s", "1d"),
	R(MS, prune_interval_ms, "prune_interval", "30s", "100ms", "1h"),
	R(BOOL, suspend_pruning_if_nats_unavailable, "suspend_pruning_if_nats_unavailable", "true"),
	R(MS, empty_pool_timeout_ms, "empty_pool_timeout", "0s", "0s", "1d"),
	R(N, prune_alarm_apps, "prune_alarm_apps", 5, 0, 16),
	R(MS, digest_interval_ms, "digest_interval", "20s", "0s", "1h"),
	R(N, divergence_routes, "divergence_routes", 10, 0, 1000000),
	R(N, divergence_permille, "divergence_permille", 5, 0, 1000),
	R(N, divergence_cycles, "divergence_cycles", 2, 0, 1000),
	R(MS, tls_stale_threshold_ms, "tls_stale_threshold", "0s", "0s", "1d"),
	R(N, brake_percent, "brake_percent", 1, 0, 100),
	R(N, brake_endpoints, "brake_endpoints", 50, 1, 1000000),
	R(N, brake_cell_percent, "brake_cell_percent", 50, 0, 100),
	R(MS, hold_limit_ms, "hold_limit", "1d", "1s", "30d"),
	R(N, routes_per_endpoint, "routes_per_endpoint", 10000, 0, 10000000),
	R(N, routes_per_host, "routes_per_host", 50000, 0, 10000000),
	R(TEXTS, isolation_segments, "isolation_segments", ""),
	R(CHOICE, sharding, "routing_table_sharding_mode", "all",
	  "all|shared-and-segments|segments"),
	R(TEXT, snapshot_directory, "snapshot_directory", "/var/lib/wye"),
	R(MS, snapshot_interval_ms, "snapshot_interval", "10s", "100ms", "1d"),
	R(MS, snapshot_max_age_ms, "snapshot_max_age", "24h", "1s", "365d"),
	R(N, index, "index", 0, 0, 1000000),
	SETTING_END,
};

static const struct setting nats_rows[] = {
	N(TEXTS, servers, "servers", "nats://127.0.0.1:4222"),
	N(TEXT, user, "user", ""),
	N(TEXT, password, "password", ""),
	N(MS, ping_interval_ms, "ping_interval", "5s", "100ms", "10m"),
	N(MS, connect_timeout_ms, "connect_timeout", "2s", "100ms", "1m"),
	N(BYTES, pending_limit, "pending_limit", "1G", "64K", "16G"),
	N(CHOICE, union_mode, "union", "full", "full|standby"),
	N(MS, probe_interval_ms, "probe_interval", "2s", "50ms", "1m"),
	N(N, probe_misses, "probe_misses", 3, 1, 100),
	N(MS, source_quiet_ms, "source_quiet", "45s", "100ms", "1d"),
	N(MS, source_degraded_ms, "source_degraded", "60s", "100ms", "1d"),
	N(MS, down_after_ms, "down_after", "2s", "0s", "1h"),
	N(MS, slow_lag_ms, "slow_lag", "2s", "50ms", "1h"),
	N(N, slow_pending_percent, "slow_pending_percent", 25, 1, 100),
	N(MS, start_interval_ms, "start_interval", "60s", "0s", "1h"),
	N(MS, start_jitter_ms, "start_jitter", "2s", "0s", "1m"),
	SETTING_GROUP("tls"),
	SETTING_END,
};

static const struct setting tls_rows[] = {
	T(TEXT, ca, "ca", ""),
	T(TEXT, certificate, "certificate", ""),
	T(TEXT, key, "key", ""),
	T(TEXT, server_name, "server_name", ""),
	SETTING_END,
};

/* A name or an IPv4 address, or an IPv6 address in brackets. */
static bool is_host(struct str host)
{
	bool is_v6 = host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']';
	const char *others = is_v6 ? ":.%" : "-._";

	if (is_v6)
		host = str_sub(host, 1, host.len - 2);
	for (size_t i = 0; i < host.len; i++)
		if (!isalnum((unsigned char)host.p[i]) && !strchr(others, host.p[i]))
			return false;
	return host.len > 0 && (!is_v6 || str_find_char(host, ':') >= 0);
}

/* "nats://[user:password@]host:port" or tls://; what comes before '@' is secret. */
static bool is_nats_url(struct str url)
{
	ssize_t at, colon;
	uint64_t port;

	if (str_has_prefix(url, STR("nats://")))
		url = str_sub(url, 7, STR_REST);
	else if (str_has_prefix(url, STR("tls://")))
		url = str_sub(url, 6, STR_REST);
	else
		return false;
	if (str_find(url, STR("://")) >= 0)
		return false;         /* several in one text */
	while ((at = str_find_char(url, '@')) >= 0)
		url = str_sub(url, (size_t)at + 1, STR_REST);
	for (colon = (ssize_t)url.len - 1; colon >= 0 && url.p[colon] != ':'; colon--)
		;
	return colon >= 0 && is_host(str_sub(url, 0, (size_t)colon)) &&
	       str_parse_u64(str_sub(url, (size_t)colon + 1, STR_REST), &port) &&
	       port >= 1 && port <= UINT16_MAX;
}

static int check_servers(const struct config *file, const struct texts *servers,
			 struct reason *reason)
{
	for (unsigned i = 0; i < servers->count; i++)
		if (!is_nats_url(str_of(servers->items[i])))
			return reason_set(reason, -EINVAL,
					  "%s: server %u of \"registrar.nats.servers\" is not "
					  "nats://[USER:PASSWORD@]HOST:PORT",
					  config_where(file, "registrar.nats.servers"), i + 1);
	return 0;
}

static int check(const struct config *file, const struct registrar_config *config,
		 struct reason *reason)
{
	if (config->nats.servers.count == 0)
		return reason_set(reason, -EINVAL, "%s: \"registrar.nats.servers\" is empty",
				  config_where(file, "registrar.nats.servers"));
	if (config->settings.sharding == SHARDING_SEGMENTS &&
	    config->settings.isolation_segments.count == 0)
		return reason_set(reason, -EINVAL,
				  "%s: sharding mode \"segments\" needs \"isolation_segments\"",
				  config_where(file, "registrar.routing_table_sharding_mode"));
	if (config->nats.servers.count > SOURCES_MAX)
		return reason_set(reason, -EINVAL,
				  "%s: \"registrar.nats.servers\" has more than %d servers",
				  config_where(file, "registrar.nats.servers"), SOURCES_MAX);
	return check_servers(file, &config->nats.servers, reason);
}

static void free_tls(struct nats_tls_settings *tls)
{
	free(tls->ca_pem);
	free(tls->certificate_pem);
	if (tls->key_pem)
		explicit_bzero(tls->key_pem, strlen(tls->key_pem));
	free(tls->key_pem);
	settings_free(tls_rows, tls);
}

static int read_tls(const struct config *file, struct nats_tls_settings *tls,
		    struct reason *reason)
{
	struct reason why;
	int rc = settings_read(file, "registrar.nats.tls", tls_rows, tls, reason);

	if (rc < 0)
		return rc;
	tls->ca_pem = tls->certificate_pem = tls->key_pem = NULL;
	if ((rc = nats_tls_load(tls, &why)) == 0)
		return 0;
	reason_set(reason, rc, "%s: registrar.nats.tls: %s",
		   config_where(file, "registrar.nats.tls"), why.text);
	free_tls(tls);
	return rc;
}

static int read_all(const struct config *file, struct registrar_config *out, struct reason *reason)
{
	int rc;

	if ((rc = instance_read(file, &out->instance, reason)) < 0)
		return rc;
	if ((rc = settings_read(file, "registrar", registrar_rows, &out->settings, reason)) < 0)
		goto free_instance;
	if ((rc = settings_read(file, "registrar.nats", nats_rows, &out->nats, reason)) < 0)
		goto free_settings;
	if ((rc = check(file, out, reason)) < 0)
		goto free_nats;
	if ((rc = read_tls(file, &out->nats.tls, reason)) == 0)
		return 0;
free_nats:
	settings_free(nats_rows, &out->nats);
free_settings:
	settings_free(registrar_rows, &out->settings);
free_instance:
	instance_free(&out->instance);
	return rc;
}

int registrar_config_read(const char *path, struct registrar_config *out, struct reason *reason)
{
	struct config *file;
	int rc = config_open(path, &file, reason);

	if (rc < 0)
		return rc;
	rc = read_all(file, out, reason);
	config_close(file);
	if (rc < 0)
		return rc;
	/* Emitters repeat every interval; a shorter lifetime would age out all of them. */
	out->is_threshold_raised = out->settings.droplet_stale_threshold_ms <
				   out->settings.minimum_register_interval_ms;
	if (out->is_threshold_raised)
		out->settings.droplet_stale_threshold_ms =
			out->settings.minimum_register_interval_ms;
	return 0;
}

void registrar_config_free(struct registrar_config *config)
{
	free_tls(&config->nats.tls);
	settings_free(nats_rows, &config->nats);
	settings_free(registrar_rows, &config->settings);
	instance_free(&config->instance);
}
