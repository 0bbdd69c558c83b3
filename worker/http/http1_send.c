/*
 * http/http1_send.c - heads and bodies to HTTP/1 bytes.  A head waits in the
 * output buffer to leave together with the first part of its body; body bytes
 * are copied only by the kernel, unless they are few and fit behind the head.
 */
#include <stdio.h>

#include "http/http1.h"

#define CHUNK_END  "\r\n"
#define LAST_CHUNK "0\r\n\r\n"
#define FEW_BYTES  2048               /* to copy them is cheaper than a second part */

bool http1_need_out(struct mux *mux, size_t n)
{
	struct buf *larger;

	if (mux->out && buf_room(mux->out) >= n)
		return true;
	larger = buf_acquire(mux->pool, (mux->out ? buf_used(mux->out) : 0) + n);
	if (!larger) {
		stream_fail(&mux->stream, FAIL_OVERLOAD);
		return false;
	}
	if (mux->out) {
		larger->end = (uint32_t)buf_used(mux->out);
		memcpy(larger->base, buf_data(mux->out), larger->end);
		buf_release(mux->pool, mux->out);
	}
	mux->out = larger;
	return true;
}

static void put(struct buf *out, struct str s)
{
	if (s.len)
		memcpy(buf_tail(out), s.p, s.len);
	out->end += (uint32_t)s.len;
}

static void put_field(struct buf *out, struct str name, struct str value)
{
	put(out, name);
	put(out, STR(": "));
	put(out, value);
	put(out, STR("\r\n"));
}

static void put_fields(struct buf *out, const struct http_head *head)
{
	for (unsigned i = 0; i < head->count; i++)
		put_field(out, head->fields[i].name, head->fields[i].value);
}

static size_t head_size(const struct http_head *head)
{
	size_t size = 256 + head->method.len + head->target.len + head->reason.len +
		      head->authority.len;

	for (unsigned i = 0; i < head->count; i++)
		size += head->fields[i].name.len + head->fields[i].value.len + 4;
	return size;
}

static void put_status_line(struct buf *out, const struct http_head *head)
{
	char code[4] = { (char)('0' + head->status / 100 % 10), (char)('0' + head->status / 10 % 10),
			 (char)('0' + head->status % 10), ' ' };

	put(out, head->minor ? STR("HTTP/1.1 ") : STR("HTTP/1.0 "));
	put(out, (struct str){ code, sizeof(code) });
	put(out, head->reason);
	put(out, STR("\r\n"));
}

static void put_request_line(struct buf *out, const struct http_head *head)
{
	put(out, head->method);
	put(out, STR(" "));
	put(out, head->target);
	put(out, STR(" HTTP/1.1\r\n"));
	put_field(out, STR("Host"), head->authority);
}

static void put_framing(const struct mux *mux, struct buf *out, const struct http_head *head)
{
	char digits[20];

	if (mux->out_body == BODY_CHUNKED)
		put_field(out, STR("Transfer-Encoding"), STR("chunked"));
	else if (mux->out_body == BODY_LENGTH || head->has_length)
		put_field(out, STR("Content-Length"),
			  (struct str){ digits, u64_format(head->content_length, digits) });
	if (mux->is_upgraded || !head->minor)
		return;
	if (!mux->keeps_alive)
		put_field(out, STR("Connection"), STR("close"));
	else if (!mux->is_upstream && mux->peer_minor == 0)
		put_field(out, STR("Connection"), STR("keep-alive"));
}

/* A body of unknown length goes in chunks, or to a client of HTTP/1.0 until the
 * connection closes. */
static enum http_body out_framing(const struct mux *mux, const struct http_head *head)
{
	if (mux->is_upstream || (head->body != BODY_CHUNKED && head->body != BODY_UNTIL_CLOSE))
		return head->body;
	return mux->peer_minor == 0 || !head->minor ? BODY_UNTIL_CLOSE : BODY_CHUNKED;
}

