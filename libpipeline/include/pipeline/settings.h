/*
 * settings: a table of rows feeds parsing, --help, the start-up log and docs/SETTINGS.md.
 *
 * A value comes from the flag (--host-concurrency 8 or =8), else the environment
 * (HOST_CONCURRENCY), else NAME_FILE for secrets, else the row's default. An empty variable counts
 * as none; an empty flag unsets a text. Every mistake is collected, so that all are named together.
 *
 * Secrets  never shown, whole or in part: nor is the user info of a URL within a text.
 */
#ifndef PIPELINE_SETTINGS_H
#define PIPELINE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "pipeline/backoff.h"
#include "pipeline/buf.h"
#include "pipeline/err.h"

enum pl_setting_type {
	PL_SETTING_TEXT,
	PL_SETTING_SECRET,   /* text, hidden when shown; NAME_FILE names a file that holds it */
	PL_SETTING_NUMBER,   /* min..max */
	PL_SETTING_DURATION, /* ms, min..max */
	PL_SETTING_BYTES,    /* "64MiB", "10MB", plain bytes; min..max */
	PL_SETTING_CHOICE,   /* one of choices */
	PL_SETTING_SCHEDULE, /* "5s,30s" */
};

struct pl_setting {
	const char *name; /* HOST_CONCURRENCY */
	enum pl_setting_type type;
	const char *fallback; /* the default as a person would write it; NULL: none */
	uint64_t min, max;    /* of the types with a range; both 0: any */
	const char *choices;  /* "json|text" */
	const char *help;     /* one sentence */
	/* Text that has a form of its own: false, and why not, when it is not of it. NULL: any. */
	bool (*fits)(const char *text, const char **why);
};

/* Rows end with one whose name is NULL. */
struct pl_settings;

/* tables: NULL-terminated list of row arrays (shared rows first); no name twice. argv[0] is
 * skipped; a flag given twice counts the last time. Errors go to *errors, one sentence a line
 * (free() it); PL_EINVAL then. --help and --print-settings are the caller's to look for before. */
PL_MUST_CHECK enum pl_err pl_settings_read(const struct pl_setting *const *tables, int argc,
	char *const *argv, struct pl_settings **out, char **errors);
void pl_settings_free(struct pl_settings *settings);

/* By name; asking for a row that is not there, or as another type, is a bug (PL_ASSERT). What is
 * returned lives as long as settings. */
/* TEXT, SECRET, CHOICE; NULL: unset */
const char *pl_settings_text(const struct pl_settings *settings, const char *name);
/* NUMBER, DURATION (ms), BYTES; 0 when there is neither value nor default. */
uint64_t pl_settings_number(const struct pl_settings *settings, const char *name);
/* CHOICE: which one, from 0. */
unsigned pl_settings_choice(const struct pl_settings *settings, const char *name);
/* NULL: unset. */
const struct pl_schedule *pl_settings_schedule(
	const struct pl_settings *settings, const char *name);
/* Did a flag, a variable or a file set it? */
bool pl_settings_given(const struct pl_settings *settings, const char *name);

/* RETENTION_DATA as TIME_SCALE has it, in ms; data goes with its record if that goes earlier. */
uint64_t pl_settings_data_ms(const struct pl_settings *settings);

/* Adds what differs from the defaults as one line for the start-up log, "LEASE=5s PREFETCH=64",
 * secrets hidden; nothing when nothing differs. */
PL_MUST_CHECK enum pl_err pl_settings_changes(
	const struct pl_settings *settings, struct pl_buf *out);

/* --help body; markdown: a table for docs/SETTINGS.md, its heading included. */
void pl_settings_print(const struct pl_setting *const *tables, FILE *out, bool markdown);

/* Rows' fits: an IPv4 address; a URL that paths are added to. */
bool pl_setting_fits_ipv4(const char *text, const char **why);
bool pl_setting_fits_base_url(const char *text, const char **why);

/* The rows every service shares, and the ones both workers share. */
extern const struct pl_setting pl_settings_shared[];
extern const struct pl_setting pl_settings_worker[];
/* API_KEYS, for who asks the keys' file. */
extern const struct pl_setting pl_settings_keys[];

#endif
