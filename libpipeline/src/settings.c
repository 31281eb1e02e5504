#include "pipeline/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pipeline/clock.h"
#include "pipeline/json.h"
#include "pipeline/mem.h"
#include "pipeline/text.h"

#define FLAG_SIZE       64          /* the longest name, "-file" and a NUL */
#define SECRET_FILE_MAX (64 * 1024) /* bytes of the file that NAME_FILE names */
#define ERRORS_MAX      (64 * 1024) /* bytes of all sentences; what comes then is not told */
#define SHOWN_MAX       100         /* bytes of a wrong value that a sentence repeats */
#define NEAR_MAX        3           /* edits between a flag and the one that may be meant */

struct value {
	const struct pl_setting *row;
	char *text;      /* as it was written; NULL: unset */
	uint64_t number; /* a number, ms, bytes, or which of the choices */
	struct pl_schedule *schedule;
	bool given;
	/* While reading; borrowed from argv, NULL when there was no such flag. */
	const char *flag;      /* --name */
	const char *file_flag; /* --name-file */
};

struct pl_settings {
	struct value *values;
	size_t count;
};

struct reading {
	struct pl_settings *settings;
	struct pl_buf errors;
	bool mistaken;
};

/* HOST_CONCURRENCY -> host-concurrency: its flag, without the dashes in front. */
static void flag_of(const char *name, const char *suffix, char out[FLAG_SIZE])
{
	int len = snprintf(out, FLAG_SIZE, "%s%s", name, suffix);
	PL_ASSERT(len > 0 && len < FLAG_SIZE);
	for (char *at = out; *at != '\0'; at++)
		*at = *at == '_' ? '-' : *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
}

/* One sentence on its own line. The ceiling cuts the list, not the fact that it is one. */
__attribute__((format(printf, 2, 3))) static void complain(
	struct reading *reading, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	reading->mistaken = true;
	enum pl_err err = pl_buf_vformat(&reading->errors, format, args);
	if (err == PL_OK)
		err = pl_buf_text(&reading->errors, "\n");
	(void)err; /* PL_ELIMIT: see above */
	va_end(args);
}

