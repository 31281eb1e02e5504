/*
 * json: writing JSON by hand, checking it in a stream, naming faults by pointer.
 *
 * Reading small JSON is jansson's job; it cannot stream, so bodies of any size are
 * checked here, byte by byte, with memory that does not depend on their length (RFC 8259).
 */
#ifndef PIPELINE_JSON_H
#define PIPELINE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/buf.h"

#define PL_JSON_DEPTH_MAX 512 /* nesting that pl_json_check accepts, SPEC: callback data */

/* Adds a quoted JSON string. Bytes that are not UTF-8 become U+FFFD; control characters,
 * DEL, U+2028 and U+2029 are escaped, so the result never breaks a line. */
PL_MUST_CHECK enum pl_err pl_json_string(struct pl_buf *out, const char *text, size_t len);

/* Feed bytes as they come; finish tells whether they were one valid JSON text in UTF-8
 * without BOM and with at most PL_JSON_DEPTH_MAX levels. */
struct pl_json_check {
	uint8_t state;
	uint8_t utf8_left, utf8_low, utf8_high; /* a multi-byte character under way */
	uint8_t literal;                        /* which of true/false/null, and how far */
	uint8_t literal_at;
	bool failed;
	uint16_t depth;
	uint64_t nesting[PL_JSON_DEPTH_MAX / 64]; /* a bit a level: 1 = object */
};
void pl_json_check_init(struct pl_json_check *check);
void pl_json_check_feed(struct pl_json_check *check, const char *data, size_t len);
bool pl_json_check_finish(struct pl_json_check *check);

/* The same for plain text: valid UTF-8 (RFC 3629) and no NUL. */
struct pl_utf8_check {
	uint8_t left, low, high;
	bool failed;
};
void pl_utf8_check_init(struct pl_utf8_check *check);
void pl_utf8_check_feed(struct pl_utf8_check *check, const char *data, size_t len);
bool pl_utf8_check_finish(const struct pl_utf8_check *check);

#endif
