/*
 * mem: the heap, which never says no.
 *
 * Every buffer and queue has a ceiling of its own, so an allocation that fails
 * means the machine is out of memory: the process says so and aborts, its
 * requests go back to their lanes, the supervisor starts it anew.
 */
#ifndef PIPELINE_MEM_H
#define PIPELINE_MEM_H

#include <stddef.h>

void *pl_alloc(size_t size);                /* not cleared */
void *pl_calloc(size_t count, size_t size); /* cleared; overflow aborts */
void *pl_realloc(void *old, size_t size);
char *pl_strdup(const char *text);              /* NULL gives NULL */
char *pl_strndup(const char *text, size_t len); /* copies exactly len bytes and adds a NUL */

#endif
