/*
 * http_precheck by itself: the text is cut as civetweb 1.15 cuts it, then judged. That civetweb
 * really cuts so is shown over sockets by test_http_server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "http_precheck.h"

#define TEXT_MAX (64 * 1024)

static char text[TEXT_MAX];

/* Ends the word at *at and returns it; all white space behind it is overwritten. */
static char *cut_word(char **at)
{
	char *word = *at;
	while (isgraph((unsigned char)**at))
		(*at)++;
	while (isspace((unsigned char)**at))
		*(*at)++ = '\0';
	return word;
}

static bool cut_header(char **at, struct mg_header *header)
{
	char *c = *at;
	while (*c != ':' && *c >= 33 && *c <= 126)
		c++;
	if (c == *at)
		return false;
	header->name = *at;
	while (*c == ' ')
		*c++ = '\0';
	*c++ = '\0'; /* the colon */
	while (*c == ' ' || *c == '\t')
		c++;
	header->value = c;
	while (*c != '\0' && *c != '\r' && *c != '\n')
		c++;
	if (*c == '\r')
		*c++ = '\0';
	if (*c == '\n')
		*c++ = '\0';
	*at = c;
	return *c != '\r' && *c != '\n';
}

/* Over what an earlier request has left in the text. */
static const char *judge_over(const char *request, struct mg_request_info *info)
{
	size_t len = strlen(request);
	assert_true(len + 8 < TEXT_MAX);
	memset(info, 0, sizeof(*info));
	memcpy(text, request, len);
	text[len - 1] = '\0';
	char *at = text;
	info->request_method = cut_word(&at);
	info->request_uri = cut_word(&at);
	info->http_version = cut_word(&at) + strlen("HTTP/");
	char *query = strchr(info->request_uri, '?');
	if (query != NULL) {
		*query = '\0';
		info->query_string = query + 1;
	}
	bool more = true;
	while (more && info->num_headers < MG_MAX_HEADERS) {
		struct mg_header *header = &info->http_headers[info->num_headers];
		more = cut_header(&at, header);
		info->num_headers += header->name != NULL;
	}
	return http_precheck(info);
}

static const char *judge(const char *request)
{
	struct mg_request_info info;
	memset(text, 'Z', sizeof(text)); /* what follows is somebody's body */
	return judge_over(request, &info);
}

static void test_sound_requests_pass(void **state)
{
	(void)state;
	static const char *const sound[] = {
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET / HTTP/1.0\r\nHost: h\r\n\r\n",
		"GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /? HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /?a?b HTTP/1.1\r\nhost:h\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 12345678\r\n\r\n",
		"POST / HTTP/1.1\r\nHost:\t h\r\nCONTENT-LENGTH:3\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n",
		"GET / HTTP/1.1\r\nX:\r\nHost: h\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\n!#$%&'*+-.^_`|~09azAZ: \xc3\xa4 \r\n\r\n",
	};
	for (size_t i = 0; i < sizeof(sound) / sizeof(sound[0]); i++) {
		const char *fault = judge(sound[i]);
		if (fault != NULL)
			fail_msg("%zu: %s", i, fault);
	}
}

static void test_each_rule_refuses(void **state)
{
	(void)state;
	static const struct {
		const char *request, *says;
	} faults[] = {
		{ "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", "target must be a path" },
		{ "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "target must be a path" },
		{ "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "follow the method" },
		{ "GET /  HTTP/1.1\r\nHost: h\r\n\r\n", "follow the request target" },
		{ "GET /?q  HTTP/1.1\r\nHost: h\r\n\r\n", "follow the request target" },
		{ "GET / HTTP/1.2\r\nHost: h\r\n\r\n", "HTTP/1.1" },
		{ "GET / HTTP/1.10\r\nHost: h\r\n\r\n", "HTTP/1.1" },
		{ "GET / HTTP/1.1\nHost: h\r\n\r\n", "CR LF" },
		{ "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", "CR LF" },
		{ "GET / HTTP/1.1\r\n Host: h\r\n\r\n", "CR LF" },
		{ "GET / HTTP/1.1\r\nA: b\nHost: h\r\n\r\n", "CR LF" },
		{ "GET / HTTP/1.1\r\nA(: b\r\nHost: h\r\n\r\n", "token" },
		{ "GET / HTTP/1.1\r\nHost : h\r\n\r\n", "colon" },
		{ "GET / HTTP/1.1\r\nHost: h\r\nA  : b\r\n\r\n", "colon" },
		{ "GET / HTTP/1.1\r\nHost: h\n\r\n", "empty line" },
		{ "GET / HTTP/1.1\r\nHost: h\n\n", "empty line" },
		{ "GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", "empty line" },
		{ "GET / HTTP/1.1\r\nHost: h\r\n: x\r\nContent-Length: 3\r\n\r\n", "empty line" },
		{ "GET / HTTP/1.1\r\nHost: h\r\n\rA: b\r\n\r\n", "empty line" },
		{ "GET / HTTP/1.1\r\nA: b\r\n\r\n", "one Host" },
		{ "GET / HTTP/1.1\r\nHost: h\r\nHOST: h\r\n\r\n", "one Host" },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
			"one Content-Length" },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0, 35\r\n\r\n", "plain number" },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2abc\r\n\r\n", "plain number" },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2 \r\n\r\n", "plain number" },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +2\r\n\r\n", "plain number" },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", "plain number" },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 123456789\r\n\r\n",
			"plain number" },
		{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n", "chunked" },
		{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
			"chunked" },
		{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
		  "Transfer-Encoding: chunked\r\n\r\n",
			"one Transfer-Encoding" },
		{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: "
		  "3\r\n\r\n",
			"exclude each other" },
		{ "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1" },
	};
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		const char *fault = judge(faults[i].request);
		if (fault == NULL || strstr(fault, faults[i].says) == NULL)
			fail_msg("%zu: %s", i, fault != NULL ? fault : "passed");
	}
}

