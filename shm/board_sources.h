/*
 * shm/board_sources.h - what the registrar says of each NATS server on the board: for
 * shm-dump and for metrics.  The registrar alone writes; a reader copies and
 * believes no more of the copy than that it is text and numbers.
 */
#ifndef SHM_BOARD_SOURCES_H
#define SHM_BOARD_SOURCES_H

#include <stdbool.h>
#include <stdint.h>

#define BOARD_SOURCES_MAX 8
#define BOARD_SOURCE_NAME 104

struct board;

/* Of what was published through one server and expected through another. */
enum board_probe { BOARD_PROBE_UNKNOWN, BOARD_PROBE_OK, BOARD_PROBE_LOST };

struct board_source {
	char name[BOARD_SOURCE_NAME]; /* HOST:PORT, without credentials; terminated */
	char state[8];                /* "UP", "DOWN", ...; terminated */
	uint64_t last_message_ms;     /* clock_ms() of the last registration; 0: never */
	uint64_t trusted_since_ms;    /* clock_ms(); 0: not trusted now */
	uint64_t messages;            /* registrations since this registrar started */
	uint64_t dropped;             /* messages lost on our side */
	uint64_t connects;
	uint64_t delay_us;            /* of the last probe to itself and back */
	uint8_t probe[BOARD_SOURCES_MAX];     /* enum board_probe: from this one to each */
	bool is_connected;
};

/* Registrar: row `i`, and how many rows there are. */
void board_set_source(struct board *board, unsigned i, const struct board_source *source);
void board_set_source_count(struct board *board, unsigned count);

unsigned board_source_count(const struct board *board);

/* A copy with its texts terminated. */
void board_source_copy(const struct board *board, unsigned i, struct board_source *out);

#endif
