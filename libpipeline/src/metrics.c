/*
 * All values of a process lie in one array of cells, a row's series side by side:
 *
 *   counter, gauge   value
 *   histogram        up to bound 0 | up to bound 1 | … | above all | sum
 *
 * A histogram's buckets are kept apart and added up when written, so that observing touches two
 * cells, whatever the number of buckets.
 */
#include "pipeline/metrics.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/mem.h"

#define LABELS_MAX  256
#define DECIMAL_MAX 48 /* two numbers of 20 digits and a point */

struct pl_metrics {
	const struct pl_metric *rows;
	size_t count;
	const char *service, *stage;
	size_t *first; /* each row's first cell */
	_Atomic uint64_t *cells;
};

static size_t series_of(const struct pl_metric *row)
{
	size_t count = 0;
	if (row->label == NULL)
		return 1;
	while (row->values[count] != NULL)
		count++;
	return count;
}

static size_t cells_of(const struct pl_metric *row)
{
	return row->kind == PL_METRIC_HISTOGRAM ? row->bounds_count + 2 : 1;
}

struct pl_metrics *pl_metrics_new(
	const struct pl_metric *rows, size_t count, const char *service, const char *stage)
{
	struct pl_metrics *metrics = pl_alloc(sizeof *metrics);
	size_t *first = pl_alloc((count + 1) * sizeof *first);
	size_t cells = 0;
	for (size_t i = 0; i < count; i++) {
		PL_ASSERT(rows[i].name != NULL);
		first[i] = cells;
		cells += series_of(&rows[i]) * cells_of(&rows[i]);
	}
	first[count] = cells;
	*metrics = (struct pl_metrics) { rows, count, service, stage, first,
		pl_calloc(cells, sizeof *metrics->cells) };
	return metrics;
}

void pl_metrics_free(struct pl_metrics *metrics)
{
	if (metrics == NULL)
		return;
	free(metrics->first);
	free(metrics->cells);
	free(metrics);
}

static _Atomic uint64_t *cell(const struct pl_metrics *metrics, size_t row, size_t series)
{
	PL_ASSERT(row < metrics->count);
	size_t at = metrics->first[row] + series * cells_of(&metrics->rows[row]);
	PL_ASSERT(at < metrics->first[row + 1]);
	return &metrics->cells[at];
}

