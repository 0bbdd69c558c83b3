/*
 * http/http1_parse.c - HTTP/1 heads and chunk framing from bytes.
 */
#include "http/http1_parse.h"

#include <stdio.h>

#define CHUNK_LINE_MAX     4096
#define CHUNK_DIGITS_MAX   16
#define CHUNK_OVERHEAD_MAX 16384      /* extension bytes that the data does not pay for */

/* Classes of bytes. */
enum {
	IS_TOKEN = 1,                 /* RFC 9110 section 5.6.2 */
	IS_HOST  = 2,                 /* spec proxy section 2, "Host value chars" */
};

/* By byte; those from 0x80 on are in no class. */
static const uint8_t classes[256] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 3, 0, 1, 3, 3, 3, 3, 2, 2, 3, 3, 2, 3, 3, 0, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 0, 2, 0, 0,
	0, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 0, 2, 1, 3,
	1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 1, 0, 3, 0,
};

static bool all_are(struct str s, uint8_t class)
{
	for (size_t i = 0; i < s.len; i++)
		if (!(classes[(unsigned char)s.p[i]] & class))
			return false;
	return true;
}

static bool is_token(struct str s)
{
	return s.len > 0 && all_are(s, IS_TOKEN);
}

static bool refuse(struct http1_fault *fault, unsigned status, const char *words)
{
	fault->status = status;
	reason_set(&fault->words, 0, "%s", words);
	return false;
}

/* For response faults: words and the offending text, clipped. */
static bool refuse_text(struct http1_fault *fault, const char *words, struct str text)
{
	int len = text.len > 120 ? 120 : (int)text.len;

	fault->status = 502;
	reason_set(&fault->words, 0, "%s \"%.*s\"", words, len, text.p);
	return false;
}

static bool is_repeated(const struct http_head *head, struct str name)
{
	unsigned at = 0;

	return http_head_next(head, name, &at) && http_head_next(head, name, &at);
}

static bool are_alike(const struct http_head *head, struct str name)
{
	struct str first = http_head_find(head, name);
	struct http_field *field;
	unsigned at = 0;

	while ((field = http_head_next(head, name, &at)) != NULL)
		if (!str_equal(field->value, first))
			return false;
	return true;
}

/* For fields that contradict each other, all of them, clipped. */
static bool refuse_list(struct http1_fault *fault, const char *words, const struct http_head *head,
			struct str name)
{
	char list[200] = "";
	int n = 0;
	struct http_field *field;
	unsigned at = 0;

	while (n < 120 && (field = http_head_next(head, name, &at)) != NULL)
		n += snprintf(list + n, sizeof(list) - (size_t)n, "%s\"%.*s\"", n ? " " : "",
			      field->value.len > 60 ? 60 : (int)field->value.len, field->value.p);
	fault->status = 502;
	reason_set(&fault->words, 0, "%s [%s]", words, list);
	return false;
}

size_t http1_head_length(struct str bytes, size_t *scanned)
{
	size_t at = *scanned;

	for (;;) {
		ssize_t lf = str_find_char(str_sub(bytes, at, STR_REST), '\n');
		size_t next;

		if (lf < 0) {
			*scanned = bytes.len;
			return 0;
		}
		next = at + (size_t)lf + 1;
		if (next < bytes.len && bytes.p[next] == '\n')
			return next + 1;
		if (next + 1 < bytes.len && bytes.p[next] == '\r' && bytes.p[next + 1] == '\n')
			return next + 2;
		if (next >= bytes.len || (next + 1 >= bytes.len && bytes.p[next] == '\r')) {
			*scanned = next - 1;  /* look at this LF again with more bytes */
			return 0;
		}
		at = next;
	}
}

/* The head as lines. */
struct lines {
	char *at, *end;
};

/* Takes a line without its end; false: it has a CR that ends nothing. */
static bool take_line(struct lines *lines, struct str *line)
{
	char *lf = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
	char *stop = lf ? lf : lines->end;

	*line = str_range(lines->at, stop);
	lines->at = lf ? lf + 1 : lines->end;
	if (line->len && line->p[line->len - 1] == '\r')
		line->len--;
	return str_find_char(*line, '\r') < 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Joins a line with the folded lines after it, in place, with one SP each. */
static bool take_unfolded_line(struct lines *lines, struct str *line)
{
	if (!take_line(lines, line))
		return false;
	while (line->len && lines->at < lines->end && is_blank(*lines->at)) {
		struct str more;
		char *to;

		if (!take_line(lines, &more))
			return false;
		*line = str_trim(*line);
		more = str_trim(more);
		to = (char *)line->p + line->len;
		*to++ = ' ';
		memmove(to, more.p, more.len);
		line->len += 1 + more.len;
	}
	return true;
}

static bool has_control(struct str value)
{
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return true;
	}
	return false;
}

