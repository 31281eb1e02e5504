/*
 * buf: bytes that grow up to a ceiling given at birth.
 *
 * Memory   `data` belongs to the buffer until pl_buf_fini or pl_buf_take; it is always
 *          NUL-terminated once anything was added (the NUL is not counted in len).
 * Failure  PL_ELIMIT leaves the buffer as it was.
 */
#ifndef PIPELINE_BUF_H
#define PIPELINE_BUF_H

#include <stdarg.h>
#include <stddef.h>

#include "pipeline/err.h"

struct pl_buf {
	char *data;
	size_t len;
	size_t room; /* allocated bytes */
	size_t max;  /* len never passes this */
};

void pl_buf_init(struct pl_buf *buf, size_t max);
void pl_buf_fini(struct pl_buf *buf);
void pl_buf_clear(struct pl_buf *buf); /* len = 0, memory kept */
PL_MUST_CHECK enum pl_err pl_buf_add(struct pl_buf *buf, const void *data, size_t len);
PL_MUST_CHECK enum pl_err pl_buf_text(struct pl_buf *buf, const char *text);
PL_MUST_CHECK enum pl_err pl_buf_format(struct pl_buf *buf, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
PL_MUST_CHECK enum pl_err pl_buf_vformat(struct pl_buf *buf, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));
/* Makes room for len bytes and returns where to write them; NULL above the ceiling.
 * pl_buf_wrote(n) then counts what was written. */
char *pl_buf_reserve(struct pl_buf *buf, size_t len);
void pl_buf_wrote(struct pl_buf *buf, size_t len);
/* Removes the first len bytes. */
void pl_buf_drop(struct pl_buf *buf, size_t len);
/* Hands the bytes over (free() them); the buffer is empty again. NULL when nothing was added. */
char *pl_buf_take(struct pl_buf *buf, size_t *len);

#endif
