/* Any bytes as a client's request: what is taken encodes, and decodes to the same again; and the
 * usual text, which is read without jansson, says the same to it. */
#include "input.h"
#include "pipeline/json.h"
#include "pipeline/request.h"

#define ROOM (8 * PL_REQUEST_BODY_MAX) /* escapes make a text up to six times longer */

static struct pl_netpolicy *policy(void)
{
	static struct pl_netpolicy *made;
	const char *why;
	if (made == NULL)
		PL_ASSERT(pl_netpolicy_new(&(struct pl_netpolicy_options) { 0 }, &made, &why) ==
			  PL_OK);
	return made;
}

/* As a record does it: encode, and read back into what knows the URLs only. */
static void round_trip(const struct pl_request *request)
{
	struct pl_buf once, twice;
	pl_buf_init(&once, ROOM);
	pl_buf_init(&twice, ROOM);
	PL_ASSERT(pl_request_options_encode(request, &once) == PL_OK);
	PL_ASSERT(once.len == 0 || memchr(once.data, '\n', once.len) == NULL);
	struct pl_request back = { .provider = request->provider,
		.callback_url = request->callback_url };
	PL_ASSERT(
		pl_request_options_decode(&back, once.len > 0 ? once.data : "", once.len) == PL_OK);
	PL_ASSERT(pl_request_options_encode(&back, &twice) == PL_OK);
	PL_ASSERT(once.len == twice.len);
	PL_ASSERT(once.len == 0 || memcmp(once.data, twice.data, once.len) == 0);
	pl_request_clear(&back);
	pl_buf_fini(&once);
	pl_buf_fini(&twice);
}

static bool is_json(const char *text, size_t len)
{
	struct pl_json_check check;
	pl_json_check_init(&check);
	pl_json_check_feed(&check, text, len);
	return pl_json_check_finish(&check);
}

static void same_urls(const char *text, size_t len, const struct pl_request *request)
{
	json_t *read = json_loadb(
		text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);
	PL_ASSERT(read != NULL);
	const char *provider = json_string_value(json_object_get(read, "provider"));
	const char *callback = json_string_value(json_object_get(read, "callbackUrl"));
	PL_ASSERT(provider != NULL && strcmp(provider, request->provider) == 0);
	PL_ASSERT(callback != NULL && strcmp(callback, request->callback_url) == 0);
	json_decref(read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pl_faults faults;
	struct pl_request *request = NULL;
	struct pl_request options = { 0 };
	pl_faults_init(&faults);
	if (pl_request_parse((const char *)data, size, policy(), &request, &faults) == PL_OK) {
		PL_ASSERT(faults.count == 0 && is_json((const char *)data, size));
		same_urls((const char *)data, size, request);
		round_trip(request);
		pl_request_free(request);
	} else {
		PL_ASSERT(faults.count > 0 && request == NULL);
	}
	if (pl_request_options_decode(&options, (const char *)data, size) == PL_OK)
		pl_request_clear(&options);
	return 0;
}
