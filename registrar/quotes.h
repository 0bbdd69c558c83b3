/*
 * registrar/quotes.h - where the texts of a JSON message without escapes begin and end:
 * at its quotes, all of which are found in one pass over whole blocks.  For
 * message_plain.c; knows nothing of what is between them.
 */
#ifndef REGISTRAR_QUOTES_H
#define REGISTRAR_QUOTES_H

#include "base/str.h"

#define QUOTES_BLOCK 64u
#define QUOTES_ODD   UINT32_MAX       /* no count of quotes */

/* Writes the positions of all quotes in ascending order, and returns their count; or
 * QUOTES_ODD if there are more than `most`, or a backslash, or a byte that is not printable
 * ASCII.  `at` has room for most + QUOTES_BLOCK; what follows the last position is of no
 * meaning.  The text is shorter than 4 GiB. */
uint32_t quotes_find(struct str text, uint32_t *at, uint32_t most);

#endif
