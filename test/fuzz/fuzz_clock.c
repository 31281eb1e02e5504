/* Any bytes as a time or a duration: what is taken is what libc says, and comes back when written
 * out. */
#include <time.h>

#include "input.h"
#include "pipeline/clock.h"

static void as_time(const char *text, size_t len)
{
	uint64_t ms, again;
	char shown[PL_TIME_SIZE];
	if (pl_time_parse(text, len, &ms) != PL_OK)
		return;
	pl_time_format(ms, shown);
	PL_ASSERT(pl_time_parse(shown, PL_TIME_SIZE - 1, &again) == PL_OK && again == ms);
}

/* A date libc writes just so: both must mean the same second. */
static void against_libc(const char *text)
{
	struct tm parts = { 0 };
	char canonical[64];
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &parts);
	if (end == NULL || *end != '\0' || parts.tm_year < 70 || parts.tm_year > 8099)
		return;
	time_t seconds = timegm(&parts);
	strftime(canonical, sizeof canonical, "%Y-%m-%dT%H:%M:%SZ", &parts);
	if (strcmp(text, canonical) != 0)
		return;
	uint64_t ms;
	PL_ASSERT(pl_time_parse(text, strlen(text), &ms) == PL_OK);
	PL_ASSERT(ms == (uint64_t)seconds * 1000);
}

static void as_duration(const char *text, size_t len)
{
	uint64_t ms, again;
	char shown[32];
	enum pl_err err = pl_duration_parse(text, len, &ms);
	PL_ASSERT(err == PL_OK || err == PL_EINVAL || err == PL_ELIMIT);
	if (err != PL_OK)
		return;
	PL_ASSERT(ms <= PL_DURATION_MAX_MS);
	pl_duration_format(ms, shown, sizeof shown);
	PL_ASSERT(pl_duration_parse(shown, strlen(shown), &again) == PL_OK && again == ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = input_of(data, size);
	as_time(in.at, in.len);
	as_duration(in.at, in.len);
	char *text = input_text(&in);
	against_libc(text);
	free(text);
	return 0;
}