static bool take_host(struct http_head *head, struct str value, struct http1_fault *fault)
{
	if (head->has_authority)
		return refuse(fault, 400, "");
	if (!all_are(value, IS_HOST))
		return refuse(fault, 400, "malformed Host header");
	head->has_authority = true;
	head->authority = value;
	return true;
}

static bool take_request_field(struct http_head *head, struct str line, struct http1_fault *fault)
{
	ssize_t colon = str_find_char(line, ':');
	struct str name, value;

	if (colon < 0)
		return refuse(fault, 400, "");
	name = str_sub(line, 0, (size_t)colon);
	value = str_trim(str_sub(line, (size_t)colon + 1, STR_REST));
	if (str_find_char(name, ' ') >= 0 || str_find_char(name, '\t') >= 0)
		return refuse(fault, 400, "invalid header name");
	if (!is_token(name) || has_control(value))
		return refuse(fault, 400, "");
	if (str_equal_nocase(name, STR("Host")))
		return take_host(head, value, fault);
	http_head_add(head, name, value);
	return true;
}

static bool take_request_fields(struct lines *lines, struct http_head *head,
				struct http1_fault *fault)
{
	struct str line;

	if (lines->at < lines->end && is_blank(*lines->at))
		return refuse(fault, 400, "");
	for (;;) {
		if (!take_unfolded_line(lines, &line))
			return refuse(fault, 400, "");
		if (!line.len)
			return true;
		if (!take_request_field(head, line, fault))
			return false;
	}
}

/* Go quotes all such texts but this one. */
static bool refuse_line(struct http1_fault *fault, struct str line)
{
	fault->status = 502;
	reason_set(&fault->words, 0, "malformed MIME header line: %.*s",
		   line.len > 120 ? 120 : (int)line.len, line.p);
	return false;
}

/* A field with a space in its name is dropped, not refused (spec proxy 11.1). */
static bool take_response_fields(struct lines *lines, struct http_head *head,
				 struct http1_fault *fault)
{
	struct str line, name, value;

	for (;;) {
		ssize_t colon;

		if (!take_unfolded_line(lines, &line))
			return refuse_line(fault, line);
		if (!line.len)
			return true;
		colon = str_find_char(line, ':');
		if (colon < 0)
			return refuse_text(fault, "malformed MIME header: missing colon:", line);
		name = str_sub(line, 0, (size_t)colon);
		value = str_trim(str_sub(line, (size_t)colon + 1, STR_REST));
		if (has_control(value))
			return refuse_line(fault, line);
		if (is_token(name))
			http_head_add(head, name, value);
	}
}

/* One value for all Content-Length fields; 0 fields: absent. */
enum length { LENGTH_ABSENT, LENGTH_GOOD, LENGTH_BAD };

static enum length take_content_length(struct http_head *head)
{
	enum length result = LENGTH_ABSENT;
	struct http_field *field;
	unsigned at = 0;

	while ((field = http_head_next(head, STR("Content-Length"), &at)) != NULL) {
		uint64_t value;

		if (!str_parse_u64(field->value, &value) || value > INT64_MAX)
			return LENGTH_BAD;
		if (result == LENGTH_GOOD && value != head->content_length)
			return LENGTH_BAD;
		head->content_length = value;
		head->has_length = true;
		result = LENGTH_GOOD;
	}
	http_head_remove(head, STR("Content-Length"));
	return result;
}

enum coding { CODING_NONE, CODING_CHUNKED, CODING_OTHER };

static enum coding take_transfer_encoding(struct http_head *head)
{
	struct http_field *field;
	unsigned at = 0;
	enum coding coding = CODING_NONE;

	while ((field = http_head_next(head, STR("Transfer-Encoding"), &at)) != NULL) {
		if (coding != CODING_NONE || !str_equal_nocase(field->value, STR("chunked")))
			return CODING_OTHER;
		coding = CODING_CHUNKED;
	}
	http_head_remove(head, STR("Transfer-Encoding"));
	return coding;
}

