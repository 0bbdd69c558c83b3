/*
 * proxy/access_extra.c - what operators add to access-log lines: fields (spec proxy
 * 14.3) and header fields of requests.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "proxy/access_line.h"
#include "proxy/access_syslog.h"

/* Of all values and of one, in a line that was too long. */
#define HEADERS_LIMIT    4096
#define HEADER_NAME_MAX  64
#define EXTRA_TEXT_LIMIT 200

enum extra_kind { EXTRA_NUMBER, EXTRA_SECONDS, EXTRA_TEXT };

static const struct extra {
	struct str name;
	enum extra_kind kind;
	uint16_t offset;              /* in struct access_record */
	struct str mark;
} extras[ACCESS_EXTRAS] = {
#define ROW(name, kind, field, mark) \
	{ STR_INIT(name), EXTRA_##kind, offsetof(struct access_record, field), STR_INIT(mark) }
	[ACCESS_FAILED_ATTEMPTS]      = ROW("failed_attempts", NUMBER, failed_attempts, ""),
	[ACCESS_FAILED_ATTEMPTS_TIME] = ROW("failed_attempts_time", SECONDS, failed_attempts_ns, ""),
	[ACCESS_DNS_TIME]             = ROW("dns_time", SECONDS, dns_ns, ""),
	[ACCESS_DIAL_TIME]            = ROW("dial_time", SECONDS, dial_ns, ""),
	[ACCESS_TLS_TIME]             = ROW("tls_time", SECONDS, tls_ns, ""),
	[ACCESS_BACKEND_TIME]         = ROW("backend_time", SECONDS, backend_ns, ""),
	[ACCESS_LOCAL_ADDRESS]        = ROW("local_address", TEXT, local_address, "LOCAL-ADDRESS"),
	[ACCESS_FAILURE_CODE]         = ROW("failure_code", TEXT, failure_code, "FAILURE-CODE"),
#undef ROW
};

/* " name:" or, in JSON, ",\"name\":". */
static void put_name(struct line *l, struct str name, bool is_first)
{
	put(l, !l->out.is_json ? STR(" ") : is_first ? STR("\"") : STR(",\""));
	put(l, name);
	put(l, l->out.is_json ? STR("\":") : STR(":"));
}

static void put_extra(struct line *l, const struct extra *extra, const void *field)
{
	struct str text;
	uint64_t number;

	put_name(l, extra->name, false);
	if (extra->kind == EXTRA_TEXT) {
		memcpy(&text, field, sizeof(text));
		put_value(l, extra->mark, EXTRA_TEXT_LIMIT, put_quoted, text);
		return;
	}
	memcpy(&number, field, sizeof(number));
	if (extra->kind == EXTRA_SECONDS)
		put_seconds(l, (int64_t)number);
	else
		put_number(l, number);
}

void put_extras(struct line *l, const struct access_format *format, const struct access_record *r)
{
	for (unsigned i = 0; i < format->extra_count; i++) {
		const struct extra *extra = &extras[format->extras[i]];

		put_extra(l, extra, (const char *)r + extra->offset);
	}
}

/* An object of their own in JSON, for a header may have the name of a field. */
void put_extra_headers(struct line *l, const struct access_format *format,
		       const struct access_record *r)
{
	if (!format->header_count)
		return;
	if (l->out.is_json)
		put(l, STR(",\"headers\":{"));
	for (unsigned i = 0; i < format->header_count; i++) {
		put_name(l, format->labels[i], i == 0);
		put_value(l, STR("EXTRA-REQUEST-HEADER"), HEADERS_LIMIT / format->header_count,
			  put_quoted, r->extra_headers ? r->extra_headers[i] : STR_NONE);
	}
	if (l->out.is_json)
		put(l, STR("}"));
}

size_t extras_length(const struct access_format *format, const struct access_record *r)
{
	size_t length = r->local_address.len + r->failure_code.len;

	for (unsigned i = 0; r->extra_headers && i < format->header_count; i++)
		length += r->extra_headers[i].len;
	return length;
}

/* --- from settings */

static void add_extra(struct access_format *format, struct str name)
{
	for (unsigned e = 0; e < ACCESS_EXTRAS; e++) {
		if (!str_equal(extras[e].name, name))
			continue;
		if (!memchr(format->extras, (int)e, format->extra_count))
			format->extras[format->extra_count++] = (uint8_t)e;
		return;
	}
	log_warn("access-log-unknown-field", "field=%.*s", STR_ARG(name));
}

static char *label_of(const char *name)
{
	char *label = mem_strdup(str_of(name));

	for (char *c = label; *c; c++)
		*c = *c == '-' ? '_' : ascii_lower(*c);
	return label;
}

static void add_header(struct access_format *format, const char *name)
{
	struct str label = str_of(label_of(name));
	unsigned at = 0;

	while (at < format->header_count && !str_equal(format->labels[at], label))
		at++;
	if (at < format->header_count || at == ACCESS_HEADERS_MAX) {
		free((char *)label.p);
		return;
	}
	format->headers[at] = str_of(mem_strdup(str_of(name)));
	format->labels[at] = label;
	format->fixed_bytes += label.len + 8;
	format->header_count++;
}

struct access_format *access_format_create(const struct access_settings *settings)
{
	struct access_format *format = mem_zalloc(sizeof(*format));

	format->is_json = settings->format == 1;
	format->widest = format->is_json ? 6 : 4;
	format->redaction = (uint8_t)settings->redact_query_params;
	for (unsigned i = 0; i < settings->extra_fields.count; i++)
		add_extra(format, str_of(settings->extra_fields.items[i]));
	format->fixed_bytes = format->is_json ? 768 : 512;
	for (unsigned i = 0; i < settings->extra_headers.count; i++)
		add_header(format, settings->extra_headers.items[i]);
	format->fixed_bytes += 64u * format->extra_count + (format->redaction ? 64 : 0);
	format->has_more = format->extra_count || format->header_count;
	return format;
}

void access_format_destroy(struct access_format *format)
{
	for (unsigned i = 0; format && i < format->header_count; i++) {
		free((char *)format->headers[i].p);
		free((char *)format->labels[i].p);
	}
	free(format);
}

static bool is_header_name(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("!#$%&'*+-.^_`|~", name[i]))
			return false;
	return len && len <= HEADER_NAME_MAX;
}

int access_settings_check(const struct access_settings *settings, struct reason *reason)
{
	if (settings->extra_headers.count > ACCESS_HEADERS_MAX)
		return reason_set(reason, -EINVAL, "extra_headers_to_log has more than %d names",
				  ACCESS_HEADERS_MAX);
	for (unsigned i = 0; i < settings->extra_headers.count; i++)
		if (!is_header_name(settings->extra_headers.items[i]))
			return reason_set(reason, -EINVAL,
					  "extra_headers_to_log: \"%s\" is no name of a header field",
					  settings->extra_headers.items[i]);
	return access_syslog_check(settings, reason);
}
