/*
 * http/http1.c - an HTTP/1 connection, both sides: one stream at a time, read
 * when asked.  It never decides what to answer.
 */
#include "http/http1.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"

#define TRAILERS_LIMIT 4096           /* spec proxy section 2 */
#define BLANK_LIMIT    4              /* CR and LF tolerated after a POST */

static struct mux *mux_new(struct buf_pool *pool, struct task *owner,
			   const struct mux_settings *settings)
{
	struct mux *mux = mem_zalloc(sizeof(*mux));

	mux->pool = pool;
	mux->owner = owner;
	mux->settings = settings;
	return mux;
}

static struct mux *mux_or_errno(struct mux *mux, int status)
{
	if (status == 0)
		return mux;
	free(mux);
	errno = -status;
	return NULL;
}

struct mux *mux_create_downstream(struct loop *loop, struct buf_pool *pool, int fd,
				  struct task *owner, const struct mux_settings *settings)
{
	struct mux *mux = mux_new(pool, owner, settings);

	return mux_or_errno(mux, conn_accepted(&mux->conn, loop, owner, fd));
}

struct mux *mux_create_upstream(struct loop *loop, struct buf_pool *pool, const struct addr *to,
				struct task *owner, const struct mux_settings *settings)
{
	struct mux *mux = mux_new(pool, owner, settings);

	mux->is_upstream = true;
	return mux_or_errno(mux, conn_connect(&mux->conn, loop, owner, to));
}

static void release_buffers(struct mux *mux)
{
	buf_release(mux->pool, mux->in);
	buf_release(mux->pool, mux->out);
	mux->in = mux->out = NULL;
	mux->decoded = mux->scanned = mux->pending = 0;
}

void mux_destroy(struct mux *mux)
{
	if (!mux)
		return;
	release_buffers(mux);
	free(mux->stream.detail);
	conn_close(&mux->conn);
	loop_defer_free(mux->conn.loop, mux);
}

void mux_set_owner(struct mux *mux, struct task *owner)
{
	mux->owner = owner;
	if (!mux->has_stream)
		mux->conn.owner = owner;
}

static struct str input(const struct mux *mux)
{
	return mux->in ? (struct str){ buf_data(mux->in), buf_used(mux->in) } : STR_NONE;
}

static void consume(struct mux *mux, size_t n)
{
	if (!mux->in)
		return;
	buf_consume(mux->in, n);
	if (!buf_used(mux->in)) {
		buf_release(mux->pool, mux->in);
		mux->in = NULL;
	}
}

static enum io fail_input(struct mux *mux, enum failure failure)
{
	if (mux->has_stream)
		stream_fail(&mux->stream, failure);
	return IO_ERROR;
}

static bool wants_large(const struct mux *mux)
{
	bool is_nearly_read = mux->input == INPUT_BODY && mux->in_body == BODY_LENGTH &&
			      mux->in_left <= BUF_SIZE;

	return mux->wants_large && !is_nearly_read;
}

/* Room for the next read, in a buffer of at most `most` bytes. */
static bool need_room(struct mux *mux, size_t most)
{
	struct buf *larger;

	if (!mux->in) {
		mux->in = wants_large(mux) ? buf_acquire_large(mux->pool) :
					     buf_acquire(mux->pool, BUF_SIZE);
		return mux->in != NULL;
	}
	if (mux->in->start) {
		memmove(mux->in->base, buf_data(mux->in), buf_used(mux->in));
		mux->in->end -= mux->in->start;
		mux->in->start = 0;
	}
	if (buf_room(mux->in))
		return true;
	larger = buf_grow(mux->pool, mux->in, most);
	if (larger)
		mux->in = larger;
	return larger != NULL;
}

/* Reads once. */
static enum io fill(struct mux *mux, size_t most)
{
	size_t n = 0;
	enum io io;

	if (!(mux->conn.ready & CONN_READABLE))
		return mux->conn.ready & CONN_BROKEN ? IO_ERROR : IO_AGAIN;
	if (!need_room(mux, most)) {
		mux->is_starved = true;
		return fail_input(mux, FAIL_OVERLOAD);
	}
	io = conn_read(&mux->conn, buf_tail(mux->in), buf_room(mux->in), &n);
	if (io == IO_OK) {
		mux->in->end += (uint32_t)n;
		mux->received += n;
		mux->wants_large = mux->wants_large || n >= BUF_SIZE;
	}
	consume(mux, 0);
	return io;
}

