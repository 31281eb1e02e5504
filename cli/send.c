/*
 * send: two URLs in, an id out.
 */
#include <stdlib.h>

#include "ask.h"
#include "command.h"

static void send_help(FILE *out)
{
	fputs("usage: fetchback send PROVIDER CALLBACK [--api URL] [--json]\n\n"
	      "Has PROVIDER (a URL) fetched and delivered to CALLBACK (a URL); prints the "
	      "request's id.\n\n" ARGUMENTS_HELP,
		out);
}

static int answer_print(const struct arguments *arguments, const struct pl_buf *answer)
{
	json_t *object = json_loadb(answer->len > 0 ? answer->data : "", answer->len, 0, NULL);
	const char *id = ask_text(object, "requestId");
	int code = COMMAND_OK;

	if (*id == '\0') {
		code = ask_strange(arguments);
	} else if (arguments->json) {
		printf("%s\n", answer->data);
	} else {
		ask_print(stdout, id);
		putchar('\n');
	}
	json_decref(object);
	return code;
}

static int send_run(int argc, char **argv)
{
	struct arguments arguments;
	struct pl_buf answer;
	char *body;
	json_t *request;
	int code;

	if (!arguments_read(argc, argv, 2, &arguments))
		return COMMAND_USAGE;
	request = json_pack(
		"{s:s, s:s}", "provider", arguments.words[0], "callbackUrl", arguments.words[1]);
	body = request == NULL ? NULL : json_dumps(request, JSON_COMPACT);
	json_decref(request);
	if (body == NULL) {
		fputs("fetchback send: these are not URLs in UTF-8\n", stderr);
		return COMMAND_USAGE;
	}
	code = ask(&arguments, "/requests", body, &answer);
	if (code == COMMAND_OK)
		code = answer_print(&arguments, &answer);
	pl_buf_fini(&answer);
	free(body);
	return code;
}

const struct command command_send = {
	.name = "send",
	.summary = "have one URL fetched and delivered to another; prints the id",
	.help = send_help,
	.run = send_run,
};