static uint64_t look(const _Atomic uint64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

void pl_metrics_add(struct pl_metrics *metrics, size_t row, size_t series, uint64_t n)
{
	atomic_fetch_add_explicit(cell(metrics, row, series), n, memory_order_relaxed);
}

void pl_metrics_sub(struct pl_metrics *metrics, size_t row, size_t series, uint64_t n)
{
	atomic_fetch_sub_explicit(cell(metrics, row, series), n, memory_order_relaxed);
}

void pl_metrics_set(struct pl_metrics *metrics, size_t row, size_t series, uint64_t value)
{
	atomic_store_explicit(cell(metrics, row, series), value, memory_order_relaxed);
}

void pl_metrics_observe(struct pl_metrics *metrics, size_t row, size_t series, uint64_t value)
{
	const struct pl_metric *of = &metrics->rows[row];
	_Atomic uint64_t *cells = cell(metrics, row, series);
	size_t bucket = 0;
	while (bucket < of->bounds_count && value > of->bounds[bucket])
		bucket++;
	atomic_fetch_add_explicit(&cells[bucket], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&cells[of->bounds_count + 1], value, memory_order_relaxed);
}

uint64_t pl_metrics_get(const struct pl_metrics *metrics, size_t row, size_t series)
{
	const _Atomic uint64_t *cells = cell(metrics, row, series);
	size_t buckets = cells_of(&metrics->rows[row]);
	uint64_t value = 0;
	if (metrics->rows[row].kind == PL_METRIC_HISTOGRAM)
		buckets--;
	for (size_t i = 0; i < buckets; i++)
		value += look(&cells[i]);
	return value;
}

/* ---- as text ---- */

/* value / scale with as many digits as it takes, exactly. */
static void decimal(uint64_t value, uint64_t scale, char out[DECIMAL_MAX])
{
	uint64_t rest = scale > 1 ? value % scale : 0;
	int digits = 0;
	if (rest == 0) {
		snprintf(out, DECIMAL_MAX, "%" PRIu64, scale > 1 ? value / scale : value);
		return;
	}
	for (uint64_t unit = scale; unit > 1; unit /= 10)
		digits++;
	for (; rest % 10 == 0; rest /= 10)
		digits--;
	snprintf(out, DECIMAL_MAX, "%" PRIu64 ".%0*" PRIu64, value / scale, digits, rest);
}

static const char *kind_name(enum pl_metric_kind kind)
{
	static const char *const names[] = { "counter", "gauge", "histogram" };
	return names[kind];
}

static enum pl_err add_label(struct pl_buf *labels, const char *name, const char *value)
{
	return pl_buf_format(labels, "%s%s=\"%s\"", labels->len > 0 ? "," : "", name, value);
}

/* What stands between the braces, without a histogram's `le`. */
static enum pl_err write_labels(const struct pl_metrics *metrics, const struct pl_metric *row,
	size_t series, struct pl_buf *labels)
{
	enum pl_err err = PL_OK;
	pl_buf_clear(labels);
	if (row->scope == PL_METRIC_SERVICE)
		err = add_label(labels, "service", metrics->service);
	else if (row->scope == PL_METRIC_STAGE)
		err = add_label(labels, "stage", metrics->stage);
	if (err == PL_OK && row->label != NULL)
		err = add_label(labels, row->label, row->values[series]);
	return err;
}

static enum pl_err write_sample(const struct pl_metric *row, const char *suffix,
	const struct pl_buf *labels, const char *value, struct pl_buf *out)
{
	if (labels->len == 0)
		return pl_buf_format(out, "%s%s %s\n", row->name, suffix, value);
	return pl_buf_format(out, "%s%s{%s} %s\n", row->name, suffix, labels->data, value);
}

static enum pl_err write_bucket(const struct pl_metric *row, const struct pl_buf *labels,
	const char *bound, uint64_t count, struct pl_buf *out)
{
	return pl_buf_format(out, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", row->name,
		labels->len > 0 ? labels->data : "", labels->len > 0 ? "," : "", bound, count);
}

static enum pl_err write_histogram(const struct pl_metric *row, const struct pl_buf *labels,
	const _Atomic uint64_t *cells, struct pl_buf *out)
{
	char text[DECIMAL_MAX];
	uint64_t count = 0;
	enum pl_err err = PL_OK;
	for (size_t i = 0; i < row->bounds_count && err == PL_OK; i++) {
		count += look(&cells[i]);
		decimal(row->bounds[i], row->scale, text);
		err = write_bucket(row, labels, text, count, out);
	}
	count += look(&cells[row->bounds_count]);
	if (err == PL_OK)
		err = write_bucket(row, labels, "+Inf", count, out);
	decimal(look(&cells[row->bounds_count + 1]), row->scale, text);
	if (err == PL_OK)
		err = write_sample(row, "_sum", labels, text, out);
	decimal(count, 1, text);
	if (err == PL_OK)
		err = write_sample(row, "_count", labels, text, out);
	return err;
}

static enum pl_err write_series(const struct pl_metric *row, const struct pl_buf *labels,
	const _Atomic uint64_t *cells, struct pl_buf *out)
{
	char text[DECIMAL_MAX];
	if (row->kind == PL_METRIC_HISTOGRAM)
		return write_histogram(row, labels, cells, out);
	uint64_t value = look(cells);
	if (value == PL_METRIC_UNKNOWN)
		return PL_OK;
	decimal(value, row->scale, text);
	return write_sample(row, "", labels, text, out);
}

static enum pl_err write_row(
	const struct pl_metrics *metrics, size_t number, struct pl_buf *labels, struct pl_buf *out)
{
	const struct pl_metric *row = &metrics->rows[number];
	enum pl_err err = pl_buf_format(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help,
		row->name, kind_name(row->kind));
	for (size_t i = 0; i < series_of(row) && err == PL_OK; i++) {
		err = write_labels(metrics, row, i, labels);
		if (err == PL_OK)
			err = write_series(row, labels, cell(metrics, number, i), out);
	}
	return err;
}

enum pl_err pl_metrics_write(const struct pl_metrics *metrics, struct pl_buf *out)
{
	struct pl_buf labels;
	pl_buf_init(&labels, LABELS_MAX);
	enum pl_err err = PL_OK;
	for (size_t i = 0; i < metrics->count && err == PL_OK; i++)
		err = write_row(metrics, i, &labels, out);
	pl_buf_fini(&labels);
	return err;
}
