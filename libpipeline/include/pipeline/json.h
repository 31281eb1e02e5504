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

#define PL_JSON_DEPTH_MAX 512 /* nesting that pl_json_check accepts */

/* Adds a quoted JSON string. Bytes that are not UTF-8 become U+FFFD (one for the longest start of
 * a character); what could break or disguise a line is escaped: control characters (C0, DEL, C1),
 * U+2028, U+2029 and the marks that turn the direction of writing. */
PL_MUST_CHECK enum pl_err pl_json_string(struct pl_buf *out, const char *text, size_t len);
/* The same without the quotes into room bytes: as many whole characters as fit. *used tells how
 * much of text they were; returns the bytes written, without a NUL. out NULL: it only counts. */
size_t pl_json_escape(const char *text, size_t len, char *out, size_t room, size_t *used);

/* Is it plain text: valid UTF-8 (RFC 3629) and no NUL? Feed bytes as they come. */
struct pl_utf8_check {
	uint8_t left, low, high; /* of a character under way: bytes to come, range of the next */
	bool failed;
};
void pl_utf8_check_init(struct pl_utf8_check *check);
void pl_utf8_check_feed(struct pl_utf8_check *check, const char *data, size_t len);
bool pl_utf8_check_finish(const struct pl_utf8_check *check);
/* The character that begins at text, of which there are 1 or more bytes: how many of them are its,
 * its code in *code. One that is broken is U+FFFD. */
size_t pl_utf8_next(const char *text, size_t len, uint32_t *code);
/* Could it break a line, or show it in another order than it is? */
bool pl_utf8_is_disguise(uint32_t code);

/* Feed bytes as they come; finish tells whether they were one valid JSON text in UTF-8
 * without BOM and with at most PL_JSON_DEPTH_MAX levels. A lone surrogate written as \uXXXX is
 * within the grammar and so is a number of any size. */
struct pl_json_check {
	uint8_t state;
	bool is_key; /* the string under way is a member's name */
	bool failed;
	uint16_t depth;
	const char *literal; /* what is left of true, false or null */
	struct pl_utf8_check utf8;
	uint64_t nesting[PL_JSON_DEPTH_MAX / 64]; /* a bit a level: 1 = object */
};
void pl_json_check_init(struct pl_json_check *check);
void pl_json_check_feed(struct pl_json_check *check, const char *data, size_t len);
bool pl_json_check_finish(const struct pl_json_check *check);

#endif
