/* What a client may ask for: every field's edges, every fault by name, and back from a record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/clock.h"
#include "pipeline/mem.h"
#include "request_private.h"

#define URLS "\"provider\":\"https://a.example/x\",\"callbackUrl\":\"http://b.example:81/y\""
#define NOW  UINT64_C(1764576000000) /* 2025-12-01T08:00:00Z */
#define ROOM (2 * PL_REQUEST_BODY_MAX)

static struct pl_netpolicy *policy;
static struct pl_faults faults;

static int start(void **state)
{
	(void)state;
	const char *why;
	return (int)pl_netpolicy_new(&(struct pl_netpolicy_options) { 0 }, &policy, &why);
}

static int stop(void **state)
{
	(void)state;
	pl_netpolicy_free(policy);
	return 0;
}

static enum pl_err read_text(const char *json, size_t len, struct pl_request **out)
{
	const struct pl_request_rules rules = { .policy = policy, .now_ms = NOW };
	char *exact = malloc(len > 0 ? len : 1); /* no NUL behind it: the sanitizer sees */
	if (len > 0)
		memcpy(exact, json, len);
	pl_faults_init(&faults);
	enum pl_err err = pl_request_read(exact, len, "", &rules, out, &faults);
	free(exact);
	return err;
}

/* "{" URLS "," members "}" */
static char *beside_urls(const char *members)
{
	struct pl_buf json;
	pl_buf_init(&json, ROOM);
	assert_int_equal(pl_buf_text(&json, "{" URLS ","), PL_OK);
	assert_int_equal(pl_buf_text(&json, members), PL_OK);
	assert_int_equal(pl_buf_text(&json, "}"), PL_OK);
	return pl_buf_take(&json, NULL);
}

static struct pl_request *taken(const char *json)
{
	struct pl_request *request = NULL;
	if (read_text(json, strlen(json), &request) != PL_OK)
		fail_msg("%.200s: %s %s", json, faults.list[0].pointer, faults.list[0].detail);
	assert_int_equal(faults.count, 0);
	return request;
}

static struct pl_request *taken_with(const char *members)
{
	char *json = beside_urls(members);
	struct pl_request *request = taken(json);
	free(json);
	return request;
}

static bool names(const char *pointer, const char *detail)
{
	for (size_t i = 0; i < faults.count; i++)
		if (strcmp(faults.list[i].pointer, pointer) == 0 &&
			strstr(faults.list[i].detail, detail) != NULL)
			return true;
	return false;
}

static void refused(const char *json, const char *pointer, const char *detail)
{
	struct pl_request *request = NULL;
	if (read_text(json, strlen(json), &request) == PL_OK)
		fail_msg("%.200s was taken", json);
	assert_null(request);
	if (!names(pointer, detail))
		fail_msg("%.200s: %s %s; wanted: %s %s", json, faults.list[0].pointer,
			faults.list[0].detail, pointer, detail);
}

/* Refused for this one fault and no other. */
static void refused_with(const char *members, const char *pointer, const char *detail)
{
	char *json = beside_urls(members);
	refused(json, pointer, detail);
	if (faults.count != 1)
		fail_msg("%.200s: also %s %s", json, faults.list[1].pointer, faults.list[1].detail);
	assert_false(faults.malformed);
	free(json);
}

static void test_the_usual_request(void **state)
{
	(void)state;
	struct pl_request *request = taken("{" URLS "}");
	assert_string_equal(request->provider, "https://a.example/x");
	assert_string_equal(request->callback_url, "http://b.example:81/y");
	assert_string_equal(request->fetch_lane, "a.example:443");
	assert_string_equal(request->deliver_lane, "b.example:81");
	assert_string_equal(request->id, "");
	assert_string_equal(request->owner, "");
	assert_null(request->parent);
	assert_null(request->failure_callback_url);
	assert_null(request->meta);
	assert_null(request->dedupe_key);
	assert_null(request->options);
	assert_int_equal(request->starts_in, PL_STAGE_FETCH);
	assert_int_equal(request->priority, PL_PRIORITY_DEFAULT);
	assert_int_equal(request->dedupe_mode, PL_DEDUPE_DROP);
	assert_int_equal(request->delay_ms, 0);
	assert_int_equal(request->not_before_ms, 0);
	assert_int_equal(request->labels_count, 0);
	for (size_t i = 0; i < PL_STAGES; i++) {
		const struct pl_stage_options *stage = &request->stage[i];
		assert_null(stage->method);
		assert_null(stage->body);
		assert_null(stage->schedule);
		assert_int_equal(stage->headers_count, 0);
		assert_int_equal(stage->timeout_ms, 0);
		assert_int_equal(stage->retries, -1);
	}
	struct pl_buf out;
	pl_buf_init(&out, 100);
	assert_int_equal(pl_request_options_encode(request, &out), PL_OK);
	assert_int_equal(out.len, 0);
	pl_buf_fini(&out);
	pl_request_free(request);
	pl_request_free(NULL);
}

/* The same two members in their order; escaped: the first name's first letter is, which makes it
 * another text that says the same. */
static char *two_urls(bool callback_first, bool escaped, const char *first, const char *second)
{
	static const char *const names[2][2] = { { "provider", "\\u0070rovider" },
		{ "callbackUrl", "\\u0063allbackUrl" } };
	struct pl_buf json;
	pl_buf_init(&json, ROOM);
	assert_int_equal(
		pl_buf_format(&json, " {\t\"%s\" :\"%s\",\r\n\"%s\": \"%s\"\n} ",
			names[callback_first][escaped], first, names[!callback_first][0], second),
		PL_OK);
	return pl_buf_take(&json, NULL);
}

static void same_request(const struct pl_request *one, const struct pl_request *other)
{
	assert_string_equal(one->provider, other->provider);
	assert_string_equal(one->callback_url, other->callback_url);
	assert_string_equal(one->fetch_lane, other->fetch_lane);
	assert_string_equal(one->deliver_lane, other->deliver_lane);
	assert_null(one->options);
	assert_null(other->options);
}

