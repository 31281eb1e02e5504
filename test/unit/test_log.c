#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pipeline/clock.h"
#include "pipeline/json.h"
#include "pipeline/log.h"

#define ID      "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
#define THREADS 4
#define LINES   2000

/* A file in memory that the log writes to; what it holds so far is read anew by written(). */
static int sink;
static char *so_far;

static int open_sink(void **state)
{
	(void)state;
	sink = memfd_create("log", MFD_CLOEXEC);
	return sink >= 0 ? 0 : -1;
}

static int close_sink(void **state)
{
	(void)state;
	pl_log_buffered(false);
	pl_log_init("test", PL_LOG_INFO, true, STDOUT_FILENO);
	free(so_far);
	so_far = NULL;
	return close(sink);
}

static const char *written(void)
{
	off_t size = lseek(sink, 0, SEEK_END);
	free(so_far);
	so_far = calloc((size_t)size + 1, 1);
	assert_non_null(so_far);
	assert_int_equal(pread(sink, so_far, (size_t)size, 0), size);
	return so_far;
}

/* The only line there is, which must be a JSON object; json_decref it. */
static json_t *only_line(void)
{
	const char *text = written();
	size_t len = strlen(text);
	assert_true(len > 0 && len <= PL_LOG_LINE_MAX);
	assert_ptr_equal(strchr(text, '\n'), text + len - 1);
	json_t *line = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (line == NULL)
		fail_msg("no JSON: %s", text);
	assert_int_equal(ftruncate(sink, 0), 0);
	lseek(sink, 0, SEEK_SET);
	return line;
}

static const char *field(const json_t *line, const char *name)
{
	return json_string_value(json_object_get(line, name));
}

static void a_line_tells_what_when_and_about_what(void **state)
{
	(void)state;
	pl_log_init("consumer", PL_LOG_INFO, true, sink);
	struct pl_log_about about = { .request_id = ID, .stage = "fetch", .attempt = 12 };
	uint64_t before = pl_clock_wall_ms(), time_ms = 0;
	pl_log(PL_LOG_INFO, &about, "fetched", "status %d", 200);
	uint64_t after = pl_clock_wall_ms();
	json_t *line = only_line();
	const char *time = field(line, "time");
	assert_int_equal(pl_time_parse(time, strlen(time), &time_ms), PL_OK);
	assert_true(time_ms >= before && time_ms <= after);
	assert_string_equal(field(line, "level"), "info");
	assert_string_equal(field(line, "service"), "consumer");
	assert_string_equal(field(line, "requestId"), ID);
	assert_string_equal(field(line, "event"), "fetched");
	assert_string_equal(field(line, "stage"), "fetch");
	assert_int_equal(json_integer_value(json_object_get(line, "attempt")), 12);
	assert_string_equal(field(line, "reason"), "status 200");
	assert_int_equal(json_object_size(line), 8);
	json_decref(line);
}

static void what_is_not_there_is_left_out(void **state)
{
	(void)state;
	pl_log_init("api", PL_LOG_INFO, true, sink);
	pl_log(PL_LOG_WARN, NULL, "started", NULL);
	json_t *line = only_line();
	assert_int_equal(json_object_size(line), 4);
	assert_string_equal(field(line, "level"), "warn");
	json_decref(line);
}

static void a_level_below_the_least_is_silent(void **state)
{
	(void)state;
	static const char *const names[] = { "debug", "info", "warn", "error" };
	for (int least = PL_LOG_DEBUG; least <= PL_LOG_ERROR; least++) {
		pl_log_init("test", (enum pl_log_level)least, true, sink);
		for (int level = PL_LOG_DEBUG; level <= PL_LOG_ERROR; level++) {
			assert_string_equal(
				pl_log_level_name((enum pl_log_level)level), names[level]);
			assert_int_equal(pl_log_wants((enum pl_log_level)level), level >= least);
			pl_log((enum pl_log_level)level, NULL, "said", NULL);
			if (level >= least)
				json_decref(only_line());
			else
				assert_string_equal(written(), "");
		}
	}
}

