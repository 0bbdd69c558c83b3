/*
 * registrar/config.h - the registrar's own section of the configuration file.
 * Read once at start; a reload starts a new registrar.
 */
#ifndef REGISTRAR_CONFIG_H
#define REGISTRAR_CONFIG_H

#include "base/config.h"

enum sharding { SHARDING_ALL, SHARDING_SHARED_AND_SEGMENTS, SHARDING_SEGMENTS };

enum union_mode { UNION_FULL, UNION_STANDBY };

/* TLS is enforced as soon as one of these is given, or by a tls:// URL. */
struct nats_tls_settings {
	char *ca, *certificate, *key; /* files */
	char *server_name;            /* "": the host of the URL */
	char *ca_pem, *certificate_pem, *key_pem;     /* what they held at start; NULL: no file */
};

struct nats_settings {
	struct texts servers;
	char *user, *password;
	uint64_t ping_interval_ms, connect_timeout_ms, pending_limit;
	uint64_t probe_interval_ms, probe_misses;
	uint64_t source_quiet_ms, source_degraded_ms, down_after_ms;
	uint64_t slow_lag_ms, slow_pending_percent;
	uint64_t start_interval_ms, start_jitter_ms;
	int union_mode;               /* enum union_mode */
	struct nats_tls_settings tls;
};

/* True if every connection must be encrypted. */
static inline bool nats_requires_tls(const struct nats_settings *settings)
{
	return *settings->tls.ca || *settings->tls.certificate;
}

struct registrar_settings {
	uint64_t minimum_register_interval_ms, droplet_stale_threshold_ms, prune_interval_ms;
	uint64_t empty_pool_timeout_ms, index, prune_alarm_apps;
	uint64_t digest_interval_ms, divergence_routes, divergence_permille, divergence_cycles;
	uint64_t tls_stale_threshold_ms, hold_limit_ms;
	uint64_t brake_percent, brake_endpoints, brake_cell_percent;
	uint64_t routes_per_endpoint, routes_per_host;
	bool suspend_pruning_if_nats_unavailable;
	struct texts isolation_segments;
	char *snapshot_directory;
	uint64_t snapshot_interval_ms, snapshot_max_age_ms;
	int sharding;                 /* enum sharding */
};

struct registrar_config {
	struct instance instance;
	struct registrar_settings settings;
	struct nats_settings nats;
	bool is_threshold_raised;     /* droplet_stale_threshold was less than the interval */
};

/* 0, or -EINVAL (-errno) with a reason and nothing to free. */
int registrar_config_read(const char *path, struct registrar_config *out, struct reason *reason);
void registrar_config_free(struct registrar_config *config);

#endif
