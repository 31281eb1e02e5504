/*
 * change: cancel, pause, resume, redeliver, refetch, delete: a row each. Of requests by their ids,
 * or of all that filters select: the api is asked again and again, a page at a time.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "command.h"
#include "pages.h"
#include "pipeline/mem.h"
#include "pipeline/uuid.h"
#include "terminal.h"

#define IDS_MAX   100000
#define PATH_SIZE 80 /* /requests/, an id, a verb */
#define NOT_FOUND 404
#define CONFLICT  409

struct verb {
	const char *name;
	const char *done;     /* what it is then; NULL: the state that the api answers */
	const char *explains; /* its help */
	bool in_bulk;         /* the api takes filters for it; else it is done one by one */
	bool asks;            /* a person before it is done to many: resume does not undo it */
};

enum { CANCEL, PAUSE, RESUME, REDELIVER, REFETCH, DELETE };
static const struct verb verbs[] = {
	[CANCEL] = { "cancel", NULL,
		"Stops requests for good: no callback starts any more. One that a worker holds is\n"
		"cut.\n",
		true, true },
	[PAUSE] = { "pause", "paused",
		"Holds requests where they are. A fetch is cut and no attempt counted; a callback\n"
		"that is under way ends first.\n",
		false, false },
	[RESUME] = { "resume", NULL, "Lets paused requests go on.\n", false, false },
	[REDELIVER] = { "redeliver", NULL,
		"Delivers again what was fetched, with all attempts anew; one that waits for its\n"
		"next attempt to deliver makes it now.\n",
		true, true },
	[REFETCH] = { "refetch", NULL,
		"Does requests that have ended once more from the start, with all attempts anew.\n",
		true, true },
	[DELETE] = { "delete", "deleted",
		"Cancels requests and removes all there is of them: record, log, data, keys.\n",
		false, true },
};

struct change {
	const struct verb *verb;
	struct arguments arguments;
	struct filters filters;
	bool all, yes, dry_run;
	size_t matched, changed, refused;
};

static void help(FILE *out, const struct verb *verb)
{
	fprintf(out,
		"usage: fetchback %s ID... [--api URL] [--json]\n"
		"       fetchback %s FILTER... | --all [--api URL] [--json]\n\n"
		"%s"
		"With filters it is done to all requests that they select, %s; stderr\n"
		"tells how far it is, and what forbids it is counted as refused.%s\n\n" FILTERS_HELP
		"  --all           every request\n"
		"  --dry-run       tells how many that are, and changes nothing\n"
		"  --yes           does not ask\n" ARGUMENTS_HELP,
		verb->name, verb->name, verb->explains,
		verb->in_bulk ? "a thousand a call" : "one after the other",
		verb == &verbs[DELETE] ? "\n"
					 "On a terminal it asks first; elsewhere it needs --yes."
		: verb->asks           ? "\nOn a terminal it asks first."
				       : "");
}

/* ---- one ---- */

static void refuse_print(
	const struct change *change, const char *id, long status, const json_t *said)
{
	fprintf(stderr, "fetchback %s: %s: ", change->verb->name, id);
	if (*ask_text(said, "detail") != '\0')
		ask_print(stderr, ask_text(said, "detail"));
	else
		fprintf(stderr, "the api answers %ld", status);
	fputc('\n', stderr);
}

static void done_print(const struct change *change, const char *id, const json_t *said,
	const struct pl_buf *answer)
{
	const char *word = change->verb->done;

	if (change->arguments.json && said != NULL) {
		puts(answer->data);
	} else if (change->arguments.json) {
		printf("{\"requestId\":\"%s\"}\n", id); /* 204 says nothing */
	} else {
		printf("%s  ", id);
		ask_print(stdout, word != NULL ? word : ask_text(said, "state"));
		puts(json_is_true(json_object_get(said, "cancelling"))
				? ", once its worker has let go"
				: "");
	}
}

/* Anything but a word on this request alone (a key that is not taken, a full Redis) ends it all. */
static bool is_about_it(long status)
{
	return status == NOT_FOUND || status == CONFLICT;
}

