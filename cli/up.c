/*
 * up: Redis, the api and the workers on this machine, under one supervisor.
 *
 *   flags -> environment -> ask every program (--check) -> folder, port -> plan -> supervise
 *
 * What is wrong is told before anything is started: sentences on stderr, exit code 100.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "folder.h"
#include "knowledge.h"
#include "pipeline/clock.h"
#include "pipeline/log.h"
#include "pipeline/mem.h"
#include "pipeline/service.h"
#include "pipeline/text.h"
#include "redis_conf.h"
#include "supervisor.h"

#define WORKERS_MAX      64 /* of each kind */
#define SERVICES_MAX     (1 + 2 * WORKERS_MAX)
#define ADDRESS_MAX      1024
#define FLAG_MAX         64    /* bytes of a setting's name */
#define SERVICE_DELAY_MS 5000  /* longest wait before a restart */
#define REDIS_DELAY_MS   1000  /* everything waits for Redis, so it is tried sooner */
#define REDIS_STOP_MS    10000 /* it writes and syncs what is left */
#define STOP_MARGIN_MS   2000  /* beyond what a service allows itself */
#define PROBE_MS         100
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
			"Default: "
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
	struct pl_settings *settings;
	struct knowledge knowledge;
	char *programs[KINDS];
	char *redis_program;
	bool own_redis, opens_loopback;
	struct folder folder;
	char *port, *bind, *address;
	struct child_spec redis;
	const char *redis_argv[11];
	char redis_memory[24];
	struct child_spec specs[SERVICES_MAX];
	struct service { /* what a spec points to */
		const char *argv[2];
		const char *env[3];
		char metrics_port[8];
	} services[SERVICES_MAX];
	size_t services_count;
};

/* ---- flags and settings ------------------------------------------------------------------- */

/* --host-concurrency -> HOST_CONCURRENCY; false for what can't be a setting's name. */
static bool name_of_flag(const char *flag, size_t len, char name[FLAG_MAX])
{
	if (len < 3 || len - 2 >= FLAG_MAX || strncmp(flag, "--", 2) != 0)
		return false;
	for (size_t i = 2; i < len; i++) {
		char letter = flag[i];

		if (letter >= 'a' && letter <= 'z')
			letter = (char)(letter - 'a' + 'A');
		else if (letter == '-')
			letter = '_';
		else if (letter < '0' || letter > '9')
			return false;
		name[i - 2] = letter;
	}
	name[len - 2] = '\0';
	return true;
}

struct flag {
	char name[FLAG_MAX];
	const char *value;
};

/* The flag at argv[*at]; moves *at behind it. Says what is wrong. */
static bool flag_next(int argc, char **argv, int *at, struct flag *flag)
{
	const char *word = argv[*at];
	size_t len = strcspn(word, "=");

	if (!name_of_flag(word, len, flag->name)) {
		fprintf(stderr, "fetchback up: \"%s\" is not a flag of the form --setting\n", word);
		return false;
	}
	*at += 1;
	if (word[len] == '=') {
		flag->value = word + len + 1;
		return true;
	}
	if (*at == argc) {
		fprintf(stderr, "fetchback up: %s needs a value\n", word);
		return false;
	}
	flag->value = argv[(*at)++];
	return true;
}

/* Our environment is what every child gets, so that is where a flag goes. */
static bool flags_take(int argc, char **argv)
{
	struct flag flag;

	for (int at = 1; at < argc;)
		if (!flag_next(argc, argv, &at, &flag) || setenv(flag.name, flag.value, 1) != 0)
			return false;
	return true;
}

static bool is_ours(const char *name)
{
	for (const struct pl_setting *row = up_settings; row->name != NULL; row++)
		if (strcmp(row->name, name) == 0)
			return true;
	return false;
}