static void same_faults(const struct pl_faults *one, const struct pl_faults *other)
{
	assert_int_equal(one->count, other->count);
	for (size_t i = 0; i < one->count; i++) {
		assert_string_equal(one->list[i].pointer, other->list[i].pointer);
		assert_string_equal(one->list[i].detail, other->list[i].detail);
	}
}

static void read_both_ways(bool callback_first, const char *first, const char *second)
{
	static struct pl_faults before;
	char *plain = two_urls(callback_first, false, first, second);
	char *escaped = two_urls(callback_first, true, first, second);
	struct pl_request *one = NULL;
	struct pl_request *other = NULL;
	enum pl_err err = read_text(plain, strlen(plain), &one);
	before = faults;
	assert_int_equal(read_text(escaped, strlen(escaped), &other), err);
	same_faults(&before, &faults);
	assert_int_equal(one == NULL, err != PL_OK);
	if (one != NULL)
		same_request(one, other);
	pl_request_free(one);
	pl_request_free(other);
	free(plain);
	free(escaped);
}

static void test_the_usual_text_is_read_as_any_other(void **state)
{
	(void)state;
	static const char *const urls[] = { "https://a.example/x?y=1&z#f", "HTTP://B.example.:81",
		"", "http://", "ftp://a.example/", "http://u@a.example/", "http://10.0.0.1/",
		"http://[::1]:80/", "http://a.example/\xc3\xbc", "http:\\/\\/a.example\\/",
		"http://a.example/ b", "http://a.example/\\u0000", "http://a.example/\x7f" };
	const size_t count = sizeof urls / sizeof *urls;
	for (size_t i = 0; i < 2 * count * count; i++)
		read_both_ways(i % 2 == 1, urls[i / 2 % count], urls[i / 2 / count]);
}

/* jansson would pass over the one behind a number. */
static void test_a_nul_is_no_json(void **state)
{
	(void)state;
	static const char number[] = "{" URLS ",\"meta\":[19\0]}";
	static const char end[] = "{" URLS "}";
	struct pl_request *request = NULL;
	assert_int_equal(read_text(number, sizeof number - 1, &request), PL_EINVAL);
	assert_true(names("", "has a NUL at byte "));
	assert_true(faults.malformed);
	assert_int_equal(read_text(end, sizeof end, &request), PL_EINVAL);
	assert_true(faults.malformed);
}

static void test_what_looks_like_the_usual_text(void **state)
{
	(void)state;
	static const char *const malformed[] = { "{" URLS, "{" URLS ",}", "{" URLS "}}",
		"{" URLS "} x", "{," URLS "}", "[" URLS "]", "{" URLS "\"}", "{" URLS "}{" URLS "}",
		"{\"provider\":\"http://a.example/\" \"callbackUrl\":\"http://a.example/\"}",
		"{\"provider\" \"http://a.example/\",\"callbackUrl\":\"http://a.example/\"}",
		"{\"provider\":\"http://a.example/\n\",\"callbackUrl\":\"http://a.example/\"}",
		"{\"provider\":\"http://a.example/\xff\",\"callbackUrl\":\"http://a.example/\"}" };
	for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
		refused(malformed[i], "", "line ");
		assert_true(faults.malformed);
		assert_int_equal(faults.count, 1);
	}
	const char *whole = "{" URLS "}";
	struct pl_request *request = NULL;
	for (size_t len = 0; len < strlen(whole); len++) {
		assert_int_equal(read_text(whole, len, &request), PL_EINVAL);
		assert_true(faults.malformed);
	}
	refused("{\"provider\":\"http://a.example/\",\"provider\":\"http://a.example/\"}", "",
		"duplicate");
	refused("{\"callbackUrl\":\"http://a.example/\",\"callbackUrl\":\"http://a.example/\"}", "",
		"duplicate");
	refused("{\"provider\":\"http://a.example/\",\"callbackUrls\":\"http://a.example/\"}",
		"/callbackUrls", "is not a known field");
	refused("{\"provide\":\"http://a.example/\",\"callbackUrl\":\"http://a.example/\"}",
		"/provide", "is not a known field");
}

static const char everything[] =
	"{\"provider\":\"https://api.example/report/7\",\"callbackUrl\":\"https://me.example/"
	"hook\","
	"\"failureCallbackUrl\":\"https://me.example/oops\","
	"\"fetch\":{\"method\":\"POST\",\"headers\":{\"X-A\":\"b\\tc \xc3\xbc\",\"Accept\":\"\"},"
	"\"body\":\"te\\\"xt\\n\",\"timeout\":\"10m\",\"retries\":6,\"schedule\":[\"5s\",0.25,0]},"
	"\"callback\":{\"headers\":{\"Authorization\":\"Bearer x\"},\"timeout\":30,\"retries\":0,"
	"\"schedule\":[\"1h30m\"]},\"priority\":\"low\",\"notBefore\":\"2026-01-02T03:04:05.678Z\","
	"\"expiresAfter\":\"24h\",\"dedupeKey\":\"object-1\",\"dedupeWindow\":\"5m\","
	"\"dedupeMode\":\"latest\",\"labels\":[\"nightly\",\"\xc3\xbc\"],"
	"\"meta\" : { \"any\" : [ 0.1, 1e2, -0, 18446744073709551616, \"a b\\\" c\" ] } }";