static int change_one(struct change *change, const char *id, bool tells)
{
	bool deletes = change->verb == &verbs[DELETE];
	struct pl_buf answer;
	char path[PATH_SIZE];
	long status = 0;
	int code;

	snprintf(path, sizeof(path), "/requests/%s%s%s", id, deletes ? "" : "/",
		deletes ? "" : change->verb->name);
	code = ask_by(&change->arguments, deletes ? "DELETE" : "POST", path, deletes ? NULL : "",
		&answer, &status);
	json_t *said = ask_json(&answer);
	if (code == COMMAND_OK && status >= 200 && status < 300) {
		change->changed++;
		if (tells)
			done_print(change, id, said, &answer);
	} else if (code == COMMAND_OK && is_about_it(status)) {
		change->refused++;
		if (tells) {
			refuse_print(change, id, status, said);
			ask_problem_json(&change->arguments, &answer);
		}
	} else if (code == COMMAND_OK) {
		ask_problem(&change->arguments, status, &answer);
		code = COMMAND_FAILED;
	}
	json_decref(said);
	pl_buf_fini(&answer);
	return code;
}

static int change_each(struct change *change)
{
	const struct arguments *arguments = &change->arguments;
	int code = COMMAND_OK;

	for (size_t i = 0; i < arguments->words_count; i++) {
		if (pl_uuid_valid(arguments->words[i], strlen(arguments->words[i])))
			continue;
		fprintf(stderr, "fetchback %s: this is no request's id: %s\n", change->verb->name,
			arguments->words[i]);
		return COMMAND_USAGE;
	}
	for (size_t i = 0; code == COMMAND_OK && i < arguments->words_count; i++)
		code = change_one(change, arguments->words[i], true);
	return code == COMMAND_OK && change->refused > 0 ? COMMAND_FAILED : code;
}

/* ---- many ---- */

/* One line, drawn anew on a terminal. */
static void progress_print(const struct change *change, bool is_last)
{
	bool redraws = isatty(STDERR_FILENO) == 1;

	if (is_last && redraws)
		fputs("\r\033[K", stderr);
	if (is_last)
		return;
	fprintf(stderr, "%s%zu matched, %zu changed, %zu refused%s", redraws ? "\r" : "",
		change->matched, change->changed, change->refused, redraws ? "\033[K" : "\n");
	fflush(stderr);
}

static int bulk_page(struct change *change, char **cursor)
{
	struct pl_buf path, answer;
	char call[PATH_SIZE];
	int code = COMMAND_USAGE;

	pl_buf_init(&path, FILTERS_PATH_MAX);
	snprintf(call, sizeof(call), "/requests/%s", change->verb->name);
	if (filters_path(&change->filters, call, FILTERS_PAGE, *cursor, &path)) {
		code = ask(&change->arguments, path.data, "", &answer);
		json_t *said = ask_json(&answer);
		if (code == COMMAND_OK && !json_is_number(json_object_get(said, "matched")))
			code = ask_strange(&change->arguments);
		change->matched += (size_t)ask_number(said, "matched");
		change->changed += (size_t)ask_number(said, "changed");
		change->refused += (size_t)ask_number(said, "refused");
		free(*cursor);
		*cursor = pl_strdup(ask_text(said, "cursor"));
		json_decref(said);
		pl_buf_fini(&answer);
	}
	pl_buf_fini(&path);
	return code;
}

static int change_in_bulk(struct change *change)
{
	char *cursor = pl_strdup("");
	int code;

	do {
		code = bulk_page(change, &cursor);
		if (code == COMMAND_OK && *cursor != '\0')
			progress_print(change, false);
	} while (code == COMMAND_OK && *cursor != '\0');
	free(cursor);
	return code;
}

static int on_page(void *arg, const json_t *requests, struct raw_json text)
{
	struct change *change = arg;
	int code = COMMAND_OK;
	size_t i;
	json_t *request;

	(void)text;
	json_array_foreach(requests, i, request)
	{
		if (code != COMMAND_OK)
			break;
		change->matched++;
		code = change_one(change, ask_text(request, "requestId"), false);
	}
	if (i == FILTERS_PAGE)
		progress_print(change, false);
	return code;
}

/* What has been done is told even if the rest could not be: doing it again is safe. */
static int change_selected(struct change *change)
{
	bool more;
	int code = change->verb->in_bulk ? change_in_bulk(change)
					 : pages_walk(&change->arguments, &change->filters,
						   PAGES_ALL, on_page, change, &more);

	progress_print(change, true);
	if (code != COMMAND_OK && change->matched == 0)
		return code;
	if (change->arguments.json)
		printf("{\"matched\":%zu,\"changed\":%zu,\"refused\":%zu}\n", change->matched,
			change->changed, change->refused);
	else
		printf("%zu matched, %zu changed, %zu refused\n", change->matched, change->changed,
			change->refused);
	return code;
}

