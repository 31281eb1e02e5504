/* So many a second, and that many at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/rate.h"

#define SECOND 1000000

static unsigned take_all(struct rate *rate, unsigned per_second, uint64_t now)
{
	unsigned taken = 0;
	while (taken <= per_second && rate_take(rate, per_second, now))
		taken++;
	return taken;
}

static void test_as_many_at_once(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 1000; n *= 10) {
		struct rate rate = { 0 };
		assert_int_equal(take_all(&rate, n, 5 * SECOND), n);
	}
}

static void test_one_comes_back_in_its_time(void **state)
{
	(void)state;
	struct rate rate = { 0 };
	uint64_t now = 7 * SECOND;
	assert_int_equal(take_all(&rate, 10, now), 10);
	assert_false(rate_take(&rate, 10, now + SECOND / 10 - 1));
	assert_true(rate_take(&rate, 10, now + SECOND / 10));
	assert_false(rate_take(&rate, 10, now + SECOND / 10));
	assert_int_equal(take_all(&rate, 10, now + 60ull * SECOND), 10);
}

static void test_never_more_in_a_second(void **state)
{
	(void)state;
	struct rate rate = { 0 };
	unsigned taken = 0;
	for (uint64_t now = SECOND; now < 11ull * SECOND; now += 1000)
		taken += rate_take(&rate, 10, now);
	assert_in_range(taken, 105, 110);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_many_at_once),
		cmocka_unit_test(test_one_comes_back_in_its_time),
		cmocka_unit_test(test_never_more_in_a_second),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
