/*
 * settings: a table of rows feeds parsing, --help, the start-up log and docs/SETTINGS.md.
 *
 * A value comes from the flag (--host-concurrency 8 or =8), else the environment
 * (HOST_CONCURRENCY), else NAME_FILE for secrets, else the row's default. Every mistake is
 * collected, so that all are named together.
 */
#ifndef PIPELINE_SETTINGS_H
#define PIPELINE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "pipeline/backoff.h"
#include "pipeline/err.h"

enum pl_setting_type {
	PL_SETTING_TEXT,
	PL_SETTING_SECRET,   /* text, hidden when shown; NAME_FILE names a file that holds it */
	PL_SETTING_NUMBER,   /* min..max */
	PL_SETTING_DURATION, /* ms, min..max */
	PL_SETTING_BYTES,    /* "64MiB", "10MB", plain bytes; min..max */
	PL_SETTING_CHOICE,   /* one of choices, "json|text" */
	PL_SETTING_SCHEDULE, /* "5s,30s" */
};

struct pl_setting {
	const char *name; /* HOST_CONCURRENCY */
	enum pl_setting_type type;
	const char *fallback; /* the default as a person would write it; NULL: none */
	uint64_t min, max;    /* of the types with a range; both 0: any */
	const char *choices;
	const char *help; /* one sentence */
};

/* Rows end with one whose name is NULL. */
struct pl_settings;

/* tables: NULL-terminated list of row arrays (shared rows first). argv[0] is skipped. Errors go to
 * *errors, one sentence a line (free() it); PL_EINVAL then. --help and --print-settings are the
 * caller's to look for before. */
PL_MUST_CHECK enum pl_err pl_settings_read(const struct pl_setting *const *tables, int argc,
	char *const *argv, struct pl_settings **out, char **errors);
void pl_settings_free(struct pl_settings *settings);

/* By name; asking for a row that is not there, or as another type, is a bug (PL_ASSERT). */
const char *pl_settings_text(const struct pl_settings *settings, const char *name); /* NULL: unset */
uint64_t pl_settings_number(const struct pl_settings *settings, const char *name);
const struct pl_schedule *pl_settings_schedule(const struct pl_settings *settings, const char *name);
bool pl_settings_given(const struct pl_settings *settings, const char *name);

/* --help body; markdown: the rows of docs/SETTINGS.md. */
void pl_settings_print(const struct pl_setting *const *tables, FILE *out, bool markdown);

/* The rows every service shares, and the ones both workers share. */
extern const struct pl_setting pl_settings_shared[];
extern const struct pl_setting pl_settings_worker[];

#endif