/* ---- first ---- */

static int on_counted(void *arg, const json_t *requests, struct raw_json text)
{
	struct change *change = arg;

	(void)text;
	change->matched += json_array_size(requests);
	return COMMAND_OK;
}

static int count(struct change *change)
{
	bool more;
	int code = pages_walk(
		&change->arguments, &change->filters, PAGES_ALL, on_counted, change, &more);

	if (code == COMMAND_OK && change->dry_run && change->arguments.json)
		printf("{\"matched\":%zu}\n", change->matched);
	else if (code == COMMAND_OK && change->dry_run)
		printf("%zu matched\n", change->matched);
	return code;
}

/* How many there are is part of the question. */
static int ask_person(struct change *change)
{
	char question[64];
	int code = count(change);

	snprintf(question, sizeof(question), "%s %zu request%s?", change->verb->name,
		change->matched, change->matched == 1 ? "" : "s");
	if (code == COMMAND_OK && change->matched > 0 && !terminal_agrees(question)) {
		fprintf(stderr, "fetchback %s: nothing was changed\n", change->verb->name);
		code = COMMAND_FAILED;
	}
	change->matched = 0;
	return code;
}

static int select_and_change(struct change *change)
{
	int code = COMMAND_OK;

	if (change->dry_run)
		return count(change);
	if (change->verb->asks && !change->yes && terminal_can_ask()) {
		code = ask_person(change);
	} else if (change->verb == &verbs[DELETE] && !change->yes) {
		fputs("fetchback delete: to delete what filters select needs --yes where nobody "
		      "can be asked; --dry-run counts it\n",
			stderr);
		code = COMMAND_USAGE;
	}
	return code == COMMAND_OK ? change_selected(change) : code;
}

static int run(const struct verb *verb, int argc, char **argv)
{
	struct change change = { .verb = verb };
	const struct argument_flag flags[] = {
		FILTERS_FLAGS(change.filters),
		{ .name = "--all", .is_given = &change.all },
		{ .name = "--yes", .is_given = &change.yes },
		{ .name = "--dry-run", .is_given = &change.dry_run },
		{ .name = NULL },
	};
	bool by_ids, selects;

	if (!arguments_read(argc, argv, flags, NULL, IDS_MAX, &change.arguments))
		return COMMAND_USAGE;
	if (!filters_check(verb->name, &change.filters))
		return COMMAND_USAGE;
	by_ids = change.arguments.words_count > 0;
	selects = filters_any(&change.filters) || change.all;
	if (by_ids && change.dry_run) {
		fprintf(stderr, "fetchback %s: --dry-run counts what filters select\n", verb->name);
		return COMMAND_USAGE;
	}
	if (by_ids == selects) {
		fprintf(stderr,
			"fetchback %s: ids, or filters, or --all; see fetchback %s --help\n",
			verb->name, verb->name);
		return COMMAND_USAGE;
	}
	return by_ids ? change_each(&change) : select_and_change(&change);
}

#define COMMAND_OF(verb, word, says, shows)           \
	static void word##_help(FILE *out)            \
	{                                             \
		help(out, &verbs[verb]);              \
	}                                             \
	static int word##_run(int argc, char **argv)  \
	{                                             \
		return run(&verbs[verb], argc, argv); \
	}                                             \
	const struct command command_##word = {       \
		.name = #word,                        \
		.summary = says,                      \
		.example = shows,                     \
		.help = word##_help,                  \
		.run = word##_run,                    \
	}

COMMAND_OF(CANCEL, cancel, "stop requests for good", "fetchback cancel --label nightly");
COMMAND_OF(PAUSE, pause, "hold requests where they are", "fetchback pause --host api.example");
COMMAND_OF(RESUME, resume, "let paused requests go on", "fetchback resume --host api.example");
COMMAND_OF(REDELIVER, redeliver, "deliver again what was fetched",
	"fetchback redeliver --state failed --since 2h");
COMMAND_OF(REFETCH, refetch, "do it once more from the start",
	"fetchback refetch --state failed --host api.example");
COMMAND_OF(DELETE, delete, "cancel, and remove all there is of it",
	"fetchback delete --state delivered --until 7d --yes");
