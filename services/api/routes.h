/*
 * routes: which handler a call gets. One table; a new call is one row in it.
 *
 *   before the body   Host ours, or whose key? 403, 401 -> how often? 429
 *   after it          path known? 404 -> id well-formed? 404 -> method? 405 -> JSON? 415 -> handler
 *
 * So nobody without a key has a body of theirs held in memory.
 */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include "api.h"

/* What the HTTP server asks; arg is the struct api. */
bool routes_admit(void *arg, struct pl_http_call *call);
void routes_handle(void *arg, struct pl_http_call *call);
/* Of a method that no path has, and that nothing but its path is known of. */
void routes_refuse_method(void *arg, struct pl_http_call *call);
size_t routes_body_limit(void *arg, const char *method, const char *path);

#endif
