/*
 * shm/tags.c - a coder for one kind of text: an object whose values are texts, without
 * blanks.  Whether it is JSON is not asked: what lies between two quotes is taken as it
 * is, so that what comes out is what went in.
 *
 * Packed tags are the length of the text (two bytes, low one first) and then the pairs,
 * or, with IS_STORED in the length, any text as it is.  A pair begins with a byte that
 * says how its value is written, and whether its key is the usual one behind that of the
 * pair before; if not, the key is said first, by its number or in full.  So a pair is
 * never longer than it was, and packing needs no look at the room that is left.
 */
#include "tags.h"

#include <endian.h>

#include "route_layout.h"

#define IS_STORED 0x8000u
_Static_assert(ENDPOINT_TAGS_MAX < IS_STORED, "the length leaves a bit");

/* The first byte of a pair. */
#define KEY_IS_NEXT 0x80u
#define VALUE_TEXT  0u                /* and more: the text of the endpoint with that number */
#define VALUE_GUID  16u               /* its sixteen bytes follow */
#define VALUE_LONG  17u               /* its length in two bytes and then the value follow */
#define VALUE_SHORT 18u               /* and more: its length; the value follows */
#define SHORT_MOST  (KEY_IS_NEXT - 1 - VALUE_SHORT)
_Static_assert(VALUE_TEXT + INST_TEXTS <= VALUE_GUID, "each text has a number");

/* A key whose number is at least this is in full: the rest is its length. */
#define KEY_IN_FULL 16u
#define KEY_MOST    (UINT8_MAX - KEY_IN_FULL)

struct key {
	struct str head;              /* all of a pair before its value */
	uint8_t from, to;             /* the texts of the endpoint that may say what it says */
};
#define SAYS(name) INST_TEXT_##name, INST_TEXT_##name + 1
#define SAYS_ELSE  0, 0

/* What Cloud Foundry puts into tags, in the order in which it does.  A change is a change
 * of TABLE_LAYOUT and of SNAPSHOT_VERSION, like any other of what is packed. */
static const struct key usual[] = {
	{ STR_INIT("\"app_id\":\""),              SAYS(app_id) },
	{ STR_INIT("\"app_name\":\""),            SAYS_ELSE },
	{ STR_INIT("\"component\":\""),           SAYS(component) },
	{ STR_INIT("\"instance_id\":\""),         SAYS(instance_index) },
	{ STR_INIT("\"organization_id\":\""),     SAYS_ELSE },
	{ STR_INIT("\"organization_name\":\""),   SAYS_ELSE },
	{ STR_INIT("\"process_id\":\""),          SAYS(process_id) },
	{ STR_INIT("\"process_instance_id\":\""), SAYS(instance_id) },
	{ STR_INIT("\"process_type\":\""),        SAYS_ELSE },
	{ STR_INIT("\"source_id\":\""),           SAYS(app_id) },
	{ STR_INIT("\"space_id\":\""),            SAYS_ELSE },
	{ STR_INIT("\"space_name\":\""),          SAYS_ELSE },
};
_Static_assert(ARRAY_SIZE(usual) <= KEY_IN_FULL, "each has a number");
static const struct key any = { STR_NONE, 0, INST_TEXTS };

/* --- GUIDs, eight digits at once, the first one lowest --- */

#define GUID_TEXT  36u                /* 8-4-4-4-12 digits */
#define GUID_BYTES 16u

#define ONES 0x0101010101010101ull
#define TOPS (0x80 * ONES)

/* The top bit of each byte that lies between the two, of bytes below 0x80. */
static uint64_t between(uint64_t bytes, unsigned char least, unsigned char most)
{
	return ((bytes + (0x80u - least) * ONES) ^ (bytes + (0x7fu - most) * ONES)) & TOPS;
}

/* Four bytes from lower-case hex; false: it is something else. */
static bool pack_hex(uint64_t digits, char *out)
{
	uint64_t rest = digits & ~TOPS;
	uint64_t letters = between(rest, 'a', 'f');
	uint32_t low;

	if (((between(rest, '0', '9') | letters) & ~digits & TOPS) != TOPS)
		return false;
	rest = (rest & 0x0f * ONES) + 9 * (letters >> 7);
	rest = (rest << 4 | rest >> 8) & 0x00ff00ff00ff00ffull;
	rest = (rest | rest >> 8) & 0x0000ffff0000ffffull;
	low = htole32((uint32_t)(rest | rest >> 16));
	memcpy(out, &low, sizeof(low));
	return true;
}

static uint64_t eight_at(const char *p)
{
	uint64_t eight;

	memcpy(&eight, p, sizeof(eight));
	return le64toh(eight);
}

static uint64_t four_and_four(const char *p, const char *q)
{
	uint32_t low, high;

	memcpy(&low, p, sizeof(low));
	memcpy(&high, q, sizeof(high));
	return (uint64_t)le32toh(high) << 32 | le32toh(low);
}

