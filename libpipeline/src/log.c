#include "pipeline/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipeline/clock.h"
#include "pipeline/err.h"
#include "pipeline/json.h"
#include "pipeline/text.h"

#define GATHERED_MAX (64 * 1024) /* what a pipe holds: gathering more would only wait longer */
#define WORD_MAX     160         /* bytes of an id, an event, a stage, a service, as escaped */
#define LOST_MAX     512         /* bytes of the line that tells how many were lost */

_Static_assert(PL_LOG_LINE_MAX <= PIPE_BUF, "a line that fits is written whole or not at all");

/* Set by pl_log_init before there are threads, read by all. */
static const char *service_name = "fetchback";
static bool as_json = true;
static int descriptor = STDOUT_FILENO;
static int own_descriptor = -1; /* the same, to be closed by us; -1: it is the caller's */
static bool (*divert)(void *arg, const char *lines, size_t len); /* instead of it, or NULL */
static void *divert_arg;
static atomic_int least_level = PL_LOG_INFO;

/* Lines that wait for their write, whole but for what was written of the first. */
static struct {
	pthread_mutex_t lock;
	bool buffered;
	bool is_stalled; /* its reader used the patience up, and has not taken all since */
	unsigned lost;   /* lines behind these that there was no room for, not told yet */
	size_t len;
	char lines[GATHERED_MAX];
} gathered = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* A line under way. The end of a line always fits: reason_room leaves it out. */
struct line {
	char text[PL_LOG_LINE_MAX];
	size_t len;
};

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
	char digits[PL_NUMBER_SIZE];
	put_bytes(line, digits, pl_number_write(number, digits));
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

/* reason: NULL for none. */
static void compose(struct line *line, enum pl_log_level level, const struct pl_log_about *about,
	const char *event, const char *reason)
{
	static const struct pl_log_about nothing = { .request_id = NULL };
	line->len = 0;
	if (about == NULL)
		about = &nothing;
	if (as_json)
		put_json_head(line, level, about, event);
	else
		put_text_head(line, level, about, event);
	const char *end = as_json ? "}\n" : "\n";
	if (reason != NULL) {
		put(line, as_json ? ",\"reason\":" : " reason=");
		put_quoted(
			line, reason, strlen(reason), sizeof line->text - line->len - strlen(end));
	}
	put(line, end);
}

/* ---- to its reader; all with the lock ---- */

static size_t room(void)
{
	return sizeof gathered.lines - gathered.len;
}

static void add(const struct line *line)
{
	memcpy(gathered.lines + gathered.len, line->text, line->len);
	gathered.len += line->len;
}

/* Lines as they follow, whole: beside other writers a pipe takes so many at once or none. */
static size_t piece_at(size_t at)
{
	size_t len = gathered.len - at;
	if (len <= PIPE_BUF)
		return len;
	const char *end = memrchr(gathered.lines + at, '\n', PIPE_BUF);
	PL_ASSERT(end != NULL);
	return (size_t)(end + 1 - (gathered.lines + at));
}

/* False: it has not come in time. */
static bool wait_for_reader(uint64_t until_ms)
{
	if (descriptor < 0)
		return true; /* poll would wait for nobody; the write tells */
	struct pollfd reader = { .fd = descriptor, .events = POLLOUT };
	int ready;
	do {
		uint64_t now_ms = pl_clock_mono_ms();
		ready = poll(&reader, 1, until_ms > now_ms ? (int)(until_ms - now_ms) : 0);
	} while (ready < 0 && errno == EINTR);
	return ready > 0;
}

/* What could be written of a piece; 0: try again. A reader that is gone for good can't be told
 * anything: its lines go too. */
static size_t write_piece(const char *piece, size_t len)
{
	ssize_t wrote = write(descriptor, piece, len);
	if (wrote >= 0)
		return (size_t)wrote;
	return errno == EAGAIN || errno == EINTR ? 0 : len;
}

static size_t write_pieces(uint64_t until_ms)
{
	size_t at = 0, wrote = 1;
	while (at < gathered.len && (wrote > 0 || pl_clock_mono_ms() < until_ms) &&
		wait_for_reader(until_ms)) {
		wrote = write_piece(gathered.lines + at, piece_at(at));
		at += wrote;
	}
	return at;
}

