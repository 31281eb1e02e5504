/*
 * Body memory: one number all jobs of a process share, and two lines for those it has no room for.
 * Jobs of unproven hosts have half of it at most, or one body if that is more: what hosts that hang
 * hold on to leaves room for the others. Who came first is served first, whichever line it stands
 * in; but nobody waits for a share that is not its own.
 */
#include <utlist.h>

#include "worker_private.h"

static bool fits(size_t taken, size_t most, size_t bytes)
{
	return taken == 0 || (taken <= most && bytes <= most - taken);
}

static bool share_fits(const struct pl_worker *worker, bool unproven, size_t bytes)
{
	return !unproven || fits(worker->memory[true].taken, worker->body_max / 2, bytes);
}

/* The first of a line, unless its share has no room for it. */
static struct pl_memory_wait *head_of(const struct pl_worker *worker, bool unproven)
{
	struct pl_memory_wait *head = worker->memory[unproven].line;
	return head != NULL && share_fits(worker, unproven, head->bytes) ? head : NULL;
}

static struct pl_memory_wait *first_of(const struct pl_worker *worker)
{
	struct pl_memory_wait *proven = head_of(worker, false), *unproven = head_of(worker, true);
	if (proven == NULL || unproven == NULL)
		return proven != NULL ? proven : unproven;
	return proven->place < unproven->place ? proven : unproven;
}

static void take(struct pl_worker *worker, bool unproven, size_t bytes)
{
	worker->body_bytes += bytes;
	worker->memory[unproven].taken += bytes;
}

bool pl_worker_memory_take(struct pl_worker *worker, bool unproven, size_t bytes)
{
	if (worker->memory[unproven].line != NULL || first_of(worker) != NULL ||
		!share_fits(worker, unproven, bytes) ||
		!fits(worker->body_bytes, worker->body_max, bytes))
		return false;
	take(worker, unproven, bytes);
	return true;
}

void pl_worker_memory_wait(struct pl_worker *worker, struct pl_memory_wait *wait, bool unproven,
	size_t bytes, void (*granted)(struct pl_memory_wait *wait))
{
	PL_ASSERT(!wait->waits);
	*wait = (struct pl_memory_wait) { .granted = granted,
		.bytes = bytes,
		.place = worker->memory_places++,
		.unproven = unproven,
		.waits = true };
	DL_APPEND(worker->memory[unproven].line, wait);
}

void pl_worker_memory_unwait(struct pl_worker *worker, struct pl_memory_wait *wait)
{
	if (!wait->waits)
		return;
	DL_DELETE(worker->memory[wait->unproven].line, wait);
	wait->waits = false;
}

void pl_worker_memory_give(struct pl_worker *worker, bool unproven, size_t bytes)
{
	PL_ASSERT(bytes <= worker->memory[unproven].taken);
	worker->memory[unproven].taken -= bytes;
	worker->body_bytes -= bytes;
	if (worker->granting)
		return; /* the loop below is at it; grants within grants would fill the stack */
	worker->granting = true;
	struct pl_memory_wait *first;
	while ((first = first_of(worker)) != NULL &&
		fits(worker->body_bytes, worker->body_max, first->bytes)) {
		pl_worker_memory_unwait(worker, first);
		take(worker, first->unproven, first->bytes);
		first->granted(first);
	}
	worker->granting = false;
}
