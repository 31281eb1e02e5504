/* Any bytes as a query: what a parameter is said to be never holds a NUL nor more than was sent;
 * what is encoded comes back. */
#include "input.h"
#include "pipeline/http_server.h"

static void any_query(const char *query, const char *name)
{
	struct pl_buf value;
	pl_buf_init(&value, strlen(query));
	enum pl_err err = pl_http_query_get(query, name, &value);
	PL_ASSERT(err == PL_OK || err == PL_ENOTFOUND || err == PL_EINVAL);
	PL_ASSERT(err == PL_OK || value.len == 0);
	PL_ASSERT(value.len == 0 || memchr(value.data, '\0', value.len) == NULL);
	pl_buf_fini(&value);
}

static void there_and_back(const char *text)
{
	struct pl_buf query, value;
	size_t len = strlen(text);
	pl_buf_init(&query, 3 * len + 64);
	pl_buf_init(&value, len);
	enum pl_err err = pl_buf_text(&query, "keys=1&key=");
	for (size_t i = 0; err == PL_OK && i < len; i++)
		err = pl_buf_format(
			&query, i % 2 > 0 ? "%%%02x" : "%%%02X", (unsigned char)text[i]);
	if (err == PL_OK)
		err = pl_buf_text(&query, "&key=2");
	PL_ASSERT(err == PL_OK);
	PL_ASSERT(pl_http_query_get(query.data, "key", &value) == PL_OK);
	PL_ASSERT(value.len == len && (len == 0 || memcmp(value.data, text, len) == 0));
	pl_buf_fini(&query);
	pl_buf_fini(&value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = input_of(data, size);
	char *name = input_text(&in), *query = input_text(&in);
	any_query(query, name);
	any_query(query, "cursor");
	there_and_back(query);
	free(name);
	free(query);
	return 0;
}