static void begin_message(struct mux *mux, const struct http_head *head)
{
	mux->out_body = (uint8_t)out_framing(mux, head);
	mux->out_left = mux->out_body == BODY_LENGTH ? head->content_length : 0;
	mux->is_head_request = mux->is_upstream && str_equal(head->method, STR("HEAD"));
	mux->keeps_alive = mux->keeps_alive && !mux->is_draining && head->keeps_alive &&
			   mux->out_body != BODY_UNTIL_CLOSE;
	mux->head_sent = true;
}

/* A client is told what became of its request even if buffers are short. */
static bool need_head_room(struct mux *mux, size_t n)
{
	if (!mux->is_upstream && !mux->out && n <= BUF_SIZE)
		mux->out = buf_acquire_reserve(mux->pool);
	return http1_need_out(mux, n);
}

enum io stream_send_head(struct stream *stream, const struct http_head *head, bool end)
{
	struct mux *mux = stream->mux;
	bool is_interim = !mux->is_upstream && head->status < 200 && head->status != 101;

	if (!need_head_room(mux, head_size(head)))
		return IO_ERROR;
	if (mux->is_upstream)
		put_request_line(mux->out, head);
	else
		put_status_line(mux->out, head);
	if (!is_interim) {
		begin_message(mux, head);
		put_framing(mux, mux->out, head);
	}
	put_fields(mux->out, head);
	put(mux->out, STR("\r\n"));
	if (!end && !is_interim)
		return IO_OK;
	mux->out_done = end;
	return stream_flush(stream);
}

static size_t at_most(size_t n, size_t most)
{
	return n < most ? n : most;
}

static void drop_sent_output(struct mux *mux, size_t n)
{
	buf_consume(mux->out, n);
	if (buf_used(mux->out))
		return;
	buf_release(mux->pool, mux->out);
	mux->out = NULL;
}

/* What was not sent of a piece of framing waits in the output buffer. */
static bool keep_rest(struct mux *mux, struct str piece, size_t sent)
{
	if (sent == piece.len)
		return true;
	if (!http1_need_out(mux, piece.len - sent))
		return false;
	put(mux->out, str_sub(piece, sent, STR_REST));
	return true;
}

static enum io write_failed(struct stream *stream)
{
	stream->mux->out_broken = true;
	if (!stream->mux->is_upstream)
		stream_fail(stream, FAIL_CLIENT_GONE);
	return IO_ERROR;
}

/* One write: what waits, `before`, the bytes, `after`; the framing belongs to
 * the bytes only from the moment it has begun to leave. */
struct parts {
	struct str before, bytes, after;
	size_t sent;                  /* of the three together */
};

static enum io write_parts(struct stream *stream, struct parts *parts)
{
	struct mux *mux = stream->mux;
	size_t waiting = mux->out ? buf_used(mux->out) : 0, sent = 0;
	struct iovec iov[4];
	int count = 0;
	enum io io;

	if (waiting)
		iov[count++] = (struct iovec){ buf_data(mux->out), waiting };
	if (parts->before.len)
		iov[count++] = (struct iovec){ (char *)parts->before.p, parts->before.len };
	if (parts->bytes.len)
		iov[count++] = (struct iovec){ (char *)parts->bytes.p, parts->bytes.len };
	if (parts->after.len)
		iov[count++] = (struct iovec){ (char *)parts->after.p, parts->after.len };
	if (!count)
		return IO_OK;
	io = conn_writev(&mux->conn, iov, count, &sent);
	if (io == IO_ERROR)
		return write_failed(stream);
	if (io == IO_AGAIN)
		return IO_AGAIN;
	mux->sent += sent;
	if (waiting)
		drop_sent_output(mux, at_most(sent, waiting));
	parts->sent = sent - at_most(sent, waiting);
	return mux->out ? IO_AGAIN : IO_OK;
}

/* Chunked: `bytes` becomes a chunk, or goes on with one that was announced. */
static enum io send_chunk(struct stream *stream, struct str bytes, bool end, size_t *taken)
{
	struct mux *mux = stream->mux;
	char line[24];
	struct parts parts = { .bytes = bytes };
	bool is_new = bytes.len && !mux->out_left, is_all;
	size_t sent;
	enum io io;

