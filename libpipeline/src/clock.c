#include "pipeline/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND_MS   1000ull
#define DAY_SECONDS 86400ll
/* 9999-12-31T23:59:59.999Z: four digits of year are all that RFC 3339 has */
#define TIME_MAX_MS 253402300799999ull
/* 9 digits of a fraction say all that a millisecond can tell, and times a day fit in 64 bits */
#define FRACTION_DIGITS_MAX 9

static uint64_t clock_us(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now); /* can't fail: the clock is ours and so is the memory */
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t pl_clock_wall_ms(void)
{
	return clock_us(CLOCK_REALTIME) / 1000;
}

uint64_t pl_clock_mono_ms(void)
{
	return clock_us(CLOCK_MONOTONIC) / 1000;
}

uint64_t pl_clock_mono_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

uint64_t pl_clock_boot_ms(void)
{
	return clock_us(CLOCK_BOOTTIME) / 1000;
}

/* Writes number in exactly `digits` digits; returns where it ended. */
static char *put_digits(char *at, uint64_t number, int digits)
{
	for (int i = digits - 1; i >= 0; i--, number /= 10)
		at[i] = (char)('0' + number % 10);
	return at + digits;
}

/* The calendar counts from March, so that the leap day is a year's last and the lengths of the
 * months follow one formula; 400 years are always 146,097 days and 719,468 lie before 1970. */
static void date_of_days(int64_t days, unsigned *year, unsigned *month, unsigned *day)
{
	int64_t z = days + 719468;
	int64_t era = z / 146097;
	int64_t of_era = z % 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
	int64_t m = (5 * of_year + 2) / 153; /* 0 = March */
	*day = (unsigned)(of_year - (153 * m + 2) / 5 + 1);
	*month = (unsigned)(m < 10 ? m + 3 : m - 9);
	*year = (unsigned)(y + era * 400 + (*month <= 2));
}

