/*
 * health: is the process up (it answers), and can it work (it may accept what it is sent)?
 */
#include <string.h>

#include "handlers.h"
#include "json_writer.h"
#include "problem.h"

static void answer_status(struct pl_http_call *call, const char *status, const char *detail)
{
	struct pl_buf *body = pl_http_call_scratch(call);
	struct json_writer w = { .out = body };
	json_open(&w, NULL, '{');
	json_text(&w, "status", status);
	if (detail[0] != '\0')
		json_text(&w, "detail", detail);
	json_close(&w, '}');
	PL_ASSERT(w.err == PL_OK);
	pl_http_call_answer(call, 200, "application/json", NULL, body->data, body->len);
}

void health_alive(struct api *api, struct pl_http_call *call, const char *id)
{
	(void)api;
	(void)id;
	answer_status(call, "alive", "");
}

void health_ready(struct api *api, struct pl_http_call *call, const char *id)
{
	(void)id;
	char why[STORE_WHY_SIZE] = "";
	bool is_ready = store_is_ready(api->store, why, sizeof(why));
	if (is_ready && !pl_http_call_stopping(call))
		answer_status(call, "ready", why);
	else
		problem_answer(
			call, &(struct problem) {
				      .status = 503,
				      .detail = is_ready ? "This process is shutting down." : why,
				      .headers = "Retry-After: 1\r\n",
			      });
}