static void is_everything(const struct pl_request *request)
{
	const struct pl_stage_options *fetch = &request->stage[PL_STAGE_FETCH];
	const struct pl_stage_options *callback = &request->stage[PL_STAGE_DELIVER];
	assert_string_equal(request->failure_callback_url, "https://me.example/oops");
	assert_string_equal(fetch->method, "POST");
	assert_int_equal(fetch->headers_count, 2);
	assert_string_equal(fetch->headers[0].name, "X-A");
	assert_string_equal(fetch->headers[0].value, "b\tc \xc3\xbc");
	assert_string_equal(fetch->headers[1].name, "Accept");
	assert_string_equal(fetch->headers[1].value, "");
	assert_int_equal(fetch->body_len, 6);
	assert_string_equal(fetch->body, "te\"xt\n");
	assert_int_equal(fetch->timeout_ms, 600000);
	assert_int_equal(fetch->retries, 6);
	assert_int_equal(fetch->schedule->count, 3);
	assert_int_equal(fetch->schedule->delay_ms[0], 5000);
	assert_int_equal(fetch->schedule->delay_ms[1], 250);
	assert_int_equal(fetch->schedule->delay_ms[2], 0);
	assert_int_equal(callback->headers_count, 1);
	assert_string_equal(callback->headers[0].value, "Bearer x");
	assert_int_equal(callback->timeout_ms, 30000);
	assert_int_equal(callback->retries, 0);
	assert_int_equal(callback->schedule->count, 1);
	assert_int_equal(callback->schedule->delay_ms[0], 5400000);
	assert_int_equal(request->priority, PL_PRIORITY_LOW);
	assert_int_equal(request->not_before_ms, UINT64_C(1767323045678));
	assert_int_equal(request->expires_after_ms, 86400000);
	assert_string_equal(request->dedupe_key, "object-1");
	assert_int_equal(request->dedupe_window_ms, 300000);
	assert_int_equal(request->dedupe_mode, PL_DEDUPE_LATEST);
	assert_int_equal(request->labels_count, 2);
	assert_string_equal(request->labels[0], "nightly");
	assert_string_equal(request->labels[1], "\xc3\xbc");
	assert_string_equal(
		request->meta, "{\"any\":[0.1,1e2,-0,18446744073709551616,\"a b\\\" c\"]}");
}

static void test_everything_there_and_back(void **state)
{
	(void)state;
	struct pl_request *request = taken(everything);
	is_everything(request);
	struct pl_buf out, again;
	pl_buf_init(&out, ROOM);
	pl_buf_init(&again, ROOM);
	assert_int_equal(pl_request_options_encode(request, &out), PL_OK);
	assert_null(memchr(out.data, '\n', out.len));
	assert_null(memchr(out.data, '\t', out.len));
	struct pl_request back = { .provider = "p", .callback_url = "c", .owner = "o" };
	assert_int_equal(pl_request_options_decode(&back, out.data, out.len), PL_OK);
	is_everything(&back);
	assert_string_equal(back.provider, "p");
	assert_string_equal(back.owner, "o");
	assert_int_equal(pl_request_options_encode(&back, &again), PL_OK);
	assert_string_equal(out.data, again.data);
	pl_request_clear(&back);
	pl_request_free(request);
	pl_buf_fini(&out);
	pl_buf_fini(&again);
}

static void test_each_option_alone_there_and_back(void **state)
{
	(void)state;
	static const char *const table[] = {
		"\"failureCallbackUrl\":\"https://c.example/\"",
		"\"fetch\":{\"method\":\"GET\"}",
		"\"fetch\":{\"method\":\"PUT\",\"body\":\"\"}",
		"\"fetch\":{\"headers\":{\"A\":\"b\"}}",
		"\"fetch\":{\"timeout\":\"1ms\"}",
		"\"fetch\":{\"retries\":0}",
		"\"fetch\":{\"retries\":100}",
		"\"fetch\":{\"schedule\":[\"0s\"]}",
		"\"callback\":{\"headers\":{\"A\":\"b\"}}",
		"\"callback\":{\"timeout\":\"1h\"}",
		"\"callback\":{\"retries\":1}",
		"\"callback\":{\"schedule\":[\"365d\",\"1s500ms\"]}",
		"\"priority\":\"high\"",
		"\"priority\":\"low\"",
		"\"delay\":\"1ms\"",
		"\"delay\":\"365d\"",
		"\"notBefore\":\"2026-11-30T08:00:00.000Z\"",
		"\"expiresAfter\":\"1ms\"",
		"\"dedupeKey\":\"k\"",
		"\"dedupeKey\":\"k\",\"dedupeWindow\":\"1d\"",
		"\"dedupeKey\":\"k\",\"dedupeMode\":\"join\"",
		"\"labels\":[\"a\",\"A\"]",
		"\"meta\":null",
		"\"meta\":false",
		"\"meta\":0",
		"\"meta\":\"\"",
		"\"meta\":[]",
		"\"meta\":{}",
		"\"meta\":{\"meta\":{\"provider\":1}}",
		"\"meta\":\"\\ud83d\\ude00 \xf0\x9f\x98\x80 \\\\u0000 \x7f\"",
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct pl_request *request = taken_with(table[i]);
		struct pl_request back = { 0 };
		struct pl_buf out;
		char wanted[256];
		pl_buf_init(&out, ROOM);
		assert_int_equal(pl_request_options_encode(request, &out), PL_OK);
		snprintf(wanted, sizeof wanted, "{%s}", table[i]);
		assert_string_equal(out.data, wanted);
		assert_int_equal(pl_request_options_decode(&back, out.data, out.len), PL_OK);
		pl_buf_clear(&out);
		assert_int_equal(pl_request_options_encode(&back, &out), PL_OK);
		assert_string_equal(out.data, wanted);
		pl_request_clear(&back);
		pl_request_free(request);
		pl_buf_fini(&out);
	}
}

static void test_defaults_leave_nothing_behind(void **state)
{
	(void)state;
	struct pl_request *request =
		taken_with("\"fetch\":{},\"callback\":{\"headers\":{}},\"priority\":\"default\","
			   "\"delay\":0,\"labels\":[]");
	struct pl_buf out;
	pl_buf_init(&out, ROOM);
	assert_int_equal(pl_request_options_encode(request, &out), PL_OK);
	assert_int_equal(out.len, 0);
	pl_buf_fini(&out);
	pl_request_free(request);
}

static void test_encode_keeps_to_its_ceiling(void **state)
{
	(void)state;
	struct pl_request *request = taken(everything);
	struct pl_buf whole;
	pl_buf_init(&whole, ROOM);
	assert_int_equal(pl_request_options_encode(request, &whole), PL_OK);
	for (size_t max = 4; max < whole.len + 4; max += 7) {
		struct pl_buf out;
		pl_buf_init(&out, max);
		assert_int_equal(pl_buf_text(&out, "head"), PL_OK);
		assert_int_equal(pl_request_options_encode(request, &out), PL_ELIMIT);
		assert_int_equal(out.len, 4);
		assert_string_equal(out.data, "head");
		pl_buf_fini(&out);
	}
	pl_buf_fini(&whole);
	pl_request_free(request);
}

