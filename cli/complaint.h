/*
 * complaint: what a service has warned of, as its log has it; so that whoever waits for the service
 * can say what it waits for.
 */
#ifndef CLI_COMPLAINT_H
#define CLI_COMPLAINT_H

#include <stddef.h>

#define COMPLAINT_SIZE 240

/* The reason of a line above info, in JSON or as text, cut to what fits; any other line leaves *out
 * as it is. */
void complaint_take(const char *line, size_t len, char out[COMPLAINT_SIZE]);

#endif
