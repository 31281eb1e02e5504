/*
 * The end of the store while Redis' name hangs; all else of it needs a Redis, which scenarios have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics.h"
#include "pipeline/settings.h"
#include "store.h"

#define PATIENCE_MS 20000 /* only a test that is about to fail waits so long */
#define NAME_SIZE   32
#define NAME_FORMAT \
	"redis-%u.test" /* one for each store: an earlier one may still ask for its own */

extern const struct pl_setting api_settings[];

/* ---- a name that nobody tells until the gate is open ---- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t turn;
	char current[NAME_SIZE];
	unsigned count;
	bool is_asked, is_open;
} names = { .lock = PTHREAD_MUTEX_INITIALIZER, .turn = PTHREAD_COND_INITIALIZER };

int getaddrinfo(const char *restrict name, const char *restrict port,
	const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
	pthread_mutex_lock(&names.lock);
	bool is_ours = strcmp(name, names.current) == 0 && (hints->ai_flags & AI_NUMERICHOST) == 0;
	if (!is_ours) {
		pthread_mutex_unlock(&names.lock);
		int (*real)(
			const char *, const char *, const struct addrinfo *, struct addrinfo **);
		*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
		return real(name, port, hints, out);
	}
	names.is_asked = true;
	pthread_cond_broadcast(&names.turn);
	while (!names.is_open)
		pthread_cond_wait(&names.turn, &names.lock);
	pthread_mutex_unlock(&names.lock);
	return EAI_AGAIN;
}

static void await_asked(void)
{
	pthread_mutex_lock(&names.lock);
	while (!names.is_asked)
		pthread_cond_wait(&names.turn, &names.lock);
	pthread_mutex_unlock(&names.lock);
}

static void name_anew(void)
{
	pthread_mutex_lock(&names.lock);
	snprintf(names.current, sizeof names.current, NAME_FORMAT, ++names.count);
	names.is_asked = false;
	names.is_open = false;
	pthread_mutex_unlock(&names.lock);
}

static void tell_name(void)
{
	pthread_mutex_lock(&names.lock);
	names.is_open = true;
	pthread_cond_broadcast(&names.turn);
	pthread_mutex_unlock(&names.lock);
}

/* ---- the store ---- */

static struct api_metrics metrics;
static struct store *store; /* one that is left behind stays in sight */

static int setup(void **state)
{
	static const struct pl_setting *const tables[] = { pl_settings_shared, pl_settings_keys,
		api_settings, NULL };
	char url[sizeof "redis://" + NAME_SIZE];
	char *argv[] = { (char *)"fetchback-api", (char *)"--redis-url", url };
	struct pl_settings *settings;
	char *errors = NULL;
	const char *why = "";
	(void)state;
	name_anew();
	snprintf(url, sizeof url, "redis://%s", names.current);
	if (pl_settings_read(tables, 3, argv, &settings, &errors) != PL_OK)
		fail_msg("%s", errors);
	api_metrics_init(&metrics, 1000);
	if (store_new(settings, NULL, NULL, metrics.counts, &store, &why) != PL_OK)
		fail_msg("%s", why);
	pl_settings_free(settings);
	await_asked();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	api_metrics_fini(&metrics);
	return 0;
}

static void test_a_name_that_comes_ends_it(void **state)
{
	(void)state;
	tell_name();
	assert_true(store_free(store, PATIENCE_MS));
}

static void test_a_name_that_hangs_does_not_hold_its_end_up(void **state)
{
	(void)state;
	assert_false(store_free(store, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_name_that_comes_ends_it, setup, teardown),
		cmocka_unit_test_setup(test_a_name_that_hangs_does_not_hold_its_end_up, setup),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	fflush(stdout);
	_exit(failed); /* exit would wait for the name */
}
