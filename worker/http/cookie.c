/*
 * http/cookie.c - cookies of requests and of answers, as Go reads them.
 */
#include "http/cookie.h"

#include <time.h>

#define YEAR_1601_S (-11644473600ll)  /* dates before are not written */

static bool is_alnum(char c)
{
	return (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || (c >= '0' && c <= '9');
}

bool cookie_is_name(struct str name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!is_alnum(name.p[i]) && !(name.p[i] && strchr("!#$%&'*+-.^_`|~", name.p[i])))
			return false;
	return name.len > 0;
}

static bool is_value_byte(char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != ';' && c != '\\';
}

static bool is_path_byte(char c)
{
	return c >= 0x20 && c < 0x7f && c != ';';
}

/* False: a byte is in it that must not be. */
static bool read_value(struct str raw, bool may_be_quoted, struct str *out)
{
	if (may_be_quoted && raw.len > 1 && raw.p[0] == '"' && raw.p[raw.len - 1] == '"')
		raw = str_sub(raw, 1, raw.len - 2);
	for (size_t i = 0; i < raw.len; i++)
		if (!is_value_byte(raw.p[i]))
			return false;
	*out = raw;
	return true;
}

/* "name=value", or "name" alone; *has_value says which. */
static struct str cut(struct str pair, struct str *value, bool *has_value)
{
	ssize_t at = str_find_char(pair, '=');

	*has_value = at >= 0;
	*value = at < 0 ? STR_NONE : str_sub(pair, (size_t)at + 1, STR_REST);
	return str_trim(at < 0 ? pair : str_sub(pair, 0, (size_t)at));
}

bool cookie_next(struct str *rest, struct cookie *out)
{
	struct str pair, value;
	bool has_value;

	while (str_next_item(rest, ';', &pair)) {
		out->name = cut(pair, &value, &has_value);
		if (cookie_is_name(out->name) && read_value(value, true, &out->value))
			return true;
	}
	return false;
}

/* --- dates: RFC 1123, or with dashes as Netscape wrote them --- */

/* Decimal digits, `least` to `most` of them; *rest moves past them. */
static bool take_number(struct str *rest, unsigned least, unsigned most, int *out)
{
	unsigned len = 0;

	*out = 0;
	while (len < most && len < rest->len && rest->p[len] >= '0' && rest->p[len] <= '9')
		*out = *out * 10 + (rest->p[len++] - '0');
	*rest = str_sub(*rest, len, STR_REST);
	return len >= least;
}

/* A blank stands for any number of blanks. */
static bool take_text(struct str *rest, const char *text)
{
	for (; *text; text++) {
		if (!rest->len || rest->p[0] != *text)
			return false;
		do
			*rest = str_sub(*rest, 1, STR_REST);
		while (*text == ' ' && rest->len && rest->p[0] == ' ');
	}
	return true;
}

/* Three letters out of `names`; their number. */
static bool take_name(struct str *rest, const char *names, int *out)
{
	struct str name = str_sub(*rest, 0, 3);

	*rest = str_sub(*rest, name.len, STR_REST);
	for (*out = 0; name.len == 3 && *names; names += 3, (*out)++)
		if (str_same_nocase(name.p, names, 3))
			return true;
	return false;
}

/* Go lets seconds have a fraction that nobody asked for. */
static void skip_fraction(struct str *rest)
{
	size_t len = 1;

	if (rest->len < 2 || (rest->p[0] != '.' && rest->p[0] != ','))
		return;
	while (len < rest->len && rest->p[len] >= '0' && rest->p[len] <= '9')
		len++;
	if (len > 1)
		*rest = str_sub(*rest, len, STR_REST);
}

/* The rest of the text: an abbreviation, of which Go knows only GMT and UTC and
 * takes all others for them; or GMT and a number of hours. */
static bool take_zone(struct str rest, int *hours)
{
	size_t capitals = 0;
	int sign;

	*hours = 0;
	while (capitals < rest.len && rest.p[capitals] >= 'A' && rest.p[capitals] <= 'Z')
		capitals++;
	if (str_has_prefix(rest, STR("GMT")) && rest.len > 4 && capitals == 3) {
		sign = rest.p[3] == '+' ? 1 : rest.p[3] == '-' ? -1 : 0;
		rest = str_sub(rest, 4, STR_REST);
		if (!sign || !take_number(&rest, 1, 2, hours) || *hours >= 24)
			return false;
		*hours *= sign;
		return rest.len == 0;
	}
	if (capitals != rest.len)
		return false;
	return capitals == 3 || ((capitals == 4 || capitals == 5) && rest.p[capitals - 1] == 'T') ||
	       str_equal(rest, STR("WITA"));
}

static int days_of_month(int month, int year)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month] + (month == 1 && is_leap);
}

/* `dash`: between day, month and year. */
static bool parse_date(struct str rest, const char *dash, int64_t *out_s)
{
	struct tm tm = { 0 };
	int weekday, year, hours;

	if (!take_name(&rest, "SunMonTueWedThuFriSat", &weekday) || !take_text(&rest, ", ") ||
	    !take_number(&rest, 2, 2, &tm.tm_mday) || !take_text(&rest, dash) ||
	    !take_name(&rest, "JanFebMarAprMayJunJulAugSepOctNovDec", &tm.tm_mon) ||
	    !take_text(&rest, dash) || !take_number(&rest, 4, 4, &year) ||
	    !take_text(&rest, " ") || !take_number(&rest, 1, 2, &tm.tm_hour) ||
	    !take_text(&rest, ":") || !take_number(&rest, 2, 2, &tm.tm_min) ||
	    !take_text(&rest, ":") || !take_number(&rest, 2, 2, &tm.tm_sec))
		return false;
	skip_fraction(&rest);
	if (!take_text(&rest, " ") || !take_zone(rest, &hours))
		return false;
	if (tm.tm_mday < 1 || tm.tm_mday > days_of_month(tm.tm_mon, year) || tm.tm_hour > 23 ||
	    tm.tm_min > 59 || tm.tm_sec > 59)
		return false;
	tm.tm_year = year - 1900;
	*out_s = (int64_t)timegm(&tm) - hours * 3600;
	return true;
}

