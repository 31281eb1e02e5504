/*
 * json_writer: JSON by hand, without a tree: name after name into a buffer.
 *
 *   json_open(&w, NULL, '{'); json_text(&w, "a", "b"); json_close(&w, '}');     {"a":"b"}
 *
 * Commas set themselves. key is NULL for what stands alone or in an array; a name is one of ours
 * and needs no escape.
 * Failure  the first that fails is kept in err, what follows does nothing: look once, at the end.
 */
#ifndef API_JSON_WRITER_H
#define API_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/buf.h"

struct json_writer {
	struct pl_buf *out;
	size_t start; /* bytes of out that are somebody else's */
	enum pl_err err;
};

void json_open(struct json_writer *w, const char *key, char bracket);
void json_close(struct json_writer *w, char bracket);
void json_text(struct json_writer *w, const char *key, const char *text);
void json_number(struct json_writer *w, const char *key, uint64_t number);
void json_bool(struct json_writer *w, const char *key, bool value);
/* RFC 3339 UTC, milliseconds. */
void json_time(struct json_writer *w, const char *key, uint64_t unix_ms);
/* text is JSON already. */
void json_raw(struct json_writer *w, const char *key, const char *text);
#endif