static const char *judge_headers(int count, int value_len)
{
	static char request[TEXT_MAX / 2];
	int len = snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: h\r\n");
	for (int i = 1; i < count; i++)
		len += snprintf(request + len, sizeof(request) - (size_t)len, "A%d: %0*d\r\n", i,
			value_len, i);
	snprintf(request + len, sizeof(request) - (size_t)len, "\r\n");
	return judge(request);
}

static void test_number_and_length_of_headers(void **state)
{
	(void)state;
	assert_null(judge_headers(HTTP_HEADERS_MAX, 1));
	assert_non_null(judge_headers(HTTP_HEADERS_MAX + 1, 1));
	assert_non_null(judge_headers(MG_MAX_HEADERS, 1));
	assert_non_null(judge_headers(MG_MAX_HEADERS + 1, 1));
	assert_null(judge_headers(2, HTTP_HEAD_MAX - 64));
	assert_non_null(judge_headers(2, HTTP_HEAD_MAX));
}

static void test_a_head_in_the_place_of_the_body(void **state)
{
	(void)state;
	struct mg_request_info info = { .request_method = "POST" };
	assert_false(http_precheck_body(&info, "POST\0/\0HTTP/1.1", 15));
	assert_false(http_precheck_body(&info, "POST", 5));
	assert_false(http_precheck_body(&info, "            POST", 17));
	assert_false(http_precheck_body(&info, "\r\n POST", 8));
	assert_true(http_precheck_body(&info, "POST", 4)); /* too short to reach behind a head */
	assert_true(http_precheck_body(&info, "POST / HTTP/1.1", 15));
	assert_true(http_precheck_body(&info, "{}", 2));
}

static bool starts_at(const char *place, const char **start)
{
	struct mg_request_info info = { .request_method = place };
	return http_precheck_start(&info, start);
}

static void test_white_space_in_front_leaves_a_gap(void **state)
{
	(void)state;
	static alignas(max_align_t) char buffer[64];
	const char *start = NULL;
	assert_false(starts_at(buffer + 1, &start));
	assert_null(start);
	assert_true(starts_at(buffer + 32, &start)); /* as far as a first request can tell */
	assert_true(starts_at(buffer, &start));
	assert_true(starts_at(buffer, &start));
	assert_false(starts_at(buffer + 32, &start));
}

static void test_a_shorter_head_does_not_find_the_end_of_another(void **state)
{
	(void)state;
	static const char longer[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
	static const char shorter[] = "GET / HTTP/1.1\r\nHost: h\n\n";
	struct mg_request_info info;
	assert_int_equal(sizeof longer, sizeof shorter + 2);
	assert_null(judge_over(longer, &info));
	assert_non_null(judge_over(shorter, &info));
}

/* CR and NUL behind two bare LF look like the end of a sound head; what becomes of them gives it away. */
static void test_a_body_that_hid_a_bare_end(void **state)
{
	(void)state;
	static const char head[] = "POST / HTTP/1.1\r\nHost: h\n\n";
	struct mg_request_info info;
	memcpy(text + strlen(head), "\r\0{}", 4);
	assert_null(judge_over(head, &info));
	assert_false(http_precheck_body(&info, text + strlen(head), 4));
	assert_false(http_precheck_body(&info, text + strlen(head), 1));
	assert_true(http_precheck_body(&info, "\r\n{}", 4));
	assert_true(http_precheck_body(&info, "", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound_requests_pass),
		cmocka_unit_test(test_each_rule_refuses),
		cmocka_unit_test(test_number_and_length_of_headers),
		cmocka_unit_test(test_a_head_in_the_place_of_the_body),
		cmocka_unit_test(test_a_body_that_hid_a_bare_end),
		cmocka_unit_test(test_white_space_in_front_leaves_a_gap),
		cmocka_unit_test(test_a_shorter_head_does_not_find_the_end_of_another),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
