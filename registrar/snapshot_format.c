/*
 * registrar/snapshot_format.c - records and their checks.
 */
#include "registrar/snapshot_format.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/mem.h"

#define MAGIC "WYEROUTE"
#define BYTE_ORDER_MARK 0x01020304u

#define KNOWN_FLAGS (ENDPOINT_TLS | ENDPOINT_HTTP2 | ENDPOINT_HOST_IS_NAME | ENDPOINT_HAS_TAGS)

enum text_number {
#define X(name) TEXT_##name,
	ENDPOINT_TEXTS(X)
#undef X
	TEXTS
};

/* What comes before the key, the texts and the tags of a record. */
struct record {
	uint32_t bytes;               /* all of it */
	uint32_t age_s, flags, stale_s;
	uint64_t updated_at_ns;
	uint8_t ip[16];
	uint16_t port, balancing, key_len, tags_len;
	uint16_t lens[TEXTS];
	uint16_t zero;
};
_Static_assert(sizeof(struct record) == 72, "a change of the record is a new version");
_Static_assert(ENDPOINT_TAGS_MAX <= UINT16_MAX, "tags_len");

/* --- writing --- */

static char *reserve(struct snapshot_buffer *b, size_t more)
{
	if (b->room - b->used < more) {
		b->room = b->room ? 2 * b->room + more : (1u << 20) + more;
		b->bytes = mem_resize(b->bytes, b->room);
	}
	return b->bytes + b->used;
}

static char *append(char *at, struct str text)
{
	if (text.len)
		memcpy(at, text.p, text.len);
	return at + text.len;
}

void snapshot_put(struct snapshot_buffer *buffer, struct str key, uint32_t age_s,
		  const struct endpoint *e)
{
	struct record record = {
		.age_s = age_s, .flags = e->flags, .stale_s = e->stale_s,
		.updated_at_ns = e->updated_at_ns, .port = e->port, .balancing = e->balancing,
		.key_len = (uint16_t)key.len, .tags_len = (uint16_t)e->tags.len,
	};
	size_t bytes = sizeof(record) + key.len + e->tags.len;
	char *at;

	memcpy(record.ip, e->ip, sizeof(record.ip));
#define X(name) record.lens[TEXT_##name] = (uint16_t)e->name.len; bytes += e->name.len;
	ENDPOINT_TEXTS(X)
#undef X
	record.bytes = (uint32_t)bytes;
	at = reserve(buffer, bytes);
	memcpy(at, &record, sizeof(record));
	at = append(at + sizeof(record), key);
#define X(name) at = append(at, e->name);
	ENDPOINT_TEXTS(X)
#undef X
	append(at, e->tags);
	buffer->used += bytes;
}

void snapshot_buffer_fini(struct snapshot_buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct snapshot_buffer){ 0 };
}

uint32_t snapshot_crc(uint32_t crc, const void *bytes, size_t len)
{
	return (uint32_t)crc32_z(crc, bytes, len);
}

static uint32_t head_crc(const struct snapshot_head *head)
{
	struct snapshot_head copy = *head;

	copy.head_crc = 0;
	return snapshot_crc(0, &copy, sizeof(copy));
}

void snapshot_seal(struct snapshot_head *head, const char *instance)
{
	memcpy(head->magic, MAGIC, sizeof(head->magic));
	head->version = SNAPSHOT_VERSION;
	head->byte_order = BYTE_ORDER_MARK;
	memset(head->instance, 0, sizeof(head->instance));
	str_copy_z(str_of(instance), head->instance, sizeof(head->instance));
	head->head_crc = head_crc(head);
}

/* --- reading --- */

int snapshot_read_head(struct str image, const char *instance, struct snapshot_head *out,
		       struct reason *reason)
{
	static const char nothing[sizeof(out->magic)];

