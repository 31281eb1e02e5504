#include "receiver.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "ask.h"
#include "command.h"
#include "pipeline/clock.h"
#include "pipeline/http_server.h"
#include "pipeline/json.h"
#include "pipeline/mem.h"
#include "pipeline/text.h"

#define THREADS      64 /* twice what the responder opens to one host by default */
#define HEAD_MS      5000
#define BODY_MS      30000
#define IDLE_MS      15000
#define STOP_MS      5000
#define PORT_MAX     65535
#define STATUS_MIN   200
#define STATUS_MAX   599
#define DELAY_MAX_MS (60 * 60 * 1000)
#define SHOWN_MAX    4096 /* bytes of a body that a person is shown */
#define URL_SIZE     40

struct receiver {
	struct pl_http_server *server;
	char url[URL_SIZE];
	bool json;
	struct signature_rule rule;
	uint64_t delay_ms;
	int script[RECEIVER_SCRIPT_MAX];
	size_t script_len;
	const char *body; /* of each answer; borrowed */
	atomic_size_t arrived;
	pthread_mutex_t lock;
	pthread_cond_t ending;
	bool ends; /* under the lock */
};

struct arrival {
	const struct pl_http_call *call;
	char time[PL_TIME_SIZE];
	int status;        /* what it will be answered */
	bool is_judged;    /* its signature was: there is a secret */
	const char *fault; /* of the signature; NULL: verified */
};

/* ---- what is told of an arrival ---- */

static bool is_text(const char *bytes, size_t len)
{
	struct pl_utf8_check check;

	pl_utf8_check_init(&check);
	pl_utf8_check_feed(&check, bytes, len);
	return pl_utf8_check_finish(&check);
}

/* Text as it is if it is UTF-8, else its ASCII, the rest as question marks. free() it. */
static char *shown_new(const char *text, size_t len)
{
	char *shown = pl_strndup(text, len);

	if (is_text(text, len))
		return shown;
	for (size_t i = 0; i < len; i++)
		if (shown[i] == '\0' || (unsigned char)shown[i] >= 0x80)
			shown[i] = '?';
	return shown;
}

static void add_text(json_t *object, const char *name, const char *text)
{
	char *shown = shown_new(text, strlen(text));

	json_object_set_new(object, name, json_string(shown));
	free(shown);
}

static void text_print(const char *text)
{
	char *shown = shown_new(text, strlen(text));

	ask_print(stdout, shown);
	free(shown);
}

static void add_body(json_t *arrival, const char *body, size_t len)
{
	struct pl_buf encoded;

	if (is_text(body, len)) {
		json_object_set_new(arrival, "body", json_stringn(body, len));
		return;
	}
	pl_buf_init(&encoded, 2 * RECEIVER_BODY_MAX);
	if (pl_base64_add(&encoded, body, len) == PL_OK)
		add_text(arrival, "bodyBase64", encoded.data);
	pl_buf_fini(&encoded);
}

static json_t *headers_new(const struct pl_http_call *call)
{
	json_t *headers = json_object();
	const char *name, *value;

	for (size_t i = 0; pl_http_call_header_at(call, i, &name, &value); i++)
		add_text(headers, name, value);
	return headers;
}

