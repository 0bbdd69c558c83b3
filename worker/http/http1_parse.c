/*
 * http/http1_parse.c - strict where two readers could disagree, lenient where
 * clients have always been.
 */
#include "http/http1_parse.h"

#define CHUNK_LINE_LIMIT 4096
#define EXCESS_LIMIT     16384

static bool refuse(struct http1_fault *fault, uint16_t status, const char *detail)
{
	*fault = (struct http1_fault){ status, detail };
	return false;
}

static bool is_token_char(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_token_char((unsigned char)s.p[i]))
			return false;
	return s.len > 0;
}

static bool is_value(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool is_host(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (!(c >= '0' && c <= '9') && !(ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') &&
		    (!c || !strchr("!$%&()*+,-.:;=['_]~", c)))
			return false;
	}
	return true;
}

size_t http1_head_end(struct str bytes, uint32_t *scanned)
{
	for (size_t i = *scanned; i < bytes.len; i++) {
		if (bytes.p[i] != '\n')
			continue;
		if (i + 1 < bytes.len && bytes.p[i + 1] == '\n')
			return i + 2;
		if (i + 2 < bytes.len && bytes.p[i + 1] == '\r' && bytes.p[i + 2] == '\n')
			return i + 3;
	}
	*scanned = bytes.len > 3 ? (uint32_t)(bytes.len - 3) : 0;
	return 0;
}

/* The next line without its end; false at the end of the bytes. */
static bool next_line(struct str *rest, struct str *line)
{
	ssize_t at = str_find_char(*rest, '\n');

	if (at < 0)
		return false;
	*line = str_sub(*rest, 0, (size_t)at);
	*rest = str_sub(*rest, (size_t)at + 1, STR_REST);
	if (line->len && line->p[line->len - 1] == '\r')
		line->len--;
	return true;
}

static bool parse_field(struct str line, struct http_head *head, struct http1_fault *fault)
{
	ssize_t colon = str_find_char(line, ':');
	struct str name, value;

	if (colon < 0)
		return refuse(fault, 400, NULL);
	name = str_sub(line, 0, (size_t)colon);
	value = str_trim(str_sub(line, (size_t)colon + 1, STR_REST));
	if (!is_token(name))
		return refuse(fault, 400, str_find_char(name, ' ') >= 0 ? "invalid header name" : NULL);
	if (!is_value(value))
		return refuse(fault, 400, NULL);
	http_head_add(head, name, value);
	return true;
}

static bool parse_fields(struct str rest, const struct mux_settings *settings,
			 struct http_head *head, struct http1_fault *fault)
{
	struct str line;
	uint32_t first = head->field_count;

	while (next_line(&rest, &line) && line.len) {
		if (line.len > settings->line_limit || head->field_count >= settings->field_limit)
			return refuse(fault, 431, NULL);
		if (line.p[0] == ' ' || line.p[0] == '\t') {
			struct http_field *last = &head->fields[head->field_count - 1];

			if (head->field_count == first || !is_value(line))
				return refuse(fault, 400, NULL);
			line = str_trim(line);
			last->value = arena_format(head->arena, "%.*s %.*s", STR_ARG(last->value),
						   STR_ARG(line));
			continue;
		}
		if (!parse_field(line, head, fault))
			return false;
	}
	return true;
}

/* Takes Content-Length and Transfer-Encoding out of the fields. */
static bool parse_framing(struct http_head *head, bool is_request, struct http1_fault *fault)
{
	unsigned encodings = 0;
	struct str value;

	for (uint32_t i = 0; i < head->field_count; i++) {
		struct http_field *field = &head->fields[i];
		uint64_t length;

		if (str_equal_nocase(field->name, STR("content-length"))) {
			if (!str_parse_u64(field->value, &length) || length > INT64_MAX ||
			    (head->has_length && length != head->content_length))
				return refuse(fault, 400, "bad Content-Length");
			head->has_length = true;
			head->content_length = length;
		} else if (str_equal_nocase(field->name, STR("transfer-encoding"))) {
			encodings++;
			if (head->version >= 11 && (encodings > 1 ||
			    !str_equal_nocase(field->value, STR("chunked"))))
				return refuse(fault, 501, "Unsupported transfer encoding");
		}
	}
	if (encodings && head->has_length && (is_request || head->version >= 11))
		return refuse(fault, 400, "both Content-Length and Transfer-Encoding");
	if (encodings && head->version >= 11)
		head->body = BODY_CHUNKED;
	else if (head->has_length)
		head->body = head->content_length ? BODY_LENGTH : BODY_NONE;
	http_head_remove(head, STR("content-length"));
	http_head_remove(head, STR("transfer-encoding"));
	head->is_keep_alive = head->version >= 11;
	for (uint32_t i = 0; i < head->field_count; i++) {
		if (!head->fields[i].name.p ||
		    !str_equal_nocase(head->fields[i].name, STR("connection")))
			continue;
		value = head->fields[i].value;
		if (str_list_has(value, STR("close")))
			head->is_keep_alive = false;
		else if (head->version == 10 && str_list_has(value, STR("keep-alive")))
			head->is_keep_alive = true;
	}
	return true;
}

static bool parse_version(struct str text, uint8_t *version)
{
	if (text.len != 8 || memcmp(text.p, "HTTP/", 5) != 0 || text.p[6] != '.' ||
	    text.p[5] < '0' || text.p[5] > '9' || text.p[7] < '0' || text.p[7] > '9')
		return false;
	*version = (uint8_t)((text.p[5] - '0') * 10 + text.p[7] - '0');
	return true;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f');
}

static bool parse_target(struct http_head *head)
{
	struct str target = head->target;
	ssize_t scheme = str_find(target, STR("://"));
	bool in_query = false;

	if (!target.len)
		return false;
	for (size_t i = 0; i < target.len; i++) {
		unsigned char c = (unsigned char)target.p[i];

		if (c <= 0x20 || c == 0x7f)
			return false;
		in_query = in_query || c == '?';
		if (c == '%' && !in_query && (i + 2 >= target.len || !is_hex(target.p[i + 1]) ||
					      !is_hex(target.p[i + 2])))
			return false;
	}
	if (target.p[0] == '/' || str_equal(target, STR("*")))
		return true;
	if (http_head_is_method(head, "CONNECT")) {
		head->authority = target;
		return is_host(target);
	}
	if (scheme <= 0)
		return false;
	target = str_sub(target, (size_t)scheme + 3, STR_REST);
	for (size_t i = 0; i < target.len; i++) {
		if (target.p[i] == '/' || target.p[i] == '?') {
			target.len = i;
			break;
		}
	}
	for (ssize_t at; (at = str_find_char(target, '@')) >= 0;)
		target = str_sub(target, (size_t)at + 1, STR_REST);
	head->authority = target;
	return is_host(target);
}

static bool take_host(struct http_head *head, struct http1_fault *fault)
{
	struct str host = STR_NONE;
	unsigned hosts = 0;

	for (uint32_t i = 0; i < head->field_count; i++) {
		if (!str_equal_nocase(head->fields[i].name, STR("host")))
			continue;
		host = head->fields[i].value;
		hosts++;
	}
	if (hosts > 1)
		return refuse(fault, 400, NULL);
	if (!hosts && head->version >= 11 && !http_head_is_method(head, "CONNECT"))
		return refuse(fault, 400, "missing required Host header");
	if (!is_host(host))
		return refuse(fault, 400, "malformed Host header");
	if (!head->authority.p)
		head->authority = host;
	http_head_remove(head, STR("host"));
	return true;
}

bool http1_parse_request(struct str bytes, const struct mux_settings *settings,
			 struct http_head *head, struct http1_fault *fault)
{
	struct str line, expect;
	ssize_t first, second;

	if (!next_line(&bytes, &line))
		return refuse(fault, 400, NULL);
	if (line.len > settings->line_limit)
		return refuse(fault, 414, NULL);
	first = str_find_char(line, ' ');
	if (first <= 0)
		return refuse(fault, 400, NULL);
	head->method = str_sub(line, 0, (size_t)first);
	line = str_sub(line, (size_t)first + 1, STR_REST);
	second = str_find_char(line, ' ');
	if (second < 0 || !is_token(head->method))
		return refuse(fault, 400, NULL);
	head->target = str_sub(line, 0, (size_t)second);
	if (!parse_version(str_sub(line, (size_t)second + 1, STR_REST), &head->version))
		return refuse(fault, 400, NULL);
	if (head->version / 10 != 1)
		return refuse(fault, 505, "unsupported protocol version");
	if (!parse_target(head))
		return refuse(fault, 400, NULL);
	if (!parse_fields(bytes, settings, head, fault) || !take_host(head, fault) ||
	    !parse_framing(head, true, fault))
		return false;
	if (http_head_find(head, STR("expect"), &expect) && expect.len) {
		if (!str_list_has(expect, STR("100-continue")))
			return refuse(fault, 417, NULL);
		head->expects_continue = true;
	}
	return true;
}

bool http1_parse_response(struct str bytes, const struct mux_settings *settings, bool to_head,
			  struct http_head *head, struct http1_fault *fault)
{
	struct str line;
	uint64_t status;

	if (!next_line(&bytes, &line) || line.len < 12 || line.p[8] != ' ' ||
	    !parse_version(str_sub(line, 0, 8), &head->version) || head->version / 10 != 1 ||
	    !str_parse_u64(str_sub(line, 9, 3), &status) || status < 100 ||
	    (line.len > 12 && line.p[12] != ' ') || !is_value(line))
		return refuse(fault, 502, "malformed status line");
	head->status = (uint16_t)status;
	head->reason = str_sub(line, 13, STR_REST);
	if (!parse_fields(bytes, settings, head, fault) || !parse_framing(head, false, fault))
		return false;
	if (to_head || status < 200 || status == 204 || status == 304)
		head->body = BODY_NONE;
	else if (head->body == BODY_NONE && !head->has_length)
		head->body = BODY_UNTIL_CLOSE;
	return true;
}

bool http1_parse_trailers(struct str bytes, const struct mux_settings *settings,
			  struct http_head *trailers, struct http1_fault *fault)
{
	return parse_fields(bytes, settings, trailers, fault);
}

static enum chunk bad_chunk(struct http1_chunks *chunks, const char *detail)
{
	chunks->detail = detail;
	return CHUNK_BAD;
}

static enum chunk parse_size_line(struct http1_chunks *chunks, struct str line)
{
	ssize_t extension = str_find_char(line, ';');
	struct str size = extension < 0 ? line : str_sub(line, 0, (size_t)extension);

	while (size.len && (size.p[size.len - 1] == ' ' || size.p[size.len - 1] == '\t'))
		size.len--;
	if (!size.len)
		return bad_chunk(chunks, "empty hex number for chunk length");
	if (size.len > 16)
		return bad_chunk(chunks, "http chunk length too large");
	for (size_t i = 0; i < line.len; i++)
		if ((i < size.len && !is_hex(line.p[i])) || line.p[i] == '\r')
			return bad_chunk(chunks, "invalid byte in chunk length");
	if (!str_parse_hex64(size, &chunks->left) || chunks->left > INT64_MAX / 4)
		return bad_chunk(chunks, "http chunk length too large");
	chunks->excess += (int64_t)line.len + 2 - 16 - 2 * (int64_t)chunks->left;
	if (chunks->excess < 0)
		chunks->excess = 0;
	if (chunks->excess > EXCESS_LIMIT)
		return bad_chunk(chunks, "chunked encoding contains too much non-data");
	chunks->in_chunk = chunks->left > 0;
	return chunks->left ? CHUNK_DATA : CHUNK_LAST;
}

enum chunk http1_next_chunk(struct http1_chunks *chunks, struct str bytes, size_t *used)
{
	ssize_t end;

	*used = 0;
	if (chunks->left)
		return CHUNK_DATA;
	if (chunks->in_chunk) {
		if ((bytes.len && bytes.p[0] != '\r') || (bytes.len > 1 && bytes.p[1] != '\n'))
			return bad_chunk(chunks, "malformed chunked encoding");
		if (bytes.len < 2)
			return CHUNK_MORE;
		chunks->in_chunk = false;
		*used = 2;
		bytes = str_sub(bytes, 2, STR_REST);
	}
	end = str_find_char(bytes, '\n');
	if (end >= CHUNK_LINE_LIMIT || (end < 0 && bytes.len >= CHUNK_LINE_LIMIT))
		return bad_chunk(chunks, "header line too long");
	if (end < 0)
		return CHUNK_MORE;
	if (end == 0 || bytes.p[end - 1] != '\r')
		return bad_chunk(chunks, "invalid byte in chunk length");
	*used += (size_t)end + 1;
	return parse_size_line(chunks, str_sub(bytes, 0, (size_t)end - 1));
}
