/*
 * base/config.c - settings tables over libconfig.
 */
#include "base/config.h"

#include <errno.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

struct config {
	config_t tree;
	char *path;
	char where[512];
};

static const char *const sections[] = {
	"instance", "log", "access_log", "table", "master", "worker", "registrar",
};

/* One value on its way from the file, or from its default, into the struct. */
struct reading {
	const struct config *config;
	const char *group;            /* path of the group, for messages */
	const struct setting *row;
	config_setting_t *value;      /* NULL: the default is taken */
	void *out;
	struct reason *reason;
};

static const char *format_where(const struct config *config, const config_setting_t *setting,
				char *out, size_t cap)
{
	unsigned line = setting ? config_setting_source_line(setting) : 0;
	const char *file = setting ? config_setting_source_file(setting) : NULL;

	if (!file)
		file = config->path;
	if (line)
		snprintf(out, cap, "%s:%u", file, line);
	else
		snprintf(out, cap, "%s", file);
	return out;
}

static const char *nearest(struct str name, const char *const *known, size_t count)
{
	unsigned best = 4;
	const char *found = NULL;

	for (size_t i = 0; i < count; i++) {
		unsigned distance = str_distance(name, str_of(known[i]));
		bool contains = name.len >= 4 && strstr(known[i], name.p) != NULL;

		if (contains && distance > 3)
			distance = 3;
		if (distance < best) {
			best = distance;
			found = known[i];
		}
	}
	return found;
}

static int refuse_name(const struct config *config, const char *group,
		       const config_setting_t *setting, const char *const *known, size_t count,
		       struct reason *reason)
{
	const char *name = config_setting_name(setting);
	const char *guess = nearest(str_of(name), known, count);
	char where[512];

	format_where(config, setting, where, sizeof(where));
	if (guess)
		return reason_set(reason, -EINVAL, "%s: unknown setting \"%s%s%s\"; did you mean \"%s\"?",
				  where, group, *group ? "." : "", name, guess);
	return reason_set(reason, -EINVAL, "%s: unknown setting \"%s%s%s\"; known here: %s, ... (see wye.conf)",
			  where, group, *group ? "." : "", name, count ? known[0] : "nothing");
}

static int check_sections(const struct config *config, struct reason *reason)
{
	const config_setting_t *root = config_root_setting(&config->tree);

	for (int i = 0; i < config_setting_length(root); i++) {
		const config_setting_t *entry = config_setting_get_elem(root, (unsigned)i);
		bool is_known = false;

		for (size_t k = 0; k < ARRAY_SIZE(sections); k++)
			is_known |= strcmp(config_setting_name(entry), sections[k]) == 0;
		if (!is_known)
			return refuse_name(config, "", entry, sections, ARRAY_SIZE(sections), reason);
	}
	return 0;
}

int config_open(const char *path, struct config **out, struct reason *reason)
{
	struct config *config = mem_zalloc(sizeof(*config));
	FILE *file = fopen(path, "re");
	int rc;

	*out = NULL;
	config_init(&config->tree);
	config->path = mem_strdup(str_of(path));
	if (!file) {
		rc = -errno;
		reason_set(reason, rc, "%s: cannot be read: %s", path, strerror(errno));
		goto fail;
	}
	if (config_read_file(&config->tree, path) != CONFIG_TRUE) {
		rc = reason_set(reason, -EINVAL, "%s:%d: %s",
				config_error_file(&config->tree) ? config_error_file(&config->tree) : path,
				config_error_line(&config->tree), config_error_text(&config->tree));
		goto fail;
	}
	rc = check_sections(config, reason);
	if (rc < 0)
		goto fail;
	fclose(file);
	*out = config;
	return 0;
fail:
	if (file)
		fclose(file);
	config_close(config);
	return rc;
}

void config_close(struct config *config)
{
	if (!config)
		return;
	config_destroy(&config->tree);
	free(config->path);
	free(config);
}

