#include "manual.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/err.h"

void manual_help(FILE *out, const struct command *command)
{
	command->help(out);
	if (command->example != NULL)
		fprintf(out, "\nExample: %s\n", command->example);
}

/* Calls visit with what the command's help says. */
static void help_visit(
	const struct command *command, FILE *out, void (*visit)(FILE *out, const char *text))
{
	char *text = NULL;
	size_t len;
	FILE *told = open_memstream(&text, &len);

	PL_ASSERT(told != NULL);
	manual_help(told, command);
	fclose(told);
	visit(out, text);
	free(text);
}

/* ---- roff ---- */

/* A dot or a quote that begins a line would be a request; a hyphen is one to be copied. */
static void roff_print(FILE *out, const char *text)
{
	bool begins = true;

	for (; *text != '\0'; text++) {
		if (begins && (*text == '.' || *text == '\''))
			fputs("\\&", out);
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
		begins = *text == '\n';
	}
}

void manual_page(FILE *out, const struct command *const *commands, size_t count)
{
	fputs(".TH FETCHBACK 1 \"\" \"Fetchback " FETCHBACK_VERSION "\"\n"
	      ".SH NAME\n"
	      "fetchback \\- send two URLs, get an id; what the first says is delivered to the "
	      "second\n"
	      ".SH SYNOPSIS\n"
	      ".B fetchback\n"
	      ".I COMMAND\n"
	      "[\\fIARGUMENT\\fR]...\n"
	      ".SH COMMANDS\n",
		out);
	for (size_t i = 0; i < count; i++) {
		fprintf(out, ".SS fetchback %s\n.nf\n", commands[i]->name);
		help_visit(commands[i], out, roff_print);
		fputs(".fi\n", out);
	}
	fputs(".SH EXIT STATUS\n"
	      "0 done, 1 refused or not known, or the output could not be written, 2 wrong usage, "
	      "3 what was followed has failed or "
	      "was "
	      "cancelled, 69 nobody answered.\n"
	      "Of fetchback up, as of the services: 0 stopped as told, 100 a setting is wrong, 111 "
	      "the system failed.\n"
	      ".SH ENVIRONMENT\n"
	      "FETCHBACK_API, FETCHBACK_API_KEY, FETCHBACK_API_KEY_FILE: which api is asked, and "
	      "with which key.\n"
	      ".br\n"
	      "SIGNING_SECRET, SIGNING_SECRET_FILE: what listen, send \\-\\-listen and verify "
	      "check signatures with.\n"
	      ".br\n"
	      "REDIS_URL: the Redis of doctor; up uses it and starts none.\n"
	      ".br\n"
	      "DATA_DIR: the folder of up.\n"
	      ".br\n"
	      "Every other setting is read by up.\n"
	      ".br\n"
	      "NO_COLOR: if not empty, nothing is coloured.\n"
	      ".SH SEE ALSO\n"
	      "fetchback\\-api \\-\\-help, fetchback\\-consumer \\-\\-help, "
	      "fetchback\\-responder \\-\\-help: every setting.\n",
		out);
}

/* ---- bash ---- */

/* The length of the flag that begins here, 0 for none; before: the letter in front of it. */
static size_t flag_length(char before, const char *at)
{
	if (strchr(" [|(`,\n", before) == NULL || strncmp(at, "--", 2) != 0)
		return 0;
	size_t len = strspn(at + 2, "abcdefghijklmnopqrstuvwxyz-");
	return len > 0 ? 2 + len : 0;
}

static bool stands_before(const char *text, const char *at, size_t len)
{
	for (const char *other = text + 1; other < at; other++)
		if (flag_length(other[-1], other) == len && strncmp(other, at, len) == 0)
			return true;
	return false;
}

/* Every flag that the help names, once; --help is offered anyway. */
static void flags_print(FILE *out, const char *text)
{
	for (const char *at = text + 1; *at != '\0'; at++) {
		size_t len = flag_length(at[-1], at);

		if (len > 0 && strncmp(at, "--help", len) != 0 && !stands_before(text, at, len))
			fprintf(out, " %.*s", (int)len, at);
	}
}

static void names_print(FILE *out, const struct command *const *commands, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s ", commands[i]->name);
}

/* What `up` takes is known to the services: asked when Tab is pressed, where our program is. */
static void settings_print(FILE *out)
{
	fputs("\tif [ \"${COMP_WORDS[1]}\" = up ] && [ \"${word:0:1}\" = - ]; then\n"
	      "\t\twords+=\" $(for one in api consumer responder; do\n"
	      "\t\t\t\"${COMP_WORDS[0]}-$one\" --help 2>/dev/null\n"
	      "\t\tdone | sed -n 's/^  \\(--[a-z-]*\\).*/\\1/p' | sort -u)\"\n"
	      "\tfi\n",
		out);
}

void manual_completion(FILE *out, const struct command *const *commands, size_t count)
{
	fputs("# Completion of fetchback for bash; `fetchback help --completion` prints it.\n"
	      "_fetchback() {\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=\n"
	      "\tcase $before in\n"
	      "\t--state) words='scheduled queued fetching fetched delivering delivered failed "
	      "cancelled' ;;\n"
	      "\t--priority) words='high default low' ;;\n"
	      "\t--data-dir | --file | --*-file) mapfile -t COMPREPLY < <(compgen -f -- "
	      "\"$word\"); return ;;\n"
	      "\tpause | resume) [ \"${COMP_WORDS[1]}\" = queues ] && words='requests responses' "
	      ";;\n"
	      "\tqueues) words='pause resume' ;;\n"
	      "\tesac\n"
	      "\tif [ \"$COMP_CWORD\" = 1 ]; then\n"
	      "\t\twords='",
		out);
	names_print(out, commands, count);
	fputs("help --help --version'\n"
	      "\telif [ \"${COMP_WORDS[1]}\" = help ]; then\n"
	      "\t\twords='",
		out);
	names_print(out, commands, count);
	fputs("--man --completion'\n"
	      "\telif [ -z \"$words\" ] || [ \"${word:0:1}\" = - ]; then\n"
	      "\t\tcase ${COMP_WORDS[1]} in\n",
		out);
	for (size_t i = 0; i < count; i++) {
		fprintf(out, "\t\t%s) words='--help", commands[i]->name);
		help_visit(commands[i], out, flags_print);
		fputs("' ;;\n", out);
	}
	fputs("\t\tesac\n"
	      "\tfi\n",
		out);
	settings_print(out);
	fputs("\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
	      "}\n"
	      "complete -F _fetchback fetchback\n",
		out);
}
