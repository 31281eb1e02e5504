#include "resume.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

#include "pipeline/text.h"

#define STRONG_AFTER_S 60 /* a younger Last-Modified is not strong (RFC 9110 8.8.2.2) */

bool resume_validator(const struct pl_http_answer *answer, char out[RESUME_VALIDATOR_SIZE])
{
	_Static_assert(sizeof answer->etag <= RESUME_VALIDATOR_SIZE, "it is copied");
	_Static_assert(sizeof answer->last_modified <= RESUME_VALIDATOR_SIZE, "it is copied");
	if (answer->coded || strcasecmp(answer->accept_ranges, "none") == 0)
		return false;
	if (answer->etag[0] == '"') {
		memcpy(out, answer->etag, sizeof answer->etag);
		return strlen(answer->etag) + 1 < sizeof answer->etag; /* else it may be cut */
	}
	time_t modified = curl_getdate(answer->last_modified, NULL);
	time_t date = curl_getdate(answer->date, NULL);
	if (modified < 0 || date < 0 || date - modified < STRONG_AFTER_S)
		return false;
	memcpy(out, answer->last_modified, sizeof answer->last_modified);
	return true;
}

/* The number in front of the next `end`, behind which *at moves. */
static bool read_number(const char **at, char end, uint64_t *out)
{
	const char *stop = strchr(*at, end);
	if (stop == NULL ||
		pl_number_parse(*at, (size_t)(stop - *at), UINT64_MAX / 2, out) != PL_OK)
		return false;
	*at = stop + 1;
	return true;
}

/* "bytes first-last/length". A length of "*" leaves open whether the last is the last of all. */
static bool reaches_the_end(const struct pl_http_answer *answer, uint64_t from)
{
	static const char unit[] = "bytes ";
	const char *at = answer->content_range;
	uint64_t first, last, length;
	if (strncasecmp(at, unit, sizeof unit - 1) != 0)
		return false;
	at += sizeof unit - 1;
	if (!read_number(&at, '-', &first) || !read_number(&at, '/', &last) ||
		pl_number_parse(at, strlen(at), UINT64_MAX / 2, &length) != PL_OK)
		return false;
	return first == from && last >= first && last + 1 == length &&
	       (answer->content_length < 0 || (uint64_t)answer->content_length == length - first);
}

/* What the answer itself is named by must not speak against it. */
static bool is_of_the_same(const struct pl_http_answer *answer, const char *validator)
{
	const char *said = validator[0] == '"' ? answer->etag : answer->last_modified;
	return said[0] == '\0' || strcmp(said, validator) == 0;
}

bool resume_is_rest(const struct pl_http_answer *answer, uint64_t from, const char *validator)
{
	return answer->status == 206 && !answer->coded && reaches_the_end(answer, from) &&
	       is_of_the_same(answer, validator);
}