/* A reader that stands still is waited for once. From then on it is only looked whether it goes on:
 * whoever logs has more to do than that. */
static void write_lines(void)
{
	size_t at;
	if (gathered.len == 0)
		return;
	if (divert != NULL)
		at = divert(divert_arg, gathered.lines, gathered.len) ? gathered.len : 0;
	else
		at = write_pieces(
			gathered.is_stalled ? 0 : pl_clock_mono_ms() + PL_LOG_PATIENCE_MS);
	gathered.is_stalled = at < gathered.len;
	gathered.len -= at;
	memmove(gathered.lines, gathered.lines + at, gathered.len);
}

/* In the place of those that were lost. */
static void tell_lost(void)
{
	char reason[LOST_MAX / 2];
	struct line line;
	if (gathered.lost == 0 || room() < LOST_MAX)
		return;
	snprintf(reason, sizeof reason,
		"%u lines are missing here: what reads this log stood still", gathered.lost);
	compose(&line, PL_LOG_WARN, NULL, "log_lost", reason);
	PL_ASSERT(line.len <= LOST_MAX);
	add(&line);
	gathered.lost = 0;
}

static void write_gathered(void)
{
	write_lines();
	if (gathered.lost == 0)
		return;
	tell_lost();
	write_lines();
}

static void gather(const struct line *line, bool at_once)
{
	pthread_mutex_lock(&gathered.lock);
	if (room() < line->len)
		write_gathered();
	tell_lost();
	if (gathered.lost > 0 || room() < line->len)
		gathered.lost++;
	else
		add(line);
	if (at_once || !gathered.buffered)
		write_gathered();
	pthread_mutex_unlock(&gathered.lock);
}

/* ---- what others call ---- */

/* The same pipe or terminal, opened anew: ours never makes a writer wait, and theirs stays as its
 * other users know it. -1: it is a file, or may not be opened. Then a look before each write must
 * do, between which and the write another process may fill a pipe that both have. */
static int open_own(int fd)
{
	char path[sizeof "/proc/self/fd/" + 3 * sizeof fd];
	struct stat about;
	if (fstat(fd, &about) != 0 || (!S_ISFIFO(about.st_mode) && !S_ISCHR(about.st_mode)))
		return -1;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

void pl_log_init(const char *service, enum pl_log_level level, bool json, int fd)
{
	pl_log_flush();
	service_name = service;
	as_json = json;
	if (own_descriptor >= 0)
		close(own_descriptor);
	own_descriptor = open_own(fd);
	descriptor = own_descriptor >= 0 ? own_descriptor : fd;
	divert = NULL;
	atomic_store_explicit(&least_level, (int)level, memory_order_relaxed);
}

static bool swallow(void *arg, const char *lines, size_t len)
{
	(void)arg, (void)lines, (void)len;
	return true;
}

void pl_log_divert(bool (*take)(void *arg, const char *lines, size_t len), void *arg)
{
	pthread_mutex_lock(&gathered.lock);
	divert = take != NULL ? take : swallow;
	divert_arg = arg;
	pthread_mutex_unlock(&gathered.lock);
}

void pl_log_buffered(bool on)
{
	pthread_mutex_lock(&gathered.lock);
	gathered.buffered = on;
	if (!on) {
		gathered.is_stalled = false; /* the last words have a wait of their own */
		write_gathered();
	}
	pthread_mutex_unlock(&gathered.lock);
}

void pl_log_flush(void)
{
	pthread_mutex_lock(&gathered.lock);
	write_gathered();
	pthread_mutex_unlock(&gathered.lock);
}

void pl_log(enum pl_log_level level, const struct pl_log_about *about, const char *event,
	const char *format, ...)
{
	if (!pl_log_wants(level))
		return;
	int saved_errno = errno;
	/* As long as a whole line: the line's own cut always comes first, so that a character torn
	 * here is never shown. */
	char reason[PL_LOG_LINE_MAX];
	struct line line;
	if (format != NULL) {
		va_list args;
		va_start(args, format);
		if (vsnprintf(reason, sizeof reason, format, args) < 0)
			reason[0] = '\0';
		va_end(args);
	}
	compose(&line, level, about, event, format != NULL ? reason : NULL);
	gather(&line, level >= PL_LOG_WARN);
	errno = saved_errno;
}
