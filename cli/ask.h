/*
 * ask: one question to the api, and its answer.
 */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>

#include "arguments.h"
#include "pipeline/buf.h"

#define ASK_ANSWER_MAX (16u * 1024 * 1024)
#define ASK_CONNECT_S  5
#define ASK_TOTAL_S    30

/* body NULL: GET, else POST of JSON. Returns COMMAND_OK with a 2xx answer in *answer; otherwise
 * has said on stderr what the api said, or that there is none. pl_buf_fini(answer) in any case. */
int ask(const struct arguments *arguments, const char *path, const char *body,
	struct pl_buf *answer);

/* The same by any method; COMMAND_OK with any answer, its status in *status. */
int ask_by(const struct arguments *arguments, const char *method, const char *path,
	const char *body, struct pl_buf *answer, long *status);

/* What ask is made of, for a transfer of another kind. A handle for the api's path: COMMAND_OK, or
 * has said why there is none. */
int ask_open(const struct arguments *arguments, const char *path, CURL **out);
/* Says that nobody answered. */
void ask_silence(const struct arguments *arguments, CURLcode failed);
/* Says what the api says in an answer that is no 2xx (problem+json): its detail, and every fault
 * with its pointer; with --json the object itself too, on stdout. */
void ask_problem(const struct arguments *arguments, long status, const struct pl_buf *answer);
/* That object alone, where it is one and there is --json. */
void ask_problem_json(const struct arguments *arguments, const struct pl_buf *answer);

/* Text of others for a terminal: nothing in it can move the cursor, turn the direction of writing
 * or hide; such a character is a question mark. Returns how many characters were shown. */
size_t ask_print(FILE *out, const char *text);
/* The same, and blanks up to width. */
void ask_print_padded(FILE *out, const char *text, size_t width);
/* The first character of a text that has one; returns how many bytes that are. */
size_t ask_print_one(FILE *out, const char *text);
/* An answer as JSON, NULL if it is none. Numbers of any size are real ones. */
json_t *ask_json(const struct pl_buf *answer);
/* A member's text, "" where it is not there or no string; borrowed. */
const char *ask_text(const json_t *object, const char *name);
/* A member's whole number, 0 where it is not there or none. */
json_int_t ask_number(const json_t *object, const char *name);
/* Says that the answer is not what this command understands; returns COMMAND_FAILED. */
int ask_strange(const struct arguments *arguments);

#endif
