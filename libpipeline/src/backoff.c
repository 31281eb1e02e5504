#include "pipeline/backoff.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <string.h>

#include "pipeline/clock.h"
#include "pipeline/text.h"

#define JITTER_PART   10 /* a tenth of the delay … */
#define JITTER_MIN_MS 50 /* … but never less than this */
#define DATE_MAX      48 /* "Wednesday, 09-Nov-94 08:49:37 GMT", the longest form, has 33 */

/* Narrows [*text, +*len) to what is inside its blanks. */
static void trim(const char **text, size_t *len)
{
	while (*len > 0 && (**text == ' ' || **text == '\t'))
		++*text, --*len;
	while (*len > 0 && ((*text)[*len - 1] == ' ' || (*text)[*len - 1] == '\t'))
		--*len;
}

enum pl_err pl_schedule_parse(const char *text, size_t len, struct pl_schedule *out)
{
	struct pl_schedule schedule = { .count = 0 };
	const char *end = text + len;
	for (bool more = true; more;) {
		const char *comma = text < end ? memchr(text, ',', (size_t)(end - text)) : NULL;
		const char *entry = text;
		size_t entry_len = (size_t)((comma != NULL ? comma : end) - entry);
		trim(&entry, &entry_len);
		if (schedule.count == PL_SCHEDULE_MAX)
			return PL_ELIMIT;
		enum pl_err err =
			pl_duration_parse(entry, entry_len, &schedule.delay_ms[schedule.count]);
		if (err != PL_OK)
			return err;
		schedule.count++;
		more = comma != NULL;
		text = more ? comma + 1 : end;
	}
	*out = schedule;
	return PL_OK;
}

uint64_t pl_backoff_ms(const struct pl_schedule *schedule, unsigned failed, uint32_t random)
{
	if (schedule->count == 0)
		return 0;
	PL_ASSERT(failed > 0);
	size_t entry = failed < schedule->count ? failed - 1 : schedule->count - 1;
	uint64_t delay = schedule->delay_ms[entry];
	uint64_t span = delay / JITTER_PART;
	if (span < JITTER_MIN_MS)
		span = JITTER_MIN_MS;
	/* span * random / 2^32, in halves since the product may pass 64 bits */
	return delay + (span >> 32) * random + ((span & UINT32_MAX) * random >> 32);
}

/* One of the three forms of RFC 9110 5.6.7; curl knows them all. They begin with the name of a
 * day, which curl would not ask for. */
static enum pl_err date_parse(const char *text, size_t len, uint64_t *unix_ms)
{
	char date[DATE_MAX];
	if (len >= sizeof date || memchr(text, '\0', len) != NULL)
		return PL_EINVAL;
	if (!((text[0] >= 'A' && text[0] <= 'Z') || (text[0] >= 'a' && text[0] <= 'z')))
		return PL_EINVAL;
	memcpy(date, text, len);
	date[len] = '\0';
	time_t seconds = curl_getdate(date, NULL);
	if (seconds == -1)
		return PL_EINVAL;
	*unix_ms = seconds > 0 ? (uint64_t)seconds * 1000 : 0;
	return PL_OK;
}

enum pl_err pl_retry_after_parse(const char *value, size_t len, uint64_t now_ms, uint64_t *delay_ms)
{
	trim(&value, &len);
	if (len == 0)
		return PL_EINVAL;
	uint64_t seconds, delay = PL_RETRY_AFTER_MAX_MS;
	enum pl_err err = pl_number_parse(value, len, PL_RETRY_AFTER_MAX_MS / 1000, &seconds);
	if (err == PL_OK) {
		delay = seconds * 1000;
	} else if (err == PL_EINVAL) {
		uint64_t date_ms;
		err = date_parse(value, len, &date_ms);
		if (err != PL_OK)
			return err;
		if (date_ms <= now_ms)
			delay = 0;
		else if (date_ms - now_ms < delay)
			delay = date_ms - now_ms;
	}
	*delay_ms = delay;
	return PL_OK;
}
