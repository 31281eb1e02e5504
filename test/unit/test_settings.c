#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/settings.h"

#define ARGS_MAX 16

static const struct pl_setting rows[] = {
	{ .name = "T_TEXT", .type = PL_SETTING_TEXT, .fallback = "usual", .help = "A text." },
	{ .name = "T_FREE", .type = PL_SETTING_TEXT, .help = "A text without a default." },
	{ .name = "T_SECRET", .type = PL_SETTING_SECRET, .help = "A secret." },
	{ .name = "T_NUMBER",
		.type = PL_SETTING_NUMBER,
		.fallback = "32",
		.min = 1,
		.max = 100,
		.help = "A number." },
	{ .name = "T_ANY", .type = PL_SETTING_NUMBER, .fallback = "0", .help = "Any number." },
	{ .name = "T_WAIT",
		.type = PL_SETTING_DURATION,
		.fallback = "30s",
		.min = 1000,
		.max = 3600000,
		.help = "A duration." },
	{ .name = "T_ROOM",
		.type = PL_SETTING_BYTES,
		.fallback = "64MiB",
		.min = 4096,
		.max = 1ull << 40,
		.help = "A size." },
	{ .name = NULL },
};
static const struct pl_setting more_rows[] = {
	{ .name = "T_FORMAT",
		.type = PL_SETTING_CHOICE,
		.fallback = "json",
		.choices = "json|text|none",
		.help = "A choice." },
	{ .name = "T_SCHEDULE",
		.type = PL_SETTING_SCHEDULE,
		.fallback = "5s,30s",
		.help = "A schedule." },
	{ .name = NULL },
};
static const struct pl_setting *const tables[] = { rows, more_rows, NULL };

/* The process itself, then args, which end with NULL. */
static enum pl_err read_args(const char *const *args, struct pl_settings **settings, char **errors)
{
	char *argv[ARGS_MAX + 1] = { (char *)"test" };
	int argc = 1;
	for (; args != NULL && args[argc - 1] != NULL; argc++) {
		assert_true(argc < ARGS_MAX);
		argv[argc] = (char *)args[argc - 1];
	}
	return pl_settings_read(tables, argc, argv, settings, errors);
}

#define ARGS(...) ((const char *const[]) { __VA_ARGS__, NULL })

static struct pl_settings *accepted(const char *const *args)
{
	struct pl_settings *settings = NULL;
	char *errors = NULL;
	if (read_args(args, &settings, &errors) != PL_OK)
		fail_msg("refused: %s", errors);
	assert_null(errors);
	return settings;
}

static void refused(const char *const *args, const char *wanted)
{
	struct pl_settings *settings = NULL;
	char *errors = NULL;
	assert_int_equal(read_args(args, &settings, &errors), PL_EINVAL);
	assert_null(settings);
	assert_string_equal(errors, wanted);
	free(errors);
}

static void changes_are(const struct pl_settings *settings, const char *wanted)
{
	struct pl_buf out;
	pl_buf_init(&out, 4096);
	assert_int_equal(pl_settings_changes(settings, &out), PL_OK);
	assert_string_equal(out.data, wanted);
	pl_buf_fini(&out);
}

