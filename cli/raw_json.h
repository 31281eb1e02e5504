/*
 * raw_json: parts of JSON as they were written. A number that is read and written again may be
 * another one, and what a client wrote (meta) is any JSON.
 *
 * The text is one that jansson has taken; of any other the parts are some of its bytes.
 */
#ifndef CLI_RAW_JSON_H
#define CLI_RAW_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct raw_json { /* borrowed */
	const char *text;
	size_t len;
};

/* What stands inside of an array or an object. */
struct raw_json raw_json_inside(struct raw_json container);
/* Takes the first element of what is inside of an array; false: there is none any more. */
bool raw_json_element(struct raw_json *inside, struct raw_json *element);
/* The same of an object; a name has its quotes. */
bool raw_json_member(struct raw_json *inside, struct raw_json *name, struct raw_json *value);
/* Is it written so, without escapes? */
bool raw_json_is_name(struct raw_json name, const char *wanted);
/* The value of an object's member, false: it has none that is written so. */
bool raw_json_find(struct raw_json object, const char *name, struct raw_json *value);
/* On one line, and ends that. */
void raw_json_print(FILE *out, struct raw_json json);

#endif
