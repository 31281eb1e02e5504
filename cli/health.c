/*
 * health: can a service work? What a container's health check runs.
 */
#include <string.h>

#include "ask.h"
#include "command.h"

static void health_help(FILE *out)
{
	fputs("usage: fetchback health [--api URL] [--json]\n\n"
	      "Asks a service whether it can work (GET /readyz): the api, or a worker at its\n"
	      "METRICS_PORT.\n\n" ARGUMENTS_FLAGS_HELP
	      "Exit code: 0 it can, 1 it can't (and why), 2 wrong usage, 69 nobody answered.\n",
		out);
}

/* A 2xx alone decides; the words are for people: "ready", or "ready: what it has to say". */
static void state_print(const struct pl_buf *answer)
{
	json_t *state = ask_json(answer);
	const char *detail = ask_text(state, "detail");

	fputs("ready", stdout);
	if (*detail != '\0') {
		fputs(": ", stdout);
		ask_print(stdout, detail);
	}
	putchar('\n');
	json_decref(state);
}

static int health_run(int argc, char **argv)
{
	struct arguments arguments;
	struct pl_buf answer;
	int code;

	if (!arguments_read(argc, argv, NULL, NULL, 0, &arguments))
		return COMMAND_USAGE;
	code = ask(&arguments, "/readyz", NULL, &answer);
	if (code == COMMAND_OK && arguments.json)
		printf("%s\n", answer.len > 0 ? answer.data : "");
	else if (code == COMMAND_OK)
		state_print(&answer);
	pl_buf_fini(&answer);
	return code;
}

const struct command command_health = {
	.name = "health",
	.summary = "can a service work? for health checks",
	.example = "fetchback health --api http://127.0.0.1:3001",
	.help = health_help,
	.run = health_run,
};
