/*
 * registrar/sieve.c - frames of the NATS protocol.
 *
 * A server sends lines that end in CRLF.  Of these, MSG and HMSG announce a payload: the
 * last word is its length, headers included, and a CRLF that does not count
 * follows it.
 */
#include "registrar/sieve.h"

#include <inttypes.h>
#include <stdio.h>

#define WORD_LEAST 5u                 /* "+OK\r\n", the shortest; tells "HMSG " from all others */
#define LINE_MOST  (64u << 10)        /* of a line that announces a payload */
#define CRLF       2u

void sieve_init(struct sieve *s)
{
	*s = (struct sieve){ .prefixes = {
		{ .subject = BUS_REGISTER },
		{ .subject = BUS_UNREGISTER },
	} };
}

static void make_prefix(struct sieve_prefix *prefix, const char *subject, uint64_t subscription)
{
	int len = snprintf(prefix->text, sizeof(prefix->text), "MSG %s %" PRIu64 " ", subject,
			   subscription);

	prefix->len = subscription ? (unsigned)len : 0;
}

void sieve_follow(struct sieve *s, uint64_t subscription)
{
	make_prefix(&s->prefixes[0], "router.register", subscription);
	make_prefix(&s->prefixes[1], "router.unregister", subscription);
}

static size_t pass(struct sieve_piece *piece, struct str came, uint64_t most)
{
	piece->kind = SIEVE_PASS;
	piece->bytes = str_sub(came, 0, most < came.len ? (size_t)most : came.len);
	return piece->bytes.len;
}

static size_t pass_line(struct sieve *s, struct str came, struct sieve_piece *piece)
{
	const char *end = memchr(came.p, '\n', came.len);

	s->is_in_line = !end;
	return pass(piece, came, end ? (size_t)(end - came.p) + 1 : came.len);
}

static size_t pass_frame(struct sieve *s, struct str came, uint64_t len, struct sieve_piece *piece)
{
	size_t now = pass(piece, came, len);

	s->passing = len - now;
	return now;
}

static size_t pass_all(struct sieve *s, struct str came, struct sieve_piece *piece)
{
	s->is_lost = true;
	return pass(piece, came, came.len);
}

static size_t wait_for_more(struct sieve_piece *piece)
{
	piece->kind = SIEVE_MORE;
	piece->bytes = STR_NONE;
	return 0;
}

/* A number and the end of the line; false: something else. */
static bool read_length(struct str came, size_t at, size_t *head, size_t *len)
{
	size_t from = at;

	for (*len = 0; at < came.len && came.p[at] >= '0' && came.p[at] <= '9'; at++) {
		*len = *len * 10 + (size_t)(came.p[at] - '0');
		if (*len > SIEVE_FRAME_MOST)
			return false;
	}
	*head = at + CRLF;
	return at > from && *head <= came.len && came.p[at] == '\r' && came.p[at + 1] == '\n';
}

/* The length of the frame if it is complete and begins with the prefix, otherwise 0. */
static size_t take(const struct sieve_prefix *prefix, struct str came, struct sieve_piece *piece)
{
	size_t head, len, frame;

	if (!prefix->len || came.len < prefix->len || memcmp(came.p, prefix->text, prefix->len) != 0 ||
	    !read_length(came, prefix->len, &head, &len))
		return 0;
	frame = head + len + CRLF;
	if (frame > SIEVE_FRAME_MOST || frame > came.len || came.p[frame - 2] != '\r' ||
	    came.p[frame - 1] != '\n')
		return 0;
	*piece = (struct sieve_piece){ SIEVE_TAKE, prefix->subject, { came.p + head, len } };
	return frame;
}

/* True if the frame, although it is announced in a line of its own, would be taken once
 * it is complete. */
static bool is_ours(const struct sieve *s, struct str line)
{
	for (unsigned i = 0; i < ARRAY_SIZE(s->prefixes); i++) {
		const struct sieve_prefix *prefix = &s->prefixes[i];
		size_t head, len;

		if (prefix->len && line.len >= prefix->len &&
		    memcmp(line.p, prefix->text, prefix->len) == 0)
			return read_length(line, prefix->len, &head, &len) &&
			       head + len + CRLF <= SIEVE_FRAME_MOST;
	}
	return false;
}

/* The last word of the line is the payload's length. */
static bool announced(struct str line, uint64_t *len)
{
	size_t at = line.len;

	line = str_trim(str_sub(line, 0, line.len - (line.len > 1 && line.p[at - 2] == '\r' ? 2 : 1)));
	for (at = line.len; at > 0 && line.p[at - 1] != ' ' && line.p[at - 1] != '\t'; at--)
		;
	return str_parse_u64(str_sub(line, at, STR_REST), len) && *len < UINT32_MAX;
}

static size_t next_frame(struct sieve *s, struct str came, struct sieve_piece *piece)
{
	const char *end = memchr(came.p, '\n', came.len < LINE_MOST ? came.len : LINE_MOST);
	struct str line;
	uint64_t len, frame;

	if (!end)
		return came.len < LINE_MOST ? wait_for_more(piece) : pass_all(s, came, piece);
	line = str_range(came.p, end + 1);
	if (!announced(line, &len))
		return pass_all(s, came, piece);
	frame = line.len + len + CRLF;
	if (came.len < frame && is_ours(s, line))
		return wait_for_more(piece);
	return pass_frame(s, came, frame, piece);
}

static bool has_payload(struct str came)
{
	return str_has_prefix_nocase(came, STR("MSG")) || str_has_prefix_nocase(came, STR("HMSG"));
}

size_t sieve_next(struct sieve *s, struct str came, struct sieve_piece *piece)
{
	size_t taken;

	if (s->is_lost)
		return pass_all(s, came, piece);
	if (s->passing)
		return pass_frame(s, came, s->passing, piece);
	if (s->is_in_line)
		return pass_line(s, came, piece);
	if ((taken = take(&s->prefixes[0], came, piece)) ||
	    (taken = take(&s->prefixes[1], came, piece)))
		return taken;
	if (came.len < WORD_LEAST)
		return wait_for_more(piece);
	return has_payload(came) ? next_frame(s, came, piece) : pass_line(s, came, piece);
}
