#include "terminal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "command.h"
#include "pipeline/clock.h"
#include "pipeline/err.h"

#define HOME     "\033[H\033[?7l" /* long lines are cut, not wrapped: each frame line is one line */
#define LINE_END "\033[K"
#define END      "\033[J\033[?7h"

bool terminal_has_colors(void)
{
	const char *no = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) == 1 && (no == NULL || no[0] == '\0');
}

size_t terminal_lines(void)
{
	struct winsize size;

	if (isatty(STDOUT_FILENO) != 1 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
		return 0;
	return size.ws_row;
}

const char *terminal_state_color(const char *state)
{
	static const struct {
		const char *state, *color;
	} colors[] = {
		{ "delivered", "\033[32m" },
		{ "failed", "\033[31m" },
		{ "cancelled", "\033[33m" },
		{ "paused", "\033[33m" },
		{ "fetching", "\033[36m" },
		{ "delivering", "\033[36m" },
	};

	for (size_t i = 0; terminal_has_colors() && i < sizeof(colors) / sizeof(colors[0]); i++)
		if (strcmp(colors[i].state, state) == 0)
			return colors[i].color;
	return "";
}

const char *terminal_plain(void)
{
	return terminal_has_colors() ? "\033[0m" : "";
}

bool terminal_can_ask(void)
{
	return isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1;
}

bool terminal_agrees(const char *question)
{
	char answer[8];

	fprintf(stderr, "%s [y/N] ", question);
	fflush(stderr);
	if (fgets(answer, sizeof(answer), stdin) == NULL) {
		fputc('\n', stderr);
		return false;
	}
	return strcasecmp(answer, "y\n") == 0 || strcasecmp(answer, "yes\n") == 0;
}

static void show(const char *picture, size_t len, bool is_terminal)
{
	const char *end = picture + len;

	if (!is_terminal) {
		fwrite(picture, 1, len, stdout);
		fflush(stdout);
		return;
	}
	fputs(HOME, stdout);
	while (picture < end) {
		size_t line = strcspn(picture, "\n");

		fwrite(picture, 1, line, stdout);
		fputs(LINE_END "\n", stdout);
		picture += line + (picture + line < end);
	}
	fputs(END, stdout);
	fflush(stdout);
}

int terminal_watch(int (*frame)(void *arg, FILE *out), void *arg)
{
	bool is_terminal = isatty(STDOUT_FILENO) == 1;
	uint64_t seen_ms = 0; /* 0: never */
	int code;

	for (;;) {
		char *picture = NULL;
		size_t len = 0;
		FILE *out = open_memstream(&picture, &len);

		PL_ASSERT(out != NULL);
		code = frame(arg, out);
		fclose(out);
		if (code == COMMAND_OK) {
			if (seen_ms == 0 && is_terminal)
				fputs("\033[2J", stdout);
			show(picture, len, is_terminal);
			seen_ms = pl_clock_mono_ms();
		}
		free(picture);
		if (ferror(stdout))
			return COMMAND_FAILED; /* main says why */
		if (seen_ms == 0 || pl_clock_mono_ms() - seen_ms > TERMINAL_AWAY_S * 1000)
			return code;
		(void)poll(NULL, 0, TERMINAL_WATCH_MS);
	}
}
