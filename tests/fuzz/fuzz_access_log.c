/*
 * tests/fuzz/fuzz_access_log.c - any bytes in any text of a record: one line,
 * within its bounds, printable but for UTF-8, with its fields where readers look
 * for them; and one JSON object, valid to the letter.  The input is cut at its newlines; an empty text repeats the one
 * before, so that small inputs make long lines.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "proxy/access_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Past a quoted text; NULL if it does not end. */
static const char *skip_quoted(const char *p, const char *end)
{
	must(p < end && *p == '"');
	for (p++; p < end && *p != '"'; p++)
		p += *p == '\\';
	return p < end ? p + 1 : NULL;
}

static const char *skip(const char *p, const char *end, const char *literal)
{
	must((size_t)(end - p) >= strlen(literal) && memcmp(p, literal, strlen(literal)) == 0);
	return p + strlen(literal);
}

static const char *skip_number(const char *p, const char *end)
{
	const char *from = p;

	while (p < end && ((*p >= '0' && *p <= '9') || *p == '.'))
		p++;
	must(p > from);
	return p;
}

static void check_line(const char *line, size_t len)
{
	static const char *const names[] = {
		" ", " ", " ", " ", " x_forwarded_for:", " x_forwarded_proto:", " vcap_request_id:",
	};
	static const char *const last[] = { " app_id:", " app_index:", " instance_id:",
					    " x_cf_routererror:" };
	const char *end = line + len, *p = memchr(line, ' ', len);

	must(len <= ACCESS_LINE_MAX && memchr(line, '\n', len) == end - 1);
	for (const char *c = line; c < end - 1; c++)
		must((unsigned char)*c >= ' ' && *c != 0x7f);
	p = skip(p, end, " - [");
	p = skip_quoted(skip(p + 30, end, "] "), end);
	for (int i = 0; i < 3; i++)
		p = skip_number(skip(p, end, " "), end);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		p = skip_quoted(skip(p, end, names[i]), end);
	p = skip_number(skip(p, end, " response_time:"), end);
	p = skip_number(skip(p, end, " gorouter_time:"), end);
	for (size_t i = 0; i < ARRAY_SIZE(last); i++)
		p = skip_quoted(skip(p, end, last[i]), end);
	must(p == end - 1);
}

static void check_gorouter(const struct access_record *record)
{
	static const struct access_settings settings;
	static struct access_format *format;
	char *line;

	if (!format)
		format = access_format_create(&settings);
	line = malloc(access_log_bound(format, record));
	check_line(line, access_log_format(format, record, line));
	free(line);
}

/* --- JSON (RFC 8259), as a reader with no mercy sees it */

static const char *skip_utf8(const char *p, const char *end)
{
	const unsigned char *s = (const unsigned char *)p;
	size_t n = *s < 0x80 ? 1 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : 4;

	must((*s < 0x80 || *s >= 0xc2) && *s < 0xf5 && n <= (size_t)(end - p));
	for (size_t i = 1; i < n; i++)
		must((s[i] & 0xc0) == 0x80);
	must(n != 3 || s[0] != 0xe0 || s[1] >= 0xa0);
	must(n != 3 || s[0] != 0xed || s[1] < 0xa0);
	must(n != 4 || s[0] != 0xf0 || s[1] >= 0x90);
	must(n != 4 || s[0] != 0xf4 || s[1] < 0x90);
	return p + n;
}

static const char *skip_json_text(const char *p, const char *end)
{
	for (p = skip(p, end, "\""); *p != '"';) {
		must(p < end && (unsigned char)*p >= ' ');
		if (*p != '\\') {
			p = skip_utf8(p, end);
			continue;
		}
		must(memchr("\"\\bfnrtu", p[1], 8));
		if (p[1] == 'u')
			must(strspn(p + 2, "0123456789abcdef") >= 4);
		p += p[1] == 'u' ? 6 : 2;
	}
	return p + 1;
}

static const char *skip_json_object(const char *p, const char *end)
{
	p = skip(p, end, "{");
	for (;;) {
		p = skip(skip_json_text(p, end), end, ":");
		if (*p == '{')
			p = skip_json_object(p, end);
		else if (*p == '"')
			p = skip_json_text(p, end);
		else if (*p == 'n')
			p = skip(p, end, "null");
		else
			p = skip_number(p, end);
		if (*p == '}')
			return p + 1;
		p = skip(p, end, ",");
	}
}

static void check_json(const struct access_record *record)
{
	static const char *names[] = { "local_address", "failure_code", "dns_time" },
			  *headers[] = { "Referer", "X-Agent" };
	static const struct access_settings settings = {
		.format = 1, .redact_query_params = ACCESS_REDACT_HASH,
		.extra_fields = { (char **)names, 3 }, .extra_headers = { (char **)headers, 2 },
	};
	static struct access_format *format;
	char *line;
	size_t len;

	if (!format)
		format = access_format_create(&settings);
	line = malloc(access_log_bound(format, record) + 1);
	len = access_log_format(format, record, line);
	line[len] = '\0';
	must(len <= ACCESS_LINE_MAX && memchr(line, '\n', len) == line + len - 1);
	must(skip_json_object(line, line + len) == line + len - 1);
	free(line);
}

static struct str next_text(struct str *rest, struct str before)
{
	ssize_t cut = str_find_char(*rest, '\n');
	struct str text = str_sub(*rest, 0, cut < 0 ? STR_REST : (size_t)cut);

	*rest = cut < 0 ? STR_NONE : str_sub(*rest, (size_t)cut + 1, STR_REST);
	return text.len ? text : before;
}

/* The text many times over, with what was newlines in it. */
static struct str make_long(struct str text, size_t size)
{
	char *bytes = malloc(size);

	for (size_t i = 0; i < size; i++)
		bytes[i] = text.p[i % text.len];
	return (struct str){ bytes, size };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct access_record record = { .minor = 1, .status = 200, .elapsed_ns = 1 };
	struct str *const texts[] = {
		&record.host, &record.method, &record.target, &record.referer, &record.user_agent,
		&record.forwarded_for, &record.forwarded_proto, &record.request_id, &record.backend,
		&record.app_id, &record.app_index, &record.instance_id, &record.router_error,
		&record.remote,
	};
	struct str rest = { (const char *)data, size }, text = STR_NONE, grown = STR_NONE;

	if (size > 1 && data[0] & 1) {
		grown = make_long(rest, 1000 + 400u * data[1]);
		record.target = record.user_agent = grown;
	}
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		text = next_text(&rest, text);
		if (!texts[i]->len)
			*texts[i] = text;
	}
	record.started_wall_ns = size * 123456789u;
	check_gorouter(&record);
	record.extra_headers = (struct str[]){ record.referer, record.user_agent };
	record.local_address = record.failure_code = record.remote;
	check_json(&record);
	free((char *)grown.p);
	return 0;
}
