/*
 * registrar/digest_message.c - a digest on the wire: of fixed size, little endian.
 *
 *   0 "WYD1"   4 reserved   8 id   24 sequence   32 shard   40 interval
 *   44 name    108 buckets, each: count (32 bits), sum of hashes (64 bits)
 */
#include "registrar/digest.h"

#define AT_ID       8
#define AT_SEQUENCE 24
#define AT_SHARD    32
#define AT_INTERVAL 40
#define AT_NAME     44
#define AT_BUCKETS  108
#define INTERVAL_MOST_MS 3600000u

static const char magic[8] = "WYD1";

static void put(unsigned char *out, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		out[i] = (unsigned char)(value >> 8 * i);
}

static uint64_t get(const unsigned char *in, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)in[i] << 8 * i;
	return value;
}

/* Names end in logs: whatever is not plain becomes '?'. */
static void copy_name(const unsigned char *in, char out[DIGEST_NAME_SIZE])
{
	unsigned i;

	for (i = 0; i < DIGEST_NAME_SIZE - 1 && in[i]; i++)
		out[i] = in[i] > 0x20 && in[i] < 0x7f && in[i] != '"' && in[i] != '\\' ? (char)in[i] : '?';
	out[i] = '\0';
}

void digest_message_format(const struct digest_message *m, unsigned char *out)
{
	memset(out, 0, DIGEST_MESSAGE_BYTES);
	memcpy(out, magic, sizeof(magic));
	memcpy(out + AT_ID, m->id, sizeof(m->id));
	put(out + AT_SEQUENCE, m->sequence, 8);
	put(out + AT_SHARD, m->shard, 8);
	put(out + AT_INTERVAL, m->interval_ms, 4);
	memcpy(out + AT_NAME, m->name, DIGEST_NAME_SIZE - 1);
	for (unsigned i = 0; i < DIGEST_BUCKETS; i++) {
		put(out + AT_BUCKETS + 12 * i, m->table.counts[i], 4);
		put(out + AT_BUCKETS + 12 * i + 4, m->table.hashes[i], 8);
	}
}

bool digest_message_parse(struct str payload, struct digest_message *out)
{
	const unsigned char *in = (const unsigned char *)payload.p;

	if (payload.len != DIGEST_MESSAGE_BYTES || memcmp(in, magic, sizeof(magic)) != 0)
		return false;
	memcpy(out->id, in + AT_ID, sizeof(out->id));
	out->sequence = get(in + AT_SEQUENCE, 8);
	out->shard = get(in + AT_SHARD, 8);
	out->interval_ms = get(in + AT_INTERVAL, 4);
	copy_name(in + AT_NAME, out->name);
	for (unsigned i = 0; i < DIGEST_BUCKETS; i++) {
		out->table.counts[i] = get(in + AT_BUCKETS + 12 * i, 4);
		out->table.hashes[i] = get(in + AT_BUCKETS + 12 * i + 4, 8);
	}
	return out->interval_ms > 0 && out->interval_ms <= INTERVAL_MOST_MS && out->name[0];
}
