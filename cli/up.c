/*
 * up: Redis, the api and the workers on this machine, under one supervisor.
 *
 *   flags -> environment -> ask every program (--check) -> folder, ports -> plan -> supervise
 *
 * What is wrong is told before anything is started: sentences on stderr, exit code 100.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "flags.h"
#include "greeting.h"
#include "knowledge.h"
#include "listening.h"
#include "pipeline/clock.h"
#include "pipeline/err.h"
#include "pipeline/log.h"
#include "pipeline/mem.h"
#include "pipeline/netpolicy.h"
#include "pipeline/service.h"
#include "pipeline/text.h"
#include "private_redis.h"
#include "programs.h"
#include "supervisor.h"

#define WORKERS_MAX      64 /* of each kind */
#define SERVICES_MAX     (1 + 2 * WORKERS_MAX)
#define ADDRESS_MAX      1024
#define SERVICE_DELAY_MS 5000 /* longest wait before a restart */
#define STOP_MARGIN_MS   2000 /* beyond what a service allows itself */
#define LOOPBACK         "127.0.0.0/8,::1/128"

static const struct pl_setting up_settings[] = {
	{ .name = "CONSUMERS",
		.type = PL_SETTING_NUMBER,
		.fallback = "1",
		.min = 0,
		.max = WORKERS_MAX,
		.help = "How many consumers to start." },
	{ .name = "RESPONDERS",
		.type = PL_SETTING_NUMBER,
		.fallback = "1",
		.min = 0,
		.max = WORKERS_MAX,
		.help = "How many responders to start." },
	{ .name = "DATA_DIR",
		.type = PL_SETTING_TEXT,
		.help = "The folder that keeps Redis' files and socket; one `up` per folder. "
			"Unset: "
			"`$XDG_DATA_HOME/fetchback`, else `~/.local/share/fetchback`." },
	{ .name = "REDIS_MEMORY",
		.type = PL_SETTING_BYTES,
		.fallback = "1GiB",
		.min = 16 * 1024 * 1024,
		.max = UINT64_C(1) << 50,
		.help = "The most that the private Redis may hold (its maxmemory)." },
	{ .name = NULL },
};
static const struct pl_setting *const up_tables[] = { up_settings, NULL };

enum kind { API, CONSUMER, RESPONDER, KINDS };
static const char *const kind_names[KINDS] = { "api", "consumer", "responder" };

struct up {
	int argc;
	char **argv;
	struct pl_settings *settings; /* our own; the services' are in knowledge */
	struct knowledge knowledge;
	char *programs[KINDS];
	bool own_redis, opens_loopback;
	struct private_redis redis;
	char *port, *bind, *address;
	struct child_spec specs[SERVICES_MAX];
	struct service { /* what a spec points to */
		const char *argv[2];
		const char *env[3];
		char metrics_port[8];
	} services[SERVICES_MAX];
	size_t services_count;
};

static bool is_set(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0';
}

/* Our environment is every child's. It refuses only a malformed name, and want of memory. */
static void give_all(const char *name, const char *value)
{
	int failed = setenv(name, value, 1);

	PL_ASSERT(failed == 0);
}

/* Each preparation returns 0, or PL_EXIT_* having said why. */

static int environment_fill(struct up *up)
{
	if (!flags_take(up->argc, up->argv))
		return PL_EXIT_SETTING;
	up->own_redis = !is_set("REDIS_URL");
	if (!is_set("LOG_FORMAT"))
		give_all("LOG_FORMAT", "text");
	return 0;
}

/* Mistakes are told later, with the services'. */
static int settings_read(struct up *up)
{
	char *nobody[] = { (char *)"up", NULL };
	char *errors = NULL;

	if (pl_settings_read(up_tables, 1, nobody, &up->settings, &errors) != PL_OK)
		knowledge_add_mistakes(&up->knowledge, errors);
	free(errors);
	return 0;
}

