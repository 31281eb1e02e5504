#include "pipeline/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/mem.h"
#include "pipeline/text.h"
#include "setting.h"

#define FLAG_SIZE       PL_WORD_SIZE /* the longest name, "-file" and a NUL */
#define SECRET_FILE_MAX (64 * 1024)  /* bytes of the file that NAME_FILE names */
#define ERRORS_MAX      (64 * 1024)  /* bytes of all sentences; what comes then is not told */
#define NEAR_MAX        3            /* edits between a flag and the one that may be meant */

struct pl_settings {
	struct setting_value *values;
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

/* ---- reading ------------------------------------------------------------------------------- */

/* The whole file without the line's end; NULL after it was complained of. */
static char *secret_read(struct reading *reading, const struct pl_setting *row, const char *path)
{
	char *shown = setting_quoted(path);
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

static void value_given(struct reading *reading, struct setting_value *value, const char *text)
{
	const struct pl_setting *row = value->row;
	value->given = true;
	if (setting_is_text(row) && *text == '\0')
		return;
	const char *why;
	if (row->fits != NULL && !row->fits(text, &why)) {
		complain(reading, "%s: %s.", row->name, why);
		return;
	}
	if (setting_set(value, text) == PL_OK)
		return;
	char *shown = setting_quoted(text), *may_be = setting_allowed(row, true);
	complain(reading, "%s is %s; it must be %s.", row->name, shown, may_be);
	free(shown);
	free(may_be);
}

static void value_read(struct reading *reading, struct setting_value *value)
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
		setting_default(value);
		return;
	}
	char *secret = secret_read(reading, row, path);
	if (secret != NULL) {
		value_given(reading, value, secret);
		free(secret);
	}
}

static void complain_of_flag(struct reading *reading, const char *flag, size_t len)
{
	char nearest[FLAG_SIZE] = "", *name = pl_strndup(flag, len), *shown = setting_quoted(name);
	size_t best = (len + 1) / 2 < NEAR_MAX ? (len + 1) / 2 : NEAR_MAX;
	for (size_t i = 0; len < FLAG_SIZE && i < reading->settings->count; i++) {
		char known[FLAG_SIZE];
		flag_of(reading->settings->values[i].row->name, "", known);
		size_t edits = pl_edits_between(flag, len, known);
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
		struct setting_value *value = &settings->values[i];
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
		char *shown = setting_quoted(argv[0]);
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

static struct setting_value *value_find(const struct pl_settings *settings, const char *name)
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
		setting_fini(&settings->values[i]);
	free(settings->values);
	free(settings);
}

/* ---- asking -------------------------------------------------------------------------------- */

static const struct setting_value *value_get(const struct pl_settings *settings, const char *name)
{
	const struct setting_value *value = value_find(settings, name);
	PL_ASSERT(value != NULL);
	return value;
}

const char *pl_settings_text(const struct pl_settings *settings, const char *name)
{
	const struct setting_value *value = value_get(settings, name);
	PL_ASSERT(setting_is_text(value->row) || value->row->type == PL_SETTING_CHOICE);
	return value->text;
}

uint64_t pl_settings_number(const struct pl_settings *settings, const char *name)
{
	const struct setting_value *value = value_get(settings, name);
	PL_ASSERT(value->row->type == PL_SETTING_NUMBER ||
		  value->row->type == PL_SETTING_DURATION || value->row->type == PL_SETTING_BYTES);
	return value->number;
}

unsigned pl_settings_choice(const struct pl_settings *settings, const char *name)
{
	const struct setting_value *value = value_get(settings, name);
	PL_ASSERT(value->row->type == PL_SETTING_CHOICE);
	return (unsigned)value->number;
}

const struct pl_schedule *pl_settings_schedule(const struct pl_settings *settings, const char *name)
{
	const struct setting_value *value = value_get(settings, name);
	PL_ASSERT(value->row->type == PL_SETTING_SCHEDULE);
	return value->schedule;
}

bool pl_settings_given(const struct pl_settings *settings, const char *name)
{
	return value_get(settings, name)->given;
}

/* ---- showing ------------------------------------------------------------------------------- */

enum pl_err pl_settings_changes(const struct pl_settings *settings, struct pl_buf *out)
{
	struct pl_buf line;
	pl_buf_init(&line, out->max);
	enum pl_err err = PL_OK;
	for (size_t i = 0; i < settings->count && err == PL_OK; i++) {
		const struct setting_value *value = &settings->values[i];
		if (setting_is_default(value))
			continue;
		err = pl_buf_format(&line, "%s%s=", line.len > 0 ? " " : "", value->row->name);
		if (err == PL_OK)
			err = setting_show(&line, value);
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
	char flag[FLAG_SIZE], *may_be = setting_allowed(row, false);
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
	char *may_be = setting_allowed(row, false);
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
