/*
 * proxy/record.h - what is written down about an exchange: counters and its line
 * in the access log, once, whatever became of it.
 */
#ifndef PROXY_RECORD_H
#define PROXY_RECORD_H

#include "proxy/exchange.h"

/* After the last byte of the answer; later calls do nothing. */
void record_write(struct exchange *x);

#endif
