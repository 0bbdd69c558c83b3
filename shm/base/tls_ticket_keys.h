/*
 * base/tls_ticket_keys.h - the keys of TLS session tickets, as they lie in
 * memory that all workers share: one process rotates them, every worker reads
 * them, so that a session begun at one worker goes on at any other, also after
 * a reload.  Zeroed memory means: no keys yet, no tickets.
 *
 * One writer at a time; readers never wait for it.  They have no name in any
 * file system and are in no core dump.
 */
#ifndef BASE_TLS_TICKET_KEYS_H
#define BASE_TLS_TICKET_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/reason.h"

struct tls_ticket_key {               /* multiples of four bytes */
	uint8_t name[16];             /* travels in the clear, says which key it was */
	uint8_t cipher[32];           /* AES-256-CBC */
	uint8_t mac[32];              /* HMAC-SHA-256 */
} __attribute__((aligned(4)));

struct tls_ticket_keys {
	uint32_t version;             /* odd while the keys are being written; 0: none yet */
	struct tls_ticket_key current;        /* makes tickets */
	struct tls_ticket_key previous;       /* still opens them */
};

/* Master: memory with a first key, sealed so that nobody else can map it for
 * writing; *fd is for the workers.  0, or -errno with a reason. */
int tls_ticket_keys_create(struct tls_ticket_keys **out, int *fd, struct reason *reason);

/* Worker: maps it read-only.  0, or -EINVAL if this is no such memory. */
int tls_ticket_keys_map(int fd, const struct tls_ticket_keys **out, struct reason *reason);
void tls_ticket_keys_unmap(const struct tls_ticket_keys *keys);       /* NULL is allowed */

/* A fresh current key; the one before becomes the previous one. */
void tls_ticket_keys_rotate(struct tls_ticket_keys *keys);

/* A consistent copy.  False: there are none, or a writer died half-way. */
bool tls_ticket_keys_read(const struct tls_ticket_keys *keys, struct tls_ticket_keys *copy);

#endif
