#include "greeting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "listening.h"
#include "programs.h"

#define PORT_FIRST 8000
#define PORTS      16
#define BODY       "'{\"hello\": \"world\"}'"
/* What a shell takes as it stands. */
#define PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+-"

static void print_word(FILE *out, const char *word)
{
	if (word[strspn(word, PLAIN)] == '\0') {
		fputs(word, out);
		return;
	}
	fputc('\'', out);
	for (size_t len; *word != '\0'; word += len) {
		len = strcspn(word, "'");
		fprintf(out, "%.*s", (int)len, word);
		if (word[len] == '\'')
			fprintf(out, "'\\%c'", word[len++]);
	}
	fputc('\'', out);
}

/* By its name where another shell will find this very one by it. */
static void print_command(FILE *out)
{
	char *self = programs_beside("fetchback"), *found = programs_in_path("fetchback");
	char *real = found != NULL ? realpath(found, NULL) : NULL;
	bool by_name = self == NULL || (real != NULL && strcmp(real, self) == 0);

	print_word(out, by_name ? "fetchback" : self);
	free(real);
	free(found);
	free(self);
}

static void print_curl(
	FILE *out, const struct greeting *greeting, const char *provider, const char *callback)
{
	fprintf(out,
		"  curl %s -H 'Content-Type: application/json' \\\n"
		"    -d '{\"provider\": \"%s\", \"callbackUrl\": \"%s\"}'\n\n",
		greeting->here, provider, callback);
}

static unsigned free_port(void)
{
	for (unsigned port = PORT_FIRST; port < PORT_FIRST + PORTS; port++)
		if (listening_is_free(port))
			return port;
	return PORT_FIRST; /* whoever pastes it is told that it is taken */
}

static void print_round(FILE *out, const struct greeting *greeting)
{
	unsigned port = free_port();
	char url[sizeof("http://127.0.0.1:65535/")];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port % 65536);
	fprintf(out, "A whole round on this machine, in another terminal:\n\n  ");
	print_command(out);
	fprintf(out, " send %s --listen --port %u --body " BODY, url, port);
	if (strcmp(greeting->here, ARGUMENTS_API) != 0)
		fprintf(out, " --api %s", greeting->here);
	fprintf(out,
		"\n\nThe same by hand: something to fetch and to call back, and the request.\n\n"
		"  ");
	print_command(out);
	fprintf(out, " listen --port %u --body " BODY "\n\n", port);
	print_curl(out, greeting, url, url);
}

void greeting_print(FILE *out, const struct greeting *greeting)
{
	fprintf(out, "\nReady: POST to %s\n\n", greeting->address);
	if (greeting->reaches_loopback) {
		print_round(out, greeting);
	} else {
		fprintf(out,
			"For example, with a callback of yours (127.0.0.1 is not open to it):\n\n");
		print_curl(out, greeting, "https://example.com/", "https://callback.example/");
	}
	if (greeting->wants_key)
		fprintf(out, "API_KEYS is set: add -H 'Authorization: Bearer KEY' to curl's, "
			     "--api-key KEY to "
			     "the other.\n\n");
	fprintf(out, "Ctrl-C finishes what runs and stops.\n");
}
