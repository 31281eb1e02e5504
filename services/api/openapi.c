#include "openapi.h"

#include <string.h>

#include "handlers.h"

void openapi_show(struct api *api, struct pl_http_call *call, const char *id)
{
	(void)api;
	(void)id;
	pl_http_call_answer(
		call, 200, "application/json", NULL, api_text_openapi, strlen(api_text_openapi));
}
