/*
 * registrar/message.h - a router.register or router.unregister message read
 * into a description of one endpoint and the URIs it serves.  Lenient by field:
 * a wrong type costs that field, not the message.  Touches no shared memory.
 */
#ifndef REGISTRAR_MESSAGE_H
#define REGISTRAR_MESSAGE_H

#include "base/mem.h"
#include "base/reason.h"
#include "shm/endpoint.h"

#define MESSAGE_BYTES_MAX (1u << 20)
#define MESSAGE_URIS_MAX  1024

struct registration {
	struct str *uris;             /* as received */
	unsigned uri_count;
	unsigned dropped_fields;      /* of a wrong type or out of range */
	struct endpoint endpoint;     /* texts live in the arena or in the payload */
};

/* All but the endpoint's room for texts of its own, which a message never uses. */
#define REGISTRATION_BYTES offsetof(struct registration, endpoint.text)

/* 0; -EINVAL with a reason; or -ENODATA: the message is null or its list of URIs is
 * empty, which asks for nothing and is no fault (no list at all is one).
 * Everything in *out lives as long as the arena and the payload.
 * stale_s is what the message says, 0 if nothing: the registry clamps it. */
int message_parse(struct str payload, struct arena *arena, struct registration *out,
		  struct reason *reason);

/* The same without the quick way for plain messages: what that is compared with. */
int message_parse_json(struct str payload, struct arena *arena, struct registration *out,
		       struct reason *reason);

#endif
