/*
 * record_json: records built by hand, read back by jansson. The unit sees no Redis and no encoding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "pipeline/mem.h"
#include "record_json.h"

#define ID         "0190a3c4-0000-7000-8000-000000000001"
#define CREATED    1700000000123ull /* 2023-11-14T22:13:20.123Z */
#define ANSWER_MAX (1024 * 1024)

struct story { /* a record and what was found with it */
	struct pl_record record;
	struct pl_event events[300];
	struct store_found found;
};

static struct story *story_new(void)
{
	struct story *s = pl_calloc(1, sizeof(*s));
	memcpy(s->record.request.id, ID, sizeof(ID));
	s->record.request.provider = "https://user:word@h.example/p?key=1#f";
	s->record.request.callback_url = "http://c.example/";
	s->record.request.priority = PL_PRIORITY_DEFAULT;
	s->record.request.owner = "";
	s->record.created_ms = CREATED;
	s->record.events = s->events;
	s->record.data.content_type = "";
	s->found = (struct store_found) {
		.record = &s->record,
		.state = PL_STATE_QUEUED,
		.waiting = { .ahead = -1 },
	};
	return s;
}

static struct pl_event *story_add(struct story *s, const char *name, int stage, unsigned attempt)
{
	struct pl_event *event = &s->events[s->record.events_count];
	*event = (struct pl_event) {
		.n = (unsigned)++s->record.events_count,
		.time_ms = CREATED + 1000 * (s->record.events_count - 1),
		.level = PL_LOG_INFO,
		.service = stage == PL_STAGE_FETCH ? 'c' : 'a',
		.name = name,
		.stage = stage,
		.attempt = attempt,
		.message = "",
	};
	s->record.last = event;
	return event;
}

static json_t *shown(const struct story *s)
{
	struct pl_buf out;
	pl_buf_init(&out, ANSWER_MAX);
	assert_int_equal(record_json(&s->found, &out), PL_OK);
	json_t *json = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
	if (json == NULL)
		fail_msg("no JSON: %s", out.data);
	pl_buf_fini(&out);
	return json;
}

static const char *text(const json_t *json, const char *key)
{
	const char *value = json_string_value(json_object_get(json, key));
	return value != NULL ? value : "(none)";
}

static json_int_t number(const json_t *json, const char *key)
{
	return json_integer_value(json_object_get(json, key));
}

static void test_new_request(void **state)
{
	(void)state;
	struct story *s = story_new();
	story_add(s, "accepted", -1, 0);
	s->found.waiting = (struct store_waiting) { .reason = "queue", .ahead = 7 };
	json_t *json = shown(s);
	assert_string_equal(text(json, "requestId"), ID);
	assert_string_equal(text(json, "state"), "queued");
	assert_true(json_is_false(json_object_get(json, "paused")));
	assert_string_equal(text(json, "provider"), "https://h.example/p?…");
	assert_string_equal(text(json, "callbackUrl"), "http://c.example/");
	assert_string_equal(text(json, "priority"), "default");
	assert_string_equal(text(json, "createdAt"), "2023-11-14T22:13:20.123Z");
	assert_string_equal(text(json, "updatedAt"), "2023-11-14T22:13:20.123Z");
	assert_int_equal(json_array_size(json_object_get(json, "attempts")), 0);
	json_t *waiting = json_object_get(json, "waiting");
	assert_string_equal(text(waiting, "reason"), "queue");
	assert_int_equal(number(waiting, "ahead"), 7);
	assert_null(json_object_get(waiting, "until"));
	static const char *const absent[] = { "finishedAt", "labels", "meta", "owner", "data",
		"error", "parent" };
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		assert_null(json_object_get(json, absent[i]));
	json_decref(json);
	free(s);
}

static void test_attempts(void **state)
{
	(void)state;
	struct story *s = story_new();
	story_add(s, "accepted", -1, 0);
	struct pl_event *retry = story_add(s, "retry", PL_STAGE_FETCH, 1);
	retry->ms = 250;
	retry->status = 503;
	retry->fault = PL_FAULT_HTTP_STATUS;
	retry->message = "the provider answered 503";
	story_add(s, "fetched", PL_STAGE_FETCH, 2)->status = 200;
	s->found.waiting = (struct store_waiting) {
		.reason = "backoff", .until_ms = CREATED + 5, .ahead = -1
	};
	json_t *json = shown(s);
	json_t *attempts = json_object_get(json, "attempts");
	assert_int_equal(json_array_size(attempts), 2);
	json_t *first = json_array_get(attempts, 0);
	assert_string_equal(text(first, "stage"), "fetch");
	assert_int_equal(number(first, "n"), 1);
	assert_string_equal(text(first, "startedAt"), "2023-11-14T22:13:20.873Z");
	assert_int_equal(number(first, "ms"), 250);
	assert_int_equal(number(first, "status"), 503);
	assert_string_equal(text(json_object_get(first, "error"), "code"), "http_status");
	assert_string_equal(
		text(json_object_get(first, "error"), "message"), "the provider answered 503");
	assert_null(json_object_get(json_array_get(attempts, 1), "error"));
	json_t *waiting = json_object_get(json, "waiting");
	assert_string_equal(text(waiting, "until"), "2023-11-14T22:13:20.128Z");
	assert_null(json_object_get(waiting, "ahead"));
	assert_null(json_object_get(json, "error")); /* it may still succeed */
	json_decref(json);
	free(s);
}

