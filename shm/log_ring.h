/*
 * shm/log_ring.h - access-log lines on their way to the file, one ring per
 * worker on the board, so that lines survive their writer: the worker appends
 * whole lines, a writer thread of the worker takes them to the file, and the
 * master takes what a dead worker left.  One producer, one consumer.
 */
#ifndef SHM_LOG_RING_H
#define SHM_LOG_RING_H

#include <sys/uio.h>

#include "board.h"
#include "base/str.h"

struct log_ring;                      /* in shared memory */

struct log_ring *log_ring_of(struct board *board, unsigned worker_slot);

/* A ring in this process's own memory, for lines that need not survive it.
 * `bytes` is a power of two.  NULL is allowed in destroy. */
struct log_ring *log_ring_create(uint64_t bytes);
void log_ring_destroy(struct log_ring *ring);

/* Appends one whole line (with its newline).  False: no room; nothing was
 * written and the caller counts the drop.  Never blocks, no system call. */
bool log_ring_append(struct log_ring *ring, struct str line);

/* For a line that is made in place: where it begins, or NULL if there is no room
 * for `most` bytes in one piece (then log_ring_append()).  Its bytes count once
 * log_ring_advance() says how many there are. */
char *log_ring_room(const struct log_ring *ring, size_t most);
void log_ring_advance(struct log_ring *ring, size_t len);

/* The oldest unwritten bytes, contiguous, and how many; 0: empty.  Always ends
 * at a line's end unless the ring wraps inside a line. */
size_t log_ring_peek(const struct log_ring *ring, const char **bytes);

/* All unwritten bytes, in one part or in two where the ring wraps; always whole
 * lines.  Returns the number of parts, 0: empty. */
int log_ring_peek_all(const struct log_ring *ring, struct iovec parts[2]);
void log_ring_consume(struct log_ring *ring, size_t n);

/* For the producer: true if more than half of the room is taken. */
bool log_ring_is_half_full(const struct log_ring *ring);

#endif
