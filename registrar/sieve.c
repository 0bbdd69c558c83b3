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

/* The length of the frame, if it is of our subscription and not too long, and how much of that
 * is its line; otherwise 0.  Needs no more than the line. */
static size_t own_frame(const struct sieve_prefix *prefix, struct str came, size_t *head)
{
	size_t len, frame;

	if (!prefix->len || came.len < prefix->len || memcmp(came.p, prefix->text, prefix->len) != 0 ||
	    !read_length(came, prefix->len, head, &len))
		return 0;
	frame = *head + len + CRLF;
	return frame <= SIEVE_FRAME_MOST ? frame : 0;
}

/* False: its end is not where it should be, which is for the library to judge. */
static bool take(enum bus_subject subject, struct str frame, size_t head, struct sieve_piece *piece)
{
	struct str payload = str_sub(frame, head, frame.len - head - CRLF);

	*piece = (struct sieve_piece){ SIEVE_TAKE, subject, payload };
	return memcmp(frame.p + frame.len - CRLF, "\r\n", CRLF) == 0;
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
	uint64_t len;

	if (!end)
		return came.len < LINE_MOST ? wait_for_more(piece) : pass_all(s, came, piece);
	line = str_range(came.p, end + 1);
	if (!announced(line, &len))
		return pass_all(s, came, piece);
	return pass_frame(s, came, line.len + len + CRLF, piece);
}

static bool has_payload(struct str came)
{
	return str_has_prefix_nocase(came, STR("MSG")) || str_has_prefix_nocase(came, STR("HMSG"));
}

size_t sieve_next(struct sieve *s, struct str came, struct sieve_piece *piece)
{
	if (s->is_lost)
		return pass_all(s, came, piece);
	if (s->passing)
		return pass_frame(s, came, s->passing, piece);
	if (s->is_in_line)
		return pass_line(s, came, piece);
	for (unsigned i = 0; i < ARRAY_SIZE(s->prefixes); i++) {
		size_t head, frame = own_frame(&s->prefixes[i], came, &head);

		if (frame > came.len)
			return wait_for_more(piece);
		if (frame && take(s->prefixes[i].subject, str_sub(came, 0, frame), head, piece))
			return frame;
	}
	if (came.len < WORD_LEAST)
		return wait_for_more(piece);
	return has_payload(came) ? next_frame(s, came, piece) : pass_line(s, came, piece);
}
