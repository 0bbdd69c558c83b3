/*
 * registrar/registrar.h - the registrar's loop: messages, worker reports, time.
 */
#ifndef REGISTRAR_REGISTRAR_H
#define REGISTRAR_REGISTRAR_H

#include "base/process.h"
#include "registrar/config.h"

/* Attaches to what the master handed over and runs until told to stop.
 * 0, or -errno with a reason. */
int registrar_run(const struct registrar_config *config, struct reason *reason);

#endif
