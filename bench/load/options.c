#include "options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 100 /* a wrong setting, as in the services */

static const char help[] =
	"fetchback-load: client, provider and receiver at once; accounts for every request.\n"
	"\n"
	"  fetchback-load closed --api URL   post as fast as accepted, wait for all callbacks\n"
	"  fetchback-load rate   --api URL   post at a fixed rate; latency from the intended time\n"
	"  fetchback-load accept --api URL   post as fast as accepted, wait for no callback\n"
	"\n"
	"  --api URL              http://127.0.0.1:3001 (an IPv4 address and a port)\n"
	"  --requests N           how many (10000)\n"
	"  --connections N        keep-alive connections to the api (64)\n"
	"  --rate N               posts a second, rate only (500)\n"
	"  --window N             accepted and not yet delivered at most; 0: no bound (0)\n"
	"  --provider-hosts N     loopback ports the providers are spread over (1)\n"
	"  --callback-hosts N     loopback ports the callbacks are spread over (1)\n"
	"  --body-bytes N         length of the provider's JSON answer (256)\n"
	"  --provider-delay MS    the provider answers that late (0)\n"
	"  --provider-hangs       the provider never answers\n"
	"  --at-least-once        duplicates are counted, but no failure\n"
	"  --limit S              the run ends after that, come what may (120)\n"
	"  --linger MS            listen that long after the last callback (300)\n"
	"  --pids [NAME=]PID,…    report CPU and memory of these processes\n"
	"  --json                 one JSON object instead of text\n"
	"\n"
	"Exit: 0 every accepted request delivered once and unchanged; 1 not so; 100 wrong usage;\n"
	"111 the system failed.\n";

static const char *const mode_names[] = { "closed", "rate", "accept" };

const char *mode_name(enum mode mode)
{
	return mode_names[mode];
}

_Noreturn static void refuse(const char *what, const char *value)
{
	fprintf(stderr, "fetchback-load: %s: %s (see --help)\n", what, value);
	exit(EXIT_USAGE);
}

static uint32_t parse_number(const char *name, const char *text, uint32_t min, uint32_t max)
{
	char *end;

	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || value < min || value > max) {
		fprintf(stderr, "fetchback-load: --%s takes a number from %u to %u, not \"%s\"\n",
			name, min, max, text);
		exit(EXIT_USAGE);
	}
	return (uint32_t)value;
}

static void parse_api(const char *url, struct options *out)
{
	unsigned a, b, c, d, port;
	int used = 0;
	char address[INET_ADDRSTRLEN];

	if (sscanf(url, "http://%3u.%3u.%3u.%3u:%5u%n", &a, &b, &c, &d, &port, &used) != 5 ||
		(strcmp(url + used, "") != 0 && strcmp(url + used, "/") != 0) || port > 65535)
		refuse("--api takes http://<IPv4 address>:<port>", url);
	snprintf(address, sizeof address, "%u.%u.%u.%u", a, b, c, d);
	out->api.sin_family = AF_INET;
	out->api.sin_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, address, &out->api.sin_addr) != 1)
		refuse("--api names no IPv4 address", url);
	snprintf(out->host, sizeof out->host, "%s:%u", address, port);
}

static void parse_processes(char *list, struct options *out)
{
	char *rest = list;

	for (char *item; (item = strsep(&rest, ","));) {
		if (out->processes_count == PROCESSES_MAX)
			refuse("too many processes", "--pids");
		struct process_name *process = &out->processes[out->processes_count++];
		char *equals = strchr(item, '=');
		if (equals) {
			*equals = '\0';
			snprintf(process->name, sizeof process->name, "%s", item);
			item = equals + 1;
		}
		process->pid = (int)parse_number("pids", item, 1, INT32_MAX);
	}
}

static enum mode parse_mode(const char *text)
{
	for (unsigned i = 0; i < sizeof mode_names / sizeof *mode_names; i++)
		if (strcmp(text, mode_names[i]) == 0)
			return (enum mode)i;
	refuse("the mode is closed, rate or accept", text);
}

