/*
 * Body memory: one number all jobs of a process share, and a line for those it has no room for.
 */
#include <utlist.h>

#include "worker_private.h"

static bool fits(const struct pl_worker *worker, size_t bytes)
{
	return worker->body_bytes == 0 || bytes <= worker->body_max - worker->body_bytes;
}

bool pl_worker_memory_take(struct pl_worker *worker, size_t bytes)
{
	if (worker->memory_line != NULL || worker->body_bytes > worker->body_max ||
		!fits(worker, bytes))
		return false;
	worker->body_bytes += bytes;
	return true;
}

void pl_worker_memory_wait(struct pl_worker *worker, struct pl_memory_wait *wait, size_t bytes,
	void (*granted)(struct pl_memory_wait *wait))
{
	PL_ASSERT(!wait->waits);
	*wait = (struct pl_memory_wait) { .granted = granted, .bytes = bytes, .waits = true };
	DL_APPEND(worker->memory_line, wait);
}

void pl_worker_memory_unwait(struct pl_worker *worker, struct pl_memory_wait *wait)
{
	if (!wait->waits)
		return;
	DL_DELETE(worker->memory_line, wait);
	wait->waits = false;
}

void pl_worker_memory_give(struct pl_worker *worker, size_t bytes)
{
	PL_ASSERT(bytes <= worker->body_bytes);
	worker->body_bytes -= bytes;
	if (worker->granting)
		return; /* the loop below is at it; grants within grants would fill the stack */
	worker->granting = true;
	struct pl_memory_wait *first;
	while ((first = worker->memory_line) != NULL && worker->body_bytes <= worker->body_max &&
		fits(worker, first->bytes)) {
		pl_worker_memory_unwait(worker, first);
		worker->body_bytes += first->bytes;
		first->granted(first);
	}
	worker->granting = false;
}