/* Only now is it known what the programs know. */
static bool flags_judge(const struct up *up, int argc, char **argv)
{
	struct flag flag;
	bool known = true;

	for (int at = 1; at < argc && flag_next(argc, argv, &at, &flag);) {
		if (is_ours(flag.name) || knowledge_has(&up->knowledge, flag.name))
			continue;
		fprintf(stderr, "fetchback up: there is no setting %s\n", flag.name);
		known = false;
	}
	return known;
}

static bool is_set(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0';
}

static int settings_read(struct up *up)
{
	char *nobody[] = { (char *)"up", NULL };
	char *errors = NULL;

	if (pl_settings_read(up_tables, 1, nobody, &up->settings, &errors) == PL_OK)
		return 0;
	fputs(errors, stderr);
	free(errors);
	return PL_EXIT_SETTING;
}

/* ---- programs ----------------------------------------------------------------------------- */

/* The services' programs lie beside this one, wherever that is. */
static int programs_find(struct up *up)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len <= 0) {
		fprintf(stderr, "fetchback up: /proc/self/exe: %s\n", strerror(errno));
		return PL_EXIT_SYSTEM;
	}
	self[len] = '\0';
	*strrchr(self, '/') = '\0';
	for (int kind = 0; kind < KINDS; kind++) {
		size_t size = strlen(self) + sizeof("/fetchback-") + strlen(kind_names[kind]);

		up->programs[kind] = pl_alloc(size);
		snprintf(up->programs[kind], size, "%s/fetchback-%s", self, kind_names[kind]);
	}
	return 0;
}

static int redis_find(struct up *up)
{
	const char *folder = getenv("PATH");

	while (folder != NULL && *folder != '\0') {
		size_t len = strcspn(folder, ":");
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%.*s/redis-server", (int)len, folder);
		if (len > 0 && access(path, X_OK) == 0) {
			up->redis_program = pl_strdup(path);
			return 0;
		}
		folder += len + (folder[len] == ':');
	}
	fprintf(stderr, "fetchback up: there is no redis-server in PATH; install it (Debian: "
			"redis-server), or give REDIS_URL\n");
	return PL_EXIT_SYSTEM;
}

static int programs_ask(struct up *up)
{
	int code = 0;

	for (int kind = 0; code == 0 && kind < KINDS; kind++)
		code = knowledge_ask(&up->knowledge, up->programs[kind]);
	if (code == 0 && up->knowledge.mistakes.len > 0) {
		fputs(up->knowledge.mistakes.data, stderr);
		code = PL_EXIT_SETTING;
	}
	return code;
}

/* ---- port --------------------------------------------------------------------------------- */

static bool is_loopback(const char *bind)
{
	struct in_addr four;
	struct in6_addr six;

	if (inet_pton(AF_INET, bind, &four) == 1)
		return (ntohl(four.s_addr) >> 24) == 127;
	if (inet_pton(AF_INET6, bind, &six) == 1)
		return IN6_IS_ADDR_LOOPBACK(&six);
	return strcmp(bind, "localhost") == 0;
}

/* errno of a bind to it, as the api will do it; 0 when that works. */
static int bind_try(const struct addrinfo *address)
{
	int one = 1, failed = 0;
	int probe = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (probe < 0)
		return errno;
	if (setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
		bind(probe, address->ai_addr, address->ai_addrlen) != 0 || listen(probe, 1) != 0)
		failed = errno;
	close(probe);
	return failed;
}

/* The api would say so as well, but only after Redis has been started for nothing. */
static int port_check(const struct up *up)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *address;
	int failed;

	if (strcmp(up->port, "0") == 0) {
		fputs("fetchback up: PORT 0 names no port that it could tell you to post to\n",
			stderr);
		return PL_EXIT_SETTING;
	}
	failed = getaddrinfo(up->bind, up->port, &hints, &address);

	if (failed != 0) {
		fprintf(stderr, "fetchback up: BIND \"%s\": %s\n", up->bind, gai_strerror(failed));
		return PL_EXIT_SETTING;
	}
	failed = bind_try(address);
	freeaddrinfo(address);
	if (failed == 0)
		return 0;
	fprintf(stderr,
		"fetchback up: can't listen on %s port %s: %s; choose another with --port\n",
		up->bind, up->port, strerror(failed));
	return PL_EXIT_SETTING;
}

