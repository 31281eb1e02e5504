/*
 * listen: a callback receiver for trying out.
 */
#include <jansson.h>
#include <pthread.h>
#include <signal.h>

#include "command.h"
#include "receiver.h"

static void listen_help(FILE *out)
{
	fputs("usage: fetchback listen [--bind ADDRESS] [--port N] [--status N | --script "
	      "N,N,...]\n"
	      "                        [--body TEXT] [--delay TIME] [--secret S] [--tolerance T]\n"
	      "                        [--json]\n\n"
	      "Receives callbacks and prints each: its webhook-* and fetchback-* headers, whether "
	      "it\nis signed with our secret, its body. Ctrl-C ends it.\n\n"
	      "  --bind ADDRESS   the IPv4 address to listen on, 0.0.0.0 for all of this machine\n"
	      "                   (127.0.0.1)\n" RECEIVER_HELP
	      "  --json           an object a line: first {\"listening\": URL}, then an arrival "
	      "each\n\n"
	      "Exit code: 0 ended by Ctrl-C or SIGTERM, 1 nobody can listen there, 2 wrong\n"
	      "usage.\n",
		out);
}

static void url_print(const struct receiver *receiver, bool json)
{
	printf(json ? "{\"listening\":\"%s\"}\n" : "listening on %s, Ctrl-C ends it\n",
		receiver_url(receiver));
	fflush(stdout);
}

static int listen_run(int argc, char **argv)
{
	struct receiver_words words = { .port = NULL };
	const struct argument_flag flags[] = {
		{ .name = "--bind", .value = &words.bind },
		RECEIVER_FLAGS(words),
		{ .name = NULL },
	};
	struct arguments arguments;
	struct receiver *receiver;
	sigset_t ends;
	int code, signal;

	if (!arguments_read(argc, argv, flags, NULL, 0, &arguments))
		return COMMAND_USAGE;
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &ends, NULL); /* before the server's threads inherit it */
	code = receiver_start(argv[0], &words, arguments.json, &receiver);
	if (code != COMMAND_OK)
		return code;
	url_print(receiver, arguments.json);
	sigwait(&ends, &signal);
	receiver_stop(receiver);
	return COMMAND_OK;
}

const struct command command_listen = {
	.name = "listen",
	.summary = "receive callbacks and print them, for trying out",
	.example = "fetchback listen --port 8000 --script 503,200",
	.help = listen_help,
	.run = listen_run,
};
