#include "setting.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pipeline/clock.h"
#include "pipeline/json.h"
#include "pipeline/mem.h"
#include "pipeline/text.h"

#define ALLOWED_MAX 4096 /* bytes of what a row allows; choices and all */
#define SHOWN_MAX   100  /* bytes of a wrong value that a sentence repeats */

bool setting_is_text(const struct pl_setting *row)
{
	return row->type == PL_SETTING_TEXT || row->type == PL_SETTING_SECRET;
}

/* ---- sizes: bytes in units of 1000 or 1024 ------------------------------------------------- */

static const struct {
	const char *name;
	uint64_t bytes;
} sizes[] = { { "TiB", 1ull << 40 }, { "GiB", 1ull << 30 }, { "MiB", 1ull << 20 },
	{ "KiB", 1ull << 10 }, { "TB", 1000000000000 }, { "GB", 1000000000 }, { "MB", 1000000 },
	{ "kB", 1000 }, { "B", 1 }, { "", 1 } };
#define SIZES        (sizeof sizes / sizeof *sizes)
#define SIZES_BINARY 4

static enum pl_err size_parse(const char *text, uint64_t *out)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t number;
	enum pl_err err = pl_number_parse(text, digits, UINT64_MAX, &number);
	if (err != PL_OK)
		return err;
	for (size_t i = 0; i < SIZES; i++) {
		if (strcasecmp(text + digits, sizes[i].name) != 0)
			continue;
		if (number > UINT64_MAX / sizes[i].bytes)
			return PL_ELIMIT;
		*out = number * sizes[i].bytes;
		return PL_OK;
	}
	return PL_EINVAL;
}

static enum pl_err size_add(struct pl_buf *out, uint64_t bytes)
{
	size_t i = 0;
	while (i < SIZES_BINARY && (bytes == 0 || bytes % sizes[i].bytes != 0))
		i++;
	if (i == SIZES_BINARY)
		return pl_buf_format(out, "%" PRIu64, bytes);
	return pl_buf_format(out, "%" PRIu64 "%s", bytes / sizes[i].bytes, sizes[i].name);
}

/* ---- what a row allows, in words ----------------------------------------------------------- */

static enum pl_err duration_add(struct pl_buf *out, uint64_t ms)
{
	char text[32];
	pl_duration_format(ms, text, sizeof text);
	return pl_buf_text(out, text);
}

static enum pl_err limit_add(struct pl_buf *out, const struct pl_setting *row, uint64_t limit)
{
	if (row->type == PL_SETTING_DURATION)
		return duration_add(out, limit);
	if (row->type == PL_SETTING_BYTES)
		return size_add(out, limit);
	return pl_buf_format(out, "%" PRIu64, limit);
}

static bool has_range(const struct pl_setting *row)
{
	return row->min != 0 || row->max != 0;
}

/* " from 1 to 100", ", only 1", or nothing. */
static enum pl_err range_add(struct pl_buf *out, const struct pl_setting *row)
{
	if (!has_range(row))
		return PL_OK;
	enum pl_err err = pl_buf_text(out, row->min == row->max ? ", only " : " from ");
	if (err == PL_OK)
		err = limit_add(out, row, row->min);
	if (err == PL_OK && row->min != row->max)
		err = pl_buf_text(out, " to ");
	if (err == PL_OK && row->min != row->max)
		err = limit_add(out, row, row->max);
	return err;
}

/* "json|text" -> "json or text" */
static enum pl_err choices_add(struct pl_buf *out, const char *choices)
{
	enum pl_err err = PL_OK;
	for (const char *at = choices; err == PL_OK && *at != '\0';) {
		size_t len = strcspn(at, "|");
		if (at != choices)
			err = pl_buf_text(out, strchr(at, '|') != NULL ? ", " : " or ");
		if (err == PL_OK)
			err = pl_buf_add(out, at, len);
		at += len + (at[len] == '|');
	}
	return err;
}

