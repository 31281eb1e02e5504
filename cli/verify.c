/*
 * verify: is a delivery that somebody has kept signed by us?
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "command.h"
#include "pipeline/clock.h"
#include "pipeline/file.h"
#include "signature.h"

#define BODY_MAX (64u * 1024 * 1024) /* four times the largest callback */

static void verify_help(FILE *out)
{
	fputs("usage: fetchback verify --id ID --timestamp T --signature S [FILE]\n\n"
	      "Tells whether a callback's body (FILE, or standard input) is what was signed.\n\n"
	      "  --id ID          its header webhook-id\n"
	      "  --timestamp T    its header webhook-timestamp\n"
	      "  --signature S    its header webhook-signature, all of it\n" SIGNATURE_HELP
	      "  --json           {\"verified\": true}, or false and the reason\n\n"
	      "Exit code: 0 verified, 1 not verified, 2 wrong usage.\n",
		out);
}

static int usage(const char *what)
{
	fprintf(stderr, "fetchback verify: %s; see fetchback verify --help\n", what);
	return COMMAND_USAGE;
}

/* fault: one of ours, with nothing to escape. */
static int answer(const char *fault, bool json)
{
	if (json && fault == NULL)
		puts("{\"verified\":true}");
	else if (json)
		printf("{\"verified\":false,\"reason\":\"%s\"}\n", fault);
	else if (fault == NULL)
		puts("verified");
	else
		fprintf(stderr, "fetchback verify: not verified: %s\n", fault);
	return fault == NULL ? COMMAND_OK : COMMAND_FAILED;
}

static int judge(const struct arguments *arguments, const struct signature_rule *rule,
	struct signature_claim *claim)
{
	const char *path = arguments->words_count > 0 ? arguments->words[0] : "/dev/stdin";
	struct pl_buf body;
	enum pl_err err;
	int code;

	pl_buf_init(&body, BODY_MAX);
	err = pl_file_read(path, &body);
	if (err != PL_OK) {
		fprintf(stderr, "fetchback verify: %s: %s\n", path,
			err == PL_ELIMIT ? "it is larger than 64 MiB" : strerror(errno));
		code = COMMAND_USAGE;
	} else {
		claim->body = body.len > 0 ? body.data : "";
		claim->len = body.len;
		code = answer(signature_fault(rule, claim, pl_clock_wall_ms()), arguments->json);
	}
	pl_buf_fini(&body);
	return code;
}

static int verify_run(int argc, char **argv)
{
	struct signature_claim claim = { .id = NULL };
	struct signature_words words = { .secret = NULL };
	const struct argument_flag flags[] = { { .name = "--id", .value = &claim.id },
		{ .name = "--timestamp", .value = &claim.timestamp },
		{ .name = "--signature", .value = &claim.signature }, SIGNATURE_FLAGS(words),
		{ .name = NULL } };
	struct arguments arguments;
	struct signature_rule rule;

	if (!arguments_read(argc, argv, flags, NULL, 1, &arguments) ||
		!signature_rule_read(argv[0], &words, &rule))
		return COMMAND_USAGE;
	if (claim.id == NULL || claim.timestamp == NULL || claim.signature == NULL)
		return usage("--id, --timestamp and --signature are needed");
	if (rule.secrets.count == 0)
		return usage("there is no --secret and no SIGNING_SECRET");
	return judge(&arguments, &rule, &claim);
}

const struct command command_verify = {
	.name = "verify",
	.summary = "is a callback's body what was signed?",
	.example = "fetchback verify --id \"$ID\" --timestamp \"$T\" --signature \"$S\" body.json",
	.help = verify_help,
	.run = verify_run,
};