static void skip_blank_lines(struct mux *mux)
{
	size_t n = 0;
	struct str bytes = input(mux);

	while (n < bytes.len && mux->blanks_left && (bytes.p[n] == '\r' || bytes.p[n] == '\n')) {
		mux->blanks_left--;
		n++;
	}
	consume(mux, n);
	if (n < bytes.len)
		mux->blanks_left = 0;
}

/* IO_OK: a head is complete (`pending` bytes) or bad from its first line on, or
 * is over its limit (0). */
static enum io await_head(struct mux *mux)
{
	size_t limit = (size_t)mux->settings->head_limit;

	for (;;) {
		size_t scanned = mux->scanned;
		enum io io;

		if (mux->blanks_left)
			skip_blank_lines(mux);
		mux->pending = (uint32_t)http1_head_length(input(mux), &scanned);
		mux->scanned = (uint32_t)scanned;
		if (!mux->pending)
			mux->pending = (uint32_t)http1_bad_first_line(input(mux), mux->is_upstream);
		if (mux->pending || input(mux).len > limit)
			return IO_OK;
		io = fill(mux, limit + BUF_SIZE);
		if (io != IO_OK)
			return io;
	}
}

/* What every stream starts with; bytes that are here belong to it. */
static struct stream *begin_stream(struct mux *mux, struct task *task)
{
	mux->stream = (struct stream){ .mux = mux, .task = task };
	mux->has_stream = true;
	mux->conn.owner = task;
	mux->input = INPUT_HEAD;
	mux->in_body = mux->out_body = BODY_NONE;
	mux->in_left = mux->out_left = 0;
	mux->received = input(mux).len;
	mux->sent = 0;
	mux->chunks = (struct http1_chunks){ 0 };
	mux->keeps_alive = true;
	mux->is_head_request = mux->head_sent = mux->out_done = false;
	return &mux->stream;
}

/* A head that no buffer is left for: its client is told so. */
static struct stream *refuse_unread(struct mux *mux, struct task *task)
{
	struct stream *stream = begin_stream(mux, task);

	stream->status = 503;
	mux->keeps_alive = false;
	mux->peer_minor = 0;
	stream_fail(stream, FAIL_OVERLOAD);
	return stream;
}

struct stream *mux_accept(struct mux *mux, struct task *task)
{
	enum io io;

	if (mux->has_stream || mux->is_dead)
		return NULL;
	io = await_head(mux);
	if (io == IO_OK)
		return begin_stream(mux, task);
	if (mux->is_starved)
		return refuse_unread(mux, task);
	mux->is_dead = io != IO_AGAIN;
	return NULL;
}

struct stream *mux_open(struct mux *mux, struct task *task)
{
	return mux_room(mux) ? begin_stream(mux, task) : NULL;
}

unsigned mux_room(const struct mux *mux)
{
	return mux->is_upstream && !mux->has_stream && !mux->is_dead && !mux->is_draining;
}

bool mux_is_connecting(const struct mux *mux)
{
	return (mux->conn.ready & CONN_CONNECTING) && !(mux->conn.ready & CONN_BROKEN);
}

bool mux_is_finished(const struct mux *mux)
{
	return !mux->has_stream && (mux->is_dead || mux->conn.ready & CONN_BROKEN);
}

bool mux_is_quiet(const struct mux *mux)
{
	return mux_room(mux) && !mux->in && !mux->out && conn_is_quiet(&mux->conn);
}

bool mux_was_used(const struct mux *mux)
{
	return mux->was_used;
}

bool mux_has_partial_head(const struct mux *mux)
{
	return !mux->has_stream && mux->in;
}

bool mux_must_linger(struct mux *mux)
{
	uint8_t ready;

	conn_settle(&mux->conn);
	ready = mux->conn.ready & (CONN_BROKEN | CONN_READABLE | CONN_PEER_CLOSED);

	if (ready & CONN_BROKEN)
		return false;
	return mux->has_unread || mux->in || ready == CONN_READABLE;
}

void mux_drain(struct mux *mux)
{
	mux->is_draining = true;
}

struct conn *mux_conn(struct mux *mux)
{
	return &mux->conn;
}

static void note_limit(struct stream *stream)
{
	char words[96];

	snprintf(words, sizeof(words), "net/http: server response headers exceeded %llu bytes; "
		 "aborted", (unsigned long long)stream->mux->settings->head_limit);
	stream_note(stream, words);
}

static enum io refuse_head(struct mux *mux, const struct http1_fault *fault)
{
	struct stream *stream = &mux->stream;

