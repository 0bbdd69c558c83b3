/*
 * proxy/replay.c - the start of a request body, kept for another attempt.
 */
#include "proxy/replay.h"

#include <stdlib.h>

#include "base/mem.h"

#define FIRST_ROOM 4096

void replay_init(struct replay *replay, size_t limit)
{
	*replay = (struct replay){ .limit = limit };
}

void replay_fini(struct replay *replay)
{
	free(replay->bytes);
	*replay = (struct replay){ .is_lost = replay->is_lost };
}

static void make_room(struct replay *replay, size_t needed)
{
	size_t room = replay->room ? replay->room : FIRST_ROOM;

	while (room < needed)
		room *= 2;
	if (room == replay->room)
		return;
	replay->bytes = mem_resize(replay->bytes, room);
	replay->room = room;
}

void replay_lose(struct replay *replay)
{
	replay->is_lost = true;
	replay_fini(replay);
}

void replay_record(struct replay *replay, struct str bytes)
{
	if (replay->is_lost || !bytes.len)
		return;
	if (replay->len + bytes.len > replay->limit) {
		replay_lose(replay);
		return;
	}
	make_room(replay, replay->len + bytes.len);
	memcpy(replay->bytes + replay->len, bytes.p, bytes.len);
	replay->len += bytes.len;
	replay->sent = replay->len;
}
