#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pipeline/clock.h"
#include "pipeline/uuid.h"

#define THREADS    4
#define PER_THREAD 5000

static void an_id_has_the_form_of_its_standard(void **state)
{
	(void)state;
	for (unsigned shard = 0; shard <= 0xfff; shard += 91) {
		char id[PL_UUID_SIZE];
		uint64_t before = pl_clock_wall_ms();
		pl_uuid_new(id, shard);
		uint64_t after = pl_clock_wall_ms();
		assert_int_equal(strlen(id), 36);
		assert_true(pl_uuid_valid(id, 36));
		assert_true(pl_uuid_time_ms(id) >= before && pl_uuid_time_ms(id) <= after);
		assert_int_equal(pl_uuid_shard(id), shard);
	}
}

static void the_example_of_the_standard_is_read(void **state)
{
	(void)state;
	const char *example = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
	assert_true(pl_uuid_valid(example, 36));
	assert_true(pl_uuid_time_ms(example) == 0x017f22e279b0);
	assert_int_equal(pl_uuid_shard(example), 0xcc3);
}

static void what_is_no_id_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = { "", "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
		"017f22e2-79b0-7cc3-98c4-dc0c0c07398f0", "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
		"017f22e2-79b0-4cc3-98c4-dc0c0c07398f", "017f22e2-79b0-7cc3-78c4-dc0c0c07398f",
		"017f22e2-79b0-7cc3-c8c4-dc0c0c07398f", "017f22e279b07cc398c4dc0c0c07398f0000",
		"017f22e2-79b0-7cc3-98c4-dc0c0c07398g", "017f22e2x79b0-7cc3-98c4-dc0c0c07398f",
		"017f22e-279b0-7cc3-98c4-dc0c0c07398f" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(pl_uuid_valid(bad[i], strlen(bad[i])));
	assert_false(pl_uuid_valid("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", 35));
}

static void *make_ids(void *arg)
{
	char(*ids)[PL_UUID_SIZE] = arg;
	for (size_t i = 0; i < PER_THREAD; i++)
		pl_uuid_new(ids[i], 0);
	return NULL;
}

static int compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, PL_UUID_SIZE);
}

static void threads_never_make_the_same_id(void **state)
{
	(void)state;
	static char ids[THREADS * PER_THREAD][PL_UUID_SIZE];
	pthread_t threads[THREADS];
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, make_ids, ids[i * PER_THREAD]), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	qsort(ids, THREADS * PER_THREAD, PL_UUID_SIZE, compare_ids);
	for (size_t i = 1; i < THREADS * PER_THREAD; i++)
		assert_string_not_equal(ids[i - 1], ids[i]);
}

static void a_fork_does_not_repeat_its_parents_ids(void **state)
{
	(void)state;
	char ours[PL_UUID_SIZE], theirs[PL_UUID_SIZE] = "";
	pl_uuid_new(ours, 0); /* so that there is a stock to inherit */
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		pl_uuid_new(theirs, 0);
		_exit(write(ends[1], theirs, sizeof theirs) == (ssize_t)sizeof theirs ? 0 : 1);
	}
	pl_uuid_new(ours, 0);
	assert_int_equal(read(ends[0], theirs, sizeof theirs), sizeof theirs);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_string_not_equal(ours + 19, theirs + 19); /* the random half */
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_has_the_form_of_its_standard),
		cmocka_unit_test(the_example_of_the_standard_is_read),
		cmocka_unit_test(what_is_no_id_is_refused),
		cmocka_unit_test(threads_never_make_the_same_id),
		cmocka_unit_test(a_fork_does_not_repeat_its_parents_ids),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
