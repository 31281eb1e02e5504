#include "complaint.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "pipeline/clock.h"

#define REASON " reason="

static bool begins_with(const char *text, size_t len, const char *word)
{
	return len >= strlen(word) && memcmp(text, word, strlen(word)) == 0;
}

/* TIME warn SERVICE EVENT … reason="…": its text is JSON's. */
static json_t *text_reason(const char *line, size_t len)
{
	const char *level = line + PL_TIME_SIZE - 1, *end = line + len, *reason;

	if (len < PL_TIME_SIZE || (!begins_with(level, (size_t)(end - level), " warn ") &&
					  !begins_with(level, (size_t)(end - level), " error ")))
		return NULL;
	reason = memmem(level, (size_t)(end - level), REASON, strlen(REASON));
	if (reason == NULL)
		return NULL;
	reason += strlen(REASON);
	return json_loadb(reason, (size_t)(end - reason), JSON_DECODE_ANY, NULL);
}

static json_t *json_reason(const char *line, size_t len)
{
	json_t *object = json_loadb(line, len, 0, NULL), *reason = NULL;
	const char *level = json_string_value(json_object_get(object, "level"));

	if (level != NULL && (strcmp(level, "warn") == 0 || strcmp(level, "error") == 0))
		reason = json_incref(json_object_get(object, "reason"));
	json_decref(object);
	return reason;
}

void complaint_take(const char *line, size_t len, char out[COMPLAINT_SIZE])
{
	json_t *reason =
		begins_with(line, len, "{") ? json_reason(line, len) : text_reason(line, len);

	if (json_is_string(reason))
		snprintf(out, COMPLAINT_SIZE, "%s", json_string_value(reason));
	json_decref(reason);
}
