/*
 * proxy/verdict_text.c - failures in the words that operators know from Gorouter.
 */
#include "proxy/verdict.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 256

/* Go spells errors as the C library does, but for the first letter; operators
 * search for these words. */
#define ERROR_TEXT_SIZE 64
static const char *error_text(int error, char out[ERROR_TEXT_SIZE])
{
	str_copy_z(str_of(strerror(error)), out, ERROR_TEXT_SIZE);
	out[0] = ascii_lower(out[0]);
	return out;
}

static const char *or_else(const char *text, const char *other)
{
	return text && text[0] ? text : other;
}

static void format_route(const struct failure_facts *facts, char *out, size_t cap)
{
	char local[ADDR_TEXT_SIZE] = "", remote[ADDR_TEXT_SIZE] = "";

	if (facts->local && facts->local->len)
		addr_format(facts->local, local);
	if (facts->remote && facts->remote->len)
		addr_format(facts->remote, remote);
	snprintf(out, cap, "%s->%s", local, remote[0] ? remote : or_else(facts->backend, ""));
}

/* Go names the call that failed: without a descriptor there was no connect. */
static int format_dial(const struct failure_facts *f, int error, char *out)
{
	bool has_no_socket = error == EMFILE || error == ENFILE || error == EAFNOSUPPORT;
	char text[ERROR_TEXT_SIZE];

	return snprintf(out, TEXT_MAX, "dial tcp %s: %s: %s", or_else(f->backend, ""),
			has_no_socket ? "socket" : "connect", error_text(error, text));
}

static int format_lookup(const struct failure_facts *f, char *out)
{
	return snprintf(out, TEXT_MAX, "dial tcp: lookup %.*s: %s", STR_ARG(f->host_name),
			f->error == ETIMEDOUT ? "i/o timeout" : "no such host");
}

static int format_io(const struct failure_facts *f, const char *call, int error, char *out)
{
	char route[2 * ADDR_TEXT_SIZE + 300], text[ERROR_TEXT_SIZE];

	format_route(f, route, sizeof(route));
	return snprintf(out, TEXT_MAX, "%s tcp %s: %s: %s", call, route, call,
			error_text(error, text));
}

/* Go's prefix of all that verification finds. */
static int format_certificate(const struct failure_facts *f, const char *what, char *out)
{
	bool is_whole = f->detail && str_has_prefix(str_of(f->detail), STR("tls:"));

	return snprintf(out, TEXT_MAX, "%s%s",
			is_whole ? "" : "tls: failed to verify certificate: x509: ",
			or_else(f->detail, what));
}

static int format_text(enum failure failure, const struct failure_facts *f, char *out)
{
	switch (failure) {
	case FAIL_CONNECT:
		return format_dial(f, f->error ? f->error : ECONNREFUSED, out);
	case FAIL_LOCAL:
		return format_dial(f, f->error ? f->error : ENOBUFS, out);
	case FAIL_CONNECT_TIMEOUT:
		return snprintf(out, TEXT_MAX, "dial tcp %s: i/o timeout", or_else(f->backend, ""));
	case FAIL_RESOLVE:
		return format_lookup(f, out);
	case FAIL_TLS_NOT_TLS:
		return snprintf(out, TEXT_MAX, "%s", or_else(f->detail,
				"tls: first record does not look like a TLS handshake"));
	case FAIL_TLS_NAME:
		return format_certificate(f, "certificate is not valid for this endpoint", out);
	case FAIL_TLS_UNTRUSTED:
		return format_certificate(f, "certificate signed by unknown authority", out);
	case FAIL_TLS_EXPIRED:
		return format_certificate(f, "certificate has expired or is not yet valid", out);
	case FAIL_TLS_REFUSED_BY_PEER:
		return snprintf(out, TEXT_MAX, "%s", or_else(f->detail,
				"remote error: tls: bad certificate"));
	case FAIL_TLS_HANDSHAKE:
		return snprintf(out, TEXT_MAX, "%s", or_else(f->detail,
				"remote error: tls: handshake failure"));
	case FAIL_TLS_TIMEOUT:
		return snprintf(out, TEXT_MAX, "net/http: TLS handshake timeout");
	case FAIL_TLS_RESET:
		return f->error ? format_io(f, "read", f->error, out) :
		       snprintf(out, TEXT_MAX, "EOF");
	case FAIL_REFUSED_STREAM:
		return snprintf(out, TEXT_MAX, "http2: stream refused by the endpoint");
	case FAIL_STALE:
		return snprintf(out, TEXT_MAX, "http: server closed idle connection");
	case FAIL_RESET_BEFORE_HEAD:
		return format_io(f, "read", f->error ? f->error : ECONNRESET, out);
	case FAIL_EOF_BEFORE_HEAD:
		return snprintf(out, TEXT_MAX, "EOF");
	case FAIL_WRITE:
		return format_io(f, "write", f->error ? f->error : EPIPE, out);
	case FAIL_TRUNCATED_HEAD:
	case FAIL_TRUNCATED_BODY:
		return snprintf(out, TEXT_MAX, "unexpected EOF");
	case FAIL_BAD_RESPONSE:
		return snprintf(out, TEXT_MAX, "%s%s",
				f->detail && str_has_prefix(str_of(f->detail), STR("net/http")) ? "" :
				"net/http: HTTP/1.x transport connection broken: ",
				or_else(f->detail, "malformed HTTP response"));
	case FAIL_RESPONSE_TOO_LARGE:
		return snprintf(out, TEXT_MAX, "net/http: HTTP/1.x transport connection broken: %s",
				or_else(f->detail, "net/http: server response headers exceeded "
					"the limit; aborted"));
	case FAIL_TOO_MANY_FIELDS:
		return snprintf(out, TEXT_MAX, "Too many response headers");
	case FAIL_TRY_TIMEOUT:
	case FAIL_RESPONSE_TIMEOUT:
	case FAIL_TOTAL_TIMEOUT:
	case FAIL_IDLE_TIMEOUT:
		return snprintf(out, TEXT_MAX, "context deadline exceeded");
	case FAIL_BAD_BODY:
	case FAIL_BAD_REQUEST_BODY:
		return snprintf(out, TEXT_MAX, "%s", or_else(f->detail, "malformed chunked encoding"));
	case FAIL_CLIENT_GONE:
	case FAIL_CLIENT_TIMEOUT:
	case FAIL_DRAINED:
		return snprintf(out, TEXT_MAX, "context canceled");
	case FAIL_NO_ENDPOINT:
		return snprintf(out, TEXT_MAX, "No endpoints available");
	default:
		return snprintf(out, TEXT_MAX, "%s", verdict_of(failure)->name);
	}
}

struct str verdict_describe(struct arena *arena, enum failure failure,
			    const struct failure_facts *facts)
{
	char *text = arena_alloc(arena, TEXT_MAX);
	int len = format_text(failure, facts, text);

	if (len >= TEXT_MAX)
		len = TEXT_MAX - 1;
	for (int i = 0; i < len; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			text[i] = '?';
	return (struct str){ text, (size_t)len };
}