static int no_variables(void **state)
{
	(void)state;
	static const char *const names[] = { "T_TEXT", "T_FREE", "T_SECRET", "T_SECRET_FILE",
		"T_NUMBER", "T_ANY", "T_WAIT", "T_ROOM", "T_FORMAT", "T_SCHEDULE" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unsetenv(names[i]);
	return 0;
}

static void nothing_said_means_the_defaults(void **state)
{
	(void)state;
	struct pl_settings *settings = accepted(NULL);
	assert_string_equal(pl_settings_text(settings, "T_TEXT"), "usual");
	assert_null(pl_settings_text(settings, "T_FREE"));
	assert_null(pl_settings_text(settings, "T_SECRET"));
	assert_int_equal(pl_settings_number(settings, "T_NUMBER"), 32);
	assert_int_equal(pl_settings_number(settings, "T_WAIT"), 30000);
	assert_int_equal(pl_settings_number(settings, "T_ROOM"), 64 << 20);
	assert_string_equal(pl_settings_text(settings, "T_FORMAT"), "json");
	assert_int_equal(pl_settings_choice(settings, "T_FORMAT"), 0);
	assert_int_equal(pl_settings_schedule(settings, "T_SCHEDULE")->count, 2);
	assert_int_equal(pl_settings_schedule(settings, "T_SCHEDULE")->delay_ms[1], 30000);
	assert_false(pl_settings_given(settings, "T_NUMBER"));
	changes_are(settings, "");
	pl_settings_free(settings);
}

static void a_flag_beats_a_variable_and_a_variable_the_default(void **state)
{
	(void)state;
	setenv("T_NUMBER", "7", 1);
	setenv("T_WAIT", "2m", 1);
	setenv("T_FORMAT", "", 1); /* as compose passes what is not set */
	struct pl_settings *settings = accepted(ARGS("--t-number=8", "--t-text", "a b", "--t-room",
		"10MB", "--t-schedule", "1s, 2s,3s", "--t-number", "9"));
	assert_int_equal(pl_settings_number(settings, "T_NUMBER"), 9);
	assert_int_equal(pl_settings_number(settings, "T_WAIT"), 120000);
	assert_int_equal(pl_settings_number(settings, "T_ROOM"), 10000000);
	assert_int_equal(pl_settings_schedule(settings, "T_SCHEDULE")->count, 3);
	assert_string_equal(pl_settings_text(settings, "T_FORMAT"), "json");
	assert_true(pl_settings_given(settings, "T_WAIT"));
	assert_false(pl_settings_given(settings, "T_FORMAT"));
	changes_are(settings, "T_TEXT=\"a b\" T_NUMBER=9 T_WAIT=2m T_ROOM=10000000 "
			      "T_SCHEDULE=1s,2s,3s");
	pl_settings_free(settings);
}

static void an_empty_flag_unsets_a_text(void **state)
{
	(void)state;
	setenv("T_FREE", "10.0.0.0/8", 1);
	struct pl_settings *settings = accepted(ARGS("--t-free=", "--t-text", ""));
	assert_null(pl_settings_text(settings, "T_FREE"));
	assert_null(pl_settings_text(settings, "T_TEXT"));
	assert_true(pl_settings_given(settings, "T_FREE"));
	changes_are(settings, "T_TEXT=\"\"");
	pl_settings_free(settings);
	refused(ARGS("--t-number="),
		"T_NUMBER is \"\"; it must be a whole number from 1 to 100.\n");
}

static void the_same_value_spelt_otherwise_is_no_change(void **state)
{
	(void)state;
	struct pl_settings *settings = accepted(ARGS("--t-wait", "0.5m", "--t-room=67108864",
		"--t-schedule", "5, 30s", "--t-number=032"));
	changes_are(settings, "");
	pl_settings_free(settings);
}

static void sizes_have_units(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = { { "4096", 4096 }, { "4096B", 4096 }, { "4KiB", 4096 }, { "5kB", 5000 },
		{ "5KB", 5000 }, { "2mib", 2 << 20 }, { "3GB", 3000000000 },
		{ "1TiB", 1ull << 40 } };
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct pl_settings *settings = accepted(ARGS("--t-room", good[i].text));
		assert_true(pl_settings_number(settings, "T_ROOM") == good[i].bytes);
		pl_settings_free(settings);
	}
	static const char *const bad[] = { "4095", "1025GiB", "64M", "64 MiB", "1.5GiB", "MiB",
		"-5000", "99999999999999999999", "16777217TiB" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char wanted[200];
		snprintf(wanted, sizeof wanted,
			"T_ROOM is \"%s\"; it must be a size from 4KiB to 1TiB, such as 64MiB, "
			"10MB "
			"or 4096.\n",
			bad[i]);
		refused(ARGS("--t-room", bad[i]), wanted);
	}
}

static void every_mistake_is_named_at_once(void **state)
{
	(void)state;
	setenv("T_WAIT", "soon", 1);
	setenv("T_ANY", "-1", 1);
	refused(ARGS("--t-number=0", "--t-format=yaml", "--t-schedule=5s,,6s", "stray", "--t-text"),
		"\"stray\" belongs to no flag; --help lists them.\n"
		"--t-text needs a value.\n"
		"T_NUMBER is \"0\"; it must be a whole number from 1 to 100.\n"
		"T_ANY is \"-1\"; it must be a whole number.\n"
		"T_WAIT is \"soon\"; it must be a duration from 1s to 1h, such as 250ms, 10s or "
		"1h30m.\n"
		"T_FORMAT is \"yaml\"; it must be json, text or none.\n"
		"T_SCHEDULE is \"5s,,6s\"; it must be durations with commas between them, such as "
		"5s,30s,2m.\n");
}

static void a_hostile_value_stays_on_its_line(void **state)
{
	(void)state;
	refused(ARGS("--t-number", "1\nT_TEXT is \x1b[31mred"),
		"T_NUMBER is \"1\\nT_TEXT is \\u001b[31mred\"; it must be a whole number from 1 to "
		"100.\n");
	char long_value[5000], errors[400];
	memset(long_value, 'x', sizeof long_value - 1);
	long_value[sizeof long_value - 1] = '\0';
	snprintf(errors, sizeof errors,
		"T_NUMBER is \"%.100s\xe2\x80\xa6\"; it must be a whole number from 1 to 100.\n",
		long_value);
	refused(ARGS("--t-number", long_value), errors);
}

