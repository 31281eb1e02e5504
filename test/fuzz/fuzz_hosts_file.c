/* Any text as a hosts file: each limit it yields is for a host that a request could name, and
 * within what the file may say. */
#include <stdio.h>

#include "input.h"
#include "pipeline/hosts_file.h"
#include "pipeline/url.h"

/* The lane is one's own, not something longer that was cut to it. */
static void for_a_host(const struct pl_host_limit *limit)
{
	char text[PL_LANE_MAX + 8];
	struct pl_url *url;
	const char *why;
	snprintf(text, sizeof text, "http://%s", limit->lane);
	PL_ASSERT(pl_url_parse(text, strlen(text), &url, &why) == PL_OK);
	PL_ASSERT(strcmp(pl_url_lane(url), limit->lane) == 0);
	pl_url_free(url);
}

/* Each line begins with a host or a comment: no more of a URL, which would name nothing. */
static void hosts_only(const char *text)
{
	for (const char *line = text; *line != '\0'; line += *line == '\n') {
		line += strspn(line, " \t\r");
		size_t word = strcspn(line, " \t\r\n");
		PL_ASSERT(*line == '#' || strcspn(line, "/?#") >= word);
		line += strcspn(line, "\n");
	}
}

/* "<concurrency> <rate>", "-" for what is not limited, as the scripts read it. */
static void within(const struct pl_host_limit *limit)
{
	char concurrency[sizeof limit->text], rate[sizeof limit->text];
	int end = 0;
	PL_ASSERT(sscanf(limit->text, "%31s %31s%n", concurrency, rate, &end) == 2);
	PL_ASSERT(limit->text[end] == '\0');
	if (strcmp(concurrency, "-") != 0) {
		long number = strtol(concurrency, NULL, 10);
		PL_ASSERT(number >= 1 && number <= 10000);
	}
	if (strcmp(rate, "-") != 0) {
		double number = strtod(rate, NULL);
		PL_ASSERT(number > 0 && number <= 1e6);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = input_of(data, size);
	struct pl_host_limit *limits = NULL;
	size_t count = 0;
	const char *why = NULL;
	char *text = input_text(&in);
	if (pl_hosts_file_parse(text, &limits, &count, &why) == PL_OK) {
		PL_ASSERT(count <= PL_HOST_LIMITS_MAX);
		for (size_t i = 0; i < count; i++) {
			for_a_host(&limits[i]);
			within(&limits[i]);
		}
		hosts_only(text);
		free(limits);
	} else {
		PL_ASSERT(limits == NULL && why != NULL && strncmp(why, "line ", 5) == 0);
	}
	free(text);
	return 0;
}
