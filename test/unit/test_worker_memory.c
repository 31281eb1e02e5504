/* The lines for body memory: in order, within the ceilings, and no deeper for being long. */
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
		pl_worker_memory_wait(waiter->worker, wait, false, bytes, give_back);
	}
	pl_worker_memory_give(waiter->worker, false, bytes);
	depth--;
}

static void line_up(struct pl_worker *worker, unsigned count, size_t bytes, unsigned *served,
	void (*granted)(struct pl_memory_wait *wait))
{
	memset(waiters, 0, sizeof waiters);
	for (unsigned i = 0; i < count; i++) {
		waiters[i].worker = worker;
		waiters[i].served = served;
		pl_worker_memory_wait(worker, &waiters[i].wait, false, bytes, granted);
	}
}

static void test_the_ceiling_holds_and_the_line_is_in_order(void **state)
{
	(void)state;
	struct pl_worker worker = { .body_max = CEILING };
	unsigned served = 0;
	assert_true(pl_worker_memory_take(&worker, false, 60));
	assert_false(pl_worker_memory_take(&worker, false, 41));
	line_up(&worker, 3, 50, &served, keep);
	assert_false(pl_worker_memory_take(&worker, false, 1)); /* not past the line */
	pl_worker_memory_give(&worker, false, 60);
	assert_int_equal(served, 2);
	assert_int_equal(waiters[0].at, 1);
	assert_int_equal(waiters[1].at, 2);
	assert_int_equal(worker.body_bytes, 100);
	pl_worker_memory_unwait(&worker, &waiters[2].wait);
	pl_worker_memory_give(&worker, false, 100);
	assert_int_equal(served, 2);
	assert_int_equal(worker.body_bytes, 0);
}

static void test_what_is_above_the_ceiling_goes_alone(void **state)
{
	(void)state;
	struct pl_worker worker = { .body_max = CEILING };
	unsigned served = 0;
	assert_true(pl_worker_memory_take(&worker, false, 10));
	line_up(&worker, 2, 3 * CEILING, &served, keep);
	pl_worker_memory_give(&worker, false, 9);
	assert_int_equal(served, 0);
	pl_worker_memory_give(&worker, false, 1);
	assert_int_equal(served, 1);
	assert_int_equal(worker.body_bytes, 3 * CEILING);
	pl_worker_memory_give(&worker, false, 3 * CEILING);
	assert_int_equal(served, 2);
}

static void test_a_long_line_that_gives_back_at_once_is_no_deep_one(void **state)
{
	(void)state;
	struct pl_worker worker = { .body_max = CEILING };
	unsigned served = 0;
	assert_true(pl_worker_memory_take(&worker, false, CEILING));
	line_up(&worker, LINE, 60, &served, give_back);
	pl_worker_memory_give(&worker, false, CEILING);
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
	assert_true(pl_worker_memory_take(&worker, false, CEILING));
	line_up(&worker, 3, 60, &served, give_back);
	waiters[0].again = 1;
	pl_worker_memory_give(&worker, false, CEILING);
	assert_int_equal(waiters[1].at, 2);
	assert_int_equal(waiters[2].at, 3);
	assert_int_equal(waiters[0].at, 4);
	assert_null(worker.memory[false].line);
}

static void wait_one(
	struct pl_worker *worker, unsigned i, bool unproven, size_t bytes, unsigned *served)
{
	memset(&waiters[i], 0, sizeof waiters[i]);
	waiters[i].worker = worker;
	waiters[i].served = served;
	pl_worker_memory_wait(worker, &waiters[i].wait, unproven, bytes, keep);
}

static void test_unproven_hosts_have_half_and_the_others_wait_for_none_of_them(void **state)
{
	(void)state;
	struct pl_worker worker = { .body_max = CEILING };
	unsigned served = 0;
	assert_true(pl_worker_memory_take(&worker, true, 30));
	assert_false(pl_worker_memory_take(&worker, true, 21));
	wait_one(&worker, 0, true, 21, &served);
	assert_false(pl_worker_memory_take(&worker, true, 1)); /* not past its own line */
	assert_true(pl_worker_memory_take(&worker, false, 60));
	pl_worker_memory_give(&worker, false, 60);
	assert_int_equal(served, 0);
	assert_true(pl_worker_memory_take(&worker, false, 70));
	pl_worker_memory_give(&worker, true, 30);
	assert_int_equal(served, 1);
	assert_int_equal(worker.body_bytes, 91);
}

static void test_of_both_lines_who_came_first_is_first(void **state)
{
	(void)state;
	struct pl_worker worker = { .body_max = CEILING };
	unsigned served = 0;
	assert_true(pl_worker_memory_take(&worker, false, CEILING));
	wait_one(&worker, 0, false, 40, &served);
	wait_one(&worker, 1, true, 40, &served);
	wait_one(&worker, 2, false, 40, &served);
	wait_one(&worker, 3, true, 10, &served);
	pl_worker_memory_give(&worker, false, CEILING);
	assert_int_equal(served, 2);
	assert_int_equal(waiters[0].at, 1);
	assert_int_equal(waiters[1].at, 2);
	assert_false(pl_worker_memory_take(&worker, true, 10)); /* the third was there before */
	pl_worker_memory_give(&worker, false, 40);
	assert_int_equal(waiters[2].at, 3);
	assert_int_equal(waiters[3].at, 4);
	assert_int_equal(worker.body_bytes, 90);
}

static void test_an_unproven_body_above_half_goes_alone_among_its_own(void **state)
{
	(void)state;
	struct pl_worker worker = { .body_max = CEILING };
	unsigned served = 0;
	assert_true(pl_worker_memory_take(&worker, false, 20));
	assert_true(pl_worker_memory_take(&worker, true, 70));
	wait_one(&worker, 0, true, 70, &served);
	pl_worker_memory_give(&worker, false, 20);
	assert_int_equal(served, 0);
	pl_worker_memory_give(&worker, true, 70);
	assert_int_equal(served, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_ceiling_holds_and_the_line_is_in_order),
		cmocka_unit_test(test_what_is_above_the_ceiling_goes_alone),
		cmocka_unit_test(test_a_long_line_that_gives_back_at_once_is_no_deep_one),
		cmocka_unit_test(test_who_waits_again_is_behind_the_others),
		cmocka_unit_test(
			test_unproven_hosts_have_half_and_the_others_wait_for_none_of_them),
		cmocka_unit_test(test_of_both_lines_who_came_first_is_first),
		cmocka_unit_test(test_an_unproven_body_above_half_goes_alone_among_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
