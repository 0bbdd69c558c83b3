/*
 * base/log_plan.c - formats are read key by key, and the last few plans kept by
 * each thread, so that a line of a burst costs little more than its values.
 */
#include "base/log_plan.h"

#include "base/must.h"
#include "base/str.h"

#define KEPT 16

struct place {
	const char *component, *event, *format;
};

static __thread struct place kept_places[KEPT];
static __thread struct log_plan kept_plans[KEPT];
static __thread unsigned oldest;

/* A plan while it is made. */
struct draft {
	struct log_plan *plan;
	struct log_step *step;        /* its text grows; its value comes next */
	size_t text_len;              /* of all steps */
	struct str group;             /* the inner object that is open, or empty */
	bool is_first;                /* no member yet */
};

static void add(struct draft *d, struct str text)
{
	must(text.len <= LOG_PLAN_TEXT - d->text_len);
	memcpy(d->plan->text + d->text_len, text.p, text.len);
	d->text_len += text.len;
	d->step->text_len = (uint16_t)(d->step->text_len + text.len);
}

static void add_word(struct draft *d, struct str word)
{
	add(d, STR("\""));
	add(d, word);
	add(d, STR("\""));
}

/* Ends a step with its value; the next begins without text. */
static void add_value(struct draft *d, struct log_value value)
{
	must(d->step < d->plan->steps + LOG_PLAN_VALUES + 1);
	d->step->value = value;
	*++d->step = (struct log_step){ 0 };
}

static void add_quoted(struct draft *d, const char *before, struct log_value value)
{
	add(d, str_of(before));
	add_value(d, value);
	add(d, STR("\""));
}

static void add_key(struct draft *d, struct str key)
{
	ssize_t dot = str_find_char(key, '.');
	struct str group = dot < 0 ? STR_NONE : str_sub(key, 0, (size_t)dot);
	bool is_same = str_equal(group, d->group);

	if (d->group.len && !is_same)
		add(d, STR("}"));
	if (!d->is_first)
		add(d, STR(","));
	if (group.len && !is_same) {
		add_word(d, group);           /* the comma, if any, is before the group */
		add(d, STR(":{"));
	}
	add_word(d, str_sub(key, (size_t)(dot + 1), STR_REST));
	add(d, STR(":"));
	d->group = group;
	d->is_first = false;
}

/* Returns what follows the conversion at `f`, which is a '%'. */
static const char *read_conversion(const char *f, struct log_value *value)
{
	f++;
	if (f[0] == '.' && f[1] == '*') {
		value->has_precision = true;
		f += 2;
	} else {
		while ((*f >= '0' && *f <= '9') || *f == '.')
			f++;
	}
	if (f[0] == 'l' && f[1] == 'l') {
		value->size = 'L';
		f += 2;
	} else if (*f == 'l' || *f == 'z') {
		value->size = *f++;
	} else {
		while (*f == 'h')
			f++;
	}
	value->letter = *f;
	must(*f && strchr("sdiuxfc", *f));    /* what log.c knows */
	return f + 1;
}

static const char *add_conversion(struct draft *d, const char *format, bool is_json)
{
	struct log_value value = { .is_json = is_json };

	format = read_conversion(format, &value);
	if (value.letter == 'x')
		add_quoted(d, "\"0x", value);
	else if (value.letter == 'c' || (value.letter == 's' && !is_json))
		add_quoted(d, "\"", value);
	else
		add_value(d, value);
	return format;
}

static const char *add_fixed(struct draft *d, const char *format, bool is_json)
{
	struct str word = { format, strcspn(format, " ") };

	if (is_json)
		add(d, word);
	else
		add_word(d, word);
	return format + word.len;
}

/* "key=%s other:=%s group.inner=%s fixed=word" */
static void add_data(struct draft *d, const char *format)
{
	add(d, STR(",\"data\":{"));
	while (*format) {
		const char *equals = strchr(format, '=');
		bool is_json;

		must(equals != NULL);
		is_json = equals > format && equals[-1] == ':';
		add_key(d, str_range(format, equals - is_json));
		format = equals[1] == '%' ? add_conversion(d, equals + 1, is_json) :
					    add_fixed(d, equals + 1, is_json);
		while (*format == ' ')
			format++;
	}
	if (d->group.len)
		add(d, STR("}"));
	add(d, STR("}"));
}

/* The program's own words need no escape. */
static void add_head(struct draft *d, const char *component, const char *event)
{
	add(d, STR(",\"message\":"));
	add_word(d, str_of(event));
	add(d, STR(",\"source\":\""));
	add_value(d, (struct log_value){ 0 });
	if (component) {
		add(d, STR("."));
		add(d, str_of(component));
	}
	d->plan->component_len = d->step->text_len;
}

static void plan_make(struct log_plan *plan, const struct place *place)
{
	struct draft d = { .plan = plan, .step = plan->steps, .is_first = true };

	*d.step = (struct log_step){ 0 };
	add_head(&d, place->component, place->event);
	add(&d, STR("\""));
	if (strcmp(place->format, "%s") != 0) /* LOG_NO_DATA */
		add_data(&d, place->format);
	add(&d, STR("}\n"));
}

static bool is_same_place(const struct place *a, const struct place *b)
{
	return a->format == b->format && a->event == b->event && a->component == b->component;
}

const struct log_plan *log_plan_of(const char *component, const char *event, const char *format)
{
	struct place place = { component, event, format };
	unsigned i = 0;

	while (i < KEPT && !is_same_place(&kept_places[i], &place))
		i++;
	if (i == KEPT) {
		i = oldest++ % KEPT;
		kept_places[i] = (struct place){ 0 };  /* the format may break a must() */
		plan_make(&kept_plans[i], &place);
		kept_places[i] = place;
	}
	return &kept_plans[i];
}