static void the_reason_keeps_the_callers_errno(void **state)
{
	(void)state;
	pl_log_init("test", PL_LOG_INFO, true, sink);
	errno = ENOENT;
	pl_log(PL_LOG_INFO, NULL, "failed", "%m");
	assert_int_equal(errno, ENOENT);
	json_t *line = only_line();
	assert_string_equal(field(line, "reason"), "No such file or directory");
	json_decref(line);
}

static void a_hostile_reason_stays_within_its_line(void **state)
{
	(void)state;
	static const char evil[] =
		"x\"}\n{\"level\":\"error\"}\r\x1b[2K\x7f\xc2\x9b\xe2\x80\xa8\xe2\x80\xae";
	pl_log_init("test", PL_LOG_INFO, true, sink);
	pl_log(PL_LOG_INFO, NULL, "said", "%s", evil);
	json_t *line = only_line();
	assert_string_equal(field(line, "reason"), evil);
	assert_string_equal(field(line, "level"), "info");
	json_decref(line);
	pl_log(PL_LOG_INFO, NULL, "said", "%s",
		"\xff"
		"a\xe6\x97");
	line = only_line();
	assert_string_equal(field(line, "reason"), "\xef\xbf\xbd"
						   "a\xef\xbf\xbd");
	json_decref(line);
}

/* Whatever is cut, and wherever: whole line, whole characters, the mark of the cut. */
static void a_long_reason_is_cut_at_a_character(void **state)
{
	(void)state;
	static const char *const fillers[] = { "x", "\xc3\xa9", "\xe6\x97\xa5", "\xf0\x9f\x98\x80",
		"\n", "\x01", "\xff", "\xe6\x97" };
	pl_log_init("test", PL_LOG_INFO, true, sink);
	for (size_t i = 0; i < sizeof fillers / sizeof *fillers; i++) {
		size_t step = strlen(fillers[i]);
		for (size_t shift = 0; shift < 8; shift++) {
			char reason[3 * PL_LOG_LINE_MAX];
			memset(reason, 'a', shift);
			size_t len = shift;
			for (; len + step < sizeof reason; len += step)
				memcpy(reason + len, fillers[i], step);
			reason[len] = '\0';
			pl_log(PL_LOG_INFO, NULL, "said", "%s", reason);
			size_t line_len = strlen(written());
			assert_true(line_len > PL_LOG_LINE_MAX - 10);
			json_t *line = only_line();
			const char *shown = field(line, "reason");
			size_t shown_len = strlen(shown);
			assert_string_equal(shown + shown_len - 3, "\xe2\x80\xa6");
			struct pl_utf8_check check;
			pl_utf8_check_init(&check);
			pl_utf8_check_feed(&check, reason, len);
			if (pl_utf8_check_finish(&check))
				assert_memory_equal(shown, reason, shown_len - 3);
			json_decref(line);
		}
	}
}

static void long_words_are_cut_too(void **state)
{
	(void)state;
	char word[3000];
	memset(word, '\x01', sizeof word - 1);
	word[sizeof word - 1] = '\0';
	struct pl_log_about about = { .request_id = word, .stage = word, .attempt = UINT32_MAX };
	for (int json = 0; json < 2; json++) {
		pl_log_init(word, PL_LOG_INFO, json == 1, sink);
		pl_log(PL_LOG_INFO, &about, word, "%s", word);
		size_t len = strlen(written());
		assert_true(len > 1000 && len <= PL_LOG_LINE_MAX);
		assert_ptr_equal(strchr(so_far, '\n'), so_far + len - 1);
		if (json == 1)
			json_decref(only_line());
		assert_int_equal(ftruncate(sink, 0), 0);
		lseek(sink, 0, SEEK_SET);
	}
}