enum {
	OPT_HELP = 1,
	OPT_API,
	OPT_REQUESTS,
	OPT_CONNECTIONS,
	OPT_RATE,
	OPT_WINDOW,
	OPT_PROVIDER_HOSTS,
	OPT_CALLBACK_HOSTS,
	OPT_BODY_BYTES,
	OPT_PROVIDER_DELAY,
	OPT_PROVIDER_HANGS,
	OPT_AT_LEAST_ONCE,
	OPT_LIMIT,
	OPT_LINGER,
	OPT_PIDS,
	OPT_JSON,
};

static const struct option rows[] = {
	{ "help", no_argument, NULL, OPT_HELP },
	{ "api", required_argument, NULL, OPT_API },
	{ "requests", required_argument, NULL, OPT_REQUESTS },
	{ "connections", required_argument, NULL, OPT_CONNECTIONS },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "window", required_argument, NULL, OPT_WINDOW },
	{ "provider-hosts", required_argument, NULL, OPT_PROVIDER_HOSTS },
	{ "callback-hosts", required_argument, NULL, OPT_CALLBACK_HOSTS },
	{ "body-bytes", required_argument, NULL, OPT_BODY_BYTES },
	{ "provider-delay", required_argument, NULL, OPT_PROVIDER_DELAY },
	{ "provider-hangs", no_argument, NULL, OPT_PROVIDER_HANGS },
	{ "at-least-once", no_argument, NULL, OPT_AT_LEAST_ONCE },
	{ "limit", required_argument, NULL, OPT_LIMIT },
	{ "linger", required_argument, NULL, OPT_LINGER },
	{ "pids", required_argument, NULL, OPT_PIDS },
	{ "json", no_argument, NULL, OPT_JSON },
	{ NULL, 0, NULL, 0 },
};

static void parse_option(int row, const char *name, struct options *out)
{
	switch (row) {
	case OPT_HELP:
		fputs(help, stdout);
		exit(0);
	case OPT_API:
		parse_api(optarg, out);
		break;
	case OPT_REQUESTS:
		out->requests = parse_number(name, optarg, 1, REQUESTS_MAX);
		break;
	case OPT_CONNECTIONS:
		out->connections = parse_number(name, optarg, 1, CONNECTIONS_MAX);
		break;
	case OPT_RATE:
		out->rate = parse_number(name, optarg, 1, 1000000);
		break;
	case OPT_WINDOW:
		out->window = parse_number(name, optarg, 0, REQUESTS_MAX);
		break;
	case OPT_PROVIDER_HOSTS:
		out->provider_hosts = parse_number(name, optarg, 1, HOSTS_MAX);
		break;
	case OPT_CALLBACK_HOSTS:
		out->callback_hosts = parse_number(name, optarg, 1, HOSTS_MAX);
		break;
	case OPT_BODY_BYTES:
		out->body_bytes = parse_number(name, optarg, BODY_BYTES_MIN, BODY_BYTES_MAX);
		break;
	case OPT_PROVIDER_DELAY:
		out->provider_delay_ms = parse_number(name, optarg, 0, 3600 * 1000);
		break;
	case OPT_PROVIDER_HANGS:
		out->provider_hangs = true;
		break;
	case OPT_AT_LEAST_ONCE:
		out->at_least_once = true;
		break;
	case OPT_LIMIT:
		out->limit_s = parse_number(name, optarg, 1, 24 * 3600);
		break;
	case OPT_LINGER:
		out->linger_ms = parse_number(name, optarg, 0, 600 * 1000);
		break;
	case OPT_PIDS:
		parse_processes(optarg, out);
		break;
	case OPT_JSON:
		out->json = true;
		break;
	default:
		exit(EXIT_USAGE); /* getopt has said what is wrong */
	}
}

void options_parse(int argc, char **argv, struct options *out)
{
	int index = 0;

	*out = (struct options) {
		.requests = 10000,
		.connections = 64,
		.rate = 500,
		.provider_hosts = 1,
		.callback_hosts = 1,
		.body_bytes = 256,
		.limit_s = 120,
		.linger_ms = 300,
	};
	for (int row; (row = getopt_long(argc, argv, "", rows, &index)) != -1;)
		parse_option(row, rows[index].name, out);
	if (optind + 1 != argc)
		refuse("give one mode", "closed, rate or accept");
	out->mode = parse_mode(argv[optind]);
	if (out->api.sin_port == 0)
		refuse("where to post is missing", "--api URL");
}
