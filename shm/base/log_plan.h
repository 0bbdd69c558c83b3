/*
 * base/log_plan.h - what the lines from one place of the program have in common,
 * worked out once: ready JSON text, a value, ready JSON text, a value...  Used by
 * log.c only; it never sees a value.
 */
#ifndef BASE_LOG_PLAN_H
#define BASE_LOG_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#define LOG_PLAN_VALUES 32        /* in one format */
#define LOG_PLAN_TEXT 1280        /* bytes of all its ready texts */
#define LOG_TEXT_STEP 32u         /* texts may be read up to a multiple of this */

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

/* The line from `,"message":` to its end.  Step 0 has no value: what follows its text
 * is the prefix of the source; the next text begins with the component. */
struct log_plan {
	uint16_t component_len;       /* how much of the text of step 1 is before the data */
	struct log_step steps[LOG_PLAN_VALUES + 2];
	char text[LOG_PLAN_TEXT + LOG_TEXT_STEP];
};

/* What all three, and only they, decide.  `component` may be NULL.  The plan is this
 * thread's, and only until it asks for another.  The three texts are known by their
 * addresses, so their bytes must never change. */
const struct log_plan *log_plan_of(const char *component, const char *event, const char *format);

#endif
