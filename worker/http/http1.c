/*
 * http/http1.c - an HTTP/1 connection, both sides: one stream at a time, read
 * when asked.  It never decides what to answer.
 */
#include "http/http1.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"

static struct mux *mux_new(struct buf_pool *pool, struct task *owner,
			   const struct mux_settings *settings)
{
	struct mux *mux = mem_zalloc(sizeof(*mux));

	mux->pool = pool;
	mux->owner = owner;
	mux->settings = settings;
	mux->stream.mux = mux;
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

	return mux_or_errno(mux, conn_accepted(&mux->conn, loop, fd, owner));
}

struct mux *mux_create_upstream(struct loop *loop, struct buf_pool *pool, const struct addr *to,
				struct task *owner, const struct mux_settings *settings)
{
	struct mux *mux = mux_new(pool, owner, settings);

	mux->is_upstream = true;
	return mux_or_errno(mux, conn_connect(&mux->conn, loop, to, owner));
}

static void release_buffers(struct mux *mux)
{
	buf_release(mux->pool, mux->in);
	buf_release(mux->pool, mux->out);
	mux->in = mux->out = NULL;
}

void mux_destroy(struct mux *mux)
{
	if (!mux)
		return;
	release_buffers(mux);
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

/* Reads once; grows the buffer up to `most` bytes. */
static enum io fill(struct mux *mux, size_t most)
{
	struct buf *larger;
	size_t n;
	enum io io;

	if (!(mux->conn.ready & CONN_READABLE))
		return mux->conn.ready & CONN_BROKEN ? IO_ERROR : IO_AGAIN;
	if (!mux->in && !(mux->in = buf_acquire(mux->pool, BUF_SIZE)))
		return stream_fail(&mux->stream, FAIL_OVERLOAD), IO_ERROR;
	if (mux->in->start) {
		memmove(mux->in->base, buf_data(mux->in), buf_used(mux->in));
		mux->in->end -= mux->in->start;
		mux->in->start = 0;
	}
	if (!buf_room(mux->in)) {
		larger = buf_grow(mux->pool, mux->in, most);
		if (!larger)
			return stream_fail(&mux->stream, FAIL_OVERLOAD), IO_ERROR;
		mux->in = larger;
	}
	io = conn_read(&mux->conn, buf_tail(mux->in), buf_room(mux->in), &n);
	mux->in->end += (uint32_t)n;
	mux->received += n;
	consume(mux, 0);
	return io;
}

/* OK: `pending` bytes of head or trailers are complete, or over the limit. */
static enum io await_head(struct mux *mux)
{
	for (;;) {
		struct str bytes = input(mux);
		enum io io;

		if (mux->in_trailers && bytes.len >= 2 && memcmp(bytes.p, "\r\n", 2) == 0)
			mux->pending = 2;
		else if (bytes.len)
			mux->pending = (uint32_t)http1_head_end(bytes, &mux->scanned);
		if (mux->pending || bytes.len >= mux->settings->head_limit)
			return IO_OK;
		io = fill(mux, 2 * (size_t)mux->settings->head_limit + BUF_SIZE);
		if (io != IO_OK)
			return io;
	}
}

static struct stream *begin_stream(struct mux *mux, struct task *task)
{
	mux->has_stream = mux->keeps_alive = true;
	mux->stream = (struct stream){ .mux = mux, .task = task };
	mux->conn.owner = task;
	return &mux->stream;
}

struct stream *mux_accept(struct mux *mux, struct task *task)
{
	enum io io;

	if (mux->has_stream || mux->is_dead || (mux->is_draining && !mux->in))
		return NULL;
	io = await_head(mux);
	if (io == IO_OK)
		return begin_stream(mux, task);
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
	return mux->conn.ready & CONN_CONNECTING && !(mux->conn.ready & CONN_BROKEN);
}

bool mux_is_finished(const struct mux *mux)
{
	return !mux->has_stream && (mux->is_dead || mux->is_draining ||
				    mux->conn.ready & CONN_BROKEN);
}

bool mux_is_usable(const struct mux *mux)
{
	return mux_room(mux) && !mux->in && !mux->out && conn_is_quiet(&mux->conn);
}

bool mux_has_partial_head(const struct mux *mux)
{
	return !mux->has_stream && mux->in;
}

void mux_drain(struct mux *mux)
{
	mux->is_draining = true;
}

struct conn *mux_conn(struct mux *mux)
{
	return &mux->conn;
}

static enum io fail_head(struct stream *stream, enum io io)
{
	struct mux *mux = stream->mux;

	if (mux->conn.ready & CONN_CONNECTING)
		stream_fail(stream, FAIL_CONNECT);
	else if (mux->received)
		stream_fail(stream, FAIL_TRUNCATED_HEAD);
	else if (mux->is_reused)
		stream_fail(stream, FAIL_STALE);
	else
		stream_fail(stream, io == IO_EOF ? FAIL_EOF_BEFORE_HEAD : FAIL_RESET_BEFORE_HEAD);
	return IO_ERROR;
}

enum io stream_recv_head(struct stream *stream, struct arena *arena, struct http_head *head)
{
	struct mux *mux = stream->mux;
	struct http1_fault fault = { 431, NULL };
	enum io io = stream->failure ? IO_ERROR : await_head(mux);
	bool is_good = false;

	if (io == IO_AGAIN)
		return io;
	if (io != IO_OK)
		return fail_head(stream, io);
	http_head_init(head, arena);
	if (mux->pending && mux->pending <= mux->settings->head_limit) {
		struct str text = arena_copy(arena, str_sub(input(mux), 0, mux->pending));

		is_good = mux->is_upstream ?
			  http1_parse_response(text, mux->settings, mux->to_head, head, &fault) :
			  http1_parse_request(text, mux->settings, head, &fault);
	}
	if (!is_good) {
		stream->status = fault.status;
		stream->detail = fault.detail;
		mux->keeps_alive = false;
		stream_fail(stream, !mux->is_upstream ? FAIL_BAD_REQUEST : fault.status == 431 ?
			    FAIL_RESPONSE_TOO_LARGE : FAIL_BAD_RESPONSE);
		return IO_ERROR;
	}
	consume(mux, mux->pending);
	mux->pending = mux->scanned = 0;
	if (mux->is_upstream && head->status < 200 && head->status != 101)
		return IO_OK;
	mux->peer_version = head->version;
	mux->keeps_alive = mux->keeps_alive && head->is_keep_alive;
	mux->in_body = (uint8_t)head->body;
	mux->in_left = head->content_length;
	mux->in_done = head->body == BODY_NONE;
	return IO_OK;
}

static enum io fail_body(struct mux *mux, enum io io, const char *detail)
{
	mux->stream.detail = detail;
	if (detail)
		stream_fail(&mux->stream, mux->is_upstream ? FAIL_BAD_BODY : FAIL_BAD_REQUEST_BODY);
	else if (io != IO_AGAIN)
		stream_fail(&mux->stream,
			    mux->is_upstream ? FAIL_TRUNCATED_BODY : FAIL_CLIENT_GONE);
	return io == IO_AGAIN ? io : IO_ERROR;
}

static enum io peek_chunked(struct mux *mux, struct str *bytes)
{
	while (!mux->in_trailers) {
		size_t used;
		enum chunk chunk = http1_next_chunk(&mux->chunks, input(mux), &used);
		enum io io = IO_OK;

		consume(mux, used);
		if (chunk == CHUNK_BAD)
			return fail_body(mux, IO_ERROR, mux->chunks.detail);
		mux->in_trailers = chunk == CHUNK_LAST;
		*bytes = str_sub(input(mux), 0, mux->chunks.left);
		if (chunk == CHUNK_DATA && bytes->len)
			return IO_OK;
		if (!mux->in_trailers && (io = fill(mux, 2 * BUF_SIZE)) != IO_OK)
			return fail_body(mux, io, NULL);
	}
	enum io io = await_head(mux);

	if (io != IO_OK)
		return fail_body(mux, io, NULL);
	if (!mux->pending)
		return fail_body(mux, IO_ERROR, "suspiciously long trailer after chunked body");
	mux->in_done = true;
	return IO_EOF;
}

enum io stream_peek_body(struct stream *stream, struct str *bytes)
{
	struct mux *mux = stream->mux;
	bool is_open_ended = mux->is_upgraded || mux->in_body == BODY_UNTIL_CLOSE;
	enum io io;

	*bytes = STR_NONE;
	if (stream->failure)
		return IO_ERROR;
	if (mux->in_done)
		return IO_EOF;
	if (mux->in_body == BODY_CHUNKED && !mux->is_upgraded)
		return peek_chunked(mux, bytes);
	if (!mux->in && (io = fill(mux, BUF_SIZE)) != IO_OK) {
		mux->in_done = io == IO_EOF && is_open_ended;
		return mux->in_done ? io : fail_body(mux, io, NULL);
	}
	*bytes = str_sub(input(mux), 0, is_open_ended ? STR_REST : mux->in_left);
	return IO_OK;
}

void stream_consume_body(struct stream *stream, size_t n)
{
	struct mux *mux = stream->mux;

	consume(mux, n);
	if (mux->is_upgraded || mux->in_body == BODY_UNTIL_CLOSE)
		return;
	if (mux->in_body == BODY_CHUNKED)
		mux->chunks.left -= n;
	else
		mux->in_done = !(mux->in_left -= n);
}

enum io stream_recv_trailers(struct stream *stream, struct http_head *trailers)
{
	struct mux *mux = stream->mux;
	struct http1_fault fault;
	struct str text = arena_copy(trailers->arena, str_sub(input(mux), 0, mux->pending));

	if (!http1_parse_trailers(text, mux->settings, trailers, &fault))
		return fail_body(mux, IO_ERROR, "malformed trailer");
	consume(mux, mux->pending);
	mux->pending = 0;
	return IO_OK;
}

void stream_upgrade(struct stream *stream)
{
	stream->mux->is_upgraded = true;
	stream->mux->in_done = stream->mux->out_done = stream->mux->keeps_alive = false;
}

unsigned stream_ready(const struct stream *stream)
{
	const struct mux *mux = stream->mux;
	bool has_input = mux->in || mux->conn.ready & (CONN_READABLE | CONN_BROKEN);

	return (has_input ? STREAM_HEAD | STREAM_BODY : 0) |
	       (mux->conn.ready & CONN_WRITABLE ? STREAM_ROOM : 0) |
	       (mux->in_done ? STREAM_ENDED : 0) |
	       (stream->failure || mux->conn.ready & CONN_BROKEN ? STREAM_FAILED : 0);
}

/* The first failure is the cause; what follows from it is not told. */
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

void stream_close(struct stream *stream)
{
	struct mux *mux = stream->mux;

	must(mux->has_stream);
	consume(mux, mux->in_trailers ? mux->pending : 0);
	mux->has_stream = false;
	mux->is_dead = stream->failure || !mux->in_done || !mux->out_done || mux->out ||
		       !mux->keeps_alive;
	if (mux->is_dead) {
		release_buffers(mux);
		conn_shutdown(&mux->conn);
	}
	mux->chunks = (struct http1_chunks){ 0 };
	mux->out_left = mux->received = 0;
	mux->scanned = mux->pending = 0;
	mux->in_done = mux->out_done = mux->head_sent = mux->in_trailers = false;
	mux->is_reused = true;
	mux->conn.owner = mux->owner;
	if (mux->owner)
		task_wake(mux->conn.loop, mux->owner);
}