static int programs_find(struct up *up)
{
	char name[32];

	for (int kind = 0; kind < KINDS; kind++) {
		snprintf(name, sizeof(name), "fetchback-%s", kind_names[kind]);
		up->programs[kind] = programs_beside(name);
		if (up->programs[kind] == NULL)
			return PL_EXIT_SYSTEM;
	}
	return 0;
}

static int programs_ask(struct up *up)
{
	int code = 0;

	for (int kind = 0; code == 0 && kind < KINDS; kind++)
		code = knowledge_ask(&up->knowledge, up->programs[kind]);
	return code;
}

static bool is_known(const void *arg, const char *name)
{
	const struct up *up = arg;

	for (const struct pl_setting *row = up_settings; row->name != NULL; row++)
		if (strcmp(row->name, name) == 0)
			return true;
	return knowledge_has(&up->knowledge, name);
}

static int mistakes_tell(struct up *up)
{
	bool known = flags_judge(up->argc, up->argv, is_known, up);

	if (up->knowledge.mistakes.len > 0)
		fputs(up->knowledge.mistakes.data, stderr);
	return known && up->knowledge.mistakes.len == 0 ? 0 : PL_EXIT_SETTING;
}

static int redis_prepare(struct up *up)
{
	int code;

	if (!up->own_redis)
		return 0;
	code = private_redis_open(&up->redis, pl_settings_text(up->settings, "DATA_DIR"),
		pl_settings_number(up->settings, "REDIS_MEMORY"));
	if (code == 0)
		give_all("REDIS_URL", up->redis.url);
	return code;
}

static uint64_t number_known(const struct up *up, const char *name)
{
	char *text = knowledge_value(&up->knowledge, name);
	uint64_t number;

	/* Printed from a number, so this is a name that no program knows. */
	if (pl_number_parse(text, strlen(text), UINT64_MAX, &number) != PL_OK)
		number = 0;
	free(text);
	return number;
}

/* False having said why the api can't have its port. */
static bool port_check(const struct up *up)
{
	uint64_t port = number_known(up, "PORT");

	if (port == 0)
		fputs("fetchback up: PORT must be one that you can be told to post to\n", stderr);
	return port != 0 && listening_check("PORT", up->bind, (unsigned)port);
}

/* False having said of which workers there is no port for their metrics. */
static bool metrics_ports_check(const struct up *up)
{
	uint64_t first = number_known(up, "METRICS_PORT"), api = number_known(up, "PORT");
	uint64_t workers = pl_settings_number(up->settings, "CONSUMERS") +
			   pl_settings_number(up->settings, "RESPONDERS");
	bool are_free = true;

	if (first + workers > UINT16_MAX) {
		fputs("METRICS_PORT: there are not enough ports above it for all workers\n",
			stderr);
		return false;
	}
	for (uint64_t port = first; first != 0 && port < first + workers; port++) {
		if (port == api)
			fprintf(stderr,
				"fetchback up: METRICS_PORT: a worker would take %" PRIu64
				", which is PORT\n",
				port);
		if (port == api || !listening_check("METRICS_PORT", up->bind, (unsigned)port))
			are_free = false;
	}
	return are_free;
}

static int ports_check(struct up *up)
{
	bool is_free, are_free;

	up->port = knowledge_value(&up->knowledge, "PORT");
	up->bind = knowledge_value(&up->knowledge, "BIND");
	is_free = port_check(up);
	are_free = metrics_ports_check(up);
	return is_free && are_free ? 0 : PL_EXIT_SETTING;
}

/* The workers, who don't know PORT, make addresses of it. */
static int address_choose(struct up *up)
{
	char address[ADDRESS_MAX];

	if (is_set("PUBLIC_URL")) {
		up->address = knowledge_value(&up->knowledge, "PUBLIC_URL");
		return 0;
	}
	listening_url(up->bind, up->port, address, sizeof(address));
	up->address = pl_strdup(address);
	give_all("PUBLIC_URL", address);
	return 0;
}