static void test_decode_takes_no_garbage(void **state)
{
	(void)state;
	static const char *const table[] = { "{", "x", "[]", "1", "{\"fetch\":1}", "{\"x\":1}",
		"{\"priority\":\"x\"}", "{\"fetch\":{\"headers\":{\"A\":\"b\"},\"x\":1}}",
		"{\"fetch\":{\"schedule\":[\"1s\"],\"retries\":-1}}", "{} {}",
		"{\"labels\":[\"a\",1]}" };
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct pl_request request = { .provider = "p" };
		struct pl_request before = request;
		assert_int_equal(
			pl_request_options_decode(&request, table[i], strlen(table[i])), PL_EINVAL);
		assert_memory_equal(&request, &before, sizeof request);
	}
	struct pl_request request = { 0 };
	assert_int_equal(pl_request_options_decode(&request, "", 0), PL_OK);
	assert_int_equal(request.stage[PL_STAGE_DELIVER].retries, -1);
	assert_int_equal(request.priority, PL_PRIORITY_DEFAULT);
}

static void test_every_fault_at_once(void **state)
{
	(void)state;
	refused("{\"provider\":\"ftp://a.example/\",\"callbackUrl\":1,\"foo\":1,"
		"\"fetch\":{\"method\":\"get\",\"a~/b\":1,\"headers\":{\"X "
		"A\":\"b\",\"Host\":\"h\","
		"\"x\":1,\"X\":\"2\"},\"timeout\":\"x\",\"retries\":1.5,\"schedule\":[\"5s\",-1,"
		"null]},"
		"\"callback\":[],\"priority\":\"Low\",\"delay\":\"366d\",\"notBefore\":\"today\","
		"\"labels\":[\"a\",\"a\",\"\",7]}",
		"/provider", "must begin with http");
	static const char *const table[][2] = {
		{ "/callbackUrl", "must be a string" },
		{ "/foo", "is not a known field" },
		{ "/fetch/method", "must be GET" },
		{ "/fetch/a~0~1b", "is not a known field" },
		{ "/fetch/headers/X A", "is no header name" },
		{ "/fetch/headers/Host", "can't be set" },
		{ "/fetch/headers/x", "must be a string" },
		{ "/fetch/headers/X", "is given twice, as x" },
		{ "/fetch/timeout", "must be a duration" },
		{ "/fetch/retries", "whole number from 0 to 100" },
		{ "/fetch/schedule/1", "must be a duration" },
		{ "/fetch/schedule/2", "must be a duration" },
		{ "/callback", "must be an object" },
		{ "/priority", "must be high, default or low" },
		{ "/delay", "longer than 365d" },
		{ "/notBefore", "must be a time" },
		{ "/notBefore", "together with delay" },
		{ "/labels/1", "is given twice" },
		{ "/labels/2", "is empty" },
		{ "/labels/3", "must be a string" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (!names(table[i][0], table[i][1]))
			fail_msg("%s %s is missing", table[i][0], table[i][1]);
	assert_int_equal(faults.count, 1 + sizeof table / sizeof *table);
	assert_int_equal(faults.dropped, 0);
	assert_false(faults.malformed);
}

static void test_what_is_required(void **state)
{
	(void)state;
	refused("{}", "/provider", "is required");
	assert_true(names("/callbackUrl", "is required"));
	assert_int_equal(faults.count, 2);
	refused("{\"callbackUrl\":\"http://b.example/\"}", "/provider", "is required");
	assert_int_equal(faults.count, 1);
	refused("{\"provider\":\"http://b.example/\",\"callbackurl\":\"http://b.example/\"}",
		"/callbackUrl", "is required");
	assert_true(names("/callbackurl", "is not a known field"));
	assert_int_equal(faults.count, 2);
}

static void test_what_is_no_request_at_all(void **state)
{
	(void)state;
	static const char *const malformed[] = { "", " ", "{", "}", "[", "nul", "{'a':1}",
		"{\"a\":1,}", "{\"a\" 1}", "{a:1}", "{} x", "{}{}", "\xef\xbb\xbf{}",
		"{\"a\":\"\xff\"}", "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\\ud800\"}",
		"{\"a\":\"\n\"}", "{\"a\":01}", "{\"a\":+1}", "{\"a\":.5}", "{\"a\":NaN}",
		"{\"a\":Infinity}", "{\"a\":0x1}", "{\"a\":\"\\x41\"}", "{/**/}", "{\"a\":[1,]}",
		"{\"a\":\"x}", "{\"meta\":}", "{\"meta\":1 2}", "{\"meta\":[}", "\"\\" };
	for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
		refused(malformed[i], "", "line ");
		if (!faults.malformed)
			fail_msg("%s counts as JSON", malformed[i]);
		assert_int_equal(faults.count, 1);
	}
	struct pl_request *request = NULL;
	assert_int_equal(read_text("{}\0", 3, &request), PL_EINVAL);
	assert_true(faults.malformed);
	static const char *const others[] = { "[]", "1", "\"x\"", "null", "true", "[{}]" };
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		refused(others[i], "", "must be an object");
		assert_false(faults.malformed);
		assert_int_equal(faults.count, 1);
	}
}

static void test_doubles_are_refused_at_every_level(void **state)
{
	(void)state;
	static const char *const table[] = { "\"provider\":\"http://c.example/\"",
		"\"delay\":1,\"delay\":1", "\"fetch\":{\"retries\":1,\"retries\":1}",
		"\"meta\":1,\"meta\":2", "\"meta\":{\"a\":{\"b\":1,\"b\":1}}",
		"\"fetch\":{\"headers\":{\"A\":\"\",\"A\":\"\"}}", "\"meta\":1,\"\\u006deta\":2" };
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		refused_with(table[i], "", "duplicate");
}

