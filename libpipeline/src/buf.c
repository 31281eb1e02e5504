#include "pipeline/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/mem.h"

#define ROOM_FIRST 256 /* most lines and heads fit without growing again */

void pl_buf_init(struct pl_buf *buf, size_t max)
{
	PL_ASSERT(max < SIZE_MAX / 2); /* len + 1 and a doubled room never overflow */
	*buf = (struct pl_buf) { .max = max };
}

void pl_buf_fini(struct pl_buf *buf)
{
	free(buf->data);
	*buf = (struct pl_buf) { .max = buf->max };
}

void pl_buf_clear(struct pl_buf *buf)
{
	buf->len = 0;
	if (buf->data != NULL)
		buf->data[0] = '\0';
}

char *pl_buf_reserve(struct pl_buf *buf, size_t len)
{
	if (len > buf->max - buf->len)
		return NULL;
	size_t need = buf->len + len + 1; /* the NUL */
	if (need > buf->room) {
		size_t room = buf->room > 0 ? buf->room * 2 : ROOM_FIRST;
		if (room > buf->max)
			room = buf->max + 1;
		if (room < need)
			room = need;
		buf->data = pl_realloc(buf->data, room);
		buf->data[buf->len] = '\0';
		buf->room = room;
	}
	return buf->data + buf->len;
}

void pl_buf_wrote(struct pl_buf *buf, size_t len)
{
	PL_ASSERT(len < buf->room - buf->len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

enum pl_err pl_buf_add(struct pl_buf *buf, const void *data, size_t len)
{
	char *at = pl_buf_reserve(buf, len);
	if (at == NULL)
		return PL_ELIMIT;
	if (len > 0)
		memcpy(at, data, len);
	pl_buf_wrote(buf, len);
	return PL_OK;
}

enum pl_err pl_buf_text(struct pl_buf *buf, const char *text)
{
	return pl_buf_add(buf, text, strlen(text));
}

enum pl_err pl_buf_vformat(struct pl_buf *buf, const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	size_t left = buf->room - buf->len; /* what fits here is within the ceiling, as room is */
	int len = vsnprintf(left > 0 ? buf->data + buf->len : NULL, left, format, args);
	PL_ASSERT(len >= 0);
	enum pl_err err = PL_OK;
	if ((size_t)len >= left) {
		if (left > 0)
			buf->data[buf->len] = '\0';
		char *at = pl_buf_reserve(buf, (size_t)len);
		if (at != NULL)
			vsnprintf(at, (size_t)len + 1, format, again);
		else
			err = PL_ELIMIT;
	}
	va_end(again);
	if (err == PL_OK)
		pl_buf_wrote(buf, (size_t)len);
	return err;
}

enum pl_err pl_buf_format(struct pl_buf *buf, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	enum pl_err err = pl_buf_vformat(buf, format, args);
	va_end(args);
	return err;
}

void pl_buf_drop(struct pl_buf *buf, size_t len)
{
	PL_ASSERT(len <= buf->len);
	if (len == 0)
		return;
	buf->len -= len;
	memmove(buf->data, buf->data + len, buf->len + 1);
}

char *pl_buf_take(struct pl_buf *buf, size_t *len)
{
	char *data = buf->data;
	if (len != NULL)
		*len = buf->len;
	*buf = (struct pl_buf) { .max = buf->max };
	return data;
}