static int refuse(const struct reading *r, const char *problem)
{
	char where[512], limits[128] = "";

	format_where(r->config, r->value, where, sizeof(where));
	if (r->row->least)
		snprintf(limits, sizeof(limits), " (default %s, from %s to %s)", r->row->fallback,
			 r->row->least, r->row->most);
	return reason_set(r->reason, -EINVAL, "%s: \"%s.%s\" %s%s", where, r->group, r->row->name,
			  problem, limits);
}

static void *field_of(const struct reading *r)
{
	return (char *)r->out + r->row->offset;
}

static bool parse_bytes(struct str text, uint64_t *value)
{
	static const char suffixes[] = "KMGT";
	unsigned shift = 0;
	const char *suffix;

	if (text.len && (suffix = strchr(suffixes, text.p[text.len - 1])) != NULL && *suffix) {
		shift = 10 * (unsigned)(suffix - suffixes + 1);
		text.len--;
	}
	if (!str_parse_u64(text, value) || *value > UINT64_MAX >> shift)
		return false;
	*value <<= shift;
	return true;
}

static bool parse_ms(struct str text, uint64_t *value)
{
	uint64_t ns;

	if (!duration_parse(text, &ns) || ns % 1000000u)
		return false;
	*value = ns / 1000000u;
	return true;
}

static bool parse_quantity(enum setting_kind kind, struct str text, uint64_t *value)
{
	switch (kind) {
	case SETTING_KIND_MS:
		return parse_ms(text, value);
	case SETTING_KIND_BYTES:
		return parse_bytes(text, value);
	default:
		return str_parse_u64(text, value);
	}
}

static const char *quantity_form(enum setting_kind kind)
{
	switch (kind) {
	case SETTING_KIND_MS:
		return "must be a duration in quotes such as \"250ms\", \"15s\" or \"1h5m\"";
	case SETTING_KIND_BYTES:
		return "must be a size such as 65536, \"64K\" or \"16M\"";
	default:
		return "must be a whole number";
	}
}

/* The text of a value: quoted text, or a bare number where that is allowed. */
static bool quantity_text(const struct reading *r, char *out, size_t cap)
{
	int type = r->value ? config_setting_type(r->value) : CONFIG_TYPE_STRING;
	const char *text = r->value ? config_setting_get_string(r->value) : r->row->fallback;

	if (type == CONFIG_TYPE_STRING && r->value && r->row->kind == SETTING_KIND_N)
		return false;
	if (type == CONFIG_TYPE_STRING)
		return str_copy_z(str_of(text), out, cap);
	if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
		return false;
	if (r->row->kind == SETTING_KIND_MS && config_setting_get_int64(r->value) != 0)
		return false;
	snprintf(out, cap, "%lld", config_setting_get_int64(r->value));
	return true;
}

static int read_quantity(const struct reading *r)
{
	uint64_t value, least, most;
	char text[64];

	if (!quantity_text(r, text, sizeof(text)) ||
	    !parse_quantity(r->row->kind, str_of(text), &value))
		return refuse(r, quantity_form(r->row->kind));
	parse_quantity(r->row->kind, str_of(r->row->least), &least);
	parse_quantity(r->row->kind, str_of(r->row->most), &most);
	if (value < least || value > most)
		return refuse(r, "is out of range");
	*(uint64_t *)field_of(r) = value;
	return 0;
}

static int read_bool(const struct reading *r)
{
	if (!r->value)
		*(bool *)field_of(r) = strcmp(r->row->fallback, "true") == 0;
	else if (config_setting_type(r->value) == CONFIG_TYPE_BOOL)
		*(bool *)field_of(r) = config_setting_get_bool(r->value);
	else
		return refuse(r, "must be true or false, without quotes");
	return 0;
}

