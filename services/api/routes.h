/*
 * routes: which handler a call gets. One table; a new call is one row in it.
 *
 *   Host ours? 403 -> path known? 404 -> id well-formed? 404 -> method? 405 -> JSON? 415 -> handler
 */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include "api.h"

/* The handler and the body ceiling of the HTTP server; arg is the struct api. */
void routes_handle(void *arg, struct pl_http_call *call);
size_t routes_body_limit(void *arg, const char *method, const char *path);

#endif
