#include "range.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Digits at *at, which moves behind them; false when there are none. Too large a number is the
 * largest: it is beyond every end. */
static bool read_number(const char **at, uint64_t *number)
{
	const char *start = *at;
	*number = 0;
	for (; **at >= '0' && **at <= '9'; (*at)++) {
		uint64_t digit = (uint64_t)(**at - '0');
		*number = *number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *number * 10 + digit;
	}
	return *at > start;
}

/* "-n": the last n bytes. */
static enum range_verdict read_suffix(const char *text, uint64_t length, struct range_part *part)
{
	uint64_t last;
	if (!read_number(&text, &last) || *text != '\0')
		return RANGE_WHOLE;
	if (last == 0)
		return RANGE_OUTSIDE;
	if (length == 0)
		return RANGE_WHOLE; /* satisfied, but Content-Range can't say so */
	if (last > length)
		last = length;
	*part = (struct range_part) { length - last, last };
	return RANGE_PART;
}

/* "n-" or "n-m" */
static enum range_verdict read_span(const char *text, uint64_t length, struct range_part *part)
{
	uint64_t first, last = UINT64_MAX;
	if (!read_number(&text, &first) || *text != '-')
		return RANGE_WHOLE;
	text++;
	if (*text != '\0' && (!read_number(&text, &last) || *text != '\0' || last < first))
		return RANGE_WHOLE;
	if (first >= length)
		return RANGE_OUTSIDE;
	if (last >= length)
		last = length - 1;
	*part = (struct range_part) { first, last - first + 1 };
	return RANGE_PART;
}

static enum range_verdict read_range(const char *text, uint64_t length, struct range_part *part)
{
	static const char unit[] = "bytes=";
	if (strncasecmp(text, unit, sizeof(unit) - 1) != 0)
		return RANGE_WHOLE;
	text += sizeof(unit) - 1;
	text += strspn(text, " \t");
	return *text == '-' ? read_suffix(text + 1, length, part) : read_span(text, length, part);
}

/* Is etag in the list, or the list "*"? weak: W/"x" is as good as "x". */
static bool is_listed(const char *list, const char *etag, bool weak)
{
	size_t len = strlen(etag);
	if (strcmp(list, "*") == 0)
		return true;
	for (const char *at = list; (at = strstr(at, etag)) != NULL; at += len) {
		bool is_weak = at >= list + 2 && strncmp(at - 2, "W/", 2) == 0;
		if (weak || !is_weak)
			return true;
	}
	return false;
}

enum range_verdict range_judge(
	const struct range_ask *ask, const char *etag, uint64_t length, struct range_part *part)
{
	*part = (struct range_part) { 0, length };
	if (ask->if_match != NULL && !is_listed(ask->if_match, etag, false))
		return RANGE_OTHER;
	if (ask->if_none_match != NULL && is_listed(ask->if_none_match, etag, true))
		return RANGE_UNCHANGED;
	if (ask->range == NULL || (ask->if_range != NULL && strcmp(ask->if_range, etag) != 0))
		return RANGE_WHOLE;
	return read_range(ask->range, length, part);
}
