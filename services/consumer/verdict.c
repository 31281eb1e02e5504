#include "verdict.h"

static bool is_worth_a_retry(int status)
{
	return status == 408 || status == 425 || status == 429 || (status >= 500 && status <= 599);
}

static bool is_final(const struct pl_http_answer *answer)
{
	if (answer->fault == PL_FAULT_NONE)
		return !is_worth_a_retry(answer->status);
	return answer->fault == PL_FAULT_TOO_LARGE || answer->fault == PL_FAULT_REDIRECT;
}

struct pl_verdict fetch_verdict(const struct pl_http_answer *answer, uint64_t now_ms)
{
	return pl_verdict_of(answer, pl_verdict_is_success(answer), is_final(answer), now_ms);
}
