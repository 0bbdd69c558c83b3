/*
 * registrar/json_text.h - JSON whose text is not quite Unicode, made so that a
 * strict reader takes it.  Used by message.c for what it could not read; it never
 * looks at the structure.
 */
#ifndef REGISTRAR_JSON_TEXT_H
#define REGISTRAR_JSON_TEXT_H

#include "base/mem.h"

/* Puts U+FFFD for each byte that is no UTF-8 and for each escaped half of a
 * surrogate pair, as Go does.  True: *out, in the arena, is the repaired text;
 * false: there was nothing to repair. */
bool json_text_repair(struct str json, struct arena *arena, struct str *out);

#endif