/* --- cookies of answers --- */

static enum same_site read_same_site(struct str value)
{
	return str_equal_nocase(value, STR("lax")) ? SAME_SITE_LAX :
	       str_equal_nocase(value, STR("strict")) ? SAME_SITE_STRICT :
	       str_equal_nocase(value, STR("none")) ? SAME_SITE_NONE : SAME_SITE_UNSAID;
}

/* Go's Atoi: a sign, digits; what does not fit into 64 bits is no number. */
static void read_max_age(struct str value, struct set_cookie *out)
{
	bool is_negative = value.len && value.p[0] == '-';
	bool has_sign = is_negative || (value.len && value.p[0] == '+');
	uint64_t number;

	if (!str_parse_u64(str_sub(value, has_sign, STR_REST), &number) ||
	    number > (uint64_t)INT64_MAX + is_negative || (number && value.p[0] == '0'))
		return;
	out->has_max_age = true;
	out->max_age_s = number && !is_negative;
}

static void read_attribute(struct str name, struct str value, struct set_cookie *out)
{
	if (str_equal_nocase(name, STR("secure"))) {
		out->is_secure = true;
	} else if (str_equal_nocase(name, STR("partitioned"))) {
		out->is_partitioned = true;
	} else if (str_equal_nocase(name, STR("samesite"))) {
		out->same_site = read_same_site(value);
	} else if (str_equal_nocase(name, STR("max-age"))) {
		read_max_age(value, out);
	} else if (str_equal_nocase(name, STR("expires"))) {
		out->has_expires = parse_date(value, " ", &out->expires_s) ||
				   parse_date(value, "-", &out->expires_s);
	}
}

bool set_cookie_parse(struct str line, struct set_cookie *out)
{
	struct str pair, name, value;
	bool has_value;

	*out = (struct set_cookie){ .same_site = SAME_SITE_UNSAID };
	if (!str_next_item(&line, ';', &pair))
		return false;
	out->name = cut(pair, &value, &has_value);
	if (!has_value || !cookie_is_name(out->name) || !read_value(value, true, &out->value))
		return false;
	while (str_next_item(&line, ';', &pair)) {
		ssize_t at = str_find_char(pair, '=');

		name = at < 0 ? pair : str_sub(pair, 0, (size_t)at);
		value = at < 0 ? STR_NONE : str_sub(pair, (size_t)at + 1, STR_REST);
		if (read_value(value, false, &value))
			read_attribute(name, value, out);
	}
	return true;
}

struct text {
	char *p;
	size_t len;
};

static void put(struct text *text, struct str s)
{
	memcpy(text->p + text->len, s.len ? s.p : "", s.len);
	text->len += s.len;
}

static void put_only(struct text *text, struct str s, bool (*may_be)(char c))
{
	for (size_t i = 0; i < s.len; i++)
		if (may_be(s.p[i]))
			text->p[text->len++] = s.p[i];
}

/* In quotes if there is a blank or a comma in it. */
static void put_value(struct text *text, struct str value)
{
	bool is_quoted = str_find_char(value, ' ') >= 0 || str_find_char(value, ',') >= 0;

	put(text, is_quoted ? STR("\"") : STR_NONE);
	put_only(text, value, is_value_byte);
	put(text, is_quoted ? STR("\"") : STR_NONE);
}

static void put_expires(struct text *text, int64_t expires_s)
{
	time_t seconds = (time_t)expires_s;
	struct tm tm;
	char date[64];

	if (expires_s < YEAR_1601_S || !gmtime_r(&seconds, &tm))
		return;
	put(text, STR("; Expires="));
	put(text, (struct str){ date, strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT",
					       &tm) });
}

struct str set_cookie_format(struct arena *arena, const struct set_cookie *cookie)
{
	static const struct str same_site[] = {
		[SAME_SITE_LAX] = STR_INIT("; SameSite=Lax"),
		[SAME_SITE_STRICT] = STR_INIT("; SameSite=Strict"),
		[SAME_SITE_NONE] = STR_INIT("; SameSite=None"),
	};
	struct text text = {
		.p = arena_alloc(arena, cookie->name.len + cookie->value.len + cookie->path.len + 192),
	};

	put(&text, cookie->name);
	put(&text, STR("="));
	put_value(&text, cookie->value);
	put(&text, cookie->path.len ? STR("; Path=") : STR_NONE);
	put_only(&text, cookie->path, is_path_byte);
	if (cookie->has_expires)
		put_expires(&text, cookie->expires_s);
	if (cookie->has_max_age) {
		put(&text, STR("; Max-Age="));
		text.len += u64_format((uint64_t)(cookie->max_age_s > 0 ? cookie->max_age_s : 0),
				       text.p + text.len);
	}
	put(&text, cookie->is_http_only ? STR("; HttpOnly") : STR_NONE);
	put(&text, cookie->is_secure ? STR("; Secure") : STR_NONE);
	put(&text, same_site[cookie->same_site]);
	put(&text, cookie->is_partitioned ? STR("; Partitioned") : STR_NONE);
	return (struct str){ text.p, text.len };
}
