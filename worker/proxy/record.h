/*
 * proxy/record.h - what is written down about an exchange: counters and its line
 * in the access log, once, whatever became of it.
 */
#ifndef PROXY_RECORD_H
#define PROXY_RECORD_H

#include "proxy/exchange.h"

/* An attempt failed, or was answered: for the fields of the access log that tell what
 * attempts took.  Before the attempt is dropped. */
void record_note_failure(struct exchange *x);
void record_note_success(struct exchange *x);

/* After the last byte of the answer; later calls do nothing. */
void record_write(struct exchange *x);

#endif