static void text_lines_are_as_unforgeable(void **state)
{
	(void)state;
	pl_log_init("consumer", PL_LOG_INFO, false, sink);
	struct pl_log_about about = { .request_id = ID, .stage = "fetch", .attempt = 1 };
	pl_log(PL_LOG_INFO, &about, "fetched", "a \"b\" stage=deliver\n2026 \x1b[31m\xff");
	about = (struct pl_log_about) { .request_id = "x attempt=2\n" };
	pl_log(PL_LOG_ERROR, &about, "no word", NULL);
	char *second = strchr(written(), '\n') + 1;
	assert_string_equal(second + PL_TIME_SIZE - 1,
		" error consumer \"no word\" requestId=\"x attempt=2\\n\"\n");
	*second = '\0';
	assert_string_equal(so_far + PL_TIME_SIZE - 1,
		" info consumer fetched requestId=" ID " stage=fetch attempt=1 "
		"reason=\"a \\\"b\\\" stage=deliver\\n2026 \\u001b[31m\xef\xbf\xbd\"\n");
}

static void buffered_lines_wait_for_the_flush_or_a_warning(void **state)
{
	(void)state;
	pl_log_init("test", PL_LOG_DEBUG, true, sink);
	pl_log_buffered(true);
	pl_log(PL_LOG_INFO, NULL, "one", NULL);
	pl_log(PL_LOG_DEBUG, NULL, "two", NULL);
	assert_string_equal(written(), "");
	pl_log_flush();
	assert_non_null(strstr(written(), "\"two\"}\n"));
	pl_log(PL_LOG_INFO, NULL, "three", NULL);
	assert_null(strstr(written(), "\"three\""));
	pl_log(PL_LOG_WARN, NULL, "four", NULL);
	const char *text = written();
	assert_true(strstr(text, "\"three\"") < strstr(text, "\"four\""));
	assert_non_null(strstr(text, "\"three\""));
	pl_log(PL_LOG_INFO, NULL, "five", NULL);
	pl_log_buffered(false);
	assert_non_null(strstr(written(), "\"five\""));
	pl_log(PL_LOG_INFO, NULL, "six", NULL);
	assert_non_null(strstr(written(), "\"six\""));
}

static void *log_much(void *name)
{
	struct pl_log_about about = { .request_id = name };
	for (unsigned i = 1; i <= LINES; i++) {
		about.attempt = i;
		pl_log(i % 500 == 0 ? PL_LOG_WARN : PL_LOG_INFO, &about, "said", "\n%u", i);
	}
	return NULL;
}

/* Each line whole, each thread's lines in their order, none missing. */
static void lines_are_whole_and_in_order(FILE *in)
{
	unsigned last[THREADS] = { 0 };
	char line[PL_LOG_LINE_MAX + 1];
	while (fgets(line, sizeof line, in) != NULL) {
		json_t *json = json_loads(line, 0, NULL);
		assert_non_null(json);
		int thread = field(json, "requestId")[0] - '0';
		assert_true(thread >= 0 && thread < THREADS);
		assert_int_equal(
			json_integer_value(json_object_get(json, "attempt")), ++last[thread]);
		json_decref(json);
	}
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(last[i], LINES);
}

static void log_from_threads(pthread_t threads[THREADS])
{
	static char names[THREADS][2] = { "0", "1", "2", "3" };
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, log_much, names[i]), 0);
}

static void join(pthread_t threads[THREADS])
{
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void threads_never_mix_their_lines(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	pl_log_init("test", PL_LOG_INFO, true, sink);
	pl_log_buffered(true);
	log_from_threads(threads);
	join(threads);
	pl_log_flush();
	FILE *in = fdopen(dup(sink), "r");
	assert_non_null(in);
	rewind(in);
	lines_are_whole_and_in_order(in);
	fclose(in);
}

/* A pipe that holds one page and answers EAGAIN when it is full. */
static void a_slow_reader_loses_nothing(void **state)
{
	(void)state;
	int ends[2];
	pthread_t threads[THREADS];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, 4096) >= 4096);
	assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	pl_log_init("test", PL_LOG_INFO, true, ends[1]);
	log_from_threads(threads);
	FILE *in = fdopen(ends[0], "r");
	assert_non_null(in);
	/* the writing end stays open, so the reader counts */
	char line[PL_LOG_LINE_MAX + 1];
	size_t whole = 0;
	for (; whole < THREADS * LINES && fgets(line, sizeof line, in) != NULL; whole++)
		assert_true(line[0] == '{' && strcmp(line + strlen(line) - 2, "}\n") == 0);
	assert_int_equal(whole, THREADS * LINES);
	join(threads);
	fclose(in);
	close(ends[1]);
}

