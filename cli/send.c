/*
 * send: two URLs in, an id out; or a whole round, with a receiver of our own as the second.
 */
#include <stdlib.h>

#include "ask.h"
#include "command.h"
#include "logs.h"
#include "pipeline/mem.h"
#include "receiver.h"

static void send_help(FILE *out)
{
	fputs("usage: fetchback send PROVIDER CALLBACK [--api URL] [--json]\n"
	      "       fetchback send PROVIDER --listen [--port N] [--status N | --script N,N,...]\n"
	      "                      [--body TEXT] [--delay TIME] [--api URL] [--json]\n\n"
	      "Has PROVIDER (a URL) fetched and delivered to CALLBACK (a URL); prints the "
	      "request's id.\n\n"
	      "  --listen         receives the callback itself, on 127.0.0.1; shows the log and "
	      "what\n"
	      "                   arrives until the end. The pipeline must be allowed to reach\n"
	      "                   127.0.0.1, as under fetchback up\n" RECEIVER_HELP
			ARGUMENTS_FOLLOW_HELP,
		out);
}

/* Prints the id of what was accepted; *id is to be freed. */
static int answer_print(const struct arguments *arguments, const struct pl_buf *answer, char **id)
{
	json_t *object = ask_json(answer);
	int code = COMMAND_OK;

	*id = pl_strdup(ask_text(object, "requestId"));
	if (**id == '\0') {
		code = ask_strange(arguments);
	} else if (arguments->json) {
		printf("%s\n", answer->data);
	} else {
		ask_print(stdout, *id);
		putchar('\n');
	}
	fflush(stdout);
	json_decref(object);
	return code;
}

static int post(const struct arguments *arguments, const char *callback, char **id)
{
	struct pl_buf answer;
	json_t *request =
		json_pack("{s:s, s:s}", "provider", arguments->words[0], "callbackUrl", callback);
	char *body = request == NULL ? NULL : json_dumps(request, JSON_COMPACT);
	int code;

	*id = NULL;
	json_decref(request);
	if (body == NULL) {
		fputs("fetchback send: these are not URLs in UTF-8\n", stderr);
		return COMMAND_USAGE;
	}
	code = ask(arguments, "/requests", body, &answer);
	if (code == COMMAND_OK)
		code = answer_print(arguments, &answer, id);
	pl_buf_fini(&answer);
	free(body);
	return code;
}

/* A whole round: the request, its story, and what arrives. */
static int send_and_listen(const struct arguments *arguments, const struct receiver_words *words)
{
	struct receiver *receiver;
	char *id;
	int code = receiver_start("send", words, arguments->json, &receiver);

	if (code != COMMAND_OK)
		return code;
	code = post(arguments, receiver_url(receiver), &id);
	if (code == COMMAND_OK)
		code = logs_follow(arguments, id);
	receiver_stop(receiver);
	free(id);
	return code;
}

static int send_run(int argc, char **argv)
{
	bool listens = false;
	struct receiver_words words = { .port = NULL };
	const struct argument_flag flags[] = {
		{ .name = "--listen", .is_given = &listens },
		RECEIVER_FLAGS(words),
		{ .name = NULL },
	};
	struct arguments arguments;
	char *id;
	int code;

	if (!arguments_read(argc, argv, flags, "the URL to fetch", 2, &arguments))
		return COMMAND_USAGE;
	if (listens != (arguments.words_count == 1)) {
		fputs("fetchback send: a CALLBACK or --listen, one of them; see fetchback send "
		      "--help\n",
			stderr);
		return COMMAND_USAGE;
	}
	if (listens)
		return send_and_listen(&arguments, &words);
	code = post(&arguments, arguments.words[1], &id);
	free(id);
	return code;
}

const struct command command_send = {
	.name = "send",
	.summary = "have one URL fetched and delivered to another; prints the id",
	.example = "fetchback send https://api.example/report/7 --listen",
	.help = send_help,
	.run = send_run,
};