	stream->status = (uint16_t)fault->status;
	stream_note(stream, fault->words.text);
	mux->keeps_alive = false;
	mux->peer_minor = 0;          /* a peer of unknown version gets the simplest framing */
	if (!mux->is_upstream)
		return fail_input(mux, FAIL_BAD_REQUEST);
	if (fault->status == 431)
		note_limit(stream);
	return fail_input(mux, fault->status == 431 ? FAIL_RESPONSE_TOO_LARGE : FAIL_BAD_RESPONSE);
}

/* An upstream connection ended, or failed, before a complete head.  A reset under
 * our writing is no sign of a sick endpoint: it may not have wanted that body. */
static enum io lose_head(struct mux *mux, enum io io)
{
	if (mux->received)
		return fail_input(mux, FAIL_TRUNCATED_HEAD);
	if (mux->was_used)
		return fail_input(mux, FAIL_STALE);
	if (io == IO_EOF)
		return fail_input(mux, FAIL_EOF_BEFORE_HEAD);
	return fail_input(mux, mux->out_done && !mux->out ? FAIL_RESET_BEFORE_HEAD : FAIL_WRITE);
}

static bool has_long_line(struct str head, size_t limit)
{
	while (head.len > limit) {
		ssize_t lf = str_find_char(head, '\n');

		if (lf < 0 || (size_t)lf > limit)
			return true;
		head = str_sub(head, (size_t)lf + 1, STR_REST);
	}
	return false;
}

static bool is_over_limits(const struct mux *mux)
{
	const struct mux_settings *settings = mux->settings;

	return !mux->pending || mux->pending > settings->head_limit ||
	       has_long_line(str_sub(input(mux), 0, mux->pending), (size_t)settings->line_limit);
}

static bool parse_head(struct mux *mux, struct arena *arena, struct http_head *head,
		       struct http1_fault *fault)
{
	char *text;

	*fault = (struct http1_fault){ .status = 431 };
	if (is_over_limits(mux))
		return false;
	text = arena_alloc(arena, mux->pending);
	memcpy(text, buf_data(mux->in), mux->pending);
	if (mux->is_upstream ?
	    !http1_parse_response(text, mux->pending, mux->is_head_request ? STR("HEAD") : STR_NONE,
				  head, fault) :
	    !http1_parse_request(text, mux->pending, head, fault))
		return false;
	if (mux->settings->field_limit && head->count > mux->settings->field_limit) {
		*fault = (struct http1_fault){ .status = 431 };
		return false;
	}
	return true;
}

static void end_input(struct mux *mux)
{
	mux->input = INPUT_DONE;
}

enum io stream_recv_head(struct stream *stream, struct arena *arena, struct http_head *head)
{
	struct mux *mux = stream->mux;
	struct http1_fault fault;
	enum io io = stream->failure ? IO_ERROR : await_head(mux);

	if (io == IO_AGAIN || stream->failure)
		return stream->failure ? IO_ERROR : IO_AGAIN;
	if (io != IO_OK)
		return lose_head(mux, io);
	http_head_init(head, arena);
	if (!parse_head(mux, arena, head, &fault))
		return refuse_head(mux, &fault);
	consume(mux, mux->pending);
	mux->pending = mux->scanned = 0;
	if (mux->is_upstream && head->status < 200 && head->status != 101)
		return IO_OK;
	mux->peer_minor = head->minor;
	mux->keeps_alive = mux->keeps_alive && head->keeps_alive;
	mux->blanks_left = !mux->is_upstream && str_equal(head->method, STR("POST")) ?
			   BLANK_LIMIT : 0;
	mux->in_body = (uint8_t)head->body;
	mux->in_left = head->body == BODY_LENGTH ? head->content_length : 0;
	mux->input = INPUT_BODY;
	if (head->body == BODY_NONE || (head->body == BODY_LENGTH && !mux->in_left))
		end_input(mux);
	return IO_OK;
}

static enum io lose_body(struct mux *mux)
{
	return fail_input(mux, mux->is_upstream ? FAIL_TRUNCATED_BODY : FAIL_CLIENT_GONE);
}

static enum io refuse_body(struct mux *mux, const char *words)
{
	stream_note(&mux->stream, words);
	mux->keeps_alive = false;
	return fail_input(mux, mux->is_upstream ? FAIL_BAD_BODY : FAIL_BAD_REQUEST_BODY);
}

/* Takes the framing off what is in the buffer, in place: body bytes of several
 * chunks become one run at its start, the rest follows them. */
