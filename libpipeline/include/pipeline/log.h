/*
 * log: one whole line per event on stdout, JSON or text.
 *
 *   {"time":"…","level":"info","service":"consumer","requestId":"…","event":"fetched",
 *    "stage":"fetch","attempt":1,"reason":"…"}
 *   … info consumer fetched requestId=… stage=fetch attempt=1 reason="…"
 *
 * A line is at most PL_LOG_LINE_MAX bytes; longer reasons are cut at a character and end in "…".
 * What pl_json_string escapes is escaped in both forms, and a text line quotes whatever is not
 * a plain word, so no input can forge or break a line.
 * Threads  any thread may log. Lines gather in one buffer; pl_log_flush writes it, call it once
 *          a loop turn. Warnings and errors flush at once, and so does every line until
 *          pl_log_buffered(true). A write(2) has whole lines, at most a page of them, so that
 *          those of processes that share a pipe do not mix.
 * Ceiling  a reader that does not keep up (of a pipe, a terminal) makes the writer wait, in all
 *          PL_LOG_PATIENCE_MS until it has taken everything. Beyond that 64 KiB gather, what does
 *          not fit is lost, and in its place stands how many lines that were (log_lost). What a
 *          request has met is in its record all the same. A reader that is gone for good is told
 *          nothing.
 */
#ifndef PIPELINE_LOG_H
#define PIPELINE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#define PL_LOG_LINE_MAX    4096
#define PL_LOG_PATIENCE_MS 1000 /* less than any deadline of who logs: a call's, a lease's */

enum pl_log_level { PL_LOG_DEBUG, PL_LOG_INFO, PL_LOG_WARN, PL_LOG_ERROR };

struct pl_log_about { /* what a line is about; NULL and 0 are left out */
	const char *request_id;
	const char *stage;
	unsigned attempt;
};

void pl_log_init(const char *service, enum pl_log_level level, bool json, int fd);
/* From now until pl_log_init all lines go to take, whole, on the thread that logs or flushes. It
 * must not log. False: it has no room, and gets them again later, nobody waits for it. NULL: nobody
 * hears them. */
void pl_log_divert(bool (*take)(void *arg, const char *lines, size_t len), void *arg);
void pl_log_buffered(bool on);
void pl_log_flush(void);
bool pl_log_wants(enum pl_log_level level);
const char *pl_log_level_name(enum pl_log_level level);
/* event is a word of ours ("fetched"); format makes the reason, NULL for none. */
void pl_log(enum pl_log_level level, const struct pl_log_about *about, const char *event,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
