/*
 * Any texts in a log line, in both forms: one line comes out, no longer than promised, without a
 * character that breaks or disguises it. A JSON line parses, has each field once and says what was
 * logged; a text line has nothing outside its quotes that was not ours to write.
 */
#include <jansson.h>
#include <sys/mman.h>
#include <unistd.h>

#include "input.h"
#include "pipeline/log.h"

#define WORD_SURE 20 /* bytes of a word that are never cut, all of them escaped */

static char line[4 * PL_LOG_LINE_MAX];

/* Logs, and reads back what was written. Its length. */
static size_t logged(bool json, const char *texts[4], unsigned attempt)
{
	static int fd = -1;
	if (fd < 0)
		fd = memfd_create("log", MFD_CLOEXEC);
	PL_ASSERT(fd >= 0 && ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	struct pl_log_about about = { texts[0], texts[1], attempt };
	pl_log_init("fuzz", PL_LOG_INFO, json, fd);
	pl_log(PL_LOG_WARN, &about, texts[2], texts[3] != NULL ? "%s" : NULL, texts[3]);
	ssize_t len = pread(fd, line, sizeof line - 1, 0);
	PL_ASSERT(len > 0 && len <= PL_LOG_LINE_MAX);
	line[len] = '\0';
	PL_ASSERT(strchr(line, '\n') == line + len - 1);
	for (const char *at = line; at < line + len - 1; at++)
		PL_ASSERT((unsigned char)*at >= 0x20 && *at != 0x7f);
	return (size_t)len;
}

static void says(const json_t *object, const char *name, const char *text, size_t sure)
{
	const json_t *value = json_object_get(object, name);
	PL_ASSERT((value == NULL) == (text == NULL));
	if (text == NULL)
		return;
	json_t *wanted = strlen(text) <= sure ? json_string(text) : NULL;
	if (wanted != NULL) /* else it was no UTF-8, or may be cut */
		PL_ASSERT(json_equal(value, wanted));
	json_decref(wanted);
}

static void as_json(const char *texts[4], unsigned attempt)
{
	size_t len = logged(true, texts, attempt);
	json_t *object = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	PL_ASSERT(json_is_object(object));
	PL_ASSERT(json_integer_value(json_object_get(object, "attempt")) == attempt);
	says(object, "service", "fuzz", WORD_SURE);
	says(object, "requestId", texts[0], WORD_SURE);
	says(object, "stage", texts[1], WORD_SURE);
	says(object, "event", texts[2], WORD_SURE);
	says(object, "reason", texts[3], 256);
	json_decref(object);
}

/* How often word stands outside of quotes. */
static size_t count_bare(const char *word)
{
	size_t count = 0;
	bool quoted = false;
	for (const char *at = line; *at != '\0'; at++) {
		if (*at == '"')
			quoted = !quoted;
		else if (quoted && *at == '\\')
			at++;
		else if (!quoted && strncmp(at, word, strlen(word)) == 0)
			count++;
	}
	PL_ASSERT(!quoted);
	return count;
}

static void as_text(const char *texts[4], unsigned attempt)
{
	logged(false, texts, attempt);
	size_t fields = (size_t)(texts[0] != NULL) + (texts[1] != NULL) + (texts[3] != NULL) +
			(attempt > 0);
	PL_ASSERT(count_bare(" ") == fields + 3); /* level, service, event */
	PL_ASSERT(count_bare("=") == fields);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = input_of(data, size);
	unsigned absent = input_choice(&in, 16), attempt = input_choice(&in, 3);
	char *texts[4];
	const char *given[4];
	for (size_t i = 0; i < 4; i++) {
		texts[i] = input_text(&in);
		given[i] = i != 2 && (absent >> i & 1) != 0 ? NULL : texts[i];
	}
	as_json(given, attempt);
	as_text(given, attempt);
	for (size_t i = 0; i < 4; i++)
		free(texts[i]);
	return 0;
}