static void arrival_json(const struct arrival *arrival)
{
	const struct pl_http_call *call = arrival->call;
	size_t len;
	const char *body = pl_http_call_body(call, &len);
	json_t *told = json_object();

	add_text(told, "time", arrival->time);
	add_text(told, "method", pl_http_call_method(call));
	add_text(told, "path", pl_http_call_path(call));
	if (*pl_http_call_query(call) != '\0')
		add_text(told, "query", pl_http_call_query(call));
	json_object_set_new(told, "headers", headers_new(call));
	add_body(told, body, len);
	if (arrival->is_judged)
		json_object_set_new(told, "verified", json_boolean(arrival->fault == NULL));
	if (arrival->fault != NULL)
		add_text(told, "reason", arrival->fault);
	json_object_set_new(told, "status", json_integer(arrival->status));
	json_dumpf(told, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(told);
}

/* The headers by which a callback tells what it is; the others are HTTP's own, or the sender's. */
static bool is_telling(const char *name)
{
	return strncasecmp(name, "webhook-", 8) == 0 || strncasecmp(name, "fetchback-", 10) == 0 ||
	       strcasecmp(name, "content-type") == 0;
}

/* A tab and the CR before an LF are harmless; returns how many bytes were shown. */
static size_t print_one(const char *text)
{
	if (text[0] == '\r' && text[1] == '\n')
		return 1;
	if (*text != '\t')
		return ask_print_one(stdout, text);
	putchar('\t');
	return 1;
}

/* Behind a margin that no other line has: whatever a body says, it can't pass for ours. */
static void lines_print(const char *text)
{
	do {
		fputs("  | ", stdout);
		while (*text != '\0' && *text != '\n')
			text += print_one(text);
		putchar('\n');
		text += *text == '\n';
	} while (*text != '\0');
}

static void body_print(const char *body, size_t len)
{
	char *shown = shown_new(body, len);
	size_t end = SHOWN_MAX;

	if (len > SHOWN_MAX) {
		while (((unsigned char)shown[end] & 0xc0) == 0x80)
			end--; /* no character in halves */
		shown[end] = '\0';
	}
	lines_print(shown);
	if (len > SHOWN_MAX)
		printf("  ... %zu bytes; --json shows them all\n", len);
	free(shown);
}

static void arrival_print(const struct arrival *arrival)
{
	const struct pl_http_call *call = arrival->call;
	const char *name, *value;
	size_t len;
	const char *body = pl_http_call_body(call, &len);

	printf("%-24s %s ", arrival->time, pl_http_call_method(call));
	text_print(pl_http_call_path(call));
	if (*pl_http_call_query(call) != '\0') {
		putchar('?');
		text_print(pl_http_call_query(call));
	}
	printf(", answer %d\n", arrival->status);
	for (size_t i = 0; pl_http_call_header_at(call, i, &name, &value); i++) {
		if (!is_telling(name))
			continue;
		printf("  %s: ", name); /* a token: the server has refused any other */
		text_print(value);
		putchar('\n');
	}
	if (arrival->fault != NULL)
		printf("  not verified: %s\n", arrival->fault);
	else if (arrival->is_judged)
		puts("  verified");
	if (len > 0)
		body_print(body, len);
}

static void judge(const struct receiver *receiver, struct arrival *arrival, uint64_t now_ms)
{
	struct signature_claim claim = {
		.id = pl_http_call_header(arrival->call, "webhook-id"),
		.timestamp = pl_http_call_header(arrival->call, "webhook-timestamp"),
		.signature = pl_http_call_header(arrival->call, "webhook-signature"),
	};

	arrival->is_judged = receiver->rule.secrets.count > 0;
	if (!arrival->is_judged)
		return;
	claim.body = pl_http_call_body(arrival->call, &claim.len);
	arrival->fault = signature_fault(&receiver->rule, &claim, now_ms);
}

static void tell(const struct receiver *receiver, const struct pl_http_call *call, int status)
{
	struct arrival arrival = { .call = call, .status = status };
	uint64_t now_ms = pl_clock_wall_ms();

	pl_time_format(now_ms, arrival.time);
	judge(receiver, &arrival, now_ms);
	flockfile(stdout);
	(receiver->json ? arrival_json : arrival_print)(&arrival);
	fflush(stdout);
	funlockfile(stdout);
}

/* ---- the answer ---- */

static int next_status(struct receiver *receiver)
{
	size_t at = atomic_fetch_add(&receiver->arrived, 1);

	return receiver->script[at < receiver->script_len ? at : receiver->script_len - 1];
}

static void wait_before_answer(struct receiver *receiver)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(receiver->delay_ms / 1000);
	until.tv_nsec += (long)(receiver->delay_ms % 1000 * 1000000);
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&receiver->lock);
	while (!receiver->ends &&
		pthread_cond_timedwait(&receiver->ending, &receiver->lock, &until) == 0)
		;
	pthread_mutex_unlock(&receiver->lock);
}

static bool may_have_body(int status)
{
	return status != 204 && status != 304;
}

static void on_call(void *arg, struct pl_http_call *call)
{
	struct receiver *receiver = arg;
	int status = next_status(receiver);

	tell(receiver, call, status);
	if (receiver->delay_ms > 0)
		wait_before_answer(receiver);
	size_t len = may_have_body(status) ? strlen(receiver->body) : 0;
	pl_http_call_answer(call, status, NULL, NULL, receiver->body, len);
}

/* ---- start and end ---- */