static char *repeated(const char *before, const char *text, size_t count, const char *after)
{
	struct pl_buf out;
	pl_buf_init(&out, ROOM);
	assert_int_equal(pl_buf_text(&out, before), PL_OK);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(pl_buf_text(&out, text), PL_OK);
	assert_int_equal(pl_buf_text(&out, after), PL_OK);
	return pl_buf_take(&out, NULL);
}

static void taken_and_freed(char *members)
{
	pl_request_free(taken_with(members));
	free(members);
}

static void refused_and_freed(char *members, const char *pointer, const char *detail)
{
	refused_with(members, pointer, detail);
	free(members);
}

static void test_depth(void **state)
{
	(void)state;
	char *open = repeated("\"meta\":", "[", 63, ""); /* the object itself is the 64th */
	taken_and_freed(repeated(open, "]", 63, ""));
	free(open);
	open = repeated("\"meta\":", "{\"a\":", 64, "1");
	refused_and_freed(repeated(open, "}", 64, ""), "", "deeper than 64");
	free(open);
	/* Brackets in strings are none, escaped quotes end none. */
	taken_and_freed(repeated("\"meta\":\"\\\"", "[{", 100, "\\\\\""));
	/* Depth is bounded before jansson recurses: well-formed or not. */
	char *flood = repeated("", "[", PL_REQUEST_BODY_MAX, "");
	refused(flood, "", "deeper than 64");
	free(flood);
}

static void test_length(void **state)
{
	(void)state;
	struct pl_request *request = NULL;
	char *json = malloc(PL_REQUEST_BODY_MAX + 1);
	memset(json, ' ', PL_REQUEST_BODY_MAX + 1);
	memcpy(json, "{" URLS "}", sizeof "{" URLS "}" - 1);
	assert_int_equal(read_text(json, PL_REQUEST_BODY_MAX, &request), PL_OK);
	pl_request_free(request);
	assert_int_equal(read_text(json, PL_REQUEST_BODY_MAX + 1, &request), PL_ELIMIT);
	assert_true(names("", "longer than 1048576 bytes"));
	free(json);
}

static void test_urls(void **state)
{
	(void)state;
	static const char *const fields[] = { "provider", "callbackUrl", "failureCallbackUrl" };
	static const char *const values[][2] = {
		{ "null", "must be a string" },
		{ "{}", "must be a string" },
		{ "\"\"", "is empty" },
		{ "\"http://a\\u0000.example/\"", "control character" },
		{ "\"http://a.example/\\u0000\"", "control character" },
		{ "\"a.example\"", "must begin with http" },
		{ "\"http://u:p@a.example/\"", "user information" },
		{ "\"http://a.example:0/\"", "port" },
		{ "\"http://127.0.0.1/\"", "address_blocked" },
		{ "\"http://0x7f.1/\"", "address_blocked" },
		{ "\"http://2130706433/\"", "address_blocked" },
		{ "\"http://[::ffff:127.0.0.1]/\"", "address_blocked" },
		{ "\"http://169.254.169.254/latest/meta-data/\"", "address_blocked" },
	};
	for (size_t f = 0; f < 3; f++)
		for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
			char json[512], pointer[64];
			snprintf(json, sizeof json, "{%s%s%s\"%s\":%s}",
				f != 0 ? "\"provider\":\"http://a.example/\"," : "",
				f != 1 ? "\"callbackUrl\":\"http://a.example/\"," : "", "",
				fields[f], values[v][0]);
			snprintf(pointer, sizeof pointer, "/%s", fields[f]);
			refused(json, pointer, values[v][1]);
			assert_int_equal(faults.count, 1);
		}
	/* A name is judged when it is dialled. */
	pl_request_free(taken("{\"provider\":\"http://localhost:3000/\",\"callbackUrl\":"
			      "\"http://metadata.internal/\"}"));
	pl_request_free(taken("{\"provider\":\"http://8.8.8.8/\",\"callbackUrl\":"
			      "\"http://[2606:4700::1]/\"}"));
}

static void test_blocked_is_told_from_faulty(void **state)
{
	(void)state;
	static const char blocked[] =
		"{\"provider\":\"http://10.0.0.1/\",\"callbackUrl\":\"http://[::1]/\"}";
	static const char both[] =
		"{\"provider\":\"http://10.0.0.1/\",\"callbackUrl\":\"http://[::1]/\",\"x\":1}";
	struct pl_request *request = NULL;
	assert_int_equal(read_text(blocked, sizeof blocked - 1, &request), PL_EBLOCKED);
	assert_int_equal(faults.count, 2);
	assert_int_equal(read_text(both, sizeof both - 1, &request), PL_EINVAL);
	assert_int_equal(faults.count, 3);
}

static void test_methods(void **state)
{
	(void)state;
	static const char *const bodied[] = { "POST", "PUT", "PATCH", "DELETE", "OPTIONS" };
	char members[128];
	for (size_t i = 0; i < sizeof bodied / sizeof *bodied; i++) {
		snprintf(members, sizeof members, "\"fetch\":{\"body\":\"x\",\"method\":\"%s\"}",
			bodied[i]);
		struct pl_request *request = taken_with(members);
		assert_string_equal(request->stage[PL_STAGE_FETCH].method, bodied[i]);
		pl_request_free(request);
	}
	pl_request_free(taken_with("\"fetch\":{\"method\":\"HEAD\"}"));
	static const char *const bodiless = "needs a method other than GET and HEAD";
	refused_with("\"fetch\":{\"method\":\"GET\",\"body\":\"\"}", "/fetch/body", bodiless);
	refused_with("\"fetch\":{\"method\":\"HEAD\",\"body\":\"x\"}", "/fetch/body", bodiless);
	refused_with("\"fetch\":{\"body\":\"x\"}", "/fetch/body", bodiless);
	static const char *const others[] = { "\"get\"", "\"TRACE\"", "\"CONNECT\"", "\"\"",
		"\"GET \"", "\"GET\\u0000\"", "\"GET\\r\\nX: y\"", "null", "1", "[\"GET\"]" };
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		snprintf(members, sizeof members, "\"fetch\":{\"method\":%s}", others[i]);
		refused_with(members, "/fetch/method", "must be GET, HEAD");
	}
	refused_with("\"callback\":{\"method\":\"PUT\"}", "/callback/method", "known field");
	refused_with("\"callback\":{\"body\":\"x\"}", "/callback/body", "known field");
}

