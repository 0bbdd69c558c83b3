/*
 * registrar/greeting.h - what this router says of itself: router.start, and the
 * answer to router.greet (spec control 1.2).
 */
#ifndef REGISTRAR_GREETING_H
#define REGISTRAR_GREETING_H

#include "registrar/config.h"

#define GREETING_SIZE 512

/* JSON with a new id for this process; terminated. */
void greeting_make(const struct registrar_settings *settings, char out[GREETING_SIZE]);

#endif