static bool frame_request(struct http_head *head, struct http1_fault *fault)
{
	bool had_coding = http_head_has(head, STR("Transfer-Encoding"));
	enum length length = take_content_length(head);
	enum coding coding;

	if (length == LENGTH_BAD)
		return refuse(fault, 400, "");
	if (head->minor == 0 && had_coding) {
		http_head_remove(head, STR("Transfer-Encoding"));
		head->keeps_alive = false;
	}
	coding = take_transfer_encoding(head);
	if (coding == CODING_OTHER)
		return refuse(fault, 501, "Unsupported transfer encoding");
	if (coding == CODING_CHUNKED && length == LENGTH_GOOD)
		return refuse(fault, 400, "");
	head->body = coding == CODING_CHUNKED ? BODY_CHUNKED :
		     length == LENGTH_GOOD ? BODY_LENGTH : BODY_NONE;
	return true;
}

static bool names_framing_field(struct str list)
{
	return str_list_has(list, STR("Transfer-Encoding")) || str_list_has(list, STR("Trailer")) ||
	       str_list_has(list, STR("Content-Length"));
}

static bool check_request_fields(struct http_head *head, struct http1_fault *fault)
{
	struct http_field *field;
	unsigned at = 0;

	while ((field = http_head_next(head, STR("Trailer"), &at)) != NULL)
		if (names_framing_field(field->value))
			return refuse(fault, 400, "");
	at = 0;
	while ((field = http_head_next(head, STR("Expect"), &at)) != NULL)
		if (field->value.len && !str_list_has(field->value, STR("100-continue")))
			return refuse(fault, 417, "");
	if (!head->has_authority && head->minor >= 1 && !str_equal(head->method, STR("CONNECT")) &&
	    !str_equal(head->method, STR("PRI")))
		return refuse(fault, 400, "missing required Host header");
	return true;
}

static bool take_version(struct str version, struct http_head *head, struct http1_fault *fault)
{
	bool is_preface = str_equal(head->method, STR("PRI")) && str_equal(head->target, STR("*"));

	if (version.len != 8 || !str_has_prefix(version, STR("HTTP/")) || version.p[6] != '.' ||
	    version.p[5] < '0' || version.p[5] > '9' || version.p[7] < '0' || version.p[7] > '9')
		return refuse(fault, 400, "");
	if (version.p[5] != '1' && !(is_preface && str_equal(version, STR("HTTP/2.0"))))
		return refuse(fault, 505, "unsupported protocol version");
	head->minor = version.p[5] == '1' ? (uint8_t)(version.p[7] - '0') : 0;
	return true;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f');
}

static bool has_good_escapes(struct str path)
{
	for (size_t i = 0; i < path.len && path.p[i] != '?'; i++)
		if (path.p[i] == '%' &&
		    (i + 2 >= path.len || !is_hex(path.p[i + 1]) || !is_hex(path.p[i + 2])))
			return false;
	return true;
}

/* Takes the authority out of "scheme://authority/path"; it replaces Host. */
static bool take_absolute_form(struct http_head *head, struct http1_fault *fault)
{
	ssize_t colon = str_find(head->target, STR("://"));
	struct str rest, authority;
	size_t end = 0;
	ssize_t at_sign;

	if (colon <= 0 || !all_are(str_sub(head->target, 0, (size_t)colon), IS_TOKEN))
		return refuse(fault, 400, "");
	rest = str_sub(head->target, (size_t)colon + 3, STR_REST);
	while (end < rest.len && rest.p[end] != '/' && rest.p[end] != '?')
		end++;
	authority = str_sub(rest, 0, end);
	at_sign = str_find_char(authority, '@');
	if (at_sign >= 0)
		authority = str_sub(authority, (size_t)at_sign + 1, STR_REST);
	if (!all_are(authority, IS_HOST) || !has_good_escapes(str_sub(rest, end, STR_REST)))
		return refuse(fault, 400, "");
	head->authority = authority;
	return true;
}

static bool check_target(struct http_head *head, struct http1_fault *fault)
{
	for (size_t i = 0; i < head->target.len; i++)
		if ((unsigned char)head->target.p[i] <= 0x20 || head->target.p[i] == 0x7f)
			return refuse(fault, 400, "");
	if (!head->target.len)
		return refuse(fault, 400, "");
	if (head->target.p[0] == '/')
		return has_good_escapes(head->target) || refuse(fault, 400, "");
	if (str_equal(head->target, STR("*")))
		return true;
	if (str_equal(head->method, STR("CONNECT"))) {
		if (!all_are(head->target, IS_HOST))
			return refuse(fault, 400, "");
		head->authority = head->target;
		return true;
	}
	return take_absolute_form(head, fault);
}

