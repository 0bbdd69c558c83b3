/*
 * http/http1_send.c - heads and bodies to HTTP/1 bytes.  A head waits in the
 * output buffer to leave together with the first part of its body.
 */
#include <stdio.h>

#include "http/http1.h"

static bool out_need(struct mux *mux, size_t n)
{
	struct buf *larger;

	if (!mux->out)
		mux->out = buf_acquire(mux->pool, n);
	else if (buf_room(mux->out) < n) {
		larger = buf_acquire(mux->pool, buf_used(mux->out) + n);
		if (larger) {
			memcpy(larger->base, buf_data(mux->out), buf_used(mux->out));
			larger->end = (uint32_t)buf_used(mux->out);
			buf_release(mux->pool, mux->out);
			mux->out = larger;
		}
	}
	return mux->out && buf_room(mux->out) >= n;
}

static void put(struct mux *mux, struct str s)
{
	if (s.len)
		memcpy(buf_tail(mux->out), s.p, s.len);
	mux->out->end += (uint32_t)s.len;
}

static void put_field(struct mux *mux, struct str name, struct str value)
{
	put(mux, name);
	put(mux, STR(": "));
	put(mux, value);
	put(mux, STR("\r\n"));
}

static void put_fields(struct mux *mux, const struct http_head *head)
{
	struct http_field field;

	for (uint32_t at = 0; http_head_each(head, &at, &field);)
		put_field(mux, field.name, field.value);
}

static size_t head_size(const struct http_head *head)
{
	size_t size = 256 + head->method.len + head->target.len + head->reason.len +
		      head->authority.len;
	struct http_field field;

	for (uint32_t at = 0; http_head_each(head, &at, &field);)
		size += field.name.len + field.value.len + 4;
	return size;
}

static void put_start(struct mux *mux, const struct http_head *head)
{
	char status[24];

	if (mux->is_upstream) {
		put(mux, head->method);
		put(mux, STR(" "));
		put(mux, head->target);
		put(mux, STR(" HTTP/1.1\r\n"));
		put_field(mux, STR("Host"), head->authority);
		return;
	}
	snprintf(status, sizeof(status), "HTTP/1.1 %03u ", head->status);
	put(mux, str_of(status));
	put(mux, head->reason);
	put(mux, STR("\r\n"));
}

static void put_framing(struct mux *mux, const struct http_head *head)
{
	char digits[20];
	struct str length = { digits, u64_format(head->content_length, digits) };

	if (mux->out_body == BODY_CHUNKED)
		put_field(mux, STR("Transfer-Encoding"), STR("chunked"));
	else if (mux->out_body == BODY_LENGTH || head->has_length)
		put_field(mux, STR("Content-Length"), length);
	if (!mux->keeps_alive)
		put_field(mux, STR("Connection"), STR("close"));
	else if (!mux->is_upstream && mux->peer_version == 10)
		put_field(mux, STR("Connection"), STR("keep-alive"));
}

static enum http_body out_framing(const struct mux *mux, const struct http_head *head)
{
	if (mux->is_upstream || (head->body != BODY_CHUNKED && head->body != BODY_UNTIL_CLOSE))
		return head->body;
	return mux->peer_version == 10 ? BODY_UNTIL_CLOSE : BODY_CHUNKED;
}

enum io stream_flush(struct stream *stream)
{
	size_t taken;

	return stream_send_body(stream, STR_NONE, false, &taken);
}

enum io stream_send_head(struct stream *stream, const struct http_head *head, bool end)
{
	struct mux *mux = stream->mux;
	bool is_interim = !mux->is_upstream && head->status < 200;

	if (!out_need(mux, head_size(head))) {
		stream_fail(stream, FAIL_OVERLOAD);
		return IO_ERROR;
	}
	put_start(mux, head);
	if (!is_interim) {
		mux->out_body = (uint8_t)out_framing(mux, head);
		mux->to_head = mux->is_upstream && http_head_is_method(head, "HEAD");
		mux->keeps_alive = mux->keeps_alive && !mux->is_draining && head->is_keep_alive &&
				   mux->out_body != BODY_UNTIL_CLOSE;
		put_framing(mux, head);
	}
	put_fields(mux, head);
	put(mux, STR("\r\n"));
	mux->head_sent = !is_interim;
	mux->out_done = end && !is_interim;
	return end || is_interim ? stream_flush(stream) : IO_OK;
}

static enum io write_parts(struct stream *stream, struct iovec *iov, int count, size_t *sent)
{
	struct mux *mux = stream->mux;
	enum io io = conn_writev(&mux->conn, iov, count, sent);
	size_t framing = *sent;

	if (io == IO_ERROR)
		stream_fail(stream, mux->is_upstream ? FAIL_WRITE : FAIL_CLIENT_GONE);
	if (!mux->out)
		return io;
	if (framing > buf_used(mux->out))
		framing = buf_used(mux->out);
	buf_consume(mux->out, framing);
	*sent -= framing;
	if (!buf_used(mux->out)) {
		buf_release(mux->pool, mux->out);
		mux->out = NULL;
	}
	return io;
}

enum io stream_send_body(struct stream *stream, struct str bytes, bool end, size_t *taken)
{
	struct mux *mux = stream->mux;
	bool is_chunked = mux->out_body == BODY_CHUNKED && !mux->is_upgraded && mux->head_sent;
	struct iovec iov[2];
	int count = 0;
	enum io io;
	char line[24];

	*taken = 0;
	if (!out_need(mux, 64))
		return IO_AGAIN;
	if (is_chunked && bytes.len && !mux->out_left) {
		mux->out_left = bytes.len;
		put(mux, (struct str){ line, (size_t)snprintf(line, sizeof(line), "%zx\r\n",
							      bytes.len) });
	}
	if (is_chunked && bytes.len > mux->out_left)
		bytes.len = mux->out_left;
	if (end && !bytes.len && !mux->out_done) {
		mux->out_done = true;
		if (is_chunked)
			put(mux, STR("0\r\n\r\n"));
	}
	if (buf_used(mux->out))
		iov[count++] = (struct iovec){ buf_data(mux->out), buf_used(mux->out) };
	if (bytes.len)
		iov[count++] = (struct iovec){ (char *)bytes.p, bytes.len };
	io = count ? write_parts(stream, iov, count, taken) : IO_OK;
	if (mux->out && !buf_used(mux->out)) {
		buf_release(mux->pool, mux->out);
		mux->out = NULL;
	}
	if (is_chunked && *taken && !(mux->out_left -= *taken)) {
		if (!out_need(mux, 2))
			return stream_fail(stream, FAIL_OVERLOAD), IO_ERROR;
		put(mux, STR("\r\n"));
	}
	if (io != IO_OK || *taken < bytes.len)
		return io == IO_OK ? IO_AGAIN : io;
	if (end && !mux->out_done)
		return stream_send_body(stream, STR_NONE, true, &(size_t){ 0 });
	return mux->out && !bytes.len ? IO_AGAIN : IO_OK;
}

enum io stream_send_trailers(struct stream *stream, const struct http_head *trailers)
{
	struct mux *mux = stream->mux;

	if (mux->out_body == BODY_CHUNKED && !mux->out_done) {
		if (!out_need(mux, head_size(trailers)))
			return stream_fail(stream, FAIL_OVERLOAD), IO_ERROR;
		put(mux, STR("0\r\n"));
		put_fields(mux, trailers);
		put(mux, STR("\r\n"));
	}
	mux->out_done = true;
	return stream_flush(stream);
}

void stream_shutdown(struct stream *stream)
{
	conn_shutdown(&stream->mux->conn);
}
