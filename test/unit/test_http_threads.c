/* The server's threads come in as connections need them, and all of them at the end. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http_threads.h"
#include "pipeline/clock.h"

#define THREADS 12
#define WAIT_MS 10000

struct crowd {
	struct http_threads threads;
	pthread_t handles[THREADS];
};

static void *come(void *arg)
{
	http_threads_enter(arg);
	return NULL;
}

/* Waits until everybody is where he stays, and says how many of them are inside. */
static unsigned settled(struct crowd *crowd, unsigned inside)
{
	uint64_t until = pl_clock_mono_ms() + WAIT_MS;
	unsigned now_inside, at_door;
	do {
		(void)sched_yield();
		(void)pthread_mutex_lock(&crowd->threads.lock);
		now_inside = crowd->threads.inside;
		at_door = crowd->threads.at_door;
		(void)pthread_mutex_unlock(&crowd->threads.lock);
	} while ((now_inside + at_door < THREADS || now_inside < inside) &&
		 pl_clock_mono_ms() < until);
	assert_int_equal(now_inside + at_door, THREADS);
	return now_inside;
}

static int set_up(void **state)
{
	static struct crowd crowd;
	http_threads_init(&crowd.threads);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&crowd.handles[i], NULL, come, &crowd.threads), 0);
	*state = &crowd;
	return 0;
}

static int tear_down(void **state)
{
	struct crowd *crowd = *state;
	http_threads_open(&crowd->threads);
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(crowd->handles[i], NULL);
	assert_int_equal(crowd->threads.inside, THREADS);
	http_threads_fini(&crowd->threads);
	return 0;
}

static void test_a_few_wait_inside(void **state)
{
	assert_int_equal(settled(*state, HTTP_THREADS_SPARE), HTTP_THREADS_SPARE);
}

static void test_one_more_for_each_connection(void **state)
{
	struct crowd *crowd = *state;
	for (unsigned busy = 1; busy <= THREADS - HTTP_THREADS_SPARE; busy++) {
		http_threads_busy(&crowd->threads);
		assert_int_equal(
			settled(crowd, busy + HTTP_THREADS_SPARE), busy + HTTP_THREADS_SPARE);
	}
}

static void test_one_after_the_other_needs_no_more(void **state)
{
	struct crowd *crowd = *state;
	for (unsigned i = 0; i < 3 * THREADS; i++) {
		http_threads_busy(&crowd->threads);
		http_threads_idle(&crowd->threads);
	}
	assert_int_equal(settled(crowd, HTTP_THREADS_SPARE + 1), HTTP_THREADS_SPARE + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_few_wait_inside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_one_more_for_each_connection, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_one_after_the_other_needs_no_more, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