static bool decode_chunks(struct mux *mux, struct reason *why)
{
	struct str raw = input(mux);
	char *to = buf_data(mux->in);
	enum http1_chunk chunk = CHUNK_MORE;
	size_t used, n;

	mux->decoded = 0;
	for (;;) {
		struct http1_chunks before = mux->chunks;

		chunk = http1_parse_chunk(raw, &mux->chunks, &used, why);
		if (chunk == CHUNK_BAD) {
			mux->chunks = before; /* said again once what came before is gone */
			break;
		}
		raw = str_sub(raw, used, STR_REST);
		if (chunk != CHUNK_DATA || !raw.len)
			break;
		n = raw.len < mux->chunks.left ? raw.len : (size_t)mux->chunks.left;
		memmove(to, raw.p, n);
		to += n;
		mux->decoded += (uint32_t)n;
		mux->chunks.left -= n;
		raw = str_sub(raw, n, STR_REST);
	}
	memmove(to, raw.p, raw.len);
	mux->in->end = (uint32_t)(to + raw.len - mux->in->base);
	if (chunk == CHUNK_LAST)
		mux->input = INPUT_TRAILERS;
	return chunk != CHUNK_BAD || mux->decoded;
}

/* Looks for the end of the trailer section behind the decoded bytes. */
static enum io find_end_of_trailers(struct mux *mux)
{
	struct str raw = str_sub(input(mux), mux->decoded, TRAILERS_LIMIT);
	ssize_t length = http1_trailers_length(raw);

	if (length > 0) {
		mux->pending = (uint32_t)length;
		end_input(mux);
	} else if (mux->decoded) {
		return IO_OK;         /* a fault is said when what came before is gone */
	} else if (length < 0) {
		return refuse_body(mux, "malformed trailer");
	} else if (raw.len == TRAILERS_LIMIT) {
		return refuse_body(mux, "http: suspiciously long trailer after chunked body");
	}
	return IO_OK;
}

/* One round: decode what is here, or read more.  IO_OK: something moved on. */
static enum io advance_chunks(struct mux *mux)
{
	struct reason why;
	enum io io;

	if (mux->in && mux->input == INPUT_BODY) {
		if (!decode_chunks(mux, &why))
			return refuse_body(mux, why.text);
		consume(mux, 0);
	}
	if (mux->input == INPUT_TRAILERS && (io = find_end_of_trailers(mux)) != IO_OK)
		return io;
	if (mux->decoded || mux->input == INPUT_DONE)
		return IO_OK;
	io = fill(mux, BUF_LARGE);
	return io == IO_OK || io == IO_AGAIN ? io : lose_body(mux);
}

static enum io peek_chunked(struct mux *mux, struct str *bytes, bool *is_last)
{
	while (!mux->decoded && mux->input != INPUT_DONE) {
		enum io io = advance_chunks(mux);

		if (io != IO_OK)
			return io;
	}
	*bytes = str_sub(input(mux), 0, mux->decoded);
	*is_last = mux->input == INPUT_DONE;
	return bytes->len ? IO_OK : IO_EOF;
}

enum io stream_peek_body(struct stream *stream, struct str *bytes, bool *is_last)
{
	struct mux *mux = stream->mux;
	bool is_open_ended = mux->is_upgraded || mux->in_body == BODY_UNTIL_CLOSE;
	enum io io;

	*bytes = STR_NONE;
	*is_last = false;
	if (stream->failure)
		return IO_ERROR;
	if (mux->in_body == BODY_CHUNKED && !mux->is_upgraded)
		return peek_chunked(mux, bytes, is_last);
	if (mux->input == INPUT_DONE)
		return IO_EOF;
	if (!mux->in && (io = fill(mux, BUF_SIZE)) != IO_OK) {
		if (io == IO_EOF && is_open_ended) {
			end_input(mux);
			return IO_EOF;
		}
		return io == IO_AGAIN ? io : lose_body(mux);
	}
	*bytes = str_sub(input(mux), 0, is_open_ended ? STR_REST : (size_t)mux->in_left);
	*is_last = !is_open_ended && bytes->len == mux->in_left;
	return IO_OK;
}

void stream_consume_body(struct stream *stream, size_t n)
{
	struct mux *mux = stream->mux;

	consume(mux, n);
	if (mux->is_upgraded || mux->in_body == BODY_UNTIL_CLOSE)
		return;
	if (mux->in_body == BODY_CHUNKED) {
		mux->decoded -= (uint32_t)n;
		return;
	}
	mux->in_left -= n;
	if (!mux->in_left)
		end_input(mux);
}