static bool take_request_line(struct lines *lines, struct http_head *head,
			      struct http1_fault *fault)
{
	struct str line, rest;
	ssize_t space;

	if (!take_line(lines, &line) || (space = str_find_char(line, ' ')) <= 0)
		return refuse(fault, 400, "");
	head->method = str_sub(line, 0, (size_t)space);
	rest = str_sub(line, (size_t)space + 1, STR_REST);
	space = str_find_char(rest, ' ');
	if (space < 0 || !is_token(head->method))
		return refuse(fault, 400, "");
	head->target = str_sub(rest, 0, (size_t)space);
	return take_version(str_sub(rest, (size_t)space + 1, STR_REST), head, fault);
}

static bool wants_keep_alive(const struct http_head *head)
{
	if (http_head_lists(head, STR("Connection"), STR("close")))
		return false;
	return head->minor >= 1 || http_head_lists(head, STR("Connection"), STR("keep-alive"));
}

bool http1_parse_request(char *bytes, size_t length, struct http_head *head,
			 struct http1_fault *fault)
{
	struct lines lines = { bytes, bytes + length };

	if (!take_request_line(&lines, head, fault) || !take_request_fields(&lines, head, fault) ||
	    !check_request_fields(head, fault) || !check_target(head, fault))
		return false;
	head->keeps_alive = wants_keep_alive(head);
	return frame_request(head, fault);
}

static bool take_status_line(struct lines *lines, struct http_head *head,
			     struct http1_fault *fault)
{
	struct str line, code, rest;

	if (!take_line(lines, &line) || line.len < 12 || !str_has_prefix(line, STR("HTTP/")) ||
	    line.p[6] != '.' || line.p[8] != ' ')
		return refuse_text(fault, "malformed HTTP response", line);
	rest = str_sub(line, 9, STR_REST);
	code = str_sub(rest, 0, 3);
	if (line.len > 12 && line.p[12] != ' ')
		str_next_item(&rest, ' ', &code);
	if (code.len != 3 || code.p[0] < '1' || code.p[0] > '9' || code.p[1] < '0' ||
	    code.p[1] > '9' || code.p[2] < '0' || code.p[2] > '9')
		return refuse_text(fault, "malformed HTTP status code", code);
	head->minor = line.p[5] == '1' && line.p[7] == '0' ? 0 : 1;
	head->status = (unsigned)(code.p[0] - '0') * 100 + (unsigned)(code.p[1] - '0') * 10 +
		       (unsigned)(code.p[2] - '0');
	head->reason = str_trim(str_sub(line, 12, STR_REST));
	return true;
}

size_t http1_bad_first_line(struct str bytes, bool is_response)
{
	ssize_t lf = str_find_char(bytes, '\n');
	struct lines line = { (char *)bytes.p, (char *)bytes.p + lf + 1 };
	struct http1_fault fault;
	struct http_head head;
	bool is_good;

	if (lf < 0)
		return 0;
	http_head_init(&head, NULL);
	is_good = is_response ? take_status_line(&line, &head, &fault) :
				take_request_line(&line, &head, &fault);
	return is_good ? 0 : (size_t)lf + 1;
}

static bool has_no_body(unsigned status, struct str method)
{
	return status < 200 || status == 204 || status == 304 || str_equal(method, STR("HEAD"));
}

static bool frame_response(struct http_head *head, struct str method, struct http1_fault *fault)
{
	struct str coding_text = http_head_find(head, STR("Transfer-Encoding"));
	struct str length_text = http_head_find(head, STR("Content-Length"));
	enum coding coding = take_transfer_encoding(head);
	enum length length;

	if (coding == CODING_OTHER && is_repeated(head, STR("Transfer-Encoding")))
		return refuse_list(fault, "too many transfer encodings:", head,
				   STR("Transfer-Encoding"));
	if (coding == CODING_OTHER)
		return refuse_text(fault, "unsupported transfer encoding:", coding_text);
	if (coding == CODING_CHUNKED)
		http_head_remove(head, STR("Content-Length"));
	length = take_content_length(head);
	if (length == LENGTH_BAD && !are_alike(head, STR("Content-Length")))
		return refuse_list(fault, "http: message cannot contain multiple Content-Length "
				   "headers; got", head, STR("Content-Length"));
	if (length == LENGTH_BAD)
		return refuse_text(fault, "bad Content-Length", length_text);
	if (has_no_body(head->status, method))
		head->body = BODY_NONE;
	else if (coding == CODING_CHUNKED)
		head->body = BODY_CHUNKED;
	else
		head->body = length == LENGTH_GOOD ? BODY_LENGTH : BODY_UNTIL_CLOSE;
	return true;
}

