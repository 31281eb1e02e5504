#include "follow.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "command.h"
#include "pipeline/clock.h"

#define PATH_SIZE    80 /* /requests/, an id, /logs?follow=1 */
#define HEADER_SIZE  64
#define STATE_SIZE   16
#define PROBLEM_MAX  (64u * 1024)
#define WAIT_MIN_MS  50 /* an api restarts within some tenths of a second */
#define WAIT_MAX_MS  2000
#define STREAM_TYPE  "text/event-stream"
#define FIRST_SERVER 500 /* from here on a status says that the server can't, now */

struct follow {
	const struct arguments *arguments;
	const char *id;
	void (*on_event)(void *arg, const struct event *event);
	void *arg;
	struct event_reader reader;
	CURL *curl;
	char last_id[EVENT_ID_SIZE]; /* "": nothing has come yet */
	char end[STATE_SIZE];        /* the final state; "": not yet */
	struct pl_buf problem;       /* the body of an answer that is no stream */
	bool is_stream;              /* this answer; was_stream: any so far */
	bool was_stream;
	bool is_strange;
	bool is_away; /* and that has been said */
	uint64_t seen_ms, wait_ms;
};

static void take_end(struct follow *follow, const char *data)
{
	json_t *end = json_loads(data, 0, NULL);

	snprintf(follow->end, sizeof(follow->end), "%s", ask_text(end, "state"));
	follow->is_strange = follow->end[0] == '\0';
	json_decref(end);
}

static void take_event(void *arg, const struct event *event)
{
	struct follow *follow = arg;

	if (strcmp(event->name, "end") == 0) {
		take_end(follow, event->data);
		return;
	}
	if (event->id[0] != '\0')
		memcpy(follow->last_id, event->id, sizeof(follow->last_id));
	follow->on_event(follow->arg, event);
}

static bool is_stream(CURL *curl)
{
	long status = 0;
	const char *type = NULL;

	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
	return status == 200 && type != NULL &&
	       strncmp(type, STREAM_TYPE, sizeof(STREAM_TYPE) - 1) == 0;
}

static size_t on_bytes(char *data, size_t size, size_t count, void *arg)
{
	struct follow *follow = arg;
	size_t len = size * count;

	if (!is_stream(follow->curl))
		return pl_buf_add(&follow->problem, data, len) == PL_OK ? len : 0;
	follow->wait_ms = WAIT_MIN_MS;
	follow->is_strange = !event_reader_feed(&follow->reader, data, len) || follow->is_strange;
	return follow->is_strange ? 0 : len;
}

static struct curl_slist *headers_new(const struct follow *follow)
{
	char last[HEADER_SIZE];
	struct curl_slist *headers = curl_slist_append(NULL, "Accept: " STREAM_TYPE);

	snprintf(last, sizeof(last), "Last-Event-ID: %s", follow->last_id);
	return follow->last_id[0] != '\0' ? curl_slist_append(headers, last) : headers;
}

/* One answer, to its end. */
static CURLcode stream(struct follow *follow)
{
	struct curl_slist *headers = headers_new(follow);
	CURLcode failed;

	event_reader_reset(&follow->reader);
	pl_buf_clear(&follow->problem);
	curl_easy_setopt(follow->curl, CURLOPT_HTTPHEADER, headers);
	failed = curl_easy_perform(follow->curl);
	curl_slist_free_all(headers);
	follow->is_stream = is_stream(follow->curl);
	if (follow->is_stream) {
		follow->was_stream = true;
		follow->is_away = false;
		follow->seen_ms = pl_clock_mono_ms();
	}
	return failed;
}

static void wait_a_while(struct follow *follow)
{
	struct timespec pause = {
		.tv_sec = (time_t)(follow->wait_ms / 1000),
		.tv_nsec = (long)(follow->wait_ms % 1000 * 1000000),
	};

	nanosleep(&pause, NULL); /* a signal only shortens it */
	follow->wait_ms = follow->wait_ms * 2 < WAIT_MAX_MS ? follow->wait_ms * 2 : WAIT_MAX_MS;
}

/* The stream has ended without an end. Is it worth another try? */
static bool goes_on(struct follow *follow, CURLcode failed, long status)
{
	bool is_known = follow->was_stream &&
			pl_clock_mono_ms() - follow->seen_ms < FOLLOW_AWAY_S * UINT64_C(1000);

	if (follow->is_strange ||
		(failed == CURLE_OK && !follow->is_stream && status < FIRST_SERVER))
		return false;
	if (is_known && !follow->is_away && !follow->is_stream) {
		fputs("fetchback: the api is away, trying again\n", stderr);
		follow->is_away = true;
	}
	return is_known;
}

static int give_up(const struct follow *follow, CURLcode failed, long status)
{
	if (follow->is_strange || (failed == CURLE_OK && status >= 200 && status < 300))
		return ask_strange(follow->arguments);
	if (failed != CURLE_OK) {
		ask_silence(follow->arguments, failed);
		return COMMAND_UNREACHABLE;
	}
	ask_problem(follow->arguments, status, &follow->problem);
	return COMMAND_FAILED;
}

static int follow_on(struct follow *follow)
{
	for (;;) {
		CURLcode failed = stream(follow);
		long status = 0;

		if (follow->end[0] != '\0')
			return strcmp(follow->end, "delivered") == 0 ? COMMAND_OK
								     : COMMAND_UNDELIVERED;
		curl_easy_getinfo(follow->curl, CURLINFO_RESPONSE_CODE, &status);
		if (!goes_on(follow, failed, status))
			return give_up(follow, failed, status);
		wait_a_while(follow);
	}
}

int follow(const struct arguments *arguments, const char *id,
	void (*on_event)(void *arg, const struct event *event), void *arg)
{
	struct follow follow = {
		.arguments = arguments,
		.id = id,
		.on_event = on_event,
		.arg = arg,
		.wait_ms = WAIT_MIN_MS,
	};
	char path[PATH_SIZE];
	int code;

	snprintf(path, sizeof(path), "/requests/%s/logs?follow=1", id);
	code = ask_open(arguments, path, &follow.curl);
	if (code != COMMAND_OK)
		return code;
	event_reader_init(&follow.reader, take_event, &follow);
	pl_buf_init(&follow.problem, PROBLEM_MAX);
	curl_easy_setopt(follow.curl, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(follow.curl, CURLOPT_WRITEDATA, &follow);
	curl_easy_setopt(follow.curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(follow.curl, CURLOPT_LOW_SPEED_TIME, (long)FOLLOW_SILENCE_S);
	code = follow_on(&follow);
	curl_easy_cleanup(follow.curl);
	event_reader_fini(&follow.reader);
	pl_buf_fini(&follow.problem);
	return code;
}