static void an_unknown_flag_is_named_with_its_neighbour(void **state)
{
	(void)state;
	refused(ARGS("--t-nubmer=8"), "--t-nubmer is not a setting; did you mean --t-number?\n");
	refused(ARGS("--T-NUMBER", "8"), "--T-NUMBER is not a setting; --help lists them.\n");
	refused(ARGS("--colour"), "--colour is not a setting; --help lists them.\n");
	refused(ARGS("--"), "-- is not a setting; --help lists them.\n");
	refused(ARGS("-v"), "\"-v\" belongs to no flag; --help lists them.\n");
	refused(ARGS("--t-text", "--t-number=5"), "--t-text needs a value.\n");
}

static void a_secret_is_never_shown(void **state)
{
	(void)state;
	refused(ARGS("--t-sercet", "whsec_abc"),
		"--t-sercet is not a setting; did you mean --t-secret?\n");
	refused(ARGS("--t-sercet=whsec_abc"),
		"--t-sercet is not a setting; did you mean --t-secret?\n");
	struct pl_settings *settings = accepted(ARGS("--t-secret", "whsec_abc"));
	assert_string_equal(pl_settings_text(settings, "T_SECRET"), "whsec_abc");
	changes_are(settings, "T_SECRET=(hidden)");
	pl_settings_free(settings);
}

static void a_password_in_a_url_is_never_shown(void **state)
{
	(void)state;
	static const struct {
		const char *text, *shown;
	} urls[] = {
		{ "redis://host:6379/0", "T_TEXT=redis://host:6379/0" },
		{ "redis://:pw@host:6379/0", "T_TEXT=redis://***@host:6379/0" },
		{ "rediss://user:p@w,x@h1,rediss://u:pw@h2,rediss://h3",
			"T_TEXT=rediss://***@h1,rediss://***@h2,rediss://h3" },
		{ "redis://h1,redis://:pw@h2", "T_TEXT=redis://h1,redis://***@h2" },
		{ "redis://h1, redis://:pw@h2", "T_TEXT=\"redis://h1, redis://***@h2\"" },
		{ "redis://:a://b@h", "T_TEXT=redis://***@h" },
		{ "unix:/run/redis.sock", "T_TEXT=unix:/run/redis.sock" },
		{ "me@example", "T_TEXT=me@example" },
	};
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		struct pl_settings *settings = accepted(ARGS("--t-text", urls[i].text));
		assert_string_equal(pl_settings_text(settings, "T_TEXT"), urls[i].text);
		changes_are(settings, urls[i].shown);
		pl_settings_free(settings);
	}
}

/* A file of its own with these bytes; unlink it. */
static void write_file(char path[], const char *bytes, size_t len)
{
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

static void a_secret_may_be_in_a_file(void **state)
{
	(void)state;
	char path[] = "/tmp/test_settings.XXXXXX";
	write_file(path, "whsec_abc \r\n\n", 13);
	setenv("T_SECRET_FILE", path, 1);
	struct pl_settings *settings = accepted(NULL);
	assert_string_equal(pl_settings_text(settings, "T_SECRET"), "whsec_abc ");
	assert_true(pl_settings_given(settings, "T_SECRET"));
	pl_settings_free(settings);
	settings = accepted(ARGS("--t-secret=nearer"));
	assert_string_equal(pl_settings_text(settings, "T_SECRET"), "nearer");
	pl_settings_free(settings);
	setenv("T_SECRET_FILE", "/nowhere", 1);
	settings = accepted(ARGS("--t-secret-file", path));
	assert_string_equal(pl_settings_text(settings, "T_SECRET"), "whsec_abc ");
	pl_settings_free(settings);
	unlink(path);
}

static void a_secret_file_must_be_a_short_text(void **state)
{
	(void)state;
	refused(ARGS("--t-secret-file=/nowhere/at all"),
		"T_SECRET_FILE names \"/nowhere/at all\", which can't be read: No such file or "
		"directory.\n");
	refused(ARGS("--t-secret-file=/"),
		"T_SECRET_FILE names \"/\", which can't be read: Is a directory.\n");
	refused(ARGS("--t-secret-file=/dev/null"),
		"T_SECRET_FILE names \"/dev/null\", which is empty.\n");
	refused(ARGS("--t-text-file=/dev/null"),
		"--t-text-file is not a setting; --help lists them.\n");
	static char long_text[65536];
	memset(long_text, 'x', sizeof long_text);
	static const struct {
		const char *bytes;
		size_t len;
	} no_texts[] = { { "a\0b", 3 }, { long_text, sizeof long_text } };
	for (size_t i = 0; i < 2; i++) {
		char path[] = "/tmp/test_settings.XXXXXX", wanted[200];
		write_file(path, no_texts[i].bytes, no_texts[i].len);
		snprintf(wanted, sizeof wanted,
			"T_SECRET_FILE names \"%s\", which is no text of less than 65536 bytes.\n",
			path);
		refused(ARGS("--t-secret-file", path), wanted);
		unlink(path);
	}
}

/* What a table prints; free() it. */
static char *printed(const struct pl_setting *const *of, bool markdown)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	assert_non_null(out);
	pl_settings_print(of, out, markdown);
	fclose(out);
	return text;
}