bool http1_parse_response(char *bytes, size_t length, struct str method, struct http_head *head,
			  struct http1_fault *fault)
{
	struct lines lines = { bytes, bytes + length };

	if (!take_status_line(&lines, head, fault) || !take_response_fields(&lines, head, fault))
		return false;
	head->keeps_alive = wants_keep_alive(head);
	if (!frame_response(head, method, fault))
		return false;
	if (head->body == BODY_UNTIL_CLOSE)
		head->keeps_alive = false;
	return true;
}

ssize_t http1_trailers_length(struct str bytes)
{
	size_t at = 0;

	for (;;) {
		ssize_t lf = str_find_char(str_sub(bytes, at, STR_REST), '\n');

		if (lf < 0)
			return 0;
		if (lf == 0 || bytes.p[at + (size_t)lf - 1] != '\r')
			return -1;
		at += (size_t)lf + 1;
		if (lf == 1)
			return (ssize_t)at;
	}
}

bool http1_parse_trailers(char *bytes, size_t length, struct http_head *trailers,
			  struct http1_fault *fault)
{
	struct lines lines = { bytes, bytes + length };

	return take_request_fields(&lines, trailers, fault);
}

static enum http1_chunk bad_chunk(struct reason *why, const char *words)
{
	reason_set(why, 0, "%s", words);
	return CHUNK_BAD;
}

/* The size line without its CRLF: digits, then blanks, then an extension. */
static enum http1_chunk take_size(struct str line, struct http1_chunks *chunks, struct reason *why)
{
	size_t digits = 0;
	struct str rest;

	while (digits < line.len && is_hex(line.p[digits]))
		digits++;
	rest = str_trim(str_sub(line, digits, STR_REST));
	if (!digits && !rest.len)
		return bad_chunk(why, "empty hex number for chunk length");
	if (digits > CHUNK_DIGITS_MAX)
		return bad_chunk(why, "http chunk length too large");
	if (!str_parse_hex64(str_sub(line, 0, digits), &chunks->left) ||
	    (rest.len && rest.p[0] != ';') || has_control(rest))
		return bad_chunk(why, "invalid byte in chunk length");
	chunks->overhead += line.len + 2;
	if (chunks->overhead < 16 + 2 * (chunks->left & INT32_MAX))
		chunks->overhead = 0;
	else
		chunks->overhead -= 16 + 2 * (chunks->left & INT32_MAX);
	if (chunks->overhead > CHUNK_OVERHEAD_MAX)
		return bad_chunk(why, "chunked encoding contains too much non-data");
	chunks->needs_end_of_data = chunks->left > 0;
	return chunks->left ? CHUNK_DATA : CHUNK_LAST;
}

enum http1_chunk http1_parse_chunk(struct str bytes, struct http1_chunks *chunks, size_t *used,
				   struct reason *why)
{
	ssize_t lf;

	*used = 0;
	if (chunks->left)
		return CHUNK_DATA;
	if (chunks->needs_end_of_data) {
		if ((bytes.len >= 1 && bytes.p[0] != '\r') || (bytes.len >= 2 && bytes.p[1] != '\n'))
			return bad_chunk(why, "malformed chunked encoding");
		if (bytes.len < 2)
			return CHUNK_MORE;
		*used = 2;
		chunks->needs_end_of_data = false;
		bytes = str_sub(bytes, 2, STR_REST);
	}
	lf = str_find_char(bytes, '\n');
	if ((lf < 0 && bytes.len >= CHUNK_LINE_MAX) || lf >= CHUNK_LINE_MAX)
		return bad_chunk(why, "header line too long");
	if (lf < 0)
		return CHUNK_MORE;
	if (lf == 0 || bytes.p[lf - 1] != '\r')
		return bad_chunk(why, "malformed chunked encoding");
	*used += (size_t)lf + 1;
	return take_size(str_sub(bytes, 0, (size_t)lf - 1), chunks, why);
}
