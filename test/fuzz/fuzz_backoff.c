/* Any bytes as Retry-After and as a schedule: a hint keeps its ceiling, a date in the usual form
 * means the second libc says, and no retry comes early. */
#include <time.h>

#include "input.h"
#include "pipeline/backoff.h"
#include "pipeline/clock.h"

#define NOW_MS 1765000000000ull /* in December 2025 */

/* The form every server sends ("Sun, 06 Nov 1994 08:49:37 GMT"), if it is exactly that. */
static bool usual_date(const char *text, uint64_t *ms)
{
	static const char form[] = "%a, %d %b %Y %H:%M:%S GMT";
	struct tm parts = { 0 };
	char canonical[64];
	const char *end = strptime(text, form, &parts);
	if (end == NULL || *end != '\0' || parts.tm_year < 70 || parts.tm_year > 8099)
		return false;
	*ms = (uint64_t)timegm(&parts) * 1000;
	strftime(canonical, sizeof canonical, form, &parts);
	return strcmp(text, canonical) == 0;
}

static void as_retry_after(const char *text, size_t len)
{
	uint64_t delay_ms = 0, date_ms;
	enum pl_err err = pl_retry_after_parse(text, len, NOW_MS, &delay_ms);
	PL_ASSERT(err == PL_OK || err == PL_EINVAL);
	PL_ASSERT(delay_ms <= PL_RETRY_AFTER_MAX_MS);
	if (strlen(text) != len || !usual_date(text, &date_ms))
		return;
	uint64_t wanted = date_ms > NOW_MS ? date_ms - NOW_MS : 0;
	PL_ASSERT(err == PL_OK);
	PL_ASSERT(delay_ms ==
		  (wanted < PL_RETRY_AFTER_MAX_MS ? wanted : (uint64_t)PL_RETRY_AFTER_MAX_MS));
}

static void as_schedule(const char *text, size_t len)
{
	struct pl_schedule schedule;
	if (pl_schedule_parse(text, len, &schedule) != PL_OK)
		return;
	PL_ASSERT(schedule.count > 0 && schedule.count <= PL_SCHEDULE_MAX);
	for (unsigned failed = 1; failed <= PL_SCHEDULE_MAX + 1; failed++) {
		size_t entry = failed < schedule.count ? failed - 1 : schedule.count - 1;
		uint64_t delay = schedule.delay_ms[entry];
		PL_ASSERT(pl_backoff_ms(&schedule, failed, 0) == delay);
		uint64_t most = pl_backoff_ms(&schedule, failed, UINT32_MAX);
		PL_ASSERT(most >= delay && most <= delay + delay / 10 + 50);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = pl_strndup((const char *)data, size);
	as_retry_after(text, size);
	as_schedule(text, size);
	free(text);
	return 0;
}
