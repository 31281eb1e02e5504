/* The line for body memory: in order, within the ceiling, and no deeper for being long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "worker_private.h"

#define CEILING 100
#define LINE    1000

struct waiter {
	struct pl_memory_wait wait;
	struct pl_worker *worker;
	unsigned *served;   /* counts who was granted so far */
	unsigned at;        /* which of them this one was, from 1 */
	unsigned again;     /* waits once more, so many times */
	unsigned depth_max; /* of grants within grants */
};

static struct waiter waiters[LINE];
static unsigned depth;

static void keep(struct pl_memory_wait *wait)
{
	struct waiter *waiter = (struct waiter *)wait;
	waiter->at = ++*waiter->served;
}

/* What a job does that may not act any more: it gives back what it was just granted. */
static void give_back(struct pl_memory_wait *wait)
{
	struct waiter *waiter = (struct waiter *)wait;
	size_t bytes = wait->bytes;
	waiter->at = ++*waiter->served;
	waiter->depth_max = ++depth > waiter->depth_max ? depth : waiter->depth_max;
	if (waiter->again > 0) {
		waiter->again--;
		pl_worker_memory_wait(waiter->worker, wait, bytes, give_back);
	}
	pl_worker_memory_give(waiter->worker, bytes);
	depth--;
}

static void line_up(struct pl_worker *worker, unsigned count, size_t bytes, unsigned *served,
	void (*granted)(struct pl_memory_wait *wait))
{
	memset(waiters, 0, sizeof waiters);
	for (unsigned i = 0; i < count; i++) {
		waiters[i].worker = worker;
		waiters[i].served = served;
		pl_worker_memory_wait(worker, &waiters[i].wait, bytes, granted);
	}
}

static void test_the_ceiling_holds_and_the_line_is_in_order(void **state)
{
	(void)state;
	struct pl_worker worker = { .body_max = CEILING };
	unsigned served = 0;
	assert_true(pl_worker_memory_take(&worker, 60));
	assert_false(pl_worker_memory_take(&worker, 41));
	line_up(&worker, 3, 50, &served, keep);
	assert_false(pl_worker_memory_take(&worker, 1)); /* not past the line */
	pl_worker_memory_give(&worker, 60);
	assert_int_equal(served, 2);
	assert_int_equal(waiters[0].at, 1);
	assert_int_equal(waiters[1].at, 2);
	assert_int_equal(worker.body_bytes, 100);
	pl_worker_memory_unwait(&worker, &waiters[2].wait);
	pl_worker_memory_give(&worker, 100);
	assert_int_equal(served, 2);
	assert_int_equal(worker.body_bytes, 0);
}

static void test_what_is_above_the_ceiling_goes_alone(void **state)
{
	(void)state;
	struct pl_worker worker = { .body_max = CEILING };
	unsigned served = 0;
	assert_true(pl_worker_memory_take(&worker, 10));
	line_up(&worker, 2, 3 * CEILING, &served, keep);
	pl_worker_memory_give(&worker, 9);
	assert_int_equal(served, 0);
	pl_worker_memory_give(&worker, 1);
	assert_int_equal(served, 1);
	assert_int_equal(worker.body_bytes, 3 * CEILING);
	pl_worker_memory_give(&worker, 3 * CEILING);
	assert_int_equal(served, 2);
}

static void test_a_long_line_that_gives_back_at_once_is_no_deep_one(void **state)
{
	(void)state;
	struct pl_worker worker = { .body_max = CEILING };
	unsigned served = 0;
	assert_true(pl_worker_memory_take(&worker, CEILING));
	line_up(&worker, LINE, 60, &served, give_back);
	pl_worker_memory_give(&worker, CEILING);
	assert_int_equal(served, LINE);
	assert_int_equal(worker.body_bytes, 0);
	for (unsigned i = 0; i < LINE; i++) {
		assert_int_equal(waiters[i].at, i + 1);
		assert_int_equal(waiters[i].depth_max, 1);
	}
}

static void test_who_waits_again_is_behind_the_others(void **state)
{
	(void)state;
	struct pl_worker worker = { .body_max = CEILING };
	unsigned served = 0;
	assert_true(pl_worker_memory_take(&worker, CEILING));
	line_up(&worker, 3, 60, &served, give_back);
	waiters[0].again = 1;
	pl_worker_memory_give(&worker, CEILING);
	assert_int_equal(waiters[1].at, 2);
	assert_int_equal(waiters[2].at, 3);
	assert_int_equal(waiters[0].at, 4);
	assert_null(worker.memory_line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_ceiling_holds_and_the_line_is_in_order),
		cmocka_unit_test(test_what_is_above_the_ceiling_goes_alone),
		cmocka_unit_test(test_a_long_line_that_gives_back_at_once_is_no_deep_one),
		cmocka_unit_test(test_who_waits_again_is_behind_the_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
