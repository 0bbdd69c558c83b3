/*
 * base/log_plan.h - what a format of the component log means, worked out once:
 * ready JSON text, a value, ready JSON text, a value...  Used by log.c only; it
 * never sees a value.
 */
#ifndef BASE_LOG_PLAN_H
#define BASE_LOG_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#define LOG_PLAN_VALUES 32        /* in one format */
#define LOG_PLAN_TEXT 1024        /* bytes of all its ready texts */
#define LOG_TEXT_STEP 16u         /* texts may be read up to a multiple of this */

/* What a conversion takes from the arguments.  Quotes around it are in the texts. */
struct log_value {
	char letter;                  /* 0: no value, the text before it is the last */
	char size;                    /* 0, 'l', 'L' for ll, 'z' */
	bool has_precision;
	bool is_json;                 /* %s that is written as it is */
};

struct log_step {
	uint16_t text_len;            /* the part of `text` that comes before the value */
	struct log_value value;
};

struct log_plan {
	struct log_step steps[LOG_PLAN_VALUES + 1];
	char text[LOG_PLAN_TEXT + LOG_TEXT_STEP];
};

/* The plan of a format: from the quote that closes "source" to the end of the line.
 * This thread's, and only until it asks for another.  A format is known by its
 * address, so its bytes must never change. */
const struct log_plan *log_plan_of(const char *format);

#endif
