/*
 * record_json: a stored request as a client sees it. Pure.
 *
 * What has no value is absent. URLs are shown without user info and with "?…" for a query.
 */
#ifndef API_RECORD_JSON_H
#define API_RECORD_JSON_H

#include "pipeline/buf.h"
#include "store.h"

PL_MUST_CHECK enum pl_err record_json(const struct store_found *found, struct pl_buf *out);
/* One event, one JSON object, without a line's end. */
PL_MUST_CHECK enum pl_err record_json_event(
	const struct pl_record *record, const struct pl_event *event, struct pl_buf *out);
/* Its events, one JSON object a line. */
PL_MUST_CHECK enum pl_err record_json_log(const struct pl_record *record, struct pl_buf *out);

#define RECORD_SHA256_SIZE 65 /* hex and the NUL */
/* Of the data, wherever it lies; that of no bytes for none. */
void record_sha256(const struct pl_data *data, char hex[RECORD_SHA256_SIZE]);

#endif
