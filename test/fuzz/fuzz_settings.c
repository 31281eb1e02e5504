/*
 * Any arguments to a service: what is taken lies in its range, what is refused is told in whole
 * lines, and no secret is shown in either case.
 */
#include <stdio.h>

#include "input.h"
#include "pipeline/json.h"
#include "pipeline/settings.h"

#define ARGUMENTS_MAX 12
#define SECRET        "Only-Us"

static const struct pl_setting rows[] = {
	{ .name = "TEXT", .type = PL_SETTING_TEXT, .fallback = "usual", .help = "A text." },
	{ .name = "TOKEN", .type = PL_SETTING_SECRET, .help = "A secret." },
	{ .name = "COUNT",
		.type = PL_SETTING_NUMBER,
		.fallback = "5",
		.min = 1,
		.max = 99,
		.help = "How many." },
	{ .name = "ANY", .type = PL_SETTING_NUMBER, .help = "Any number." },
	{ .name = "WAIT",
		.type = PL_SETTING_DURATION,
		.fallback = "5s",
		.min = 1000,
		.max = 60000,
		.help = "How long." },
	{ .name = "ROOM",
		.type = PL_SETTING_BYTES,
		.fallback = "1MiB",
		.min = 1,
		.max = 1ull << 40,
		.help = "How much." },
	{ .name = "FORM",
		.type = PL_SETTING_CHOICE,
		.fallback = "json",
		.choices = "json|text",
		.help = "Which." },
	{ .name = "PLAN", .type = PL_SETTING_SCHEDULE, .fallback = "5s,1m", .help = "When." },
	{ .name = NULL },
};
static const struct pl_setting *const tables[] = { rows, NULL };

static void in_range(const struct pl_settings *settings)
{
	uint64_t count = pl_settings_number(settings, "COUNT"),
		 wait = pl_settings_number(settings, "WAIT");
	uint64_t room = pl_settings_number(settings, "ROOM");
	const struct pl_schedule *plan = pl_settings_schedule(settings, "PLAN");
	PL_ASSERT(count >= 1 && count <= 99 && wait >= 1000 && wait <= 60000);
	PL_ASSERT(room >= 1 && room <= 1ull << 40);
	PL_ASSERT(pl_settings_choice(settings, "FORM") < 2 && plan != NULL && plan->count > 0);
}

/* One line for the log, whatever the texts are. */
static void changes(const struct pl_settings *settings, size_t size)
{
	struct pl_buf line;
	struct pl_utf8_check check;
	pl_buf_init(&line, 8 * size + 1024);
	PL_ASSERT(pl_settings_changes(settings, &line) == PL_OK);
	const char *text = line.len > 0 ? line.data : "";
	pl_utf8_check_init(&check);
	pl_utf8_check_feed(&check, text, line.len);
	PL_ASSERT(pl_utf8_check_finish(&check));
	PL_ASSERT(strpbrk(text, "\r\n\033") == NULL && strstr(text, SECRET) == NULL);
	pl_buf_fini(&line);
}

static void complaints(const char *errors)
{
	size_t len = strlen(errors);
	PL_ASSERT(len > 0 && errors[0] != '\n' && strstr(errors, "\n\n") == NULL);
	PL_ASSERT(strchr(errors, '\033') == NULL && strstr(errors, SECRET) == NULL);
}

static void read_settings(int argc, char *const *argv, size_t size)
{
	struct pl_settings *settings = NULL;
	char *errors = NULL;
	if (pl_settings_read(tables, argc, argv, &settings, &errors) == PL_OK) {
		PL_ASSERT(settings != NULL);
		in_range(settings);
		changes(settings, size);
		pl_settings_free(settings);
	} else {
		PL_ASSERT(settings == NULL && errors != NULL);
		complaints(errors);
	}
	free(errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = input_of(data, size);
	char *argv[ARGUMENTS_MAX + 2] = { pl_strdup("fuzz"), pl_strdup("--token=" SECRET) };
	int argc = 2;
	while (in.len > 0 && argc < ARGUMENTS_MAX + 2) {
		argv[argc] = input_text(&in);
		/* No file of this machine is ours to open, and what is given elsewhere is shown. */
		if (strstr(argv[argc], "-file") != NULL || strstr(argv[argc], SECRET) != NULL)
			free(argv[argc]);
		else
			argc++;
	}
	read_settings(argc, argv, size);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	return 0;
}