static void the_table_prints_its_help(void **state)
{
	(void)state;
	char *help = printed(tables, false);
	assert_non_null(strstr(
		help, "  --t-number 32\n        A number. (a whole number from 1 to 100)\n"));
	assert_non_null(strstr(help, "  --t-free\n        A text without a default. (a text)\n"));
	assert_non_null(strstr(help, "(a text; --t-secret-file names a file that holds it)\n"));
	assert_non_null(strstr(help, "(json, text or none)\n"));
	free(help);
	char *table = printed(tables, true);
	assert_non_null(
		strstr(table, "|---|---|---|---|\n| `T_TEXT` | `usual` | a text | A text. |\n"));
	assert_non_null(strstr(table, "| `T_SECRET` | none | a text | A secret. |\n"));
	assert_non_null(
		strstr(table, "| `T_WAIT` | `30s` | a duration from 1s to 1h | A duration. |\n"));
	free(table);
}

static void the_shared_rows_are_sound(void **state)
{
	(void)state;
	static const struct pl_setting *const shared[] = { pl_settings_shared, pl_settings_worker,
		NULL };
	clearenv();
	struct pl_settings *settings = NULL;
	char *errors = NULL, *argv[] = { (char *)"test", NULL };
	assert_int_equal(pl_settings_read(shared, 1, argv, &settings, &errors), PL_OK);
	assert_string_equal(pl_settings_text(settings, "REDIS_URL"), "redis://127.0.0.1:6379/0");
	assert_int_equal(pl_settings_number(settings, "LEASE"), 30000);
	assert_int_equal(pl_settings_number(settings, "DRAIN_TIMEOUT"), 8000);
	assert_int_equal(pl_settings_number(settings, "PREFETCH"), 1024);
	assert_int_equal(pl_settings_number(settings, "HOST_CONCURRENCY"), 32);
	assert_int_equal(pl_settings_number(settings, "BODY_MEMORY"), 64 << 20);
	assert_int_equal(pl_settings_choice(settings, "LOG_LEVEL"), 1);
	assert_null(pl_settings_text(settings, "CA_FILE"));
	pl_settings_free(settings);
	char *table = printed(shared, true);
	for (const char *row = table, *end; *row != '\0'; row = end + 1) {
		size_t bars = 0;
		for (end = row; *end != '\n'; end++)
			bars += *end == '|';
		assert_int_equal(bars, 5); /* no bar within a cell breaks the table */
	}
	free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_said_means_the_defaults, no_variables),
		cmocka_unit_test_setup(
			a_flag_beats_a_variable_and_a_variable_the_default, no_variables),
		cmocka_unit_test_setup(an_empty_flag_unsets_a_text, no_variables),
		cmocka_unit_test_setup(the_same_value_spelt_otherwise_is_no_change, no_variables),
		cmocka_unit_test_setup(sizes_have_units, no_variables),
		cmocka_unit_test_setup(every_mistake_is_named_at_once, no_variables),
		cmocka_unit_test_setup(a_hostile_value_stays_on_its_line, no_variables),
		cmocka_unit_test_setup(an_unknown_flag_is_named_with_its_neighbour, no_variables),
		cmocka_unit_test_setup(a_secret_is_never_shown, no_variables),
		cmocka_unit_test_setup(a_password_in_a_url_is_never_shown, no_variables),
		cmocka_unit_test_setup(a_secret_may_be_in_a_file, no_variables),
		cmocka_unit_test_setup(a_secret_file_must_be_a_short_text, no_variables),
		cmocka_unit_test_setup(the_table_prints_its_help, no_variables),
		cmocka_unit_test_setup(the_shared_rows_are_sound, no_variables),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
