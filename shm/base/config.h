/*
 * base/config.h - the configuration file (libconfig syntax) read through tables
 * of settings.  Each process reads its own sections with its own tables.
 * Everything an operator can get wrong ends in a reason that begins with
 * "FILE:LINE: "; an unknown name is an error that says the nearest known one.
 *
 * Sections of the file, at top level: instance, log, access_log, table, master,
 * worker, registrar.  Any other top-level name is an error for everybody.
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include "base/log.h"
#include "base/reason.h"
#include "base/str.h"

struct config;

/* Reads and parses the file.  0, or -errno with a reason and *out NULL. */
int config_open(const char *path, struct config **out, struct reason *reason);
void config_close(struct config *config);

enum setting_kind {
	SETTING_KIND_END,
	SETTING_KIND_MS,              /* uint64_t, milliseconds; written "15s" */
	SETTING_KIND_N,               /* uint64_t */
	SETTING_KIND_BYTES,           /* uint64_t; written 65536 or "64K", "16M", "2G" */
	SETTING_KIND_BOOL,            /* bool */
	SETTING_KIND_TEXT,            /* char *, owned by the struct, never NULL */
	SETTING_KIND_TEXTS,           /* struct texts, owned by the struct */
	SETTING_KIND_CHOICE,          /* int: position in "first|second|third" */
	SETTING_KIND_GROUP,           /* a group that another table reads */
};

struct texts {
	char **items;
	unsigned count;
};

/* One row: where the value goes, its name, default, least and most.  All are
 * written as the operator would write them, so that messages can quote them. */
struct setting {
	enum setting_kind kind;
	size_t offset;
	const char *name, *fallback, *least, *most;
	const char *choices;          /* CHOICE only */
};

#define SETTING_MS(type, field, name, fallback, least, most) \
	{ SETTING_KIND_MS, offsetof(type, field), name, fallback, least, most, NULL }
#define SETTING_N(type, field, name, fallback, least, most) \
	{ SETTING_KIND_N, offsetof(type, field), name, #fallback, #least, #most, NULL }
#define SETTING_BYTES(type, field, name, fallback, least, most) \
	{ SETTING_KIND_BYTES, offsetof(type, field), name, fallback, least, most, NULL }
#define SETTING_BOOL(type, field, name, fallback) \
	{ SETTING_KIND_BOOL, offsetof(type, field), name, fallback, NULL, NULL, NULL }
#define SETTING_TEXT(type, field, name, fallback) \
	{ SETTING_KIND_TEXT, offsetof(type, field), name, fallback, NULL, NULL, NULL }
/* The default of a list is one text with items separated by ','; "" is empty. */
#define SETTING_TEXTS(type, field, name, fallback) \
	{ SETTING_KIND_TEXTS, offsetof(type, field), name, fallback, NULL, NULL, NULL }
#define SETTING_CHOICE(type, field, name, fallback, choices) \
	{ SETTING_KIND_CHOICE, offsetof(type, field), name, fallback, NULL, NULL, choices }
#define SETTING_GROUP(name) \
	{ SETTING_KIND_GROUP, 0, name, NULL, NULL, NULL, NULL }
#define SETTING_END { SETTING_KIND_END, 0, NULL, NULL, NULL, NULL, NULL }

/* Fills *out from the group at `path` ("worker.upstream"; an absent group gives
 * the defaults).  On success the caller frees with settings_free().
 * 0, or -EINVAL with a reason and nothing to free. */
int settings_read(const struct config *config, const char *path, const struct setting *rows,
		void *out, struct reason *reason);

/* The same for element `index` of the list of groups at `path`. */
int settings_read_item(const struct config *config, const char *path, unsigned index,
		     const struct setting *rows, void *out, struct reason *reason);

/* True if the file has something at `path`, of whatever kind. */
bool config_has(const struct config *config, const char *path);

/* Elements of the list at `path`; 0 if it is absent. */
unsigned config_list_length(const struct config *config, const char *path);

/* Frees the texts in *out and clears them. */
void settings_free(const struct setting *rows, void *out);

/* "FILE:LINE" of a setting or, if it is absent, "FILE"; for checks that compare
 * several settings.  The text lives as long as the config, until the next call. */
const char *config_where(const struct config *config, const char *path);

/* What every process of an instance reads (top-level `instance` and `log`). */
struct instance {
	char *name;                   /* names the shared objects: "wye" gives /wye.table */
	int log_level;                /* enum log_level */
	int log_timestamp;            /* 0 rfc3339, 1 unix-epoch */
	char *log_source;             /* prefix of the "source" key */
	char *log_file;               /* "": standard output; opened by the master */
	char *access_log_file;        /* "": no access log; opened by the master */
};
int instance_read(const struct config *config, struct instance *out, struct reason *reason);
void instance_free(struct instance *instance);

/* Points the log of this process at the instance's settings; borrows them. */
void instance_configure_log(const struct instance *instance);

#endif
