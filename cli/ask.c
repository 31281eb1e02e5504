#include "ask.h"

#include <stdbool.h>
#include <string.h>

#include "command.h"
#include "pipeline/json.h"
#include "pipeline/mem.h"
#include "raw_json.h"

#define URL_MAX       (16u * 1024)
#define UNAUTHORIZED  401
#define CHARACTER_MAX 4 /* bytes in UTF-8 */
#define BROKEN        0xfffd
#define EXACT_MAX     0x1p53 /* up to here a real number is every whole one */

/* What has no shape of its own, so that two texts can look alike; the joiners, which Persian and
 * emoji are written with, aside. */
static bool is_unseen(uint32_t code)
{
	return code == 0xad || code == 0x180e || code == 0x200b ||
	       (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
	       (code >= 0xfff9 && code <= 0xfffb) || (code >= 0x1d173 && code <= 0x1d17a) ||
	       (code >= 0xe0000 && code <= 0xe007f);
}

size_t ask_print_one(FILE *out, const char *text)
{
	uint32_t code;
	size_t len = pl_utf8_next(text, strnlen(text, CHARACTER_MAX), &code);

	if (pl_utf8_is_disguise(code) || is_unseen(code) || code == BROKEN)
		fputc('?', out);
	else
		fwrite(text, 1, len, out);
	return len;
}

size_t ask_print(FILE *out, const char *text)
{
	size_t count = 0;

	for (; *text != '\0'; count++)
		text += ask_print_one(out, text);
	return count;
}

void ask_print_padded(FILE *out, const char *text, size_t width)
{
	for (size_t count = ask_print(out, text); count < width; count++)
		fputc(' ', out);
}

/* As the api reads what clients give it: an integer of 20 digits is no reason to fail. */
json_t *ask_json(const struct pl_buf *answer)
{
	return json_loadb(
		answer->len > 0 ? answer->data : "", answer->len, JSON_DECODE_INT_AS_REAL, NULL);
}

json_int_t ask_number(const json_t *object, const char *name)
{
	double number = json_number_value(json_object_get(object, name));

	return number > -EXACT_MAX && number < EXACT_MAX ? (json_int_t)number : 0;
}

const char *ask_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

int ask_strange(const struct arguments *arguments)
{
	fprintf(stderr, "fetchback: %.*s answers, but not as the api does\n",
		(int)arguments->api_len, arguments->api);
	return COMMAND_FAILED;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	return pl_buf_add(arg, data, size * count) == PL_OK ? size * count : 0;
}

void ask_problem_json(const struct arguments *arguments, const struct pl_buf *answer)
{
	json_t *problem = arguments->json ? ask_json(answer) : NULL;

	if (json_is_object(problem))
		raw_json_print(stdout, (struct raw_json) { answer->data, answer->len });
	json_decref(problem);
}

void ask_problem(const struct arguments *arguments, long status, const struct pl_buf *answer)
{
	json_t *problem = ask_json(answer);
	const char *detail = ask_text(problem, "detail");
	size_t i;
	json_t *fault;

	fprintf(stderr, "fetchback: the api answers %ld", status);
	if (*ask_text(problem, "title") != '\0') {
		fputs(": ", stderr);
		ask_print(stderr, ask_text(problem, "title"));
	}
	if (*detail != '\0') {
		fputs(". ", stderr);
		ask_print(stderr, detail);
	}
	fputc('\n', stderr);
	json_array_foreach(json_object_get(problem, "errors"), i, fault)
	{
		fputs("  ", stderr);
		ask_print(stderr, ask_text(fault, "pointer"));
		fputs(": ", stderr);
		ask_print(stderr, ask_text(fault, "detail"));
		fputc('\n', stderr);
	}
	if (status == UNAUTHORIZED)
		fputs("  give one with --api-key-file FILE, or in FETCHBACK_API_KEY\n", stderr);
	json_decref(problem);
	ask_problem_json(arguments, answer);
}

void ask_silence(const struct arguments *arguments, CURLcode failed)
{
	fprintf(stderr, "fetchback: no answer from %.*s: %s (is it up? see --api)\n",
		(int)arguments->api_len, arguments->api, curl_easy_strerror(failed));
}

/* curl_easy_setopt fails only for want of memory or for an option that this curl was built
 * without; then the transfer fails too, and says so. */
static CURL *handle_new(const char *url, const char *key)
{
	CURL *curl = curl_easy_init();

	if (curl == NULL) {
		fputs("fetchback: libcurl does not start\n", stderr);
		return NULL;
	}
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* the api is ours, usually on this machine */
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)ASK_CONNECT_S);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "fetchback/" FETCHBACK_VERSION);
	if (key[0] != '\0') {
		curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
		curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, key);
	}
	return curl;
}

int ask_open(const struct arguments *arguments, const char *path, CURL **out)
{
	struct pl_buf url;
	int code = COMMAND_OK;

	pl_buf_init(&url, URL_MAX);
	if (pl_buf_format(&url, "%.*s%s", (int)arguments->api_len, arguments->api, path) != PL_OK) {
		fputs("fetchback: the api's address is too long\n", stderr);
		code = COMMAND_USAGE;
	} else {
		*out = handle_new(url.data, arguments->key);
		if (*out == NULL)
			code = COMMAND_UNREACHABLE;
	}
	pl_buf_fini(&url);
	return code;
}

static int transfer(CURL *curl, const struct arguments *arguments, long *status)
{
	CURLcode failed = curl_easy_perform(curl);

	if (failed != CURLE_OK) {
		ask_silence(arguments, failed);
		return COMMAND_UNREACHABLE;
	}
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
	return COMMAND_OK;
}

/* One connection for all questions of this process, as long as the api keeps it open. */
static CURLSH *connections(void)
{
	static CURLSH *shared;

	if (shared == NULL) {
		shared = curl_share_init();
		curl_share_setopt(shared, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT);
	}
	return shared;
}

int ask_by(const struct arguments *arguments, const char *method, const char *path,
	const char *body, struct pl_buf *answer, long *status)
{
	CURL *curl;
	int code = ask_open(arguments, path, &curl);

	pl_buf_init(answer, ASK_ANSWER_MAX);
	if (code != COMMAND_OK)
		return code;
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)ASK_TOTAL_S);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_SHARE, connections());
	if (body != NULL)
		curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, body);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	code = transfer(curl, arguments, status);
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	return code;
}

int ask(const struct arguments *arguments, const char *path, const char *body,
	struct pl_buf *answer)
{
	long status = 0;
	int code = ask_by(arguments, body != NULL ? "POST" : "GET", path, body, answer, &status);

	if (code != COMMAND_OK || (status >= 200 && status < 300))
		return code;
	ask_problem(arguments, status, answer);
	return COMMAND_FAILED;
}