bool stream_has_trailers(const struct stream *stream)
{
	return stream->mux->in_body == BODY_CHUNKED && stream->mux->pending > 2;
}

enum io stream_recv_trailers(struct stream *stream, struct http_head *trailers)
{
	struct mux *mux = stream->mux;
	struct http1_fault fault;
	char *text = arena_alloc(trailers->arena, mux->pending + 1);

	must(!mux->decoded);
	memcpy(text, buf_data(mux->in), mux->pending);
	if (!http1_parse_trailers(text, mux->pending, trailers, &fault))
		return refuse_body(mux, "malformed trailer");
	consume(mux, mux->pending);
	mux->pending = 0;
	return IO_OK;
}

uint64_t stream_body_left(const struct stream *stream)
{
	const struct mux *mux = stream->mux;

	if (mux->input == INPUT_DONE)
		return mux->decoded;
	return mux->in_body == BODY_LENGTH ? mux->in_left : UINT64_MAX;
}

void stream_upgrade(struct stream *stream)
{
	struct mux *mux = stream->mux;

	mux->is_upgraded = true;
	mux->input = INPUT_BODY;
	mux->out_done = mux->keeps_alive = false;
}

unsigned stream_ready(const struct stream *stream)
{
	const struct mux *mux = stream->mux;
	bool has_input = mux->in || mux->conn.ready & (CONN_READABLE | CONN_BROKEN);

	return (has_input ? STREAM_HEAD | STREAM_BODY : 0) |
	       (mux->conn.ready & CONN_WRITABLE ? STREAM_ROOM : 0) |
	       (mux->input == INPUT_DONE && !mux->decoded ? STREAM_ENDED : 0) |
	       (stream->failure || mux->conn.ready & CONN_BROKEN ? STREAM_FAILED : 0);
}

void stream_note(struct stream *stream, const char *words)
{
	free(stream->detail);
	stream->detail = words[0] ? mem_strdup(str_of(words)) : NULL;
}

void stream_fail(struct stream *stream, enum failure failure)
{
	if (!stream->failure)
		stream->failure = (uint8_t)failure;
}

enum failure stream_failure(const struct stream *stream)
{
	return (enum failure)stream->failure;
}

uint64_t stream_bytes_received(const struct stream *stream)
{
	return stream->mux->received;
}

uint64_t stream_bytes_sent(const struct stream *stream)
{
	return stream->mux->sent;
}

bool stream_keeps_connection(const struct stream *stream)
{
	return stream->mux->keeps_alive;
}

bool stream_is_complete(const struct stream *stream)
{
	const struct mux *mux = stream->mux;

	return !stream->failure && mux->input == INPUT_DONE && !mux->decoded && mux->out_done &&
	       !mux->out && !mux->out_broken && mux->keeps_alive;
}

void stream_set_task(struct stream *stream, struct task *task)
{
	stream->task = task;
	stream->mux->conn.owner = task;
}

void stream_abort(struct stream *stream)
{
	struct mux *mux = stream->mux;

	mux->keeps_alive = false;
	if (mux->out_body == BODY_UNTIL_CLOSE || mux->is_upgraded)
		conn_close_reset(&mux->conn);
}

/* A trailer section that nobody asked for goes with its stream. */
static void skip_trailers(struct mux *mux)
{
	if (mux->in_body == BODY_CHUNKED && mux->input == INPUT_DONE && !mux->decoded)
		consume(mux, mux->pending);
	mux->pending = 0;
}

/* True if anything follows the answer.  A read that was not short leaves that
 * open, and such a connection would not be quiet: so look. */
static bool has_surplus(struct mux *mux)
{
	if (mux->in)
		return true;
	return mux->conn.ready & CONN_READABLE && fill(mux, BUF_SIZE) != IO_AGAIN;
}

void stream_close(struct stream *stream)
{
	struct mux *mux = stream->mux;

	must(mux->has_stream);
	mux->wants_large = mux->received > BUF_SIZE;
	skip_trailers(mux);
	mux->is_dead = !stream_is_complete(stream) || (mux->is_upstream && has_surplus(mux));
	mux->has_unread = mux->is_dead && (mux->input != INPUT_DONE || mux->in);
	if (mux->is_dead)
		release_buffers(mux);
	mux->was_used = true;
	mux->scanned = mux->decoded = 0;
	mux->has_stream = false;
	free(stream->detail);
	stream->detail = NULL;
	mux->conn.owner = mux->owner;
	if (mux->owner)
		task_wake(mux->conn.loop, mux->owner);
}