static bool pack_guid(const char *p, char out[GUID_BYTES])
{
	return p[8] == '-' && p[13] == '-' && p[18] == '-' && p[23] == '-' &&
	       pack_hex(eight_at(p), out) &&
	       pack_hex(four_and_four(p + 9, p + 14), out + 4) &&
	       pack_hex(four_and_four(p + 19, p + 24), out + 8) &&
	       pack_hex(eight_at(p + 28), out + 12);
}

static struct str unpack_guid(const char *p, char out[GUID_TEXT])
{
	static const char digits[] = "0123456789abcdef";
	char *at = out;

	for (unsigned i = 0; i < GUID_BYTES; i++) {
		unsigned char byte = (unsigned char)p[i];

		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		*at++ = digits[byte >> 4];
		*at++ = digits[byte & 15];
	}
	return (struct str){ out, GUID_TEXT };
}

/* --- packing --- */

struct packer {
	const struct inst *inst;
	const char *at, *end;         /* what is left to pack */
	char *out;
	unsigned next;                /* the usual key that should come now */
};

/* memcmp() without the call, and with one jump: what is compared is mostly the same. */
static inline bool is_same(const char *a, const char *b, size_t len)
{
	uint64_t differ = 0;
	size_t i = 0;

	if (len >= 8) {
		for (; i + 8 < len; i += 8)
			differ |= eight_at(a + i) ^ eight_at(b + i);
		return (differ | (eight_at(a + len - 8) ^ eight_at(b + len - 8))) == 0;
	}
	for (; i < len; i++)
		differ |= (uint64_t)(a[i] ^ b[i]);
	return differ == 0;
}

static inline bool take(struct packer *p, struct str text)
{
	if ((size_t)(p->end - p->at) < text.len || !is_same(p->at, text.p, text.len))
		return false;
	p->at += text.len;
	return true;
}

static bool take_char(struct packer *p, char c)
{
	if (p->at == p->end || *p->at != c)
		return false;
	p->at++;
	return true;
}

/* What is left begins with `len` bytes and a quote. */
static bool is_quoted(const struct packer *p, size_t len)
{
	return (size_t)(p->end - p->at) > len && p->at[len] == '"';
}

/* Takes the bytes before the next quote, and it; false: there is none. */
static bool take_quoted(struct packer *p, struct str *text)
{
	const char *quote = memchr(p->at, '"', (size_t)(p->end - p->at));

	if (!quote)
		return false;
	*text = str_range(p->at, quote);
	p->at = quote + 1;
	return true;
}

static void put_byte(struct packer *p, size_t byte)
{
	*p->out++ = (char)byte;
}

static void put_text(struct packer *p, struct str text)
{
	memcpy(p->out, text.p, text.len);
	p->out += text.len;
}

static bool pack_key_in_full(struct packer *p)
{
	struct str key;

	if (!take_char(p, '"') || !take_quoted(p, &key) || key.len > KEY_MOST)
		return false;
	put_byte(p, KEY_IN_FULL + key.len);
	put_text(p, key);
	return take_char(p, ':') && take_char(p, '"');
}

static bool take_usual(struct packer *p, unsigned number)
{
	if (number >= ARRAY_SIZE(usual) || !take(p, usual[number].head))
		return false;
	p->next = number + 1;
	return true;
}

/* NULL: there is no key, or it is too long. */
static const struct key *pack_key(struct packer *p, unsigned *is_next)
{
	*is_next = KEY_IS_NEXT;
	if (take_usual(p, p->next))
		return &usual[p->next - 1];
	*is_next = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(usual); i++)
		if (take_usual(p, i)) {
			put_byte(p, i);
			return &usual[i];
		}
	return pack_key_in_full(p) ? &any : NULL;
}

static bool pack_value_in_full(struct packer *p, unsigned *how)
{
	struct str value;

	if (!take_quoted(p, &value))
		return false;
	*how = VALUE_SHORT + (unsigned)value.len;
	if (value.len > SHORT_MOST) {
		*how = VALUE_LONG;
		put_byte(p, value.len);
		put_byte(p, value.len >> 8);
	}
	put_text(p, value);
	return true;
}

/* The value and the quote behind it. */
static bool pack_value(struct packer *p, const struct key *key, unsigned *how)
{
	for (unsigned i = key->from; i < key->to; i++) {
		struct str text = inst_text(p->inst, i);

		if (is_quoted(p, text.len) && take(p, text)) {
			*how = VALUE_TEXT + i;
			return take_char(p, '"');
		}
	}
	if (!is_quoted(p, GUID_TEXT) || !pack_guid(p->at, p->out))
		return pack_value_in_full(p, how);
	*how = VALUE_GUID;
	p->at += GUID_TEXT + 1;
	p->out += GUID_BYTES;
	return true;
}