static void test_fetch_body(void **state)
{
	(void)state;
	const char *head = "\"fetch\":{\"method\":\"POST\",\"body\":\"";
	taken_and_freed(repeated(head, "x", PL_FETCH_BODY_MAX, "\"}"));
	refused_and_freed(repeated(head, "x", PL_FETCH_BODY_MAX + 1, "\"}"), "/fetch/body",
		"longer than 262144 bytes");
	refused_with("\"fetch\":{\"method\":\"POST\",\"body\":\"a\\u0000b\"}", "/fetch/body",
		"holds a NUL");
	refused_with("\"fetch\":{\"method\":\"POST\",\"body\":{}}", "/fetch/body", "a string");
}

static void test_header_names(void **state)
{
	(void)state;
	static const char *const stages[] = { "fetch", "callback" };
	static const char *const ours[] = { "Connection", "connection", "Keep-Alive",
		"Proxy-Authorization", "proxy-connection", "Proxy-", "TE", "te", "Trailer",
		"Transfer-Encoding", "UPGRADE", "Host", "hOST", "Content-Length", "Expect",
		"expect", "webhook-id", "Webhook-Signature", "WEBHOOK-" };
	static const char *const bad[] = { "", " ", "A B", "A:", "A ", " A", "A\\r", "A\\n", "A\\t",
		"\xc3\xbc", "A\x7f", "(A)", "A,B", "A/B", "A;B", "A=B", "[A]", "{A}", "A@", "A\\\\",
		"A\\\"", "<A>", "A?" };
	static const char *const good[] = { "A", "accept", "Authorization", "X-!#$%&'*+-.^_`|~1",
		"Tea", "T", "Hosts", "Connections", "Proxy", "Proxied-By", "Webhook", "Upgrades",
		"Content-Length-Hint", "X-Webhook-Id", "Expected", "Expect-CT", "Cookie",
		"User-Agent", "Range" };
	char members[256], pointer[128];
	for (size_t s = 0; s < 2; s++) {
		for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
			snprintf(members, sizeof members, "\"%s\":{\"headers\":{\"%s\":\"x\"}}",
				stages[s], ours[i]);
			snprintf(pointer, sizeof pointer, "/%s/headers/%s", stages[s], ours[i]);
			refused_with(members, pointer, "can't be set");
		}
		for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
			snprintf(members, sizeof members, "\"%s\":{\"headers\":{\"%s\":\"x\"}}",
				stages[s], bad[i]);
			char *json = beside_urls(members);
			struct pl_request *request = NULL;
			assert_int_equal(read_text(json, strlen(json), &request), PL_EINVAL);
			assert_int_equal(faults.count, 1);
			assert_non_null(strstr(faults.list[0].detail, "is no header name"));
			free(json);
		}
		for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
			snprintf(members, sizeof members, "\"%s\":{\"headers\":{\"%s\":\"x\"}}",
				stages[s], good[i]);
			pl_request_free(taken_with(members));
		}
	}
	pl_request_free(taken_with("\"fetch\":{\"headers\":{\"Content-Type\":\"text/plain\"}}"));
	pl_request_free(taken_with("\"fetch\":{\"headers\":{\"Fetchback-Any\":\"x\"}}"));
	refused_with("\"callback\":{\"headers\":{\"fetchback-any\":\"x\"}}",
		"/callback/headers/fetchback-any", "can't be set");
	static const char earlier[] = "{\"fetch\":{\"headers\":{\"Expect\":\"x\"}}}";
	struct pl_request record = { .owner = "" };
	pl_request_blank(&record);
	assert_int_equal(pl_request_options_decode(&record, earlier, sizeof earlier - 1), PL_OK);
	pl_request_clear(&record);
	refused_with("\"callback\":{\"headers\":{\"content-TYPE\":\"text/plain\"}}",
		"/callback/headers/content-TYPE", "can't be set");
	refused_with("\"fetch\":{\"headers\":{\"A\\u0000\":\"\"}}", "", "NUL");
}

static void test_header_values(void **state)
{
	(void)state;
	char members[128];
	for (unsigned c = 0; c < 0x80; c++) {
		snprintf(members, sizeof members, "\"fetch\":{\"headers\":{\"A\":\"x\\u%04xy\"}}",
			c);
		if (c == 0)
			refused_with(members, "/fetch/headers/A", "holds a NUL");
		else if ((c < 0x20 && c != '\t') || c == 0x7f)
			refused_with(members, "/fetch/headers/A", "control character");
		else
			pl_request_free(taken_with(members));
	}
	refused_with("\"callback\":{\"headers\":{\"A\":[\"x\"]}}", "/callback/headers/A",
		"must be a string");
	refused_with("\"callback\":{\"headers\":{\"A\":\"\",\"a\":\"\"}}", "/callback/headers/a",
		"is given twice, as A");
	refused_with("\"callback\":{\"headers\":[]}", "/callback/headers", "object of strings");
	refused_with("\"callback\":{\"headers\":null}", "/callback/headers", "object of strings");
}

static void test_header_counts(void **state)
{
	(void)state;
	for (int count = PL_REQUEST_HEADERS_MAX; count <= PL_REQUEST_HEADERS_MAX + 1; count++) {
		struct pl_buf members;
		pl_buf_init(&members, ROOM);
		for (int i = 0; i < count; i++)
			assert_int_equal(pl_buf_format(&members, "%s\"X-%d\":\"y\"",
						 i > 0 ? "," : "\"fetch\":{\"headers\":{", i),
				PL_OK);
		assert_int_equal(pl_buf_text(&members, "}}"), PL_OK);
		if (count <= PL_REQUEST_HEADERS_MAX)
			pl_request_free(taken_with(members.data));
		else
			refused_with(members.data, "/fetch/headers", "more than 64 headers");
		pl_buf_fini(&members);
	}
	const char *head = "\"callback\":{\"headers\":{\"A\":\"";
	taken_and_freed(repeated(head, "x", PL_HEADERS_SIZE_MAX - 1, "\"}}"));
	refused_and_freed(repeated(head, "x", PL_HEADERS_SIZE_MAX, "\"}}"), "/callback/headers",
		"more than 65536 bytes");
}

