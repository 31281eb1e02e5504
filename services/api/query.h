/*
 * query: the parameters of a call behind its '?'.
 */
#ifndef API_QUERY_H
#define API_QUERY_H

#include "pipeline/request.h"

/* Names every parameter that is not among known, which NULL ends, and every one given twice: a name
 * that is misspelt would ask for something else than was meant. */
void query_check(const char *query, const char *const *known, struct pl_faults *faults);

#endif