/* ---- a reader that stands still ---- */

static bool time_flies; /* a wait is over at once, and noted */
static bool poll_lies;  /* there was room, and another writer took it */
static unsigned waits;
static int longest_wait_ms;

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	int (*real)(struct pollfd *, nfds_t, int);
	*(void **)&real = dlsym(RTLD_NEXT, "poll");
	if (!time_flies)
		return real(fds, count, timeout_ms);
	int ready = real(fds, count, 0);
	waits += ready == 0 && timeout_ms != 0;
	if (timeout_ms < 0 || timeout_ms > longest_wait_ms)
		longest_wait_ms = timeout_ms < 0 ? INT_MAX : timeout_ms;
	return poll_lies ? (int)count : ready;
}

#define PAD 256

static void log_number(unsigned number, int pad)
{
	pl_log(PL_LOG_INFO, NULL, "numbered", "%u %0*d", number, pad, 0);
}

static void log_numbers(unsigned from, unsigned until)
{
	for (unsigned number = from; number < until; number++)
		log_number(number, PAD);
}

/* All that lies there; the lines lost so far are added to *lost, those that came are counted. */
static void take_numbers(int fd, unsigned *next, unsigned *lost)
{
	FILE *in = fdopen(dup(fd), "r");
	assert_non_null(in);
	char text[PL_LOG_LINE_MAX + 1];
	while (fgets(text, sizeof text, in) != NULL) {
		json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
		if (line == NULL)
			fail_msg("no JSON: %s", text);
		unsigned number;
		assert_int_equal(sscanf(field(line, "reason"), "%u ", &number), 1);
		if (strcmp(field(line, "event"), "log_lost") == 0) {
			*lost += number;
			*next += number;
		} else {
			assert_int_equal(number, (*next)++); /* a gap has its line where it is */
		}
		json_decref(line);
	}
	fclose(in);
}

/* ends: from, to */
static void assert_stands_still(int ends[2])
{
	const unsigned many = 4000; /* 1.3 MB: more than pipe or socket and log hold */
	unsigned next = 0, lost = 0;
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	pl_log_init("test", PL_LOG_INFO, true, ends[1]);
	time_flies = true;
	waits = 0;
	longest_wait_ms = 0;
	log_numbers(0, many - PAD);
	for (unsigned i = 0; i < PAD; i++)
		log_number(many - PAD + i, (int)(PAD - i)); /* one that fits is lost as well */
	assert_int_equal(waits, 1);
	assert_true(longest_wait_ms > 0 && longest_wait_ms <= PL_LOG_PATIENCE_MS);
	take_numbers(ends[0], &next, &lost);
	assert_int_equal(lost, 0); /* it is told where it was, behind what has gathered */
	log_numbers(many, many + 10);
	pl_log_flush();
	while (next < many + 10) {
		unsigned before = next;
		take_numbers(ends[0], &next, &lost);
		pl_log_flush();
		assert_true(next > before);
	}
	assert_true(lost > 0 && lost < many);
	assert_int_equal(waits, 1);

	log_numbers(many + 10, 2 * many); /* it has taken all: it is waited for anew, once */
	assert_int_equal(waits, 2);
	time_flies = false;
	pl_log_init("test", PL_LOG_INFO, true, sink);
	close(ends[0]);
	close(ends[1]);
}

static void a_reader_that_stands_still_is_waited_for_once(void **state)
{
	(void)state;
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_stands_still(ends);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_stands_still(ends);
}