static enum pl_err allowed_add(struct pl_buf *out, const struct pl_setting *row, bool examples)
{
	static const char *const words[] = {
		[PL_SETTING_TEXT] = "a text",
		[PL_SETTING_SECRET] = "a text",
		[PL_SETTING_NUMBER] = "a whole number",
		[PL_SETTING_DURATION] = "a duration",
		[PL_SETTING_BYTES] = "a size",
		[PL_SETTING_CHOICE] = "",
		[PL_SETTING_SCHEDULE] = "durations with commas between them",
	};
	static const char *const such_as[] = {
		[PL_SETTING_DURATION] = ", such as 250ms, 10s or 1h30m",
		[PL_SETTING_BYTES] = ", such as 64MiB, 10MB or 4096",
		[PL_SETTING_SCHEDULE] = ", such as 5s,30s,2m",
	};
	enum pl_err err = pl_buf_text(out, words[row->type]);
	if (err == PL_OK && row->type == PL_SETTING_CHOICE)
		err = choices_add(out, row->choices);
	if (err == PL_OK)
		err = range_add(out, row);
	if (err == PL_OK && examples && such_as[row->type] != NULL)
		err = pl_buf_text(out, such_as[row->type]);
	return err;
}

char *setting_allowed(const struct pl_setting *row, bool examples)
{
	struct pl_buf out;
	pl_buf_init(&out, ALLOWED_MAX);
	enum pl_err err = allowed_add(&out, row, examples);
	PL_ASSERT(err == PL_OK);
	return pl_buf_take(&out, NULL);
}

char *setting_quoted(const char *text)
{
	static const char ellipsis[] = "\xe2\x80\xa6";
	char *out = pl_alloc(SHOWN_MAX + sizeof ellipsis + 2), *at = out;
	size_t len = strlen(text), used;
	*at++ = '"';
	at += pl_json_escape(text, len, at, SHOWN_MAX, &used);
	if (used < len)
		at = mempcpy(at, ellipsis, sizeof ellipsis - 1);
	*at++ = '"';
	*at = '\0';
	return out;
}

/* ---- one value ----------------------------------------------------------------------------- */

static enum pl_err choice_parse(const char *choices, const char *text, uint64_t *out)
{
	size_t len = strlen(text);
	for (uint64_t which = 0;; which++) {
		size_t choice_len = strcspn(choices, "|");
		if (choice_len == len && memcmp(choices, text, len) == 0) {
			*out = which;
			return PL_OK;
		}
		if (choices[choice_len] == '\0')
			return PL_EINVAL;
		choices += choice_len + 1;
	}
}

static enum pl_err number_of(const struct pl_setting *row, const char *text, uint64_t *out)
{
	uint64_t number;
	enum pl_err err = row->type == PL_SETTING_BYTES ? size_parse(text, &number)
			  : row->type == PL_SETTING_DURATION
				  ? pl_duration_parse(text, strlen(text), &number)
				  : pl_number_parse(text, strlen(text), UINT64_MAX, &number);
	if (err != PL_OK)
		return err;
	if (has_range(row) && (number < row->min || number > row->max))
		return PL_ELIMIT;
	*out = number;
	return PL_OK;
}

static enum pl_err schedule_of(const char *text, struct pl_schedule **out)
{
	struct pl_schedule schedule;
	enum pl_err err = pl_schedule_parse(text, strlen(text), &schedule);
	if (err != PL_OK)
		return err;
	*out = pl_alloc(sizeof schedule);
	**out = schedule;
	return PL_OK;
}

enum pl_err setting_set(struct setting_value *value, const char *text)
{
	enum pl_err err = PL_OK;
	switch (value->row->type) {
	case PL_SETTING_TEXT:
	case PL_SETTING_SECRET:
		break;
	case PL_SETTING_NUMBER:
	case PL_SETTING_DURATION:
	case PL_SETTING_BYTES:
		err = number_of(value->row, text, &value->number);
		break;
	case PL_SETTING_CHOICE:
		err = choice_parse(value->row->choices, text, &value->number);
		break;
	case PL_SETTING_SCHEDULE:
		err = schedule_of(text, &value->schedule);
		break;
	}
	if (err == PL_OK)
		value->text = pl_strdup(text);
	return err;
}

void setting_fini(struct setting_value *value)
{
	free(value->text);
	free(value->schedule);
}

