/* Any bytes as a URL, as a Location and as something to show: what is taken is taken again, in
 * its own spelling, as the same place. */
#include <stdlib.h>
#include <string.h>

#include "pipeline/mem.h"
#include "pipeline/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_again(const struct pl_url *url)
{
	const char *text = pl_url_text(url), *why;
	struct pl_url *again;
	if (strlen(text) > PL_URL_MAX) /* escapes made it longer than a client may write */
		return;
	PL_ASSERT(pl_url_parse(text, strlen(text), &again, &why) == PL_OK);
	PL_ASSERT(strcmp(pl_url_lane(url), pl_url_lane(again)) == 0);
	PL_ASSERT(strcmp(text, pl_url_text(again)) == 0);
	PL_ASSERT(pl_url_same_origin(url, again));
	pl_url_free(again);
}

static void resolve(const char *location)
{
	static const char base_text[] = "http://a.example/b/c;d?e";
	struct pl_url *base, *target;
	const char *why;
	PL_ASSERT(pl_url_parse(base_text, sizeof base_text - 1, &base, &why) == PL_OK);
	if (pl_url_resolve(base, location, &target, &why) == PL_OK) {
		same_again(target);
		pl_url_free(target);
	}
	pl_url_free(base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pl_url *url;
	const char *why;
	struct pl_buf shown;
	if (pl_url_parse((const char *)data, size, &url, &why) == PL_OK) {
		same_again(url);
		pl_url_free(url);
	}
	char *text = pl_strndup((const char *)data, size);
	resolve(text);
	free(text);
	pl_buf_init(&shown, size + 8);
	PL_ASSERT(pl_url_show((const char *)data, size, &shown) == PL_OK);
	pl_buf_fini(&shown);
	return 0;
}
