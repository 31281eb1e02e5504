/*
 * send: two URLs in, an id out; or a whole round, with a receiver of our own as the second.
 */
#include <stdlib.h>

#include "ask.h"
#include "command.h"
#include "logs.h"
#include "pipeline/mem.h"
#include "receiver.h"
#include "request_words.h"

static void send_help(FILE *out)
{
	fputs("usage: fetchback send PROVIDER CALLBACK [OPTION]... [--api URL] [--json]\n"
	      "       fetchback send PROVIDER --listen [OPTION]... [--port N]\n"
	      "                      [--status N | --script N,N,...] [--body TEXT] [--delay TIME]\n"
	      "                      [--api URL] [--json]\n"
	      "       fetchback send --file FILE [OPTION]...\n\n"
	      "Has PROVIDER (a URL) fetched and delivered to CALLBACK (a URL); prints the "
	      "request's id.\n\n" REQUEST_WORDS_HELP
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

static int post(const struct arguments *arguments, const struct request_words *request, char **id)
{
	struct pl_buf body, answer;
	int code = request_words_compose(request, &body);

	*id = NULL;
	if (code == COMMAND_OK) {
		code = ask(arguments, "/requests", body.data, &answer);
		if (code == COMMAND_OK)
			code = answer_print(arguments, &answer, id);
		pl_buf_fini(&answer);
	}
	pl_buf_fini(&body);
	return code;
}

/* A whole round: the request, its story, and what arrives. */
static int send_and_listen(const struct arguments *arguments, struct request_words *request,
	const struct receiver_words *words)
{
	struct receiver *receiver;
	char *id;
	int code = receiver_start("send", words, arguments->json, &receiver);

	if (code != COMMAND_OK)
		return code;
	request->callback = receiver_url(receiver);
	flockfile(stdout); /* what arrives is shown behind the id it arrives for */
	code = post(arguments, request, &id);
	funlockfile(stdout);
	if (code == COMMAND_OK)
		code = logs_follow(arguments, id);
	receiver_stop(receiver);
	free(id);
	return code;
}

static int usage(const char *what)
{
	fprintf(stderr, "fetchback send: %s; see fetchback send --help\n", what);
	return COMMAND_USAGE;
}

static int words_check(const struct arguments *arguments, const struct request_words *request,
	const struct receiver_words *words, bool listens)
{
	size_t urls = arguments->words_count + listens;

	if (urls == 0 && request->file == NULL)
		return usage("it needs a PROVIDER, or --file");
	if (urls > 2 || (urls < 2 && request->file == NULL))
		return usage("a CALLBACK or --listen, one of them");
	if (!listens && words->delay != NULL)
		return usage(
			"--delay is the receiver's of --listen; --after lets the request wait");
	if (!listens && (words->port != NULL || words->status != NULL || words->script != NULL ||
				words->body != NULL || words->signing.secret != NULL ||
				words->signing.tolerance != NULL))
		return usage("--port, --status, --script, --body, --secret and --tolerance go with "
			     "--listen");
	return COMMAND_OK;
}

static int send_run(int argc, char **argv)
{
	bool listens = false;
	struct receiver_words words = { .port = NULL };
	struct request_words request = { .provider = NULL };
	const struct argument_flag flags[] = {
		{ .name = "--listen", .is_given = &listens },
		REQUEST_WORDS_FLAGS(request),
		RECEIVER_FLAGS(words),
		{ .name = NULL },
	};
	struct arguments arguments;
	char *id;
	int code;

	if (!arguments_read(argc, argv, flags, NULL, 2, &arguments))
		return COMMAND_USAGE;
	code = words_check(&arguments, &request, &words, listens);
	if (code != COMMAND_OK)
		return code;
	request.provider = arguments.words_count > 0 ? arguments.words[0] : NULL;
	request.callback = arguments.words_count > 1 ? arguments.words[1] : NULL;
	if (listens)
		return send_and_listen(&arguments, &request, &words);
	code = post(&arguments, &request, &id);
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