/* Where a person on this machine reaches the api, and a callback's receiver large data. */
static int address_choose(struct up *up)
{
	char address[ADDRESS_MAX];
	const char *host = up->bind;

	up->address = knowledge_value(&up->knowledge, "PUBLIC_URL");
	if (is_set("PUBLIC_URL"))
		return 0;
	if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0)
		host = "127.0.0.1";
	snprintf(address, sizeof(address),
		strchr(host, ':') == NULL ? "http://%s:%s" : "http://[%s]:%s", host, up->port);
	free(up->address);
	up->address = pl_strdup(address);
	return setenv("PUBLIC_URL", address, 1) == 0 ? 0 : PL_EXIT_SYSTEM;
}

/* For trying things out: a stranger's first provider and callback are on this machine. */
static int loopback_open(struct up *up)
{
	up->opens_loopback = getenv("ALLOW_NETWORKS") == NULL && is_loopback(up->bind);
	if (up->opens_loopback && setenv("ALLOW_NETWORKS", LOOPBACK, 1) != 0)
		return PL_EXIT_SYSTEM;
	return 0;
}

/* ---- Redis -------------------------------------------------------------------------------- */

static bool redis_probe(const void *arg)
{
	const struct up *up = arg;
	struct timeval patience = { .tv_usec = PROBE_MS * 1000 };
	redisContext *redis = redisConnectUnixWithTimeout(up->folder.socket, patience);
	redisReply *reply = NULL;
	bool works = false;

	if (redis != NULL && redis->err == 0 && redisSetTimeout(redis, patience) == REDIS_OK)
		reply = redisCommand(redis, "PING");
	if (reply != NULL) {
		works = reply->type == REDIS_REPLY_STATUS; /* -LOADING is an error */
		freeReplyObject(reply);
	}
	if (redis != NULL)
		redisFree(redis);
	return works;
}

static int folder_prepare(struct up *up)
{
	const char *path = pl_settings_text(up->settings, "DATA_DIR");
	char *usual = NULL;
	int code;

	if (path == NULL)
		path = usual = folder_default_path();
	if (path == NULL) {
		fputs("fetchback up: DATA_DIR, XDG_DATA_HOME and HOME are all unset\n", stderr);
		return PL_EXIT_SETTING;
	}
	code = folder_open(&up->folder, path);
	free(usual);
	if (code == 0)
		code = folder_write(&up->folder, "redis.conf", redis_conf, strlen(redis_conf));
	return code;
}

/* Redis' own flags add to redis.conf what differs from one folder to the next. */
static int redis_prepare(struct up *up)
{
	static const char *const no_env[] = { NULL };
	const char *const argv[] = { up->redis_program, "redis.conf", "--port", "0", "--unixsocket",
		up->folder.socket, "--unixsocketperm", "700", "--maxmemory", up->redis_memory,
		NULL };
	char url[sizeof("unix:") + FOLDER_SOCKET_MAX];

	snprintf(up->redis_memory, sizeof(up->redis_memory), "%" PRIu64,
		pl_settings_number(up->settings, "REDIS_MEMORY"));
	memcpy(up->redis_argv, argv, sizeof(argv));
	up->redis = (struct child_spec) { .name = "redis",
		.argv = up->redis_argv,
		.env = no_env,
		.folder = up->folder.path,
		.probe = redis_probe,
		.probe_arg = up,
		.delay_max_ms = REDIS_DELAY_MS,
		.stop_max_ms = REDIS_STOP_MS };
	snprintf(url, sizeof(url), "unix:%s", up->folder.socket);
	return setenv("REDIS_URL", url, 1) == 0 ? 0 : PL_EXIT_SYSTEM;
}