static bool pack_pair(struct packer *p)
{
	char *first = p->out++;
	unsigned is_next, how;
	const struct key *key = pack_key(p, &is_next);

	if (!key || !pack_value(p, key, &how))
		return false;
	*first = (char)(is_next | how);
	return true;
}

static bool pack_object(struct packer *p)
{
	if (!take_char(p, '{'))
		return false;
	if (!take_char(p, '}')) {
		do
			if (!pack_pair(p))
				return false;
		while (take_char(p, ','));
		if (!take_char(p, '}'))
			return false;
	}
	return p->at == p->end;
}

size_t tags_pack(const struct inst *inst, struct str tags, char out[TAGS_PACKED_MAX])
{
	struct packer p = { .inst = inst, .at = tags.p, .out = out + 2 };
	bool is_object;

	if (str_is_empty(tags))
		return 0;
	p.end = tags.p + tags.len;
	is_object = pack_object(&p);
	if (!is_object) {
		p.out = out + 2;
		put_text(&p, tags);
	}
	out[0] = (char)tags.len;
	out[1] = (char)((tags.len | (is_object ? 0 : IS_STORED)) >> 8);
	return (size_t)(p.out - out);
}

/* --- unpacking: nothing that is packed is believed --- */

struct unpacker {
	const struct inst *inst;
	struct str packed;            /* what is left to unpack */
	char *out;
	size_t room;
	unsigned next;
};

static bool take_bytes(struct unpacker *u, size_t len, struct str *bytes)
{
	*bytes = str_sub(u->packed, 0, len);
	u->packed = str_sub(u->packed, len, STR_REST);
	return bytes->len == len;
}

/* A number of that many bytes, low one first. */
static bool take_number(struct unpacker *u, size_t size, unsigned *number)
{
	struct str bytes;

	*number = 0;
	if (!take_bytes(u, size, &bytes))
		return false;
	while (size--)
		*number = *number << 8 | (unsigned char)bytes.p[size];
	return true;
}

static bool say(struct unpacker *u, struct str text)
{
	if (text.len > u->room)
		return false;
	if (text.len)
		memcpy(u->out, text.p, text.len);
	u->out += text.len;
	u->room -= text.len;
	return true;
}

static bool say_packed(struct unpacker *u, size_t len)
{
	struct str bytes;

	return take_bytes(u, len, &bytes) && say(u, bytes);
}

static bool unpack_key(struct unpacker *u, bool is_next)
{
	unsigned number = u->next;

	if (!is_next && !take_number(u, 1, &number))
		return false;
	if (!is_next && number >= KEY_IN_FULL)
		return say(u, STR("\"")) && say_packed(u, number - KEY_IN_FULL) &&
		       say(u, STR("\":\""));
	if (number >= ARRAY_SIZE(usual))
		return false;
	u->next = number + 1;
	return say(u, usual[number].head);
}

static bool unpack_value(struct unpacker *u, unsigned how)
{
	char text[GUID_TEXT];
	struct str guid;
	unsigned len;

	if (how < VALUE_TEXT + INST_TEXTS)
		return say(u, inst_text(u->inst, how - VALUE_TEXT));
	if (how == VALUE_GUID)
		return take_bytes(u, GUID_BYTES, &guid) && say(u, unpack_guid(guid.p, text));
	if (how == VALUE_LONG)
		return take_number(u, 2, &len) && say_packed(u, len);
	return how >= VALUE_SHORT && say_packed(u, how - VALUE_SHORT);
}

static bool unpack_pair(struct unpacker *u)
{
	unsigned first;

	return take_number(u, 1, &first) && unpack_key(u, first & KEY_IS_NEXT) &&
	       unpack_value(u, first & ~KEY_IS_NEXT) && say(u, STR("\""));
}

static bool unpack_object(struct unpacker *u)
{
	if (!say(u, STR("{")))
		return false;
	while (u->packed.len)
		if (!unpack_pair(u) || (u->packed.len && !say(u, STR(","))))
			return false;
	return say(u, STR("}"));
}

bool tags_unpack(const struct inst *inst, struct str packed, char out[ENDPOINT_TAGS_MAX],
		 struct str *tags)
{
	struct unpacker u = { .inst = inst, .packed = packed, .out = out };
	unsigned head, len;

	*tags = STR_NONE;
	if (str_is_empty(packed))
		return true;
	if (!take_number(&u, 2, &head))
		return false;
	len = head & ~IS_STORED;
	if (len > ENDPOINT_TAGS_MAX)
		return false;
	u.room = len;
	if (!(head & IS_STORED ? say(&u, u.packed) : unpack_object(&u)) || u.room)
		return false;
	*tags = (struct str){ out, len };
	return true;
}
