#include "pipeline/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *given(void *memory, size_t size)
{
	if (memory == NULL && size > 0) {
		fprintf(stderr, "out of memory: %zu bytes refused\n", size);
		abort();
	}
	return memory;
}

void *pl_alloc(size_t size)
{
	return given(malloc(size), size);
}

void *pl_calloc(size_t count, size_t size)
{
	return given(calloc(count, size), count > 0 && size > 0 ? SIZE_MAX : 0);
}

void *pl_realloc(void *old, size_t size)
{
	return given(realloc(old, size), size);
}

char *pl_strdup(const char *text)
{
	return text == NULL ? NULL : pl_strndup(text, strlen(text));
}

char *pl_strndup(const char *text, size_t len)
{
	char *copy = pl_alloc(len + 1);
	if (len > 0)
		memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}
