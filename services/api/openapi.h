/*
 * openapi: what this api says of itself (OpenAPI 3.1): openapi.json, put into the program by the
 * build.
 */
#ifndef API_OPENAPI_H
#define API_OPENAPI_H

extern const char api_text_openapi[];

#endif
