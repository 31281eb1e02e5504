#include "pipeline/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/clock.h"
#include "pipeline/err.h"
#include "pipeline/json.h"

#define GATHERED_MAX (64 * 1024) /* what a pipe holds: gathering more would only wait longer */
#define WORD_MAX     160         /* bytes of an id, an event, a stage, a service, as escaped */

/* Set by pl_log_init before there are threads, read by all. */
static const char *service_name = "fetchback";
static bool as_json = true;
static int descriptor = STDOUT_FILENO;
static atomic_int least_level = PL_LOG_INFO;

/* Whole lines that wait for their write. */
static struct {
	pthread_mutex_t lock;
	bool buffered;
	size_t len;
	char lines[GATHERED_MAX];
} gathered = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* A line under way. The end of a line always fits: reason_room leaves it out. */
struct line {
	char text[PL_LOG_LINE_MAX];
	size_t len;
};

static void wait_for_reader(void)
{
	struct pollfd reader = { .fd = descriptor, .events = POLLOUT };
	poll(&reader, 1, -1);
}

/* Called with the lock. A reader that is gone for good can't be told anything: the lines go too. */
static void write_gathered(void)
{
	size_t at = 0;
	while (at < gathered.len) {
		ssize_t wrote = write(descriptor, gathered.lines + at, gathered.len - at);
		if (wrote >= 0)
			at += (size_t)wrote;
		else if (errno == EAGAIN)
			wait_for_reader();
		else if (errno != EINTR)
			break;
	}
	gathered.len = 0;
}

static void gather(const struct line *line, bool at_once)
{
	pthread_mutex_lock(&gathered.lock);
	if (line->len > sizeof gathered.lines - gathered.len)
		write_gathered();
	memcpy(gathered.lines + gathered.len, line->text, line->len);
	gathered.len += line->len;
	if (at_once || !gathered.buffered)
		write_gathered();
	pthread_mutex_unlock(&gathered.lock);
}

void pl_log_init(const char *service, enum pl_log_level level, bool json, int fd)
{
	pl_log_flush();
	service_name = service;
	as_json = json;
	descriptor = fd;
	atomic_store_explicit(&least_level, (int)level, memory_order_relaxed);
}

void pl_log_buffered(bool on)
{
	pthread_mutex_lock(&gathered.lock);
	gathered.buffered = on;
	if (!on)
		write_gathered();
	pthread_mutex_unlock(&gathered.lock);
}

void pl_log_flush(void)
{
	pthread_mutex_lock(&gathered.lock);
	write_gathered();
	pthread_mutex_unlock(&gathered.lock);
}

bool pl_log_wants(enum pl_log_level level)
{
	return (int)level >= atomic_load_explicit(&least_level, memory_order_relaxed);
}

const char *pl_log_level_name(enum pl_log_level level)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	size_t i = (size_t)level;
	return i < sizeof names / sizeof *names ? names[i] : "error";
}

static void put_bytes(struct line *line, const char *text, size_t len)
{
	PL_ASSERT(len <= sizeof line->text - line->len);
	memcpy(line->text + line->len, text, len);
	line->len += len;
}

static void put(struct line *line, const char *text)
{
	put_bytes(line, text, strlen(text));
}

/* Quoted and escaped, cut at a character; the cut shows as an ellipsis. */
static void put_quoted(struct line *line, const char *text, size_t len, size_t room)
{
	static const char ellipsis[] = "\xe2\x80\xa6";
	const size_t frame = sizeof "\"\"" - 1 + sizeof ellipsis - 1;
	PL_ASSERT(room >= frame && room <= sizeof line->text - line->len);
	size_t used;
	line->text[line->len++] = '"';
	line->len += pl_json_escape(text, len, line->text + line->len, room - frame, &used);
	if (used < len)
		put(line, ellipsis);
	line->text[line->len++] = '"';
}

static void put_number(struct line *line, unsigned number)
{
	char digits[10]; /* 4,294,967,295 */
	size_t at = sizeof digits;
	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	put_bytes(line, digits + at, sizeof digits - at);
}