/* A value of someone else's making, quoted, on one line and cut; free() it. */
static char *quoted(const char *text)
{
	struct pl_buf out;
	size_t len = strlen(text);
	pl_buf_init(&out, 6 * SHOWN_MAX + 2);
	enum pl_err err = pl_json_string(&out, text, len < SHOWN_MAX ? len : SHOWN_MAX);
	PL_ASSERT(err == PL_OK);
	return pl_buf_take(&out, NULL);
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

/* " from 1 to 100", " of 1", or nothing. */
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

/* The same as a string; free() it. */
static char *allowed(const struct pl_setting *row, bool examples)
{
	struct pl_buf out;
	pl_buf_init(&out, ERRORS_MAX);
	enum pl_err err = allowed_add(&out, row, examples);
	PL_ASSERT(err == PL_OK);
	return pl_buf_take(&out, NULL);
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

/* Reads text as the value's row wants it. */
static enum pl_err value_set(struct value *value, const char *text)
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

static void value_fini(struct value *value)
{
	if (value->text != NULL && value->row->type == PL_SETTING_SECRET)
		explicit_bzero(value->text, strlen(value->text));
	free(value->text);
	free(value->schedule);
}

static void value_default(struct value *value)
{
	if (value->row->fallback == NULL)
		return;
	enum pl_err err = value_set(value, value->row->fallback);
	PL_ASSERT(err == PL_OK);
}

/* ---- reading ------------------------------------------------------------------------------- */

/* The whole file without the line's end; NULL after it was complained of. */
static char *secret_read(struct reading *reading, const struct pl_setting *row, const char *path)
{
	char *shown = quoted(path);
	struct pl_buf text;
	pl_buf_init(&text, SECRET_FILE_MAX);
	char *at = pl_buf_reserve(&text, SECRET_FILE_MAX);
	FILE *file = fopen(path, "re");
	size_t len = file != NULL ? fread(at, 1, SECRET_FILE_MAX, file) : 0;
	char *secret = NULL;
	if (file == NULL || ferror(file) != 0) {
		complain(reading, "%s_FILE names %s, which can't be read: %s.", row->name, shown,
			strerror(errno));
	} else if (len == SECRET_FILE_MAX || memchr(at, '\0', len) != NULL) {
		complain(reading, "%s_FILE names %s, which is no text of less than %d bytes.",
			row->name, shown, SECRET_FILE_MAX);
	} else {
		while (len > 0 && (at[len - 1] == '\n' || at[len - 1] == '\r'))
			len--;
		secret = pl_strndup(at, len);
		if (len == 0)
			complain(reading, "%s_FILE names %s, which is empty.", row->name, shown);
	}
	explicit_bzero(at, SECRET_FILE_MAX);
	if (file != NULL)
		fclose(file); /* only read: nothing can be lost */
	pl_buf_fini(&text);
	free(shown);
	return secret;
}

/* NULL for a variable that is not there or empty. */
static const char *variable(const char *name, const char *suffix)
{
	char full[FLAG_SIZE];
	int len = snprintf(full, sizeof full, "%s%s", name, suffix);
	PL_ASSERT(len > 0 && len < (int)sizeof full);
	const char *text = getenv(full);
	return text != NULL && *text != '\0' ? text : NULL;
}

static bool is_text(const struct pl_setting *row)
{
	return row->type == PL_SETTING_TEXT || row->type == PL_SETTING_SECRET;
}

static void value_given(struct reading *reading, struct value *value, const char *text)
{
	const struct pl_setting *row = value->row;
	value->given = true;
	if (is_text(row) && *text == '\0')
		return;
	if (value_set(value, text) == PL_OK)
		return;
	char *shown = quoted(text), *may_be = allowed(row, true);
	complain(reading, "%s is %s; it must be %s.", row->name, shown, may_be);
	free(shown);
	free(may_be);
}

static void value_read(struct reading *reading, struct value *value)
{
	const struct pl_setting *row = value->row;
	const char *text = value->flag != NULL ? value->flag : variable(row->name, "");
	if (text != NULL) {
		value_given(reading, value, text);
		return;
	}
	const char *path = NULL;
	if (row->type == PL_SETTING_SECRET)
		path = value->file_flag != NULL ? value->file_flag : variable(row->name, "_FILE");
	if (path == NULL) {
		value_default(value);
		return;
	}
	char *secret = secret_read(reading, row, path);
	if (secret != NULL) {
		value_given(reading, value, secret);
		explicit_bzero(secret, strlen(secret));
		free(secret);
	}
}

/* How many letters must be changed, added or taken away to make one of the other. */
static size_t edits_between(const char *a, size_t a_len, const char *b)
{
	size_t row[FLAG_SIZE], b_len = strlen(b);
	PL_ASSERT(b_len < FLAG_SIZE);
	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t before = row[0]; /* row[j - 1] of the line above */
		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t change = before + (a[i - 1] != b[j - 1]);
			size_t other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
			before = row[j];
			row[j] = change < other ? change : other;
		}
	}
	return row[b_len];
}

static void complain_of_flag(struct reading *reading, const char *flag, size_t len)
{
	char nearest[FLAG_SIZE] = "", *name = pl_strndup(flag, len), *shown = quoted(name);
	size_t best = (len + 1) / 2 < NEAR_MAX ? (len + 1) / 2 : NEAR_MAX;
	for (size_t i = 0; len < FLAG_SIZE && i < reading->settings->count; i++) {
		char known[FLAG_SIZE];
		flag_of(reading->settings->values[i].row->name, "", known);
		size_t edits = edits_between(flag, len, known);
		if (edits > best || (edits == best && *nearest != '\0'))
			continue;
		best = edits;
		memcpy(nearest, known, sizeof nearest);
	}
	/* without the quotes, as it was typed */
	int shown_len = (int)strlen(shown) - 2;
	if (*nearest != '\0')
		complain(reading, "--%.*s is not a setting; did you mean --%s?", shown_len,
			shown + 1, nearest);
	else
		complain(reading, "--%.*s is not a setting; --help lists them.", shown_len,
			shown + 1);
	free(shown);
	free(name);
}

