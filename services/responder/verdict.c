#include "verdict.h"

#include <string.h>

#define GONE 410 /* the receiver says: never again */

static struct pl_verdict of_status(const struct pl_http_answer *answer, uint64_t now_ms)
{
	int status = answer->status;
	struct pl_verdict verdict = {
		.kind = PL_VERDICT_DONE, .outcome = PL_OUTCOME_SUCCESS, .status = status
	};
	bool is_success = status >= 200 && status <= 299;
	if (is_success && answer->sent_whole)
		return verdict;
	verdict.fault = is_success ? PL_FAULT_TRUNCATED : PL_FAULT_HTTP_STATUS;
	verdict.kind = status == GONE ? PL_VERDICT_FAIL : PL_VERDICT_RETRY;
	verdict.outcome = status >= 502 && status <= 504 ? PL_OUTCOME_FAILURE : PL_OUTCOME_ANSWER;
	if ((status == 429 || status == 503) &&
		pl_retry_after_parse(answer->retry_after, strlen(answer->retry_after), now_ms,
			&verdict.retry_after_ms) != PL_OK)
		verdict.retry_after_ms = 0;
	return verdict;
}

struct pl_verdict deliver_verdict(const struct pl_http_answer *answer, uint64_t now_ms)
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
	default: /* reset, truncated: anything cut short */
		break;
	}
	return verdict;
}