static void test_the_last_64_attempts(void **state)
{
	(void)state;
	struct story *s = story_new();
	for (unsigned n = 1; n <= 101; n++)
		story_add(s, "retry", PL_STAGE_FETCH, n);
	story_add(s, "failed", -1, 0);
	json_t *json = shown(s);
	json_t *attempts = json_object_get(json, "attempts");
	assert_int_equal(json_array_size(attempts), 64);
	assert_int_equal(number(json_array_get(attempts, 0), "n"), 38);
	assert_int_equal(number(json_array_get(attempts, 63), "n"), 101);
	json_decref(json);
	free(s);
}

static void test_failed_request(void **state)
{
	(void)state;
	struct story *s = story_new();
	struct pl_event *event = story_add(s, "failed", PL_STAGE_FETCH, 1);
	event->fault = PL_FAULT_ADDRESS_BLOCKED;
	event->message = "blocked";
	s->found.state = PL_STATE_FAILED;
	json_t *json = shown(s);
	assert_string_equal(text(json, "state"), "failed");
	assert_string_equal(text(json, "finishedAt"), "2023-11-14T22:13:20.123Z");
	assert_string_equal(text(json_object_get(json, "error"), "code"), "address_blocked");
	assert_string_equal(text(json_object_get(json, "error"), "message"), "blocked");
	json_decref(json);
	free(s);
}

static void test_data(void **state)
{
	(void)state;
	struct story *s = story_new();
	story_add(s, "fetched", PL_STAGE_FETCH, 1);
	s->record.data = (struct pl_data) {
		.kind = PL_DATA_TEXT,
		.bytes = 3,
		.content_type = "text/plain",
		.inline_bytes = "abc",
		.sha256 = "",
	};
	json_t *json = shown(s);
	json_t *data = json_object_get(json, "data");
	assert_int_equal(number(data, "bytes"), 3);
	assert_string_equal(text(data, "contentType"), "text/plain");
	assert_string_equal(text(data, "sha256"),
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	json_decref(json);

	s->record.data = (struct pl_data) { .kind = PL_DATA_EMPTY, .content_type = "" };
	json = shown(s);
	data = json_object_get(json, "data");
	assert_int_equal(number(data, "bytes"), 0);
	assert_null(json_object_get(data, "contentType"));
	assert_string_equal(text(data, "sha256"),
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	json_decref(json);

	s->record.data = (struct pl_data) { .kind = PL_DATA_BINARY,
		.bytes = 300000,
		.chunks = 2,
		.content_type = "",
		.sha256 = "00ff" };
	json = shown(s);
	assert_string_equal(text(json_object_get(json, "data"), "sha256"), "00ff");
	json_decref(json);
	free(s);
}

static void test_what_a_client_gave(void **state)
{
	(void)state;
	struct story *s = story_new();
	story_add(s, "accepted", -1, 0)->paused = true;
	s->record.request.labels[0] = "nightly";
	s->record.request.labels[1] = "\"\n";
	s->record.request.labels_count = 2;
	s->record.request.meta = "{\"a\":[1]}";
	s->record.request.owner = "team";
	s->record.request.parent = "p";
	json_t *json = shown(s);
	assert_true(json_is_true(json_object_get(json, "paused")));
	assert_int_equal(json_array_size(json_object_get(json, "labels")), 2);
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(json, "labels"), 1)), "\"\n");
	assert_int_equal(json_array_size(json_object_get(json_object_get(json, "meta"), "a")), 1);
	assert_string_equal(text(json, "owner"), "team");
	assert_string_equal(text(json, "parent"), "p");
	json_decref(json);
	free(s);
}

static void test_log(void **state)
{
	(void)state;
	struct story *s = story_new();
	story_add(s, "accepted", -1, 0);
	struct pl_event *retry = story_add(s, "retry", PL_STAGE_FETCH, 1);
	retry->level = PL_LOG_WARN;
	retry->message = "a\nb";
	story_add(s, "fetched", PL_STAGE_FETCH, 2)->status = 200;
	struct pl_buf out;
	pl_buf_init(&out, ANSWER_MAX);
	assert_int_equal(record_json_log(&s->record, &out), PL_OK);
	assert_string_equal(out.data,
		"{\"n\":1,\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"info\",\"service\":"
		"\"api\","
		"\"requestId\":\"" ID "\",\"event\":\"accepted\"}\n"
		"{\"n\":2,\"time\":\"2023-11-14T22:13:21.123Z\",\"level\":\"warn\","
		"\"service\":\"consumer\",\"requestId\":\"" ID "\",\"event\":\"retry\","
		"\"stage\":\"fetch\",\"attempt\":1,\"reason\":\"a\\nb\"}\n"
		"{\"n\":3,\"time\":\"2023-11-14T22:13:22.123Z\",\"level\":\"info\","
		"\"service\":\"consumer\",\"requestId\":\"" ID "\",\"event\":\"fetched\","
		"\"stage\":\"fetch\",\"attempt\":2,\"reason\":\"answered 200\"}\n");
	pl_buf_fini(&out);
	free(s);
}

static void test_ceiling_is_told(void **state)
{
	(void)state;
	struct story *s = story_new();
	story_add(s, "accepted", -1, 0);
	struct pl_buf out;
	pl_buf_init(&out, 100);
	assert_int_equal(record_json(&s->found, &out), PL_ELIMIT);
	pl_buf_clear(&out);
	assert_int_equal(record_json_log(&s->record, &out), PL_ELIMIT);
	pl_buf_fini(&out);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_request),
		cmocka_unit_test(test_attempts),
		cmocka_unit_test(test_the_last_64_attempts),
		cmocka_unit_test(test_failed_request),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_what_a_client_gave),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_ceiling_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