static int read_text(const struct reading *r)
{
	const char *text = r->value ? config_setting_get_string(r->value) : r->row->fallback;

	if (!text)
		return refuse(r, "must be a text in quotes");
	*(char **)field_of(r) = mem_strdup(str_of(text));
	return 0;
}

static int read_choice(const struct reading *r)
{
	const char *text = r->value ? config_setting_get_string(r->value) : r->row->fallback;
	struct str rest = str_of(r->row->choices), choice;
	char problem[192];

	for (int i = 0; text && str_next_item(&rest, '|', &choice); i++) {
		if (!str_equal(choice, str_of(text)))
			continue;
		*(int *)field_of(r) = i;
		return 0;
	}
	snprintf(problem, sizeof(problem), "must be one of %s, in quotes", r->row->choices);
	return refuse(r, problem);
}

static void texts_add(struct texts *list, struct str text)
{
	list->items = mem_resize(list->items, (list->count + 1) * sizeof(*list->items));
	list->items[list->count++] = mem_strdup(text);
}

static void texts_free(struct texts *list)
{
	for (unsigned i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct texts){ 0 };
}

static int read_texts(const struct reading *r)
{
	struct texts list = { 0 };
	struct str rest = str_of(r->row->fallback), item;

	while (!r->value && str_next_item(&rest, ',', &item))
		texts_add(&list, item);
	if (r->value && !config_setting_is_aggregate(r->value))
		return refuse(r, "must be a list of texts: ( \"one\", \"two\" )");
	for (int i = 0; r->value && i < config_setting_length(r->value); i++) {
		const char *text = config_setting_get_string_elem(r->value, i);

		if (!text) {
			texts_free(&list);
			return refuse(r, "must be a list of texts: ( \"one\", \"two\" )");
		}
		texts_add(&list, str_of(text));
	}
	*(struct texts *)field_of(r) = list;
	return 0;
}

static int read_value(const struct reading *r)
{
	switch (r->row->kind) {
	case SETTING_KIND_MS:
	case SETTING_KIND_N:
	case SETTING_KIND_BYTES:
		return read_quantity(r);
	case SETTING_KIND_BOOL:
		return read_bool(r);
	case SETTING_KIND_TEXT:
		return read_text(r);
	case SETTING_KIND_TEXTS:
		return read_texts(r);
	case SETTING_KIND_CHOICE:
		return read_choice(r);
	case SETTING_KIND_GROUP:
	case SETTING_KIND_END:
		break;
	}
	return 0;
}

static int check_names(const struct config *config, const char *path, config_setting_t *group,
		       const struct setting *rows, struct reason *reason)
{
	const char *known[128];
	size_t count = 0;

	for (; count < ARRAY_SIZE(known) && rows[count].kind != SETTING_KIND_END; count++)
		known[count] = rows[count].name;
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *entry = config_setting_get_elem(group, (unsigned)i);
		bool is_known = false;

		for (size_t k = 0; k < count; k++)
			is_known |= strcmp(config_setting_name(entry), known[k]) == 0;
		if (!is_known)
			return refuse_name(config, path, entry, known, count, reason);
	}
	return 0;
}

/* So that a failure half way can free what was read and nothing else. */
static void clear_texts(const struct setting *rows, void *out)
{
	for (; rows->kind != SETTING_KIND_END; rows++) {
		void *field = (char *)out + rows->offset;

		if (rows->kind == SETTING_KIND_TEXT)
			*(char **)field = NULL;
		else if (rows->kind == SETTING_KIND_TEXTS)
			*(struct texts *)field = (struct texts){ 0 };
	}
}

