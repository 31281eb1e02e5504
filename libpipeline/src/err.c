#include "pipeline/err.h"

#include <stdio.h>
#include <stdlib.h>

const char *pl_err_name(enum pl_err err)
{
	static const char *const names[] = {
		[PL_OK] = "ok",
		[PL_EINVAL] = "invalid",
		[PL_ELIMIT] = "limit",
		[PL_EBLOCKED] = "blocked",
		[PL_EREDIS] = "redis",
		[PL_EUNKNOWN] = "unknown_outcome",
		[PL_ETIMEOUT] = "timeout",
		[PL_ESTALE] = "stale",
		[PL_ENOTFOUND] = "not_found",
		[PL_ECONFLICT] = "conflict",
		[PL_ECLOSED] = "closed",
		[PL_ESYS] = "system",
	};
	size_t i = (size_t)err;
	return i < sizeof names / sizeof *names ? names[i] : "?";
}

void pl_assert_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: our own bug: %s does not hold\n", file, line, what);
	abort();
}
