/*
 * shm/dump_text.h - how shm-dump writes text: JSON as Go's encoder writes it
 * (spec control 6.4 is compared byte by byte), tags in sorted order, and text
 * of tenants made harmless for a terminal.
 */
#ifndef SHM_DUMP_TEXT_H
#define SHM_DUMP_TEXT_H

#include <stdio.h>

#include "base/str.h"

/* A JSON string with its quotes: '<', '>', '&', U+2028 and U+2029 escaped, bytes
 * that are not UTF-8 as \ufffd. */
void dump_json_string(FILE *out, struct str text);

/* A JSON object of strings, in any order and spacing, as one line with sorted
 * names; of a repeated name the last counts.  What is no such object gives false
 * and writes nothing. */
bool dump_json_tags(FILE *out, struct str tags);

/* For people: bytes that could move a cursor become \xNN; an empty text "-".
 * Padded with blanks to `width`. */
void dump_plain(FILE *out, struct str text, int width);

/* The same for a sentence: blanks stay blanks, an empty text is nothing. */
void dump_words(FILE *out, struct str text);

/* "250ms", "3.2s", "4m10s", "3h5m", "2d4h". */
const char *dump_duration(uint64_t ms, char out[32]);

#endif
