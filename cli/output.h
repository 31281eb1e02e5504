/*
 * output: the lines of many writers on one stdout, each whole.
 *
 *   child --pipe--> source --lines--> output --> stdout
 *
 * Text     each line is passed on behind its source's name, coloured on a terminal.
 * JSON     lines that are objects are passed on untouched; anything else (Redis, a sanitizer) is
 *          wrapped into one, so that a program can read every line.
 * Own      what our own process logs has no pipe: it would wait for the loop that it runs on.
 * Ceiling  when stdout's reader does not keep up, the pipes are not read above OUTPUT_HIGH and
 *          their writers wait; our own lines stay with the log, which drops what it can't hold and
 *          says how many. A stdout that is gone swallows everything.
 * Memory   sources and the output live in storage of the caller until their `closed`.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "complaint.h"
#include "pipeline/buf.h"

#define OUTPUT_HIGH     (256u * 1024)
#define OUTPUT_LINE_MAX (16u * 1024) /* a longer line is passed on in pieces */
#define OUTPUT_NAME_MAX 15

struct output_source {
	struct output *output;
	struct output_source *next;
	char name[OUTPUT_NAME_MAX + 1];
	const char *color; /* terminal sequence, "" for none */
	uv_pipe_t pipe;
	int writer;            /* give it to a child as stdout; ours until output_source_end */
	struct pl_buf begun;   /* a line whose end has not come yet */
	bool hears_complaints; /* set by who waits for it; kept here: */
	char complaint[COMPLAINT_SIZE];
};

struct output {
	uv_loop_t *loop;
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_pipe_t pipe;
		uv_tty_t tty;
	} to;
	bool is_stream; /* else written to directly: a file never makes us wait */
	bool json, is_terminal, color;
	size_t name_width, names;
	struct output_source *sources; /* those with a pipe */
	struct pl_buf gathered, under_way;
	uv_write_t write;
	bool writes, held; /* a write is under way; the sources are not read */
};

/* color: where stdout is a terminal and NO_COLOR is not set, or empty. Returns 0 or a uv error. */
int output_open(struct output *output, uv_loop_t *loop, bool json);
int output_source_open(struct output_source *source, struct output *output, const char *name);
/* For our own log, from now until output_close: a source that has a name and no pipe. */
void output_own_open(struct output_source *source, struct output *output, const char *name);
/* No more writers from us: the source closes itself once the last writer is gone. */
void output_source_end(struct output_source *source);
/* A new writer takes over: ends the line that the old one left open. */
void output_source_break(struct output_source *source);
/* Words for people, as they are and at once; not for JSON. */
void output_say(struct output *output, const char *words);
/* Writes what is left, waiting at most wait_ms for the reader; then gives stdout back. */
void output_close(struct output *output, int wait_ms);

#endif
