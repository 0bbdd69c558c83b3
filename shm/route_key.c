/*
 * shm/route_key.c - canonical route keys.
 */
#include "route_key.h"

#include <errno.h>

struct str route_host_without_port(struct str host)
{
	ssize_t at;

	if (host.len && host.p[0] == '[') {
		at = str_find_char(host, ']');
		return at < 0 ? host : str_sub(host, 0, (size_t)at + 1);
	}
	at = str_find_char(host, ':');
	return at < 0 ? host : str_sub(host, 0, (size_t)at);
}

static struct str without_trailing_dot(struct str host)
{
	return host.len && host.p[host.len - 1] == '.' ? str_sub(host, 0, host.len - 1) : host;
}

/* Host and path ("" or "/...") into one key; the path is already clean. */
static void join(struct str host, struct str path, char *buffer, struct route_key *out)
{
	size_t len = str_lower(host, buffer);
	unsigned segments = 0;

	len += str_lower(path, buffer + len);
	for (size_t i = 0; i < path.len; i++)
		segments += path.p[i] == '/';
	*out = (struct route_key){
		.text = { buffer, len }, .host_len = (uint16_t)host.len, .segments = (uint16_t)segments,
	};
}

static bool has_control(struct str s)
{
	for (size_t i = str_plain_run(s); i < s.len; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	return false;
}

int route_key_parse(struct str uri, char *buffer, struct route_key *out, struct reason *reason)
{
	ssize_t query = str_find_char(uri, '?'), slash;
	struct str host, path;

	if (query >= 0)
		uri = str_sub(uri, 0, (size_t)query);
	if (uri.len && uri.p[0] == '/')
		uri = str_sub(uri, 1, STR_REST);
	if (uri.len && uri.p[uri.len - 1] == '/')
		uri = str_sub(uri, 0, uri.len - 1);
	slash = str_find_char(uri, '/');
	host = without_trailing_dot(slash < 0 ? uri : str_sub(uri, 0, (size_t)slash));
	path = slash < 0 ? STR_NONE : str_sub(uri, (size_t)slash, STR_REST);
	if (str_is_empty(host))
		return reason_set(reason, -EINVAL, "the URI has no host");
	if (host.len > ROUTE_HOST_MAX || host.len + path.len > ROUTE_KEY_MAX)
		return reason_set(reason, -EINVAL, "the URI is too long");
	if (has_control(uri))
		return reason_set(reason, -EINVAL, "the URI contains a control character");
	join(host, path, buffer, out);
	return 0;
}

/* Neither changed nor cut off by route_key_parse(). */
static bool is_of_keys(unsigned char c)
{
	return c >= 0x20 && c != 0x7f && c != '?' && ascii_lower((char)c) == (char)c;
}

bool route_key_read(struct str text, struct route_key *out)
{
	size_t host_len = text.len;
	unsigned segments = 0;

	if (text.len > ROUTE_KEY_MAX)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (!is_of_keys((unsigned char)text.p[i]))
			return false;
		if (text.p[i] == '/' && segments++ == 0)
			host_len = i;
	}
	*out = (struct route_key){
		.text = text, .host_len = (uint16_t)host_len, .segments = (uint16_t)segments,
	};
	return host_len && host_len <= ROUTE_HOST_MAX;
}

/* What no registered key can match is left out: a query, and the segments of a
 * path that is longer than any key. */
static struct str request_path(struct str path, size_t room)
{
	ssize_t query = str_find_char(path, '?');

	if (query >= 0)
		path = str_sub(path, 0, (size_t)query);
	if (path.len == 0 || path.p[0] != '/')
		return STR_NONE;      /* "*" of OPTIONS: the host's own route */
	if (path.len <= room)
		return path.p[path.len - 1] == '/' ? str_sub(path, 0, path.len - 1) : path;
	path.len = room + 1;          /* is the cut at a border? */
	while (path.p[path.len - 1] != '/')
		path.len--;
	path.len--;
	return path;
}

bool route_key_from_request(struct str host, struct str path, char *buffer, struct route_key *out)
{
	host = without_trailing_dot(route_host_without_port(host));
	if (str_is_empty(host) || host.len > ROUTE_HOST_MAX || str_find_char(host, '/') >= 0)
		return false;
	join(host, request_path(path, ROUTE_KEY_MAX - host.len), buffer, out);
	return true;
}