static void a_pipe_that_another_fills_holds_nobody_up(void **state)
{
	(void)state;
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pl_log_init("test", PL_LOG_INFO, true, ends[1]);
	time_flies = true;
	log_numbers(0, 1000);
	poll_lies = true;
	log_numbers(1000, 1010); /* a write that waits would not come back */
	poll_lies = false;
	time_flies = false;
	assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0); /* it is others' as well */
	pl_log_init("test", PL_LOG_INFO, true, sink);
	close(ends[0]);
	close(ends[1]);
}

struct listener {
	bool has_room;
	unsigned offers;
	int heard; /* a pipe would do as well: what it says is written there */
};

static bool listen_in(void *arg, const char *lines, size_t len)
{
	struct listener *listener = arg;
	listener->offers++;
	if (!listener->has_room)
		return false;
	assert_int_equal(lines[len - 1], '\n');
	assert_int_equal(write(listener->heard, lines, len), len);
	return true;
}

static void lines_go_elsewhere_and_nobody_waits_for_room(void **state)
{
	(void)state;
	const unsigned many = 1000; /* 320 KB: more than gathers */
	unsigned next = 0, lost = 0;
	struct listener listener = { .has_room = true,
		.heard = memfd_create("heard", MFD_CLOEXEC) };
	pl_log_init("test", PL_LOG_INFO, true, sink);
	pl_log_divert(listen_in, &listener);
	time_flies = true;
	waits = 0;
	log_numbers(0, 2);
	assert_int_equal(listener.offers, 2);
	listener.has_room = false;
	log_numbers(2, many);
	listener.has_room = true;
	log_numbers(many, many + 2);
	assert_int_equal(waits, 0);
	time_flies = false;
	assert_string_equal(written(), "");
	assert_int_equal(lseek(listener.heard, 0, SEEK_SET), 0);
	take_numbers(listener.heard, &next, &lost);
	assert_int_equal(next, many + 2);
	assert_true(lost > 0);
	close(listener.heard);

	pl_log_divert(NULL, NULL);
	log_numbers(0, 1);
	assert_string_equal(written(), "");
	pl_log_init("test", PL_LOG_INFO, true, sink);
	log_numbers(0, 1);
	assert_non_null(strstr(written(), "numbered"));
}

static void a_reader_that_is_gone_stops_nobody(void **state)
{
	(void)state;
	pl_log_init("test", PL_LOG_INFO, true, -1);
	errno = ENOENT;
	pl_log(PL_LOG_ERROR, NULL, "unheard", NULL);
	assert_int_equal(errno, ENOENT);
	pl_log_init("test", PL_LOG_INFO, true, sink);
	pl_log(PL_LOG_INFO, NULL, "heard", NULL);
	assert_null(strstr(written(), "unheard"));
	assert_non_null(strstr(written(), "heard"));
}

int main(void)
{
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, open_sink, close_sink)
	const struct CMUnitTest tests[] = {
		LOG_TEST(a_line_tells_what_when_and_about_what),
		LOG_TEST(what_is_not_there_is_left_out),
		LOG_TEST(a_level_below_the_least_is_silent),
		LOG_TEST(the_reason_keeps_the_callers_errno),
		LOG_TEST(a_hostile_reason_stays_within_its_line),
		LOG_TEST(a_long_reason_is_cut_at_a_character),
		LOG_TEST(long_words_are_cut_too),
		LOG_TEST(text_lines_are_as_unforgeable),
		LOG_TEST(buffered_lines_wait_for_the_flush_or_a_warning),
		LOG_TEST(threads_never_mix_their_lines),
		LOG_TEST(a_slow_reader_loses_nothing),
		LOG_TEST(a_reader_that_stands_still_is_waited_for_once),
		LOG_TEST(a_pipe_that_another_fills_holds_nobody_up),
		LOG_TEST(lines_go_elsewhere_and_nobody_waits_for_room),
		LOG_TEST(a_reader_that_is_gone_stops_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
