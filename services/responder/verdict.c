#include "verdict.h"

#define GONE 410 /* the receiver says: never again */

struct pl_verdict deliver_verdict(const struct pl_http_answer *answer, uint64_t now_ms)
{
	bool is_done = pl_verdict_is_success(answer) && answer->sent_whole;
	bool is_final = answer->fault == PL_FAULT_NONE && answer->status == GONE;
	return pl_verdict_of(answer, is_done, is_final, now_ms);
}
