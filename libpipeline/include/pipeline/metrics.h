/*
 * metrics: what a process counts, and how Prometheus is told (text format 0.0.4).
 *
 *   pl_metrics_add(metrics, ACCEPTED, 0, 1);     a row of the table, one of its series, how much
 *
 * One table per process; its row number names a metric. Every label's values stand in the row, so
 * the number of series is known at birth: nothing a client sends can add one.
 * Values   whole numbers in a unit of the row's own (ms, us, bytes); `scale` of them are one of the
 *          base unit that is shown: 1000 where ms are counted and seconds are shown.
 * Threads  any. A change is a relaxed atomic operation or three, a few ns; what is written is read
 *          number by number, not all at one moment.
 */
#ifndef PIPELINE_METRICS_H
#define PIPELINE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "pipeline/buf.h"

#define PL_METRICS_TYPE     "text/plain; version=0.0.4; charset=utf-8"
#define PL_METRICS_TEXT_MAX (256 * 1024) /* bytes of everything a process tells */
#define PL_METRIC_UNKNOWN   UINT64_MAX   /* a gauge or counter set to it is left out */

struct pl_metrics;

enum pl_metric_kind { PL_METRIC_COUNTER, PL_METRIC_GAUGE, PL_METRIC_HISTOGRAM };

enum pl_metric_scope {     /* of whom it speaks: the label every series of the row has */
	PL_METRIC_SERVICE, /* this process: service="api" */
	PL_METRIC_STAGE,   /* this process's work: stage="fetch" */
	PL_METRIC_PIPELINE /* all of them; whoever is asked says the same: none */
};

/* Counters end in _total; names end in their base unit (_seconds, _bytes) where they have one.
 * Label values are ours: without quotes, backslashes and line breaks, as is help. */
struct pl_metric {
	const char *name;
	const char *help; /* one sentence */
	enum pl_metric_kind kind;
	enum pl_metric_scope scope;
	uint64_t scale;            /* a power of ten; 0 is 1 */
	const char *label;         /* NULL: the row is one series */
	const char *const *values; /* its series, NULL-terminated */
	const uint64_t *bounds; /* of a histogram: upper ones, ascending, in the row's own unit */
	size_t bounds_count;
};

/* rows are borrowed, the first count of them are kept; service and stage (NULL where no row needs
 * it) are static texts. All values begin at 0. */
struct pl_metrics *pl_metrics_new(
	const struct pl_metric *rows, size_t count, const char *service, const char *stage);
void pl_metrics_free(struct pl_metrics *metrics);

void pl_metrics_add(struct pl_metrics *metrics, size_t row, size_t series, uint64_t n);
/* Gauges only. */
void pl_metrics_sub(struct pl_metrics *metrics, size_t row, size_t series, uint64_t n);
/* A gauge, or a counter that somebody else keeps. */
void pl_metrics_set(struct pl_metrics *metrics, size_t row, size_t series, uint64_t value);
void pl_metrics_observe(struct pl_metrics *metrics, size_t row, size_t series, uint64_t value);
/* What counts so far; of a histogram how many were observed. */
uint64_t pl_metrics_get(const struct pl_metrics *metrics, size_t row, size_t series);

PL_MUST_CHECK enum pl_err pl_metrics_write(const struct pl_metrics *metrics, struct pl_buf *out);

#endif