	if (is_new)
		parts.before = (struct str){ line, (size_t)snprintf(line, sizeof(line), "%zx\r\n",
								   bytes.len) };
	if (!is_new && mux->out_left < bytes.len)
		parts.bytes.len = (size_t)mux->out_left;
	is_all = parts.bytes.len == bytes.len;
	if (bytes.len && (is_new || parts.bytes.len == mux->out_left))
		parts.after = end && is_all ? STR(CHUNK_END LAST_CHUNK) : STR(CHUNK_END);
	else if (end && !bytes.len)
		parts.after = STR(LAST_CHUNK);
	io = write_parts(stream, &parts);
	sent = parts.sent;
	if (io != IO_OK || (!sent && (bytes.len || parts.after.len)))
		return io == IO_OK ? IO_AGAIN : io;
	if (is_new)
		mux->out_left = bytes.len;
	*taken = at_most(sent - at_most(sent, parts.before.len), parts.bytes.len);
	mux->out_left -= *taken;
	if (!keep_rest(mux, parts.before, at_most(sent, parts.before.len)))
		return IO_ERROR;
	if (mux->out_left)
		return IO_AGAIN;
	mux->out_done = mux->out_done || (end && is_all);
	if (!keep_rest(mux, parts.after, sent - parts.before.len - *taken))
		return IO_ERROR;
	return mux->out || !is_all ? IO_AGAIN : IO_OK;
}

/* Known length, until close, upgraded: bytes as they are. */
static enum io send_plain(struct stream *stream, struct str bytes, bool end, size_t *taken)
{
	struct mux *mux = stream->mux;
	struct parts parts = { .bytes = bytes };
	enum io io;

	if (mux->out_body == BODY_LENGTH && !mux->is_upgraded && parts.bytes.len > mux->out_left)
		parts.bytes.len = (size_t)mux->out_left;
	if (mux->out && parts.bytes.len <= FEW_BYTES && parts.bytes.len <= buf_room(mux->out)) {
		put(mux->out, parts.bytes);
		*taken = parts.bytes.len;
		parts.bytes.len = 0;
	}
	io = write_parts(stream, &parts);
	*taken += parts.sent;
	mux->out_left -= mux->out_body == BODY_LENGTH ? *taken : 0;
	if (io != IO_OK)
		return io;
	if (*taken < bytes.len)
		return IO_AGAIN;
	mux->out_done = mux->out_done || (end && !mux->out_left);
	return IO_OK;
}

/* A chunk that was announced may end before what is offered now: the rest
 * becomes the next one at once, for nobody would be woken to offer it. */
static enum io send_chunks(struct stream *stream, struct str bytes, bool end, size_t *taken)
{
	bool was_announced;
	size_t n;
	enum io io;

	do {
		n = 0;
		was_announced = stream->mux->out_left > 0;
		io = send_chunk(stream, str_sub(bytes, *taken, STR_REST), end, &n);
		*taken += n;
	} while (n && was_announced && !stream->mux->out_left && *taken < bytes.len);
	return io;
}

enum io stream_send_body(struct stream *stream, struct str bytes, bool end, size_t *taken)
{
	struct mux *mux = stream->mux;

	*taken = 0;
	if (mux->out_done)
		return stream_flush(stream);
	if (mux->out_body == BODY_CHUNKED && !mux->is_upgraded && mux->head_sent)
		return send_chunks(stream, bytes, end, taken);
	return send_plain(stream, bytes, end, taken);
}

enum io stream_send_trailers(struct stream *stream, const struct http_head *trailers)
{
	struct mux *mux = stream->mux;

	if (mux->out_body == BODY_CHUNKED && !mux->out_done) {
		if (!http1_need_out(mux, head_size(trailers)))
			return IO_ERROR;
		put(mux->out, STR("0\r\n"));
		put_fields(mux->out, trailers);
		put(mux->out, STR("\r\n"));
	}
	mux->out_done = true;
	return stream_flush(stream);
}

enum io stream_flush(struct stream *stream)
{
	return write_parts(stream, &(struct parts){ .sent = 0 });
}

void stream_shutdown(struct stream *stream)
{
	conn_shutdown(&stream->mux->conn);
}
