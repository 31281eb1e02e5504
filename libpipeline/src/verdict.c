#include "pipeline/verdict.h"

#include <string.h>

#include "pipeline/backoff.h"

bool pl_verdict_is_success(const struct pl_http_answer *answer)
{
	return answer->fault == PL_FAULT_NONE && answer->status >= 200 && answer->status <= 299;
}

/* What speaks against the host itself; another answer, an odd one too, says that it is there. */
static enum pl_outcome outcome_of(const struct pl_http_answer *answer)
{
	switch (answer->fault) {
	case PL_FAULT_NONE:
		return answer->status >= 502 && answer->status <= 504 ? PL_OUTCOME_FAILURE
								      : PL_OUTCOME_ANSWER;
	case PL_FAULT_DNS:
	case PL_FAULT_CONNECT:
	case PL_FAULT_TLS:
	case PL_FAULT_TIMEOUT_CONNECT:
	case PL_FAULT_TIMEOUT_IDLE:
	case PL_FAULT_TIMEOUT_TOTAL:
		return PL_OUTCOME_FAILURE;
	case PL_FAULT_ADDRESS_BLOCKED:
		return PL_OUTCOME_NONE; /* the host was never asked */
	default:                        /* reset, truncated, too large, a redirect */
		return PL_OUTCOME_ANSWER;
	}
}

static enum pl_fault fault_of(const struct pl_http_answer *answer)
{
	if (answer->fault != PL_FAULT_NONE)
		return answer->fault;
	return pl_verdict_is_success(answer) ? PL_FAULT_TRUNCATED : PL_FAULT_HTTP_STATUS;
}

static uint64_t hint_of(const struct pl_http_answer *answer, uint64_t now_ms)
{
	uint64_t after_ms;
	if (answer->fault != PL_FAULT_NONE || (answer->status != 429 && answer->status != 503) ||
		pl_retry_after_parse(answer->retry_after, strlen(answer->retry_after), now_ms,
			&after_ms) != PL_OK)
		return 0;
	return after_ms;
}

struct pl_verdict pl_verdict_of(
	const struct pl_http_answer *answer, bool is_done, bool is_final, uint64_t now_ms)
{
	if (is_done)
		return (struct pl_verdict) {
			.kind = PL_VERDICT_DONE,
			.outcome = PL_OUTCOME_SUCCESS,
			.status = answer->status,
		};
	is_final = is_final || answer->fault == PL_FAULT_ADDRESS_BLOCKED;
	return (struct pl_verdict) {
		.kind = is_final ? PL_VERDICT_FAIL : PL_VERDICT_RETRY,
		.outcome = outcome_of(answer),
		.status = answer->status,
		.fault = fault_of(answer),
		.retry_after_ms = hint_of(answer, now_ms),
	};
}
