#include "problem.h"

#include "json_writer.h"

static void write_faults(struct json_writer *w, const struct pl_faults *faults)
{
	json_open(w, "errors", '[');
	for (size_t i = 0; i < faults->count; i++) {
		json_open(w, NULL, '{');
		json_text(w, "pointer", faults->list[i].pointer);
		json_text(w, "detail", faults->list[i].detail);
		json_close(w, '}');
	}
	json_close(w, ']');
	if (faults->dropped > 0)
		json_number(w, "errorsNotShown", faults->dropped);
}

enum pl_err problem_write(const struct problem *problem, struct pl_buf *out)
{
	struct json_writer w = { .out = out };
	json_open(&w, NULL, '{');
	json_text(&w, "type", "about:blank");
	json_text(&w, "title", pl_http_status_phrase(problem->status));
	json_number(&w, "status", (uint64_t)problem->status);
	json_text(&w, "detail", problem->detail);
	if (problem->faults != NULL)
		write_faults(&w, problem->faults);
	if (problem->request_id != NULL)
		json_text(&w, "requestId", problem->request_id);
	json_close(&w, '}');
	return w.err;
}

void problem_answer(struct pl_http_call *call, const struct problem *problem)
{
	struct pl_buf *body = pl_http_call_scratch(call);
	PL_ASSERT(problem_write(problem, body) == PL_OK); /* PL_FAULTS_MAX bounds it */
	pl_http_call_answer(call, problem->status, "application/problem+json", problem->headers,
		body->data, body->len);
}

void problem_say(struct pl_http_call *call, int status, const char *detail)
{
	problem_answer(call, &(struct problem) { .status = status, .detail = detail });
}

void problem_input(struct pl_http_call *call, enum pl_err err, const struct pl_faults *faults)
{
	struct problem problem = {
		.status = 422,
		.detail = "Some of what was sent is wrong; errors names each.",
		.faults = faults,
	};
	if (err == PL_ELIMIT && faults->count == 0)
		problem = (struct problem) { .status = 413, .detail = "The body is too large." };
	else if (faults->malformed)
		problem.status = 400, problem.detail = "The body is not valid JSON.";
	problem_answer(call, &problem);
}

void problem_query(struct pl_http_call *call, const struct pl_faults *faults)
{
	problem_answer(call, &(struct problem) {
				     .status = 422,
				     .detail = "The query is wrong; errors names each fault.",
				     .faults = faults,
			     });
}

void problem_no_redis(struct pl_http_call *call)
{
	problem_answer(call, &(struct problem) {
				     .status = 503,
				     .detail = "Redis can't be asked now.",
				     .headers = PROBLEM_RETRY_SOON,
			     });
}

void problem_no_change(struct pl_http_call *call, enum pl_err err)
{
	bool is_known = err == PL_EREDIS || err == PL_ECLOSED;
	problem_answer(
		call, &(struct problem) {
			      .status = 503,
			      .detail = is_known ? "Redis can't be asked now: nothing was changed."
						 : "Redis went away meanwhile: this may have "
						   "been done, in part or whole. Look before "
						   "asking again.",
			      .headers = PROBLEM_RETRY_SOON,
		      });
}
