/*
 * shm/tags.c - LZ4 with a dictionary.  A packed block is the length of the text
 * (two bytes, low one first; bit 15: not compressed) and then its bytes.
 */
#include "tags.h"

#include <lz4.h>
#include <string.h>

#include "route_layout.h"

#define IS_STORED 0x8000u
#define ACCELERATION 4                /* of LZ4: a third of the time less, for no byte more here */
_Static_assert(ENDPOINT_TAGS_MAX < IS_STORED, "the length leaves a bit");

/* What Cloud Foundry puts into tags, in the order in which it does.  A change is a
 * change of TABLE_LAYOUT and of SNAPSHOT_VERSION. */
static const char usual[] =
	"{\"app_id\":\"\",\"app_name\":\"\",\"component\":\"route-emitter\",\"instance_id\":\"0\","
	"\"organization_id\":\"\",\"organization_name\":\"\",\"process_id\":\"\","
	"\"process_instance_id\":\"\",\"process_type\":\"web\",\"source_id\":\"\",\"space_id\":\"\","
	"\"space_name\":\"\"}";

struct dictionary {
	int len;
	char text[sizeof(usual) + ENDPOINT_TEXT_MAX];
};

static void dictionary_make(struct dictionary *d, const struct inst *inst)
{
	size_t texts = inst->ends[INST_TEXTS - 1];

	if (texts > ENDPOINT_TEXT_MAX || texts + offsetof(struct inst, text) > inst->bytes)
		texts = 0;
	memcpy(d->text, usual, sizeof(usual) - 1);
	memcpy(d->text + sizeof(usual) - 1, inst->text, texts);
	d->len = (int)(sizeof(usual) - 1 + texts);
}

static size_t store(struct str tags, char *out)
{
	out[0] = (char)tags.len;
	out[1] = (char)(tags.len >> 8 | IS_STORED >> 8);
	memcpy(out + 2, tags.p, tags.len);
	return tags.len + 2;
}

size_t tags_pack(const struct inst *inst, struct str tags, char out[TAGS_PACKED_MAX])
{
	static __thread LZ4_stream_t stream;
	struct dictionary dictionary;
	int n;

	if (str_is_empty(tags))
		return 0;
	dictionary_make(&dictionary, inst);
	LZ4_loadDict(&stream, dictionary.text, dictionary.len);
	n = LZ4_compress_fast_continue(&stream, tags.p, out + 2, (int)tags.len, (int)tags.len, ACCELERATION);
	if (n <= 0)
		return store(tags, out);
	out[0] = (char)tags.len;
	out[1] = (char)(tags.len >> 8);
	return (size_t)n + 2;
}

bool tags_unpack(const struct inst *inst, struct str packed, char out[ENDPOINT_TAGS_MAX],
		 struct str *tags)
{
	struct dictionary dictionary;
	unsigned head, len;

	*tags = STR_NONE;
	if (str_is_empty(packed))
		return true;
	if (packed.len < 2)
		return false;
	head = (unsigned char)packed.p[0] | (unsigned)(unsigned char)packed.p[1] << 8;
	len = head & ~IS_STORED;
	packed = str_sub(packed, 2, STR_REST);
	if (len > ENDPOINT_TAGS_MAX || packed.len > ENDPOINT_TAGS_MAX)
		return false;
	if (head & IS_STORED) {
		if (packed.len != len)
			return false;
		memcpy(out, packed.p, len);
	} else {
		dictionary_make(&dictionary, inst);
		if (LZ4_decompress_safe_usingDict(packed.p, out, (int)packed.len, (int)len,
						  dictionary.text, dictionary.len) != (int)len)
			return false;
	}
	*tags = (struct str){ out, len };
	return true;
}