/* ---- services ----------------------------------------------------------------------------- */

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

	if (number_known(up, "METRICS_PORT") + consumers + responders > UINT16_MAX) {
		fputs("METRICS_PORT: there are not enough ports above it for all workers\n",
			stderr);
		return PL_EXIT_SETTING;
	}
	service_add(up, API, kind_names[API]);
	workers_add(up, CONSUMER, consumers);
	workers_add(up, RESPONDER, responders);
	return 0;
}

/* ---- what it says ------------------------------------------------------------------------- */

static void greet(struct output *output, void *arg)
{
	const struct up *up = arg;

	(void)output; /* the log is enough */
	if (up->own_redis)
		pl_log(PL_LOG_INFO, NULL, "keeps", "data in %s", up->folder.path);
	else
		pl_log(PL_LOG_INFO, NULL, "uses", "the Redis of REDIS_URL");
	if (up->opens_loopback)
		pl_log(PL_LOG_WARN, NULL, "loopback_open",
			"ALLOW_NETWORKS is not set: it acts as " LOOPBACK
			", so that you can try things out on this machine");
}

static void announce(struct output *output, void *arg)
{
	const struct up *up = arg;
	char example[3 * ADDRESS_MAX];

	snprintf(example, sizeof(example),
		"\nReady: POST to %s, for example\n\n"
		"  curl %s -H 'Content-Type: application/json' \\\n"
		"    -d '{\"provider\": \"https://example.com/\", "
		"\"callbackUrl\": \"http://127.0.0.1:8000/\"}'\n\n"
		"Ctrl-C finishes what runs and stops.\n",
		up->address, up->address);
	if (output->json)
		pl_log(PL_LOG_INFO, NULL, "ready", "POST to %s", up->address);
	else
		output_say(output, example);
}

/* ---- up ----------------------------------------------------------------------------------- */

static int prepare(struct up *up, int argc, char **argv)
{
	int code;

	if (!flags_take(argc, argv))
		return PL_EXIT_SETTING;
	if (!is_set("LOG_FORMAT") && setenv("LOG_FORMAT", "text", 1) != 0)
		return PL_EXIT_SYSTEM;
	up->own_redis = !is_set("REDIS_URL");
	code = settings_read(up);
	if (code == 0)
		code = programs_find(up);
	if (code == 0)
		code = programs_ask(up);
	if (code == 0 && !flags_judge(up, argc, argv))
		code = PL_EXIT_SETTING;
	if (code != 0)
		return code;
	up->port = knowledge_value(&up->knowledge, "PORT");
	up->bind = knowledge_value(&up->knowledge, "BIND");
	if (up->own_redis)
		code = redis_find(up);
	if (code == 0 && up->own_redis)
		code = folder_prepare(up);
	if (code == 0)
		code = port_check(up);
	if (code == 0 && up->own_redis)
		code = redis_prepare(up);
	if (code == 0)
		code = address_choose(up);
	if (code == 0)
		code = loopback_open(up);
	return code == 0 ? services_prepare(up) : code;
}

static int supervise(struct up *up)
{
	char *format = knowledge_value(&up->knowledge, "LOG_FORMAT");
	struct supervisor_plan plan = { .redis = up->own_redis ? &up->redis : NULL,
		.services = up->specs,
		.services_count = up->services_count,
		.lock = up->folder.lock,
		.json = strcmp(format, "json") == 0,
		.greet = greet,
		.announce = announce,
		.arg = up };

	free(format);
	return supervisor_run(&plan);
}

static void up_free(struct up *up)
{
	folder_close(&up->folder);
	knowledge_fini(&up->knowledge);
	pl_settings_free(up->settings);
	for (int kind = 0; kind < KINDS; kind++)
		free(up->programs[kind]);
	free(up->redis_program);
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
	up->folder.lock = -1;
	knowledge_init(&up->knowledge);
	code = prepare(up, argc, argv);
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
	.help = up_help,
	.run = up_run,
};
