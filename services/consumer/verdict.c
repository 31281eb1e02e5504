#include "verdict.h"

#include <string.h>

static bool is_worth_a_retry(int status)
{
	return status == 408 || status == 425 || status == 429 || (status >= 500 && status <= 599);
}

static struct pl_verdict of_status(const struct pl_http_answer *answer, uint64_t now_ms)
{
	int status = answer->status;
	struct pl_verdict verdict = {
		.kind = PL_VERDICT_DONE, .outcome = PL_OUTCOME_SUCCESS, .status = status
	};
	if (status >= 200 && status <= 299)
		return verdict;
	verdict.fault = PL_FAULT_HTTP_STATUS;
	verdict.kind = is_worth_a_retry(status) ? PL_VERDICT_RETRY : PL_VERDICT_FAIL;
	verdict.outcome = status >= 502 && status <= 504 ? PL_OUTCOME_FAILURE : PL_OUTCOME_ANSWER;
	if ((status == 429 || status == 503) &&
		pl_retry_after_parse(answer->retry_after, strlen(answer->retry_after), now_ms,
			&verdict.retry_after_ms) != PL_OK)
		verdict.retry_after_ms = 0;
	return verdict;
}

struct pl_verdict fetch_verdict(const struct pl_http_answer *answer, uint64_t now_ms)
{
	struct pl_verdict verdict = {
		.kind = PL_VERDICT_RETRY,
		.outcome = PL_OUTCOME_ANSWER,
		.status = answer->status,
		.fault = answer->fault,
	};
	switch (answer->fault) {
	case PL_FAULT_NONE:
		return of_status(answer, now_ms);
	case PL_FAULT_DNS:
	case PL_FAULT_CONNECT:
	case PL_FAULT_TLS:
	case PL_FAULT_TIMEOUT_CONNECT:
	case PL_FAULT_TIMEOUT_IDLE:
	case PL_FAULT_TIMEOUT_TOTAL:
		verdict.outcome = PL_OUTCOME_FAILURE;
		break;
	case PL_FAULT_ADDRESS_BLOCKED:
		verdict.kind = PL_VERDICT_FAIL;
		verdict.outcome = PL_OUTCOME_NONE; /* the host was never asked */
		break;
	case PL_FAULT_TOO_LARGE:
	case PL_FAULT_REDIRECT:
		verdict.kind = PL_VERDICT_FAIL;
		break;
	default: /* reset, truncated: anything cut short */
		break;
	}
	return verdict;
}