	if (!image.len)
		return -ENODATA;
	if (image.len < sizeof(*out))
		return reason_set(reason, -EINVAL, "it is cut off: %zu bytes", image.len);
	memcpy(out, image.p, sizeof(*out));
	if (memcmp(out->magic, nothing, sizeof(nothing)) == 0)
		return -ENODATA;      /* its head was never written: it is unfinished */
	if (memcmp(out->magic, MAGIC, sizeof(out->magic)) != 0)
		return reason_set(reason, -EINVAL, "it is no table of routes");
	if (out->byte_order != BYTE_ORDER_MARK)
		return reason_set(reason, -EINVAL, "it comes from a machine of another byte order");
	if (out->version != SNAPSHOT_VERSION)
		return reason_set(reason, -EINVAL, "it is of version %u, this program reads %d",
				  out->version, SNAPSHOT_VERSION);
	if (out->head_crc != head_crc(out))
		return reason_set(reason, -EINVAL, "the checksum of its head is wrong");
	out->instance[sizeof(out->instance) - 1] = '\0';
	if (strcmp(out->instance, instance) != 0)
		return reason_set(reason, -EINVAL, "it belongs to the instance \"%s\", not \"%s\"",
				  out->instance, instance);
	return 0;
}

/* Everything but the key, which is parsed; texts are where the lengths say. */
static bool is_sound(const struct record *r)
{
	size_t texts = 0;

	for (unsigned i = 0; i < TEXTS; i++)
		texts += r->lens[i];
	return r->bytes == sizeof(*r) + r->key_len + r->tags_len + texts &&
	       texts <= ENDPOINT_TEXT_MAX && r->tags_len <= ENDPOINT_TAGS_MAX && r->key_len &&
	       r->lens[TEXT_host] && r->port && !r->zero && !(r->flags & ~(uint32_t)KNOWN_FLAGS) &&
	       r->balancing <= BALANCE_LEAST_CONNECTION;
}

static struct str take(struct str *rest, size_t len)
{
	struct str taken = str_sub(*rest, 0, len);

	*rest = str_sub(*rest, len, STR_REST);
	return taken;
}

static void describe(const struct record *r, struct str rest, struct endpoint *e)
{
	e->serial = 0;
	e->row = 0;
	e->flags = r->flags;
	e->stale_s = r->stale_s;
	e->port = r->port;
	e->balancing = (uint8_t)r->balancing;
	e->updated_at_ns = r->updated_at_ns;
	memcpy(e->ip, r->ip, sizeof(e->ip));
#define X(name) e->name = take(&rest, r->lens[TEXT_##name]);
	ENDPOINT_TEXTS(X)
#undef X
	e->tags = rest;
}

int snapshot_next(struct str *records, struct snapshot_entry *out)
{
	struct record r;
	struct str rest, key;

	if (!records->len)
		return -ENODATA;
	if (records->len < sizeof(r))
		return -EINVAL;
	memcpy(&r, records->p, sizeof(r));
	if (r.bytes > records->len || !is_sound(&r))
		return -EINVAL;
	rest = str_sub(take(records, r.bytes), sizeof(r), STR_REST);
	key = take(&rest, r.key_len);
	if (route_key_parse(key, out->buffer, &out->key, NULL) < 0 ||
	    !str_equal(out->key.text, key))
		return -EINVAL;
	out->age_s = r.age_s;
	describe(&r, rest, &out->endpoint);
	return 0;
}

int snapshot_check(struct str image, const struct snapshot_head *head, struct reason *reason)
{
	struct str records = str_sub(image, sizeof(*head), STR_REST);
	struct snapshot_entry *entry;
	uint64_t entries = 0;
	int rc;

	if (records.len != head->body_bytes)
		return reason_set(reason, -EINVAL, "it has %zu bytes of routes instead of %llu",
				  records.len, (unsigned long long)head->body_bytes);
	if (snapshot_crc(0, records.p, records.len) != head->body_crc)
		return reason_set(reason, -EINVAL, "the checksum of its routes is wrong");
	entry = mem_alloc(sizeof(*entry));
	while ((rc = snapshot_next(&records, entry)) == 0)
		entries++;
	free(entry);
	if (rc == -EINVAL || entries != head->entries)
		return reason_set(reason, -EINVAL, "route %llu of %llu makes no sense",
				  (unsigned long long)entries + 1,
				  (unsigned long long)head->entries);
	return 0;
}