/* Now. Most lines share their second with the one before, so that only its milliseconds are new. */
static void put_time(struct line *line)
{
	static _Thread_local struct {
		uint64_t second;
		char text[PL_TIME_SIZE];
	} last;
	uint64_t now_ms = pl_clock_wall_ms();
	unsigned ms = (unsigned)(now_ms % 1000);
	if (now_ms / 1000 != last.second) {
		pl_time_format(now_ms, last.text);
		last.second = now_ms / 1000;
	}
	char *fraction = last.text + PL_TIME_SIZE - sizeof "000Z";
	fraction[0] = (char)('0' + ms / 100);
	fraction[1] = (char)('0' + ms / 10 % 10);
	fraction[2] = (char)('0' + ms % 10);
	put_bytes(line, last.text, PL_TIME_SIZE - 1);
}

static void put_json_word(struct line *line, const char *prefix, const char *word)
{
	if (word == NULL)
		return;
	put(line, prefix);
	put_quoted(line, word, strlen(word), WORD_MAX);
}

/* `{"time":"…","level":"…",…` up to the reason. */
static void put_json_head(struct line *line, enum pl_log_level level,
	const struct pl_log_about *about, const char *event)
{
	put(line, "{\"time\":\"");
	put_time(line);
	put(line, "\",\"level\":\"");
	put(line, pl_log_level_name(level));
	put_json_word(line, "\",\"service\":", service_name);
	put_json_word(line, ",\"requestId\":", about->request_id);
	put_json_word(line, ",\"event\":", event);
	put_json_word(line, ",\"stage\":", about->stage);
	if (about->attempt > 0) {
		put(line, ",\"attempt\":");
		put_number(line, about->attempt);
	}
}

/* A word of ours as it is; anything else in quotes, so that it can't pass for another field. */
static void put_text_word(struct line *line, const char *prefix, const char *word)
{
	static const char ours[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:";
	if (word == NULL)
		return;
	put(line, prefix);
	size_t len = strnlen(word, WORD_MAX);
	if (len > 0 && len < WORD_MAX && strspn(word, ours) == len)
		put_bytes(line, word, len);
	else
		put_quoted(line, word, strlen(word), WORD_MAX);
}

/* `2026-12-01T08:00:00.000Z info consumer fetched requestId=… stage=fetch attempt=1`. */
static void put_text_head(struct line *line, enum pl_log_level level,
	const struct pl_log_about *about, const char *event)
{
	put_time(line);
	put(line, " ");
	put(line, pl_log_level_name(level));
	put_text_word(line, " ", service_name);
	put_text_word(line, " ", event);
	put_text_word(line, " requestId=", about->request_id);
	put_text_word(line, " stage=", about->stage);
	if (about->attempt > 0) {
		put(line, " attempt=");
		put_number(line, about->attempt);
	}
}

void pl_log(enum pl_log_level level, const struct pl_log_about *about, const char *event,
	const char *format, ...)
{
	static const struct pl_log_about nothing = { .request_id = NULL };
	if (!pl_log_wants(level))
		return;
	int saved_errno = errno;
	struct line line;
	line.len = 0;
	if (about == NULL)
		about = &nothing;
	if (as_json)
		put_json_head(&line, level, about, event);
	else
		put_text_head(&line, level, about, event);
	const char *end = as_json ? "}\n" : "\n";
	if (format != NULL) {
		/* As long as a whole line: the line's own cut always comes first, so that a
		 * character torn here is never shown. */
		char reason[PL_LOG_LINE_MAX];
		va_list args;
		va_start(args, format);
		if (vsnprintf(reason, sizeof reason, format, args) < 0)
			reason[0] = '\0';
		va_end(args);
		put(&line, as_json ? ",\"reason\":" : " reason=");
		put_quoted(
			&line, reason, strlen(reason), sizeof line.text - line.len - strlen(end));
	}
	put(&line, end);
	gather(&line, level >= PL_LOG_WARN);
	errno = saved_errno;
}