static void test_durations(void **state)
{
	(void)state;
	static const struct {
		const char *value;
		uint64_t ms;
	} good[] = { { "\"250ms\"", 250 }, { "\"10s\"", 10000 }, { "\"1h30m\"", 5400000 },
		{ "\"1d\"", 86400000 }, { "10", 10000 }, { "0.25", 250 }, { "1e1", 10000 },
		{ "0.0001", 1 }, { "\"10\"", 10000 }, { "31536000", PL_DELAY_MAX_MS },
		{ "\"365d\"", PL_DELAY_MAX_MS }, { "0", 0 }, { "\"0s\"", 0 }, { "-0.0", 0 } };
	static const char *const bad[] = { "\"\"", "\"x\"", "\"10 s\"", "\" 10s\"", "\"-1s\"", "-1",
		"-0.001", "\"1s\\u0000\"", "\"10S\"", "null", "true", "[]", "{}", "\"s\"",
		"\"1h1h\"", "\"1s1m\"" };
	char members[128];
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		snprintf(members, sizeof members, "\"delay\":%s", good[i].value);
		struct pl_request *request = taken_with(members);
		assert_int_equal(request->delay_ms, good[i].ms);
		pl_request_free(request);
		snprintf(
			members, sizeof members, "\"callback\":{\"schedule\":[%s]}", good[i].value);
		request = taken_with(members);
		assert_int_equal(
			request->stage[PL_STAGE_DELIVER].schedule->delay_ms[0], good[i].ms);
		pl_request_free(request);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(members, sizeof members, "\"delay\":%s", bad[i]);
		refused_with(members, "/delay", "must be a duration like");
		snprintf(members, sizeof members, "\"fetch\":{\"timeout\":%s}", bad[i]);
		refused_with(members, "/fetch/timeout", "must be a duration like");
	}
	refused_with("\"delay\":31536000.001", "/delay", "longer than 365d");
	refused_with("\"delay\":1e300", "/delay", "longer than 365d");
	refused_with("\"delay\":\"365d1ms\"", "/delay", "longer than 365d");
	refused_with("\"delay\":\"99999999999999999999d\"", "/delay", "longer than 365d");
	refused_with("\"fetch\":{\"timeout\":0}", "/fetch/timeout", "more than 0");
	refused_with("\"fetch\":{\"timeout\":3600.001}", "/fetch/timeout", "longer than 1h");
	refused_with("\"callback\":{\"timeout\":\"1h1ms\"}", "/callback/timeout", "longer than 1h");
	refused_with("\"callback\":{\"timeout\":\"0s\"}", "/callback/timeout", "more than 0");
	refused_with("\"expiresAfter\":0", "/expiresAfter", "more than 0");
	refused_with("\"dedupeKey\":\"k\",\"dedupeWindow\":0", "/dedupeWindow", "more than 0");
	refused_with("\"delay\":1e999", "", "overflow");
}

static void test_retries_and_schedules(void **state)
{
	(void)state;
	static const char *const bad[] = { "-1", "101", "1.5", "\"1\"", "null", "true",
		"18446744073709551617", "1e300", "[]" };
	char members[128];
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(members, sizeof members, "\"callback\":{\"retries\":%s}", bad[i]);
		refused_with(members, "/callback/retries", "whole number from 0 to 100");
	}
	const char *array = "array of 1 to 100 durations";
	refused_with("\"fetch\":{\"schedule\":[]}", "/fetch/schedule", array);
	refused_with("\"fetch\":{\"schedule\":\"5s, 30s\"}", "/fetch/schedule", array);
	refused_with("\"fetch\":{\"schedule\":{}}", "/fetch/schedule", array);
	taken_and_freed(repeated("\"fetch\":{\"schedule\":[1", ",2", 99, "]}"));
	refused_and_freed(
		repeated("\"fetch\":{\"schedule\":[1", ",2", 100, "]}"), "/fetch/schedule", array);
}

static void test_when(void **state)
{
	(void)state;
	struct pl_request *request = taken_with("\"notBefore\":\"2025-12-01T09:00:00+02:00\"");
	assert_int_equal(request->not_before_ms, NOW - 3600000);
	pl_request_free(request);
	pl_request_free(taken_with("\"notBefore\":\"2026-12-01T08:00:00Z\""));
	refused_with("\"notBefore\":\"2026-12-01T08:00:00.001Z\"", "/notBefore", "365 days ahead");
	refused_with("\"notBefore\":1764576000", "/notBefore", "must be a time like");
	refused_with("\"notBefore\":\"2026-02-30T08:00:00Z\"", "/notBefore", "must be a time like");
	refused_with("\"delay\":0,\"notBefore\":\"2025-12-01T09:00:00Z\"", "/notBefore",
		"together with delay");
}

static void test_dedupe(void **state)
{
	(void)state;
	taken_and_freed(repeated("\"dedupeKey\":\"", "k", PL_KEY_MAX, "\""));
	refused_and_freed(repeated("\"dedupeKey\":\"", "k", PL_KEY_MAX + 1, "\""), "/dedupeKey",
		"longer than 255 bytes");
	refused_with("\"dedupeKey\":\"\"", "/dedupeKey", "is empty");
	refused_with("\"dedupeKey\":\"a\\n\"", "/dedupeKey", "control character");
	refused_with("\"dedupeKey\":\"a\\u0000\"", "/dedupeKey", "holds a NUL");
	refused_with("\"dedupeKey\":7", "/dedupeKey", "must be a string");
	refused_with("\"dedupeWindow\":\"5m\"", "/dedupeWindow", "needs a dedupeKey");
	refused_with("\"dedupeMode\":\"join\"", "/dedupeMode", "needs a dedupeKey");
	refused_with("\"dedupeKey\":\"k\",\"dedupeMode\":\"x\"", "/dedupeMode",
		"must be drop, join or latest");
}