/* For trying things out: a stranger's first provider and callback are on this machine. */
static int loopback_open(struct up *up)
{
	up->opens_loopback = getenv("ALLOW_NETWORKS") == NULL && listening_is_loopback(up->bind);
	if (up->opens_loopback)
		give_all("ALLOW_NETWORKS", LOOPBACK);
	return 0;
}

static uint64_t stop_max_ms(const struct up *up)
{
	char *text = knowledge_value(&up->knowledge, "DRAIN_TIMEOUT");
	uint64_t drain_ms;

	if (pl_duration_parse(text, strlen(text), &drain_ms) != PL_OK)
		drain_ms = 0;
	free(text);
	return drain_ms + PL_SERVICE_STOP_MS + STOP_MARGIN_MS;
}

static void service_add(struct up *up, enum kind kind, const char *name)
{
	size_t at = up->services_count++;
	struct service *service = &up->services[at];
	uint64_t metrics_port = number_known(up, "METRICS_PORT");

	service->argv[0] = up->programs[kind];
	if (kind != API && metrics_port != 0) {
		/* The api is at 0, so the first worker takes METRICS_PORT itself. */
		snprintf(service->metrics_port, sizeof(service->metrics_port), "%" PRIu64,
			metrics_port + at - 1);
		service->env[0] = "METRICS_PORT";
		service->env[1] = service->metrics_port;
	}
	up->specs[at] = (struct child_spec) { .argv = service->argv,
		.env = service->env,
		.delay_max_ms = SERVICE_DELAY_MS,
		.stop_max_ms = stop_max_ms(up) };
	snprintf(up->specs[at].name, sizeof(up->specs[at].name), "%s", name);
}

static void workers_add(struct up *up, enum kind kind, uint64_t count)
{
	char name[OUTPUT_NAME_MAX + 1];

	for (uint64_t i = 1; i <= count; i++) {
		snprintf(name, sizeof(name), "%s-%" PRIu64, kind_names[kind], i);
		service_add(up, kind, count == 1 ? kind_names[kind] : name);
	}
}

static int services_prepare(struct up *up)
{
	uint64_t consumers = pl_settings_number(up->settings, "CONSUMERS");
	uint64_t responders = pl_settings_number(up->settings, "RESPONDERS");

	service_add(up, API, kind_names[API]);
	workers_add(up, CONSUMER, consumers);
	workers_add(up, RESPONDER, responders);
	return 0;
}

static int prepare(struct up *up)
{
	static int (*const preparations[])(struct up *) = {
		environment_fill,
		settings_read,
		programs_find,
		programs_ask,
		mistakes_tell,
		redis_prepare, /* who finds the folder in use is not told that the port is, too */
		ports_check,
		address_choose,
		loopback_open,
		services_prepare,
	};
	int code = 0;

	for (size_t i = 0; code == 0 && i < sizeof(preparations) / sizeof(preparations[0]); i++)
		code = preparations[i](up);
	return code;
}

static void greet(struct output *output, void *arg)
{
	const struct up *up = arg;

	(void)output; /* the log is enough */
	if (up->own_redis)
		pl_log(PL_LOG_INFO, NULL, "keeps", "data in %s", up->redis.folder.path);
	else
		pl_log(PL_LOG_INFO, NULL, "uses", "the Redis of REDIS_URL");
	if (up->opens_loopback)
		pl_log(PL_LOG_WARN, NULL, "loopback_open",
			"ALLOW_NETWORKS is not set: it acts as " LOOPBACK
			", so that you can try things out on this machine");
}