static bool read_script(struct receiver *receiver, const char *text)
{
	for (;;) {
		size_t len = strcspn(text, ",");
		uint64_t status;

		if (receiver->script_len == RECEIVER_SCRIPT_MAX ||
			pl_number_parse(text, len, STATUS_MAX, &status) != PL_OK ||
			status < STATUS_MIN)
			return false;
		receiver->script[receiver->script_len++] = (int)status;
		if (text[len] == '\0')
			return true;
		text += len + 1;
	}
}

static const char *bind_of(const struct receiver_words *words)
{
	return words->bind != NULL ? words->bind : "127.0.0.1";
}

/* NULL, or what is wrong. */
static const char *read_words(
	struct receiver *receiver, const struct receiver_words *words, uint64_t *port)
{
	if (words->script != NULL && words->status != NULL)
		return "--status and --script exclude each other";
	if (words->status != NULL && strchr(words->status, ',') != NULL)
		return "--status is one status; --script takes several";
	const char *script = words->script != NULL ? words->script : words->status;
	if (!read_script(receiver, script != NULL ? script : "200"))
		return "a status is a number from 200 to 599, a script at most 100 of them";
	if (words->delay != NULL && (pl_duration_parse(words->delay, strlen(words->delay),
					     &receiver->delay_ms) != PL_OK ||
					    receiver->delay_ms > DELAY_MAX_MS))
		return "--delay is a time such as 500ms or 2s, at most 1h";
	receiver->body = words->body != NULL ? words->body : "";
	struct in_addr address;
	if (inet_pton(AF_INET, bind_of(words), &address) != 1)
		return "--bind is an IPv4 address of this machine, 0.0.0.0 for all it has";
	*port = 0;
	if (words->port != NULL &&
		pl_number_parse(words->port, strlen(words->port), PORT_MAX, port) != PL_OK)
		return "--port is a number from 0 to 65535";
	return NULL;
}

static struct receiver *receiver_new(bool json)
{
	struct receiver *receiver = pl_calloc(1, sizeof(*receiver));
	pthread_condattr_t monotonic;

	receiver->json = json;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&receiver->ending, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&receiver->lock, NULL);
	return receiver;
}

static void receiver_free(struct receiver *receiver)
{
	pthread_cond_destroy(&receiver->ending);
	pthread_mutex_destroy(&receiver->lock);
	free(receiver);
}

static int start_server(
	struct receiver *receiver, const char *bind, unsigned port, const char **why)
{
	const struct pl_http_server_options options = {
		.bind = bind,
		.port = port,
		.threads = THREADS,
		.body_max = RECEIVER_BODY_MAX,
		.head_ms = HEAD_MS,
		.body_ms = BODY_MS,
		.idle_ms = IDLE_MS,
		.handler = on_call,
		.arg = receiver,
	};

	if (pl_http_server_start(&options, &receiver->server, why) != PL_OK)
		return COMMAND_FAILED;
	snprintf(receiver->url, sizeof(receiver->url), "http://%s:%u/", bind,
		pl_http_server_port(receiver->server));
	return COMMAND_OK;
}

int receiver_start(
	const char *command, const struct receiver_words *words, bool json, struct receiver **out)
{
	struct receiver *receiver = receiver_new(json);
	uint64_t port;
	const char *why = read_words(receiver, words, &port);
	int code = COMMAND_USAGE;

	if (why == NULL && !signature_rule_read(command, &words->signing, &receiver->rule)) {
		receiver_free(receiver);
		return COMMAND_USAGE;
	}
	if (why == NULL)
		code = start_server(receiver, bind_of(words), (unsigned)port, &why);
	if (code != COMMAND_OK) {
		fprintf(stderr, "fetchback %s: %s; see fetchback %s --help\n", command, why,
			command);
		receiver_free(receiver);
		return code;
	}
	*out = receiver;
	return COMMAND_OK;
}

const char *receiver_url(const struct receiver *receiver)
{
	return receiver->url;
}

void receiver_stop(struct receiver *receiver)
{
	pthread_mutex_lock(&receiver->lock);
	receiver->ends = true;
	pthread_cond_broadcast(&receiver->ending);
	pthread_mutex_unlock(&receiver->lock);
	if (pl_http_server_stop(receiver->server, STOP_MS))
		receiver_free(
			receiver); /* else a handler still uses it: it goes with the process */
}
