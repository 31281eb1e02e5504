#include "pipeline/hosts_file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pipeline/buf.h"
#include "pipeline/file.h"
#include "pipeline/mem.h"
#include "pipeline/text.h"
#include "pipeline/url.h"

#define FILE_MAX        (1024 * 1024)
#define TEXT_LINE_MAX   512
#define CONCURRENCY_MAX 10000
#define RATE_MAX        1e6
#define RATE_MIN        1e-6 /* as many decimals as the scripts are told */

struct parsing {
	struct pl_host_limit *list;
	size_t count, room;
	unsigned line;
};

static _Thread_local char complaint[256];

static enum pl_err complain(const struct parsing *parsing, const char *what, const char **why)
{
	snprintf(complaint, sizeof complaint, "line %u: %s", parsing->line, what);
	*why = complaint;
	return PL_EINVAL;
}

/* "host" or "host:port" becomes the lane the rest of us knows it by. */
static bool lane_of(const char *host, const char *port, char out[PL_LANE_MAX])
{
	char text[TEXT_LINE_MAX];
	const char *why;
	struct pl_url *url;
	if (strpbrk(host, "/?#\\@") != NULL)
		return false; /* a URL would have more parts than its host then */
	snprintf(text, sizeof text, "http://%s%s", host, port);
	if (pl_url_parse(text, strlen(text), &url, &why) != PL_OK)
		return false;
	snprintf(out, PL_LANE_MAX, "%s", pl_url_lane(url));
	pl_url_free(url);
	return true;
}

static bool add(struct parsing *parsing, const char *host, const char *port, const char *text)
{
	if (parsing->count == parsing->room) {
		parsing->room = parsing->room > 0 ? parsing->room * 2 : 16;
		parsing->list = pl_realloc(parsing->list, parsing->room * sizeof *parsing->list);
	}
	struct pl_host_limit *limit = &parsing->list[parsing->count];
	snprintf(limit->text, sizeof limit->text, "%s", text);
	if (!lane_of(host, port, limit->lane))
		return false;
	parsing->count++;
	return true;
}

static bool has_port(const char *host)
{
	const char *bracket = strrchr(host, ']');
	return strchr(bracket != NULL ? bracket : host, ':') != NULL;
}

static const char *read_limit(const char *word, char concurrency[8], char rate[24])
{
	uint64_t number;
	if (strncmp(word, "concurrency=", 12) == 0) {
		if (pl_number_parse(word + 12, strlen(word + 12), CONCURRENCY_MAX, &number) !=
				PL_OK ||
			number == 0)
			return "concurrency must be a whole number from 1 to 10000";
		snprintf(concurrency, 8, "%u", (unsigned)number);
		return NULL;
	}
	if (strncmp(word, "rate=", 5) == 0) {
		char *end;
		double value = strtod(word + 5, &end);
		if (*end != '\0' || end == word + 5 || !isfinite(value) || value < RATE_MIN ||
			value > RATE_MAX)
			return "rate must be a number from 0.000001 to 1000000";
		snprintf(rate, 24, "%.6f", value);
		return NULL;
	}
	return "only concurrency=N and rate=N are known";
}

static enum pl_err take_line(struct parsing *parsing, char *line, const char **why)
{
	static const char *const between = " \t\r";
	char concurrency[8] = "-", rate[24] = "-", text[32], *rest;
	char *host = strtok_r(line, between, &rest), *word;
	if (host == NULL || *host == '#')
		return PL_OK;
	while ((word = strtok_r(NULL, between, &rest)) != NULL && *word != '#') {
		const char *fault = read_limit(word, concurrency, rate);
		if (fault != NULL)
			return complain(parsing, fault, why);
	}
	if (parsing->count + 2 > PL_HOST_LIMITS_MAX)
		return complain(parsing, "more than 10000 hosts", why);
	snprintf(text, sizeof text, "%s %s", concurrency, rate);
	bool fits = has_port(host)
			    ? add(parsing, host, "", text)
			    : add(parsing, host, ":80", text) && add(parsing, host, ":443", text);
	return fits ? PL_OK : complain(parsing, "this is no host or host:port", why);
}

enum pl_err pl_hosts_file_parse(
	const char *text, struct pl_host_limit **out, size_t *count, const char **why)
{
	struct parsing parsing = { 0 };
	enum pl_err err = PL_OK;
	while (err == PL_OK && *text != '\0') {
		char line[TEXT_LINE_MAX];
		size_t len = strcspn(text, "\n");
		parsing.line++;
		if (len >= sizeof line) {
			err = complain(&parsing, "longer than a host and its limits can be", why);
			break;
		}
		memcpy(line, text, len);
		line[len] = '\0';
		err = take_line(&parsing, line, why);
		text += len + (text[len] == '\n');
	}
	if (err != PL_OK) {
		free(parsing.list);
		return err;
	}
	*out = parsing.list;
	*count = parsing.count;
	return PL_OK;
}

enum pl_err pl_hosts_file_read(
	const char *path, struct pl_host_limit **out, size_t *count, const char **why)
{
	struct pl_buf text;
	pl_buf_init(&text, FILE_MAX);
	enum pl_err err = pl_file_read(path, &text);
	if (err == PL_OK) {
		err = pl_hosts_file_parse(text.len > 0 ? text.data : "", out, count, why);
	} else {
		snprintf(complaint, sizeof complaint, "can't read %.160s: %s", path,
			err == PL_ELIMIT ? "it is larger than 1 MiB" : strerror(errno));
		*why = complaint;
	}
	pl_buf_fini(&text);
	return err;
}