/* Where the value of this flag goes; NULL when there is no such flag. */
static const char **flag_slot(struct pl_settings *settings, const char *flag, size_t len)
{
	for (size_t i = 0; i < settings->count; i++) {
		struct value *value = &settings->values[i];
		char known[FLAG_SIZE];
		flag_of(value->row->name, "", known);
		if (strlen(known) == len && memcmp(known, flag, len) == 0)
			return &value->flag;
		flag_of(value->row->name, "_FILE", known);
		if (value->row->type == PL_SETTING_SECRET && strlen(known) == len &&
			memcmp(known, flag, len) == 0)
			return &value->file_flag;
	}
	return NULL;
}

static bool is_flag(const char *arg)
{
	return arg[0] == '-' && arg[1] == '-';
}

/* Takes argv[0] and perhaps the value behind it; returns how many it took. What follows a flag
 * that is not known is passed over unseen: it may be a secret with its name misspelt. */
static int flag_read(struct reading *reading, int argc, char *const *argv)
{
	if (!is_flag(argv[0])) {
		char *shown = quoted(argv[0]);
		complain(reading, "%s belongs to no flag; --help lists them.", shown);
		free(shown);
		return 1;
	}
	const char *flag = argv[0] + 2;
	size_t len = strcspn(flag, "=");
	bool joined = flag[len] == '=';
	bool separate = !joined && argc > 1 && !is_flag(argv[1]);
	const char **slot = flag_slot(reading->settings, flag, len);
	if (slot == NULL)
		complain_of_flag(reading, flag, len);
	else if (joined || separate)
		*slot = joined ? flag + len + 1 : argv[1];
	else
		complain(reading, "%s needs a value.", argv[0]);
	return separate ? 2 : 1;
}

static struct value *value_find(const struct pl_settings *settings, const char *name)
{
	for (size_t i = 0; i < settings->count; i++)
		if (strcmp(settings->values[i].row->name, name) == 0)
			return &settings->values[i];
	return NULL;
}

static struct pl_settings *settings_new(const struct pl_setting *const *tables)
{
	struct pl_settings *settings = pl_calloc(1, sizeof *settings);
	size_t rows = 0;
	for (const struct pl_setting *const *table = tables; *table != NULL; table++)
		for (const struct pl_setting *row = *table; row->name != NULL; row++)
			rows++;
	settings->values = pl_calloc(rows, sizeof *settings->values);
	for (const struct pl_setting *const *table = tables; *table != NULL; table++) {
		for (const struct pl_setting *row = *table; row->name != NULL; row++) {
			PL_ASSERT(value_find(settings, row->name) == NULL);
			settings->values[settings->count++].row = row;
		}
	}
	return settings;
}

enum pl_err pl_settings_read(const struct pl_setting *const *tables, int argc, char *const *argv,
	struct pl_settings **out, char **errors)
{
	struct reading reading = { .settings = settings_new(tables) };
	pl_buf_init(&reading.errors, ERRORS_MAX);
	for (int i = 1; i < argc;)
		i += flag_read(&reading, argc - i, argv + i);
	for (size_t i = 0; i < reading.settings->count; i++)
		value_read(&reading, &reading.settings->values[i]);
	if (reading.mistaken) {
		*errors = pl_buf_take(&reading.errors, NULL);
		pl_settings_free(reading.settings);
		return PL_EINVAL;
	}
	*out = reading.settings;
	return PL_OK;
}

void pl_settings_free(struct pl_settings *settings)
{
	if (settings == NULL)
		return;
	for (size_t i = 0; i < settings->count; i++)
		value_fini(&settings->values[i]);
	free(settings->values);
	free(settings);
}

/* ---- asking -------------------------------------------------------------------------------- */

static const struct value *value_get(const struct pl_settings *settings, const char *name)
{
	const struct value *value = value_find(settings, name);
	PL_ASSERT(value != NULL);
	return value;
}

