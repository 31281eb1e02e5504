/*
 * setting: one row of the table and what it came to: read, judged, shown. No I/O.
 */
#ifndef SETTING_H
#define SETTING_H

#include "pipeline/settings.h"

struct setting_value {
	const struct pl_setting *row;
	char *text;      /* as it was written; NULL: unset */
	uint64_t number; /* a number, ms, bytes, or which of the choices */
	struct pl_schedule *schedule;
	bool given;
	/* While reading; borrowed from argv, NULL when there was no such flag. */
	const char *flag;      /* --name */
	const char *file_flag; /* --name-file */
};

bool setting_is_text(const struct pl_setting *row);
/* What the row allows, in words: "a duration from 1s to 1h"; free() it. */
char *setting_allowed(const struct pl_setting *row, bool examples);
/* A value of someone else's making, quoted, on one line and cut; free() it. */
char *setting_quoted(const char *text);

/* Reads text as the value's row wants it; a failure leaves the value as it was. */
PL_MUST_CHECK enum pl_err setting_set(struct setting_value *value, const char *text);
/* Sets what the row says, if it says anything. */
void setting_default(struct setting_value *value);
bool setting_is_default(const struct setting_value *value);
/* Adds the value in its shortest spelling, without secrets. */
PL_MUST_CHECK enum pl_err setting_show(struct pl_buf *out, const struct setting_value *value);
void setting_fini(struct setting_value *value);

#endif
