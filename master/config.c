/*
 * master/config.c - the master's settings.
 */
#include "master/config.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

#define C struct master_config

static const struct setting table_rows[] = {
	SETTING_BYTES(C, arena_bytes,    "size",         "256M", "4M",  "16G"),
	SETTING_N    (C, worker_slots,   "worker_slots", 16,     2,     56),
	SETTING_BYTES(C, log_ring_bytes, "log_ring",     "256K", "64K", "16M"),
	SETTING_BYTES(C, history_bytes,  "history_size", "8M",   "64K", "4G"),
	SETTING_BOOL (C, keep_table,     "keep",         "false"),
	SETTING_END
};

static const struct setting master_rows[] = {
	SETTING_TEXT (C, user,                 "user",                 "nobody"),
	SETTING_TEXT (C, group,                "group",                ""),
	SETTING_TEXT (C, pid_file,             "pid_file",             ""),
	SETTING_TEXT (C, programs,             "programs",             ""),
	SETTING_N    (C, workers,              "workers",              0,      0,     28),
	SETTING_N    (C, open_files,           "open_files",           65536,  0,     1048576),
	SETTING_BOOL (C, daemonize,            "daemonize",            "false"),
	SETTING_MS   (C, drain_wait_ms,        "drain_wait",           "0s",   "0s",   "1h"),
	SETTING_MS   (C, drain_timeout_ms,     "drain_timeout",        "60s",  "10ms", "1d"),
	SETTING_MS   (C, stop_timeout_ms,      "stop_timeout",         "5s",   "10ms", "10m"),
	SETTING_MS   (C, start_timeout_ms,     "start_timeout",        "30s",  "10ms", "10m"),
	SETTING_MS   (C, start_delay_ms,       "start_delay",          "20s",  "0s",   "10m"),
	SETTING_MS   (C, stuck_timeout_ms,     "worker_stuck_timeout", "10s",  "0s",   "1h"),
	SETTING_MS   (C, restart_delay_min_ms, "restart_delay_min",    "100ms", "1ms", "1m"),
	SETTING_MS   (C, restart_delay_max_ms, "restart_delay_max",    "10s",  "1ms",  "10m"),
	SETTING_MS   (C, ticket_key_ms,        "ticket_key_lifetime",  "12h",  "1s",   "7d"),
	SETTING_GROUP("listeners"),
	SETTING_END
};
#undef C

struct listener_row {
	int kind;
	char *address;
	uint64_t backlog;
};
#define LISTENER_KINDS "http|status|https"
static const char *const listener_kinds[] = { "http", "status", "https" };

static const struct setting listener_rows[] = {
	SETTING_CHOICE(struct listener_row, kind,    "kind",    "http", LISTENER_KINDS),
	SETTING_TEXT  (struct listener_row, address, "address", ""),
	SETTING_N     (struct listener_row, backlog, "backlog", 4096, 1, 65535),
	SETTING_END
};

static int add_listener(struct master_config *config, const struct listener_row *row,
			const char *where, struct reason *reason)
{
	struct listener_setting *out = &config->listeners[config->listener_count];
	struct reason why;

	if (addr_parse(str_of(row->address), &out->addr, &why) < 0)
		return reason_set(reason, -EINVAL, "%s: \"master.listeners\" address \"%s\": %s", where,
				  row->address, why.text);
	if (addr_port(&out->addr) == 0)
		return reason_set(reason, -EINVAL, "%s: \"master.listeners\" address \"%s\" has no port",
				  where, row->address);
	for (unsigned i = 0; i < config->listener_count; i++)
		if (addr_equal(&out->addr, &config->listeners[i].addr))
			return reason_set(reason, -EINVAL, "%s: \"master.listeners\" has %s twice",
					  where, row->address);
	str_copy_z(str_of(listener_kinds[row->kind]), out->kind, sizeof(out->kind));
	str_copy_z(str_of(where), out->where, sizeof(out->where));
	out->backlog = (unsigned)row->backlog;
	config->listener_count++;
	return 0;
}

/* The worker would find out too, but only once it runs. */
static int check_certificates(const struct config *file, const struct master_config *config,
			      struct reason *reason)
{
	for (unsigned i = 0; i < config->listener_count; i++)
		if (str_equal(str_of(config->listeners[i].kind), STR("https")) &&
		    !config_list_length(file, "worker.tls.certificates"))
			return reason_set(reason, -EINVAL, "%s: a listener of kind \"https\" needs "
					  "\"worker.tls.certificates\"",
					  config->listeners[i].where);
	return 0;
}

