/*
 * hosts_file: the operator's limits for named hosts (HOSTS_FILE).
 *
 *   # host[:port]       limits
 *   api.example         concurrency=4 rate=0.5
 *   10.0.0.7:8080       rate=100
 *
 * A host without a port means its ports 80 and 443. rate: requests a second, fractions allowed.
 */
#ifndef PIPELINE_HOSTS_FILE_H
#define PIPELINE_HOSTS_FILE_H

#include "pipeline/err.h"
#include "pipeline/queue.h"

/* *out: free() it. *why names the line, static per thread. */
PL_MUST_CHECK enum pl_err pl_hosts_file_read(
	const char *path, struct pl_host_limit **out, size_t *count, const char **why);
/* The same for text at hand, for tests. */
PL_MUST_CHECK enum pl_err pl_hosts_file_parse(
	const char *text, struct pl_host_limit **out, size_t *count, const char **why);

#endif
