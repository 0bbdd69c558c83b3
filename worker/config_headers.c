/*
 * worker/config_headers.c - tracing and http_rewrite.
 */
#include "worker/config_headers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

#define RESPONSES "worker.proxy.http_rewrite.responses"
#define REMOVE    RESPONSES ".remove_headers"
#define ADD       RESPONSES ".add_headers_if_not_present"
#define RULES_MAX 256

#define H(KIND, ...) SETTING_##KIND(struct header_settings, __VA_ARGS__)
#define R(KIND, ...) SETTING_##KIND(struct rewrite_rule, __VA_ARGS__)

static const struct setting tracing_rows[] = {
	H(BOOL, enable_zipkin, "enable_zipkin", "false"),
	H(BOOL, enable_w3c, "enable_w3c", "false"),
	H(TEXT, w3c_tenant_id, "w3c_tenant_id", ""),
	SETTING_END,
};

static const struct setting http_rewrite_rows[] = {
	SETTING_GROUP("responses"),
	SETTING_END,
};

static const struct setting responses_rows[] = {
	SETTING_GROUP("remove_headers"),
	SETTING_GROUP("add_headers_if_not_present"),
	SETTING_END,
};

static const struct setting remove_rows[] = {
	R(TEXT, name, "name", ""),
	SETTING_END,
};

static const struct setting add_rows[] = {
	R(TEXT, name, "name", ""),
	R(TEXT, value, "value", ""),
	SETTING_END,
};

/* These say where a message ends or what its connection does: the router's own
 * affair on each side. */
static const struct str framing[] = {
	STR_INIT("Connection"), STR_INIT("Content-Length"), STR_INIT("Keep-Alive"),
	STR_INIT("Proxy-Connection"), STR_INIT("Te"), STR_INIT("Trailer"),
	STR_INIT("Transfer-Encoding"), STR_INIT("Upgrade"),
};

static bool is_name_char(char c)
{
	bool is_letter = ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';

	return is_letter || (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_name(const char *name)
{
	if (!*name)
		return false;
	for (; *name; name++)
		if (!is_name_char(*name))
			return false;
	return true;
}

static bool is_framing(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(framing); i++)
		if (str_equal_nocase(str_of(name), framing[i]))
			return true;
	return false;
}

static bool is_value(const char *value)
{
	for (; *value; value++)
		if (((unsigned char)*value < 0x20 && *value != '\t') || *value == 0x7f)
			return false;
	return true;
}

/* As Go writes names on the wire; scripts of operators search for that form. */
static void make_canonical(char *name)
{
	for (bool is_first = true; *name; name++) {
		*name = ascii_lower(*name);
		if (is_first && *name >= 'a' && *name <= 'z')
			*name = (char)(*name & ~0x20);
		is_first = *name == '-';
	}
}

static int check_rule(const struct config *file, const char *list, unsigned index,
		      struct rewrite_rule *rule, struct reason *reason)
{
	char path[128];
	const char *fault = !is_name(rule->name) ? "is not a name of a header" :
			    rule->value && is_framing(rule->name) ?
			    "is set by the router itself" :
			    rule->value && !is_value(rule->value) ?
			    "has a control character in its value" : NULL;

	if (!fault) {
		make_canonical(rule->name);
		return 0;
	}
	snprintf(path, sizeof(path), "%s.[%u]", list, index);
	return reason_set(reason, -EINVAL, "%s: \"%s\": \"%s\" %s", config_where(file, path), list,
			  rule->name, fault);
}

static int read_rules(const struct config *file, const char *list, const struct setting *rows,
		      struct rewrite_settings *out, struct reason *reason)
{
	unsigned count = config_list_length(file, list);
	int rc = 0;

	if (count > RULES_MAX)
		return reason_set(reason, -EINVAL, "%s: \"%s\" has more than %d entries",
				  config_where(file, list), list, RULES_MAX);
	out->rules = mem_resize(out->rules, (out->count + count + 1) * sizeof(*out->rules));
	for (unsigned i = 0; rc == 0 && i < count; i++) {
		struct rewrite_rule *rule = &out->rules[out->count];

		*rule = (struct rewrite_rule){ NULL, NULL };
		rc = settings_read_item(file, list, i, rows, rule, reason);
		if (rc < 0)
			break;
		out->count++;
		rc = check_rule(file, list, i, rule, reason);
	}
	return rc;
}

static int read_responses(const struct config *file, struct rewrite_settings *out,
			  struct reason *reason)
{
	int rc;

	*out = (struct rewrite_settings){ .rules = NULL };
	if ((rc = settings_read(file, "worker.proxy.http_rewrite", http_rewrite_rows, out,
				reason)) < 0 ||
	    (rc = settings_read(file, "worker.proxy.http_rewrite.responses", responses_rows, out,
				reason)) < 0 ||
	    (rc = read_rules(file, REMOVE, remove_rows, out, reason)) < 0)
		return rc;
	out->remove_count = out->count;
	return read_rules(file, ADD, add_rows, out, reason);
}

/* It becomes part of a list member's key (W3C Trace Context, 3.3.1.3.1). */
static int check_tenant(const struct config *file, const char *tenant, struct reason *reason)
{
	static const char path[] = "worker.proxy.tracing.w3c_tenant_id";

	if (strlen(tenant) <= 241 &&
	    strspn(tenant, "abcdefghijklmnopqrstuvwxyz0123456789_-*/") == strlen(tenant))
		return 0;
	return reason_set(reason, -EINVAL, "%s: \"%s\" must be at most 241 of a-z 0-9 _ - * /",
			  config_where(file, path), path);
}

/* No client could send the cookie. */
static int check_cookie_names(const struct config *file, const struct texts *names,
			      struct reason *reason)
{
	static const char path[] = "worker.proxy.sticky_session_cookie_names";

	for (unsigned i = 0; i < names->count; i++)
		if (!is_name(names->items[i]))
			return reason_set(reason, -EINVAL, "%s: \"%s\": \"%s\" is not a name of a "
					  "cookie", config_where(file, path), path,
					  names->items[i]);
	return 0;
}

int config_headers_read(const struct config *file, struct header_settings *out,
			struct reason *reason)
{
	int rc = settings_read(file, "worker.proxy.tracing", tracing_rows, out, reason);

	if (rc < 0)
		return rc;
	out->responses = (struct rewrite_settings){ .rules = NULL };
	if ((rc = check_tenant(file, out->w3c_tenant_id, reason)) < 0 ||
	    (rc = check_cookie_names(file, &out->sticky_session_cookie_names, reason)) < 0 ||
	    (rc = read_responses(file, &out->responses, reason)) < 0)
		config_headers_free(out);
	return rc;
}

void config_headers_free(struct header_settings *settings)
{
	struct rewrite_settings *responses = &settings->responses;

	for (unsigned i = 0; i < responses->count; i++) {
		free(responses->rules[i].name);
		free(responses->rules[i].value);
	}
	free(responses->rules);
	*responses = (struct rewrite_settings){ .rules = NULL };
	settings_free(tracing_rows, settings);
}