static int read_listener(const struct config *file, unsigned index, struct master_config *config,
			 struct reason *reason)
{
	struct listener_row row = { 0 };
	char path[64];
	int rc = settings_read_item(file, "master.listeners", index, listener_rows, &row, reason);

	if (rc < 0)
		return rc;
	snprintf(path, sizeof(path), "master.listeners.[%u]", index);
	rc = add_listener(config, &row, config_where(file, path), reason);
	settings_free(listener_rows, &row);
	return rc;
}

static int read_listeners(const struct config *file, struct master_config *config,
			  struct reason *reason)
{
	static const struct listener_row defaults[] = {
		{ 0, "0.0.0.0:8081", 4096 }, { 1, "0.0.0.0:8080", 4096 },
	};
	unsigned count = config_list_length(file, "master.listeners");
	int rc = 0;

	if (count == 0 && config_has(file, "master.listeners"))
		return reason_set(reason, -EINVAL,
				  "%s: \"master.listeners\" must be a list of one or more groups: ( { ... } )",
				  config_where(file, "master.listeners"));
	if (count > PROCESS_LISTENERS_MAX)
		return reason_set(reason, -EINVAL, "%s: \"master.listeners\" has more than %d entries",
				  config_where(file, "master.listeners"), PROCESS_LISTENERS_MAX);
	for (unsigned i = 0; rc == 0 && i < count; i++)
		rc = read_listener(file, i, config, reason);
	for (size_t i = 0; rc == 0 && count == 0 && i < ARRAY_SIZE(defaults); i++)
		rc = add_listener(config, &defaults[i], config_where(file, "master"), reason);
	return rc < 0 ? rc : check_certificates(file, config, reason);
}

/* Accounts are looked up even when we are not root: a typo should not wait for
 * the day it is deployed. */
static int find_user(const struct config *file, struct master_config *config, struct reason *reason)
{
	/* cppcheck-suppress getpwnamCalled ; the master has one thread */
	const struct passwd *user = getpwnam(config->user);
	const struct group *group;

	if (!user)
		return reason_set(reason, -EINVAL, "%s: \"master.user\": there is no user \"%s\"",
				  config_where(file, "master.user"), config->user);
	config->uid = user->pw_uid;
	config->gid = user->pw_gid;
	if (!*config->group)
		return 0;
	/* cppcheck-suppress getgrnamCalled ; the master has one thread */
	group = getgrnam(config->group);
	if (!group)
		return reason_set(reason, -EINVAL, "%s: \"master.group\": there is no group \"%s\"",
				  config_where(file, "master.group"), config->group);
	config->gid = group->gr_gid;
	return 0;
}

/* Two generations must fit side by side, or no reload could ever succeed. */
static int fit_workers(const struct config *file, struct master_config *config,
		       struct reason *reason)
{
	uint64_t most = config->worker_slots / 2;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (config->workers == 0)
		config->workers = cpus < 1 ? 1 : (uint64_t)cpus > most ? most : (uint64_t)cpus;
	if (config->workers <= most)
		return 0;
	return reason_set(reason, -EINVAL,
			  "%s: \"master.workers\" is %llu, but \"table.worker_slots\" = %llu holds two "
			  "generations of at most %llu", config_where(file, "master.workers"),
			  (unsigned long long)config->workers,
			  (unsigned long long)config->worker_slots, (unsigned long long)most);
}

static int check_table(const struct config *file, const struct master_config *config,
		       struct reason *reason)
{
	if (config->arena_bytes % (2u << 20))
		return reason_set(reason, -EINVAL, "%s: \"table.size\" must be a multiple of 2M",
				  config_where(file, "table.size"));
	if (config->log_ring_bytes & (config->log_ring_bytes - 1))
		return reason_set(reason, -EINVAL, "%s: \"table.log_ring\" must be a power of two",
				  config_where(file, "table.log_ring"));
	if (config->history_bytes % 4096)
		return reason_set(reason, -EINVAL, "%s: \"table.history_size\" must be a multiple of 4K",
				  config_where(file, "table.history_size"));
	return 0;
}