static int read_group(const struct config *config, const char *path, config_setting_t *group,
		      const struct setting *rows, void *out, struct reason *reason)
{
	struct reading r = { config, path, rows, NULL, out, reason };
	char where[512];
	int rc;

	if (group && !config_setting_is_group(group))
		return reason_set(reason, -EINVAL, "%s: \"%s\" must be a group: { ... }",
				  format_where(config, group, where, sizeof(where)), path);
	if (group && (rc = check_names(config, path, group, rows, reason)) < 0)
		return rc;
	clear_texts(rows, out);
	for (; r.row->kind != SETTING_KIND_END; r.row++) {
		r.value = group ? config_setting_get_member(group, r.row->name) : NULL;
		rc = read_value(&r);
		if (rc < 0)
			goto fail;
	}
	return 0;
fail:
	settings_free(rows, out);
	return rc;
}

int settings_read(const struct config *config, const char *path, const struct setting *rows,
		void *out, struct reason *reason)
{
	return read_group(config, path, config_lookup(&config->tree, path), rows, out, reason);
}

int settings_read_item(const struct config *config, const char *path, unsigned index,
		     const struct setting *rows, void *out, struct reason *reason)
{
	config_setting_t *list = config_lookup(&config->tree, path);

	return read_group(config, path, list ? config_setting_get_elem(list, index) : NULL, rows,
			  out, reason);
}

bool config_has(const struct config *config, const char *path)
{
	return config_lookup(&config->tree, path) != NULL;
}

unsigned config_list_length(const struct config *config, const char *path)
{
	config_setting_t *list = config_lookup(&config->tree, path);

	return list ? (unsigned)config_setting_length(list) : 0;
}

void settings_free(const struct setting *rows, void *out)
{
	for (; rows->kind != SETTING_KIND_END; rows++) {
		void *field = (char *)out + rows->offset;

		if (rows->kind == SETTING_KIND_TEXT) {
			free(*(char **)field);
			*(char **)field = NULL;
		} else if (rows->kind == SETTING_KIND_TEXTS) {
			texts_free(field);
		}
	}
}

const char *config_where(const struct config *config, const char *path)
{
	struct config *self = (struct config *)config;

	return format_where(config, config_lookup(&config->tree, path), self->where,
			    sizeof(self->where));
}

static const struct setting log_rows[] = {
	SETTING_CHOICE(struct instance, log_level,     "level",     "info", "debug|info|warn|error"),
	SETTING_CHOICE(struct instance, log_timestamp, "timestamp", "rfc3339", "rfc3339|unix-epoch"),
	SETTING_TEXT  (struct instance, log_source,    "source",    "vcap.gorouter"),
	SETTING_TEXT  (struct instance, log_file,      "file",      ""),
	SETTING_END
};

static const struct setting access_log_rows[] = {
	SETTING_TEXT(struct instance, access_log_file, "file", ""),
	SETTING_END
};

static bool is_instance_name(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

	return n > 0 && n <= 64 && !name[n];
}

int instance_read(const struct config *config, struct instance *out, struct reason *reason)
{
	const char *name = "wye";
	config_setting_t *setting = config_lookup(&config->tree, "instance");
	int rc;

	memset(out, 0, sizeof(*out));
	if (setting && !(name = config_setting_get_string(setting)))
		name = "";
	if (!is_instance_name(name))
		return reason_set(reason, -EINVAL,
				  "%s: \"instance\" must be 1 to 64 letters, digits, '-' or '_', in quotes",
				  config_where(config, "instance"));
	rc = settings_read(config, "log", log_rows, out, reason);
	if (rc < 0)
		return rc;
	rc = settings_read(config, "access_log", access_log_rows, out, reason);
	if (rc < 0) {
		instance_free(out);
		return rc;
	}
	out->name = mem_strdup(str_of(name));
	return 0;
}

void instance_free(struct instance *instance)
{
	settings_free(log_rows, instance);
	settings_free(access_log_rows, instance);
	free(instance->name);
	instance->name = NULL;
}

void instance_configure_log(const struct instance *instance)
{
	log_configure(&(struct log_settings){
		.level = (enum log_level)instance->log_level,
		.epoch_timestamps = instance->log_timestamp == 1,
		.source = instance->log_source,
	});
}