static void test_labels(void **state)
{
	(void)state;
	taken_and_freed(repeated("\"labels\":[\"", "l", PL_LABEL_SIZE_MAX, "\"]"));
	refused_and_freed(repeated("\"labels\":[\"", "l", PL_LABEL_SIZE_MAX + 1, "\"]"),
		"/labels/0", "longer than 64 bytes");
	const char *sixteen =
		"\"labels\":[\"0\",\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\","
		"\"a\",\"b\",\"c\",\"d\",\"e\",\"f\"";
	taken_and_freed(repeated(sixteen, "", 0, "]"));
	refused_and_freed(repeated(sixteen, ",\"g\"", 1, "]"), "/labels", "at most 16 strings");
	refused_with("\"labels\":\"a\"", "/labels", "array of at most 16 strings");
	refused_with("\"labels\":{}", "/labels", "array of at most 16 strings");
	refused_with("\"labels\":[\"a\\t\"]", "/labels/0", "control character");
	refused_with("\"labels\":[null]", "/labels/0", "must be a string");
}

static void test_meta(void **state)
{
	(void)state;
	taken_and_freed(repeated("\"meta\":\"", "m", PL_META_MAX - 2, "\""));
	refused_and_freed(repeated("\"meta\":\"", "m", PL_META_MAX - 1, "\""), "/meta",
		"longer than 16384 bytes");
	taken_and_freed(repeated("\"meta\":[", " ", PL_META_MAX, "]")); /* white space is free */
	refused_with("\"meta\":\"\\u0000\"", "/meta", "holds a NUL");
	refused_with("\"meta\":[1,{\"a\":[\"x\\u0000y\"]}]", "/meta", "holds a NUL");
	refused_with("\"\\u006deta\":1", "/meta", "without escapes");
	static const char *const same[] = { "0.1", "1.10", "1E+2", "-0", "-0.0",
		"123456789012345678901234567890", "0.1e-400", "\"\\/\\u00fc\\\"[,}:\"", "true" };
	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		char members[128];
		snprintf(members, sizeof members, "\"meta\" \t:\r\n %s \n", same[i]);
		struct pl_request *request = taken_with(members);
		assert_string_equal(request->meta, same[i]);
		pl_request_free(request);
	}
	/* Only the outermost member of that name, wherever it stands. */
	struct pl_request *request =
		taken("{\"meta\":{\"meta\":[1 , {\"meta\" : 2}]}," URLS ",\"labels\":[\"meta\"]}");
	assert_string_equal(request->meta, "{\"meta\":[1,{\"meta\":2}]}");
	pl_request_free(request);
	request = taken_with("\"labels\":[\"meta\"],\"meta\":3");
	assert_string_equal(request->meta, "3");
	pl_request_free(request);
}

static void test_faults_have_a_ceiling(void **state)
{
	(void)state;
	struct pl_buf members;
	pl_buf_init(&members, ROOM);
	for (int i = 0; i < PL_FAULTS_MAX + 10; i++)
		assert_int_equal(
			pl_buf_format(&members, "%s\"x%d\":1", i > 0 ? "," : "", i), PL_OK);
	char *json = beside_urls(members.data);
	refused(json, "/x0", "is not a known field");
	assert_int_equal(faults.count, PL_FAULTS_MAX);
	assert_int_equal(faults.dropped, 10);
	free(json);
	pl_buf_fini(&members);
	/* A pointer longer than its room is cut, also in the middle of an escape. */
	for (size_t len = 100; len < 140; len++) {
		char *name = repeated("\"", "n", len, "~~~~~~~~~~~~~~~~~~~~\":1");
		json = beside_urls(name);
		struct pl_request *request = NULL;
		assert_int_equal(read_text(json, strlen(json), &request), PL_EINVAL);
		assert_int_equal(faults.count, 1);
		assert_in_range(
			strlen(faults.list[0].pointer), 100, sizeof faults.list[0].pointer - 1);
		free(json);
		free(name);
	}
}

static void test_a_member_of_something_larger(void **state)
{
	(void)state;
	static const char json[] = "{" URLS ",\"x\":1,\"fetch\":{\"y\":1}}";
	struct pl_request *request = NULL;
	pl_faults_init(&faults);
	assert_int_equal(pl_request_parse_member(
				 json, sizeof json - 1, "/items/7", policy, &request, &faults),
		PL_EINVAL);
	assert_true(names("/items/7/x", "known field"));
	assert_true(names("/items/7/fetch/y", "known field"));
	assert_int_equal(
		pl_request_parse_member("{", 1, "/items/8", policy, &request, &faults), PL_EINVAL);
	assert_true(names("/items/8", "line 1"));
	assert_int_equal(faults.count, 3); /* added to what was there */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_usual_request),
		cmocka_unit_test(test_the_usual_text_is_read_as_any_other),
		cmocka_unit_test(test_a_nul_is_no_json),
		cmocka_unit_test(test_what_looks_like_the_usual_text),
		cmocka_unit_test(test_everything_there_and_back),
		cmocka_unit_test(test_each_option_alone_there_and_back),
		cmocka_unit_test(test_defaults_leave_nothing_behind),
		cmocka_unit_test(test_encode_keeps_to_its_ceiling),
		cmocka_unit_test(test_decode_takes_no_garbage),
		cmocka_unit_test(test_every_fault_at_once),
		cmocka_unit_test(test_what_is_required),
		cmocka_unit_test(test_what_is_no_request_at_all),
		cmocka_unit_test(test_doubles_are_refused_at_every_level),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_blocked_is_told_from_faulty),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_fetch_body),
		cmocka_unit_test(test_header_names),
		cmocka_unit_test(test_header_values),
		cmocka_unit_test(test_header_counts),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_retries_and_schedules),
		cmocka_unit_test(test_when),
		cmocka_unit_test(test_dedupe),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_meta),
		cmocka_unit_test(test_faults_have_a_ceiling),
		cmocka_unit_test(test_a_member_of_something_larger),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