static int64_t days_of_date(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t m = month <= 2 ? month + 9 : month - 3;
	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

void pl_time_format(uint64_t unix_ms, char out[PL_TIME_SIZE])
{
	if (unix_ms > TIME_MAX_MS)
		unix_ms = TIME_MAX_MS;
	uint64_t seconds = unix_ms / SECOND_MS;
	uint64_t of_day = seconds % (uint64_t)DAY_SECONDS;
	unsigned year, month, day;
	date_of_days((int64_t)(seconds / (uint64_t)DAY_SECONDS), &year, &month, &day);
	char *at = put_digits(out, year, 4);
	*at++ = '-';
	at = put_digits(at, month, 2);
	*at++ = '-';
	at = put_digits(at, day, 2);
	*at++ = 'T';
	at = put_digits(at, of_day / 3600, 2);
	*at++ = ':';
	at = put_digits(at, of_day / 60 % 60, 2);
	*at++ = ':';
	at = put_digits(at, of_day % 60, 2);
	*at++ = '.';
	at = put_digits(at, unix_ms % SECOND_MS, 3);
	*at++ = 'Z';
	*at = '\0';
}

/* What is left to read; every take_ moves `at` past what it took. */
struct reader {
	const char *at, *end;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool take_char(struct reader *in, char wanted)
{
	if (in->at == in->end || *in->at != wanted)
		return false;
	in->at++;
	return true;
}

static bool take_digits(struct reader *in, int digits, int64_t min, int64_t max, int64_t *out)
{
	int64_t number = 0;
	for (int i = 0; i < digits; i++) {
		if (in->at == in->end || !is_digit(*in->at))
			return false;
		number = number * 10 + (*in->at++ - '0');
	}
	*out = number;
	return number >= min && number <= max;
}

/* Nothing, or ".25": what follows the point, in parts of 10^FRACTION_DIGITS_MAX. */
static bool take_fraction(struct reader *in, uint64_t *billionths)
{
	*billionths = 0;
	if (!take_char(in, '.'))
		return true;
	int digits = 0;
	for (; in->at != in->end && is_digit(*in->at); in->at++)
		if (digits++ < FRACTION_DIGITS_MAX)
			*billionths = *billionths * 10 + (uint64_t)(*in->at - '0');
	if (digits == 0)
		return false;
	for (; digits < FRACTION_DIGITS_MAX; digits++)
		*billionths *= 10;
	return true;
}

static bool take_date(struct reader *in, int64_t *days)
{
	static const int64_t lengths[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int64_t year, month, day;
	if (!take_digits(in, 4, 0, 9999, &year) || !take_char(in, '-') ||
		!take_digits(in, 2, 1, 12, &month) || !take_char(in, '-') ||
		!take_digits(in, 2, 1, lengths[month - 1], &day))
		return false;
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	if (month == 2 && day == 29 && !leap)
		return false;
	*days = days_of_date(year, month, day);
	return true;
}

/* "Z", "+01:00": how far local time is ahead of UTC. */
static bool take_offset(struct reader *in, int64_t *seconds)
{
	*seconds = 0;
	if (take_char(in, 'Z') || take_char(in, 'z'))
		return true;
	bool behind = take_char(in, '-');
	int64_t hours, minutes;
	if ((!behind && !take_char(in, '+')) || !take_digits(in, 2, 0, 23, &hours) ||
		!take_char(in, ':') || !take_digits(in, 2, 0, 59, &minutes))
		return false;
	*seconds = (hours * 60 + minutes) * (behind ? -60 : 60);
	return true;
}

enum pl_err pl_time_parse(const char *text, size_t len, uint64_t *unix_ms)
{
	struct reader in = { text, text + len };
	int64_t days, hour, minute, second, offset;
	uint64_t billionths;
	if (!take_date(&in, &days) || !(take_char(&in, 'T') || take_char(&in, 't')) ||
		!take_digits(&in, 2, 0, 23, &hour) || !take_char(&in, ':') ||
		!take_digits(&in, 2, 0, 59, &minute) || !take_char(&in, ':') ||
		!take_digits(&in, 2, 0, 60, &second) || !take_fraction(&in, &billionths) ||
		!take_offset(&in, &offset) || in.at != in.end)
		return PL_EINVAL;
	int64_t unix_seconds = days * DAY_SECONDS + (hour * 60 + minute) * 60 + second - offset;
	/* Unix time has no leap second: it is the second after, and only midnight UTC has one */
	if (second == 60 && unix_seconds % DAY_SECONDS != 0)
		return PL_EINVAL;
	if (unix_seconds < 0)
		return PL_EINVAL;
	uint64_t ms = (uint64_t)unix_seconds * SECOND_MS + billionths / 1000000;
	if (ms > TIME_MAX_MS)
		return PL_EINVAL;
	*unix_ms = ms;
	return PL_OK;
}

/* Largest first: the order in which a duration names them. */
static const struct unit {
	const char *name;
	uint64_t ms;
} units[] = {
	{ "d", 24 * 60 * 60 * SECOND_MS },
	{ "h", 60 * 60 * SECOND_MS },
	{ "m", 60 * SECOND_MS },
	{ "s", SECOND_MS },
	{ "ms", 1 },
};
#define UNITS       (sizeof units / sizeof *units)
#define UNIT_SECOND 3

/* The unit that is written next, UNITS when it is none of ours. */
static size_t take_unit(struct reader *in)
{
	const char *start = in->at;
	while (in->at != in->end && *in->at >= 'a' && *in->at <= 'z')
		in->at++;
	size_t len = (size_t)(in->at - start);
	size_t i = 0;
	while (i < UNITS &&
		!(len == strlen(units[i].name) && memcmp(start, units[i].name, len) == 0))
		i++;
	return i;
}

/* Digits; above max it stays at max + 1, however many follow. */
static bool take_number(struct reader *in, uint64_t max, uint64_t *out)
{
	const char *start = in->at;
	uint64_t number = 0;
	for (; in->at != in->end && is_digit(*in->at); in->at++)
		if (number <= max)
			number = number * 10 + (uint64_t)(*in->at - '0');
	*out = number <= max ? number : max + 1;
	return in->at != start;
}

enum pl_err pl_duration_parse(const char *text, size_t len, uint64_t *ms)
{
	struct reader in = { text, text + len };
	uint64_t total = 0;
	size_t next = 0; /* units before it have had their turn */
	bool too_long = false;
	do {
		uint64_t number, billionths;
		if (!take_number(&in, PL_DURATION_MAX_MS, &number) ||
			!take_fraction(&in, &billionths))
			return PL_EINVAL;
		bool bare = in.at == in.end && next == 0;
		size_t unit = bare ? UNIT_SECOND : take_unit(&in);
		if (unit >= UNITS || unit < next)
			return PL_EINVAL;
		next = unit + 1;
		if (number > PL_DURATION_MAX_MS / units[unit].ms) {
			too_long = true;
			continue;
		}
		/* rounded up: what someone wrote as more than nothing never becomes nothing */
		total += number * units[unit].ms +
			 (billionths * units[unit].ms + 999999999) / 1000000000;
	} while (in.at != in.end);
	if (too_long || total > PL_DURATION_MAX_MS)
		return PL_ELIMIT;
	*ms = total;
	return PL_OK;
}

void pl_duration_format(uint64_t ms, char *out, size_t size)
{
	PL_ASSERT(size > 0);
	size_t at = 0;
	out[0] = '\0';
	for (size_t i = 0; i < UNITS; i++) {
		uint64_t number = ms / units[i].ms;
		ms %= units[i].ms;
		if (number == 0 && !(i == UNIT_SECOND && at == 0 && ms == 0))
			continue;
		int len = snprintf(
			out + at, size - at, "%llu%s", (unsigned long long)number, units[i].name);
		if (len < 0 || (size_t)len >= size - at)
			return;
		at += (size_t)len;
	}
}