const char *pl_settings_text(const struct pl_settings *settings, const char *name)
{
	const struct value *value = value_get(settings, name);
	PL_ASSERT(is_text(value->row) || value->row->type == PL_SETTING_CHOICE);
	return value->text;
}

uint64_t pl_settings_number(const struct pl_settings *settings, const char *name)
{
	const struct value *value = value_get(settings, name);
	PL_ASSERT(value->row->type == PL_SETTING_NUMBER ||
		  value->row->type == PL_SETTING_DURATION || value->row->type == PL_SETTING_BYTES);
	return value->number;
}

unsigned pl_settings_choice(const struct pl_settings *settings, const char *name)
{
	const struct value *value = value_get(settings, name);
	PL_ASSERT(value->row->type == PL_SETTING_CHOICE);
	return (unsigned)value->number;
}

const struct pl_schedule *pl_settings_schedule(const struct pl_settings *settings, const char *name)
{
	const struct value *value = value_get(settings, name);
	PL_ASSERT(value->row->type == PL_SETTING_SCHEDULE);
	return value->schedule;
}

bool pl_settings_given(const struct pl_settings *settings, const char *name)
{
	return value_get(settings, name)->given;
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

static enum pl_err value_show(struct pl_buf *out, const struct value *value)
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

static bool is_default(const struct value *value)
{
	struct value usual = { .row = value->row };
	value_default(&usual);
	bool same;
	if (value->text == NULL || usual.text == NULL)
		same = value->text == usual.text;
	else if (is_text(value->row))
		same = strcmp(value->text, usual.text) == 0;
	else if (value->row->type == PL_SETTING_SCHEDULE)
		same = schedules_equal(value->schedule, usual.schedule);
	else
		same = value->number == usual.number;
	value_fini(&usual);
	return same;
}

enum pl_err pl_settings_changes(const struct pl_settings *settings, struct pl_buf *out)
{
	struct pl_buf line;
	pl_buf_init(&line, out->max);
	enum pl_err err = PL_OK;
	for (size_t i = 0; i < settings->count && err == PL_OK; i++) {
		const struct value *value = &settings->values[i];
		if (is_default(value))
			continue;
		err = pl_buf_format(&line, "%s%s=", line.len > 0 ? " " : "", value->row->name);
		if (err == PL_OK)
			err = value_show(&line, value);
	}
	if (err == PL_OK)
		err = pl_buf_add(out, line.data, line.len);
	pl_buf_fini(&line);
	return err;
}

/*
 *   --lease 30s
 *         How long … (a duration from 1s to 1h)
 */
static void row_print_help(const struct pl_setting *row, FILE *out)
{
	char flag[FLAG_SIZE], *may_be = allowed(row, false);
	flag_of(row->name, "", flag);
	fprintf(out, "  --%s%s%s\n        %s (%s", flag, row->fallback != NULL ? " " : "",
		row->fallback != NULL ? row->fallback : "", row->help, may_be);
	if (row->type == PL_SETTING_SECRET)
		fprintf(out, "; --%s-file names a file that holds it", flag);
	fprintf(out, ")\n");
	free(may_be);
}

static void row_print_markdown(const struct pl_setting *row, FILE *out)
{
	char *may_be = allowed(row, false);
	fprintf(out, "| `%s` | ", row->name);
	if (row->fallback != NULL)
		fprintf(out, "`%s`", row->fallback);
	else
		fprintf(out, "none");
	fprintf(out, " | %s | %s |\n", may_be, row->help);
	free(may_be);
}

void pl_settings_print(const struct pl_setting *const *tables, FILE *out, bool markdown)
{
	if (markdown)
		fprintf(out, "| setting | default | allowed | what it does |\n|---|---|---|---|\n");
	for (const struct pl_setting *const *table = tables; *table != NULL; table++) {
		for (const struct pl_setting *row = *table; row->name != NULL; row++) {
			if (markdown)
				row_print_markdown(row, out);
			else
				row_print_help(row, out);
		}
	}
}