static int check_master(const struct config *file, const struct master_config *config,
			struct reason *reason)
{
	if (config->restart_delay_max_ms < config->restart_delay_min_ms)
		return reason_set(reason, -EINVAL,
				  "%s: \"master.restart_delay_max\" is less than \"restart_delay_min\"",
				  config_where(file, "master.restart_delay_max"));
	if (config->stuck_timeout_ms && config->stuck_timeout_ms < 2000)
		return reason_set(reason, -EINVAL,
				  "%s: \"master.worker_stuck_timeout\" must be \"0s\" (off) or at least "
				  "\"2s\": a healthy worker shows itself once a second",
				  config_where(file, "master.worker_stuck_timeout"));
	if (config->daemonize && !*config->instance.log_file)
		return reason_set(reason, -EINVAL,
				  "%s: \"master.daemonize\" needs \"log.file\": a daemon has no terminal",
				  config_where(file, "master.daemonize"));
	return 0;
}

/* Beside our own binary in a build tree; PREFIX/lib/wye once installed. */
static void find_programs(struct master_config *config)
{
	char self[PATH_MAX], path[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (*config->programs)
		return;
	free(config->programs);
	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	snprintf(path, sizeof(path), "%s/wye-worker", self);
	if (access(path, X_OK) == 0) {
		config->programs = mem_strdup(str_of(self));
		return;
	}
	snprintf(path, sizeof(path), "%s/../lib/wye", self);
	config->programs = mem_strdup(str_of(path));
}

static int read_sections(const struct config *file, struct master_config *config,
			 struct reason *reason)
{
	int rc;

	if ((rc = instance_read(file, &config->instance, reason)) < 0 ||
	    (rc = settings_read(file, "table", table_rows, config, reason)) < 0 ||
	    (rc = settings_read(file, "master", master_rows, config, reason)) < 0)
		return rc;
	if ((rc = check_table(file, config, reason)) < 0 ||
	    (rc = check_master(file, config, reason)) < 0 ||
	    (rc = fit_workers(file, config, reason)) < 0 ||
	    (rc = find_user(file, config, reason)) < 0 ||
	    (rc = read_listeners(file, config, reason)) < 0)
		return rc;
	find_programs(config);
	return 0;
}

int master_config_load(const char *path, struct master_config **out, struct reason *reason)
{
	struct master_config *config;
	struct config *file;
	int rc = config_open(path, &file, reason);

	*out = NULL;
	if (rc < 0)
		return rc;
	config = mem_zalloc(sizeof(*config));
	config->path = realpath(path, NULL);
	if (!config->path)
		config->path = mem_strdup(str_of(path));
	rc = read_sections(file, config, reason);
	config_close(file);
	if (rc < 0) {
		master_config_free(config);
		return rc;
	}
	*out = config;
	return 0;
}

void master_config_free(struct master_config *config)
{
	if (!config)
		return;
	settings_free(table_rows, config);
	settings_free(master_rows, config);
	instance_free(&config->instance);
	free(config->path);
	free(config);
}

int master_config_can_replace(const struct master_config *old, const struct master_config *new,
			      struct reason *reason)
{
	const struct {
		const char *name;
		bool is_same;
	} fixed[] = {
		{ "instance",           strcmp(old->instance.name, new->instance.name) == 0 },
		{ "table.size",         old->arena_bytes == new->arena_bytes },
		{ "table.worker_slots", old->worker_slots == new->worker_slots },
		{ "table.log_ring",     old->log_ring_bytes == new->log_ring_bytes },
		{ "table.history_size", old->history_bytes == new->history_bytes },
		{ "master.pid_file",    strcmp(old->pid_file, new->pid_file) == 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		if (!fixed[i].is_same)
			return reason_set(reason, -EINVAL,
					  "%s: \"%s\" cannot change in a reload; restart instead",
					  new->path, fixed[i].name);
	return 0;
}

struct region_spec master_config_region(const struct master_config *config)
{
	return (struct region_spec){
		.instance = config->instance.name,
		.arena_bytes = config->arena_bytes,
		.worker_slots = (unsigned)config->worker_slots,
		.log_ring_bytes = (uint32_t)config->log_ring_bytes,
		.history_bytes = config->history_bytes,
	};
}

void master_config_program(const struct master_config *config, const char *name, char *out,
			   size_t cap)
{
	snprintf(out, cap, "%s/%s", config->programs, name);
}