void setting_default(struct setting_value *value)
{
	if (value->row->fallback == NULL)
		return;
	enum pl_err err = setting_set(value, value->row->fallback);
	PL_ASSERT(err == PL_OK);
}

/* ---- showing ------------------------------------------------------------------------------- */

/* The comma that ends the URL at text, if another one follows; a comma within a password does
 * not count. NULL: it is the last. */
static const char *url_end(const char *text)
{
	static const char scheme[] = "abcdefghijklmnopqrstuvwxyz0123456789+.- ";
	for (const char *comma = strchr(text, ','); comma != NULL; comma = strchr(comma + 1, ',')) {
		size_t len = strspn(comma + 1, scheme);
		if (strncmp(comma + 1 + len, "://", 3) == 0)
			return comma;
	}
	return NULL;
}

/* A text with "***" for the user info of each URL in it. */
static enum pl_err masked_add(struct pl_buf *out, const char *text)
{
	enum pl_err err = PL_OK;
	for (const char *mark = strstr(text, "://"); err == PL_OK && mark != NULL;) {
		const char *user = mark + 3, *comma = url_end(user);
		size_t len = comma != NULL ? (size_t)(comma - user) : strlen(user);
		const char *at = memrchr(user, '@', len);
		err = pl_buf_add(out, text, (size_t)(user - text));
		if (err == PL_OK && at != NULL)
			err = pl_buf_text(out, "***");
		text = at != NULL ? at : user;
		mark = comma != NULL ? strstr(comma, "://") : NULL;
	}
	return err == PL_OK ? pl_buf_text(out, text) : err;
}

/* Quoted only where the line would be hard to read without. */
static enum pl_err text_show(struct pl_buf *out, const char *text)
{
	struct pl_buf masked;
	pl_buf_init(&masked, out->max);
	enum pl_err err = masked_add(&masked, text);
	bool plain = err == PL_OK;
	for (size_t i = 0; plain && i < masked.len; i++)
		plain = masked.data[i] > ' ' && masked.data[i] < 0x7f && masked.data[i] != '"';
	if (err == PL_OK)
		err = plain ? pl_buf_add(out, masked.data, masked.len)
			    : pl_json_string(out, masked.data, masked.len);
	pl_buf_fini(&masked);
	return err;
}

static enum pl_err schedule_show(struct pl_buf *out, const struct pl_schedule *schedule)
{
	enum pl_err err = PL_OK;
	for (size_t i = 0; i < schedule->count && err == PL_OK; i++) {
		if (i > 0)
			err = pl_buf_text(out, ",");
		if (err == PL_OK)
			err = duration_add(out, schedule->delay_ms[i]);
	}
	return err;
}

enum pl_err setting_show(struct pl_buf *out, const struct setting_value *value)
{
	if (value->text == NULL)
		return pl_buf_text(out, "\"\"");
	switch (value->row->type) {
	case PL_SETTING_SECRET:
		return pl_buf_text(out, "(hidden)");
	case PL_SETTING_TEXT:
	case PL_SETTING_CHOICE:
		return text_show(out, value->text);
	case PL_SETTING_NUMBER:
	case PL_SETTING_DURATION:
	case PL_SETTING_BYTES:
		return limit_add(out, value->row, value->number);
	case PL_SETTING_SCHEDULE:
		return schedule_show(out, value->schedule);
	}
	return PL_OK;
}

static bool schedules_equal(const struct pl_schedule *a, const struct pl_schedule *b)
{
	return a->count == b->count &&
	       memcmp(a->delay_ms, b->delay_ms, a->count * sizeof *a->delay_ms) == 0;
}

bool setting_is_default(const struct setting_value *value)
{
	struct setting_value usual = { .row = value->row };
	setting_default(&usual);
	bool same;
	if (value->text == NULL || usual.text == NULL)
		same = value->text == usual.text;
	else if (setting_is_text(value->row))
		same = strcmp(value->text, usual.text) == 0;
	else if (value->row->type == PL_SETTING_SCHEDULE)
		same = schedules_equal(value->schedule, usual.schedule);
	else
		same = value->number == usual.number;
	setting_fini(&usual);
	return same;
}