/* What the flags said is in the environment by now. */
static bool reaches_loopback(void)
{
	const struct pl_netpolicy_options options = {
		.allow_networks = getenv("ALLOW_NETWORKS"),
		.deny_networks = getenv("DENY_NETWORKS"),
	};
	const struct sockaddr_in here = {
		.sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	struct pl_netpolicy *policy;
	const char *why;
	bool reaches;

	if (pl_netpolicy_new(&options, &policy, &why) != PL_OK)
		return false;
	reaches = pl_netpolicy_judge(policy, (const struct sockaddr *)&here, NULL, NULL) == PL_OK;
	pl_netpolicy_free(policy);
	return reaches;
}

static void announce(struct output *output, void *arg)
{
	const struct up *up = arg;
	char here[ADDRESS_MAX];
	char *text = NULL;
	size_t len;
	FILE *out;

	if (output->json) {
		pl_log(PL_LOG_INFO, NULL, "ready", "POST to %s", up->address);
		return;
	}
	listening_url(up->bind, up->port, here, sizeof(here));
	out = open_memstream(&text, &len);
	PL_ASSERT(out != NULL);
	greeting_print(out, &(struct greeting) {
				    .address = up->address,
				    .here = here,
				    .reaches_loopback = reaches_loopback(),
				    .wants_key = is_set("API_KEYS"),
			    });
	fclose(out);
	output_say(output, text);
	free(text);
}

static int supervise(struct up *up)
{
	char *format = knowledge_value(&up->knowledge, "LOG_FORMAT");
	struct supervisor_plan plan = { .redis = up->own_redis ? &up->redis.spec : NULL,
		.services = up->specs,
		.services_count = up->services_count,
		.lock = up->own_redis ? up->redis.folder.lock : -1,
		.json = strcmp(format, "json") == 0,
		.greet = greet,
		.announce = announce,
		.arg = up };

	free(format);
	return supervisor_run(&plan);
}

static void up_free(struct up *up)
{
	private_redis_close(&up->redis);
	knowledge_fini(&up->knowledge);
	pl_settings_free(up->settings);
	for (int kind = 0; kind < KINDS; kind++)
		free(up->programs[kind]);
	free(up->port);
	free(up->bind);
	free(up->address);
	free(up);
}

static int up_run(int argc, char **argv)
{
	struct up *up;
	int code;

	if (argc > 1 && strcmp(argv[1], "--print-settings") == 0) {
		pl_settings_print(up_tables, stdout, true);
		return COMMAND_OK;
	}
	up = pl_calloc(1, sizeof(*up));
	up->argc = argc;
	up->argv = argv;
	knowledge_init(&up->knowledge);
	code = prepare(up);
	if (code == 0)
		code = supervise(up);
	up_free(up);
	return code;
}

static void up_help(FILE *out)
{
	fputs("usage: fetchback up [--SETTING VALUE]...\n"
	      "       fetchback up --print-settings   (its own, as Markdown)\n\n"
	      "Starts a private Redis that keeps its data on disk, the api, the consumers and the\n"
	      "responders; restarts what dies; Ctrl-C finishes what runs and stops (again: "
	      "hurries).\n\n"
	      "Takes every setting of the services (fetchback-api --help, fetchback-consumer "
	      "--help,\n"
	      "fetchback-responder --help), as a flag or in the environment, and these:\n\n",
		out);
	pl_settings_print(up_tables, out, false);
	fputs("\nWith REDIS_URL set it uses that Redis and starts none. LOG_FORMAT is text unless "
	      "set.\n"
	      "Without ALLOW_NETWORKS, and while BIND is loopback, " LOOPBACK " may be reached.\n"
	      "With METRICS_PORT the workers take that port and the ones above it, consumers "
	      "first.\n\n"
	      "Exit code: 0 stopped as told, 100 a setting is wrong (a port that is taken, a "
	      "folder\n"
	      "that is in use), 111 the system failed.\n",
		out);
}

const struct command command_up = {
	.name = "up",
	.summary = "start everything on this machine, under one supervisor",
	.example = "fetchback up --port 3001 --consumers 2",
	.help = up_help,
	.run = up_run,
};
